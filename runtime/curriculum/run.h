/* A whole run: the stages in order, each with its supervised warm-up, its GRPO steps and its consolidation; evaluations
 * between them; everything written into output_dir. */
#ifndef CG_RUNTIME_CURRICULUM_RUN_H
#define CG_RUNTIME_CURRICULUM_RUN_H

#include "runtime/rl/session.h"

/* What the command line says about where to begin. */
struct cg_run_options {
    int resume;              /* from the newest checkpoint of output_dir that is whole */
    const char *resume_from; /* or from this one; NULL: not */
    int overwrite;           /* what output_dir holds of a run that is not continued may go */
    int dry_run;             /* only tell the plan of memory, on stdout */
    int allow_changes;       /* options that change the result may differ from the checkpoint's */
};

/* Trains as `cfg` says. Leaves the model, metrics.jsonl, completions.jsonl, summary.json and checkpoints in
 * cfg->output_dir. CG_ERR_INTERRUPTED after *stop was set: the step was finished and everything was saved. */
enum cg_status cg_run(const struct cg_run_config *cfg, const struct cg_run_options *o,
                      const volatile sig_atomic_t *stop);

#endif

/* A whole run: the stages in order, each with its supervised warm-up, its GRPO steps and its consolidation; evaluations
 * between them; everything written into output_dir. */
#ifndef CG_RUNTIME_CURRICULUM_RUN_H
#define CG_RUNTIME_CURRICULUM_RUN_H

#include "runtime/rl/session.h"

/* Trains as `cfg` says. Leaves the model, metrics.jsonl, completions.jsonl and summary.json in cfg->output_dir.
 * CG_ERR_INTERRUPTED after *stop was set: the step was finished and everything was saved. */
enum cg_status cg_run(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop);

#endif

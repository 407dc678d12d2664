/* Where a run is and what it has counted so far: with the session (weights, moments, Fisher information, random draws)
 * all that is needed to go on from here. */
#ifndef CG_RUNTIME_CURRICULUM_STATE_H
#define CG_RUNTIME_CURRICULUM_STATE_H

#include "runtime/curriculum/metrics.h"
#include "runtime/rl/session.h"

#define CG_EXAMPLES 3 /* held-out problems of each stage whose answers before and after go into summary.json */

/* What a stage goes through. Between two steps, and between two phases, a run can be left and taken up again. */
enum cg_phase { CG_PHASE_SFT, CG_PHASE_GRPO, CG_PHASE_END };

struct cg_example {
    const char *prompt, *answer; /* not owned; NULL: the stage has fewer held-out problems than examples */
    char *before, *after;        /* free() */
};

struct cg_run_state {
    size_t stages;
    size_t stage;                   /* in work; == stages: the run is done */
    int phase;                      /* enum cg_phase */
    size_t step;                    /* steps of this phase done */
    size_t steps;                   /* steps of every kind so far, over all stages: the number of a checkpoint */
    size_t grpo_steps;              /* those of GRPO: `step` in metrics.jsonl */
    size_t total_steps;             /* what `steps` is at the end */
    size_t total_grpo;              /* what `grpo_steps` is then */
    size_t tokens;                  /* prompt and completion tokens of the GRPO steps */
    size_t skipped, skipped_in_row; /* steps whose loss or gradient was not finite */
    double *R;                      /* [stages][stages], rows below `stages_done` are known */
    size_t stages_done;
    double *times; /* seconds of each GRPO step: [n_times], room for times_room */
    size_t n_times, times_room;
    double before, after; /* accuracy on held-out problems, mean over the stages; after: of the last stage done */
    double accuracy;      /* on those of the stage in work, when it was measured last; -1: not yet */
    double best_accuracy; /* the best of them in this stage; -1: none yet */
    size_t best_step;     /* `steps` at that time */
    size_t evaluated;     /* `steps` at the last evaluation of the stage in work that was made */
    double seconds;       /* of training up to the checkpoint that this was read from */
    size_t metrics_bytes; /* lengths of metrics.jsonl, completions.jsonl and TensorBoard's file then */
    size_t completions_bytes, events_bytes;
    struct cg_metrics metrics;   /* since the last line of metrics.jsonl */
    struct cg_example *examples; /* [stages * CG_EXAMPLES] */
};

/* Steps that the options give a stage. */
size_t cg_stage_grpo_steps(const struct cg_run_config *c, size_t stage);
size_t cg_stage_sft_steps(const struct cg_run_config *c, size_t stage);

/* A run at its beginning, after the session has been opened; CG_ERR_USER when the lists of steps do not fit the
 * stages. */
enum cg_status cg_run_state_create(const struct cg_session *s, struct cg_run_state *out);
void cg_run_state_free(struct cg_run_state *r);

/* Median of the times of the GRPO steps, s; 0 without any. */
double cg_run_state_step_time(const struct cg_run_state *r);

#endif

/* The inside of a run, shared by its files: run.c (beginning, loop, end), work.c (what is done between two states),
 * save.c (checkpoints and the model). */
#ifndef CG_RUNTIME_CURRICULUM_WORK_H
#define CG_RUNTIME_CURRICULUM_WORK_H

#include "runtime/curriculum/report.h"

struct cg_work {
    struct cg_session s;
    struct cg_run_state state;
    struct cg_report report;
    double start;          /* of the training in this process */
    double seconds_before; /* state.seconds at that time */
    double spent[2];       /* in supervised steps and in GRPO steps in this process, s */
    size_t made[2];        /* how many of each */
    size_t saved;          /* `steps` of the newest checkpoint that is known to be good */
    int due;               /* a checkpoint waits for a state that can be saved */
    int has_saved;         /* there is one */
};

/* Accuracy on the held-out problems of every stage into out[stages], and their mean. */
enum cg_answers { CG_ANSWERS_NONE, CG_ANSWERS_BEFORE, CG_ANSWERS_AFTER }; /* which of the examples' answers are kept */
enum cg_status cg_work_evaluate(struct cg_work *w, double *out, enum cg_answers which, double *mean);

/* One step of training or the end of a phase, and what follows from it: evaluation, a checkpoint. */
enum cg_status cg_work_advance(struct cg_work *w);

/* Whether the state is all that is needed to go on. It is not where the next step uses the completions of the last one
 * again (num_iterations), which no checkpoint holds. */
int cg_work_is_whole(const struct cg_work *w);

/* The live line after a step. */
void cg_work_show_sft(const struct cg_work *w, double loss);
void cg_work_show_step(const struct cg_work *w, const struct cg_step_stats *x);

/* A checkpoint of the state as it is. `must` 0: where it cannot be written, a line says so and the run goes on. */
enum cg_status cg_work_save(struct cg_work *w, int must);

/* The model in output_dir itself. */
enum cg_status cg_work_save_model(const struct cg_work *w);

/* load_best_model_at_end: takes the weights of the best checkpoint of the last stage, unless they are the last ones;
 * *taken. */
enum cg_status cg_work_take_best(struct cg_work *w, int *taken);

/* "; the last good checkpoint is DIR/checkpoint-12" or "", for messages. */
const char *cg_work_last_good(const struct cg_work *w, char *buf, size_t size);

/* Seconds of training, in all processes that worked on the run. */
double cg_work_seconds(const struct cg_work *w);

#endif

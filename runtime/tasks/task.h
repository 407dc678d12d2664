/* Tasks: where problems, their answers and the rewards of completions come from.
 *
 * A task is one line in the list of task.c: it writes the text of the problem with operands (a, b) and tells whether a
 * completion answers it. Which operands belong to a stage, and which of them are held out, is decided here for all. */
#ifndef CG_RUNTIME_TASKS_TASK_H
#define CG_RUNTIME_TASKS_TASK_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

#define CG_PROMPT_MAX 4096
#define CG_ANSWER_MAX 64

struct cg_task {
    const char *name, *doc;
    const char *prompt; /* template; {a} and {b} become the operands as `operand` writes them */
    void (*operand)(uint64_t x, int width, char *out, size_t size); /* width: digits of the widest stage */
    void (*answer)(uint64_t a, uint64_t b, int width, char *out, size_t size);
    float (*reward)(const char *completion, const char *answer);
};

/* NULL and a message that lists the tasks when `name` is unknown. */
const struct cg_task *cg_task_named(const char *name);

struct cg_stage {
    char name[32];    /* "1 digit", "0..19" */
    uint64_t lo, hi;  /* operands lo..hi */
    uint64_t earlier; /* pairs of operands both below this belong to an earlier stage, not to this one */
    uint64_t pairs;   /* how many pairs of operands it has */
    size_t n_train, n_eval;
};

/* A task with the stages of a run. */
struct cg_problems {
    const struct cg_task *task;
    char *prompt;  /* template in use */
    uint64_t seed; /* of the split into training and held-out problems */
    int width;
    double rehearsal; /* share of a stage's training problems that come from earlier stages */
    struct cg_stage *stages;
    size_t n_stages;
};

enum cg_split { CG_SPLIT_TRAIN, CG_SPLIT_EVAL };

/* digits[n_stages]: one stage for each, operands of up to that many digits; n_stages 0: one stage of operands lo..hi.
 * prompt "": the task's own. At most `n_train` and `n_eval` problems a stage; of a small stage at most a quarter is
 * held out. Held-out problems are never among the training ones. */
enum cg_status cg_problems_create(const char *task, const char *prompt, uint64_t seed, const int64_t *digits,
                                  size_t n_stages, uint64_t lo, uint64_t hi, size_t n_train, size_t n_eval,
                                  struct cg_problems *out);
void cg_problems_free(struct cg_problems *p);

/* Text of problem `index` of a stage and split. */
enum cg_status cg_problems_get(const struct cg_problems *p, size_t stage, enum cg_split split, size_t index,
                               char prompt[CG_PROMPT_MAX], char answer[CG_ANSWER_MAX]);

#endif

/* The reward functions; private to runtime/rewards. */
#ifndef CG_RUNTIME_REWARDS_FUNCTIONS_H
#define CG_RUNTIME_REWARDS_FUNCTIONS_H

#include "runtime/rewards/program.h"
#include "runtime/rewards/regex.h"
#include "runtime/rewards/rewards.h"

struct cg_rewards {
    const struct cg_run_config *cfg;
    const volatile sig_atomic_t *stop;
    const struct cg_task *task; /* whose own function is meant by "task"; NULL: train_file */
    size_t n;
    const struct cg_reward_fn *fn[CG_MAX_REWARDS];
    const char *name[CG_MAX_REWARDS]; /* in metrics */
    float weight[CG_MAX_REWARDS];
    struct cg_regex *regex;
    struct cg_reward_program *program;
};

/* Which of an answer's properties a function relies on. */
enum cg_answer_use { CG_ANSWER_UNUSED, CG_ANSWER_TEXT, CG_ANSWER_NUMBER };

struct cg_reward_fn {
    const char *name, *doc;
    enum cg_answer_use answer;
    enum cg_status (*score)(struct cg_rewards *r, const struct cg_reward_case *c, float *value); /* NULL: the program */
};

/* NULL and a message that lists the functions when `name` is unknown. */
const struct cg_reward_fn *cg_reward_fn_named(const char *name);

#endif

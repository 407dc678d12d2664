/* What completions are worth: a list of reward functions and their weights, as TRL has them.
 *
 * A function is one line in the list of functions.c. It gives a number for each completion, or NAN where it does not
 * apply; a completion's reward is the sum of weight * number over those that apply, and NAN when none does. */
#ifndef CG_RUNTIME_REWARDS_REWARDS_H
#define CG_RUNTIME_REWARDS_REWARDS_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/config/config.h"
#include "runtime/data/data.h"

#define CG_MAX_REWARDS 16

/* One completion. */
struct cg_reward_case {
    const struct cg_item *item;
    const char *text;   /* without special tokens; 0-terminated, any bytes */
    const int32_t *ids; /* n_ids tokens, the end of sequence among them */
    size_t n_ids;
};

struct cg_rewards;
struct cg_reward_fn;

/* The functions of cfg->reward_funcs, or where that is empty the own one of cfg->task. cfg must outlive it; *stop (or
 * NULL) is Ctrl-C, which must not wait for a program. A reward program is started by the first completions that it has
 * to score. CG_ERR_USER names an unknown function and lists the known ones. */
enum cg_status cg_rewards_open(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop,
                               struct cg_rewards **out);
/* Ends a reward program: by the end of its input, then by signals. */
void cg_rewards_close(struct cg_rewards *r);

size_t cg_rewards_count(const struct cg_rewards *r); /* 1 to CG_MAX_REWARDS */
const char *cg_rewards_name(const struct cg_rewards *r, size_t i);

/* Does any function compare with the answer? Does any want the fields of the data's lines? */
int cg_rewards_need_answers(const struct cg_rewards *r);
int cg_rewards_need_fields(const struct cg_rewards *r);

/* Looks whether the functions can use the answers of a set: CG_ERR_USER with the line of `source` where not. */
enum cg_status cg_rewards_check(const struct cg_rewards *r, const char *source, const struct cg_dataset *d);

/* What function i gives to n completions, into value[n]. step: for reward programs. */
enum cg_status cg_rewards_one(struct cg_rewards *r, size_t i, size_t step, size_t n, const struct cg_reward_case *c,
                              float *value);

/* The same of all functions, into value[count][n], and their weighted sums into total[n]. */
enum cg_status cg_rewards_all(struct cg_rewards *r, size_t step, size_t n, const struct cg_reward_case *c, float *value,
                              float *total);

/* Mean and standard deviation (with Bessel's correction) of those that are not NAN; NAN where there are too few. */
void cg_reward_mean_std(size_t n, const float *value, double *mean, double *std);

#endif

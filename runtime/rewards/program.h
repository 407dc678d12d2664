/* Rewards by a program of the user, in any language: a line of JSON for each completion goes in, a line with its reward
 * comes out (docs/data.md has the protocol). */
#ifndef CG_RUNTIME_REWARDS_PROGRAM_H
#define CG_RUNTIME_REWARDS_PROGRAM_H

#include <signal.h>

#include "runtime/rewards/rewards.h"

struct cg_reward_program;

/* Reads cfg's reward_program, reward_timeout and reward_on_error; starts nothing yet. *stop (or NULL): Ctrl-C, which
 * ends the waiting for an answer soon. Both must outlive it. */
enum cg_status cg_reward_program_create(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop,
                                        struct cg_reward_program **out);
void cg_reward_program_free(struct cg_reward_program *p);

/* The program's rewards of n completions. With reward_on_error "stop", whatever goes wrong is CG_ERR_USER with one line
 * that says at which completion and what was got; with "zero" the completions without an answer get 0, the program is
 * started anew for the next ones when it must be, and only three failed batches in a row are an error.
 * CG_ERR_INTERRUPTED when *stop was set while the program did not answer. */
enum cg_status cg_reward_program_score(struct cg_reward_program *p, size_t step, size_t n,
                                       const struct cg_reward_case *c, float *value);

#endif

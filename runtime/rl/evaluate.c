/* Greedy accuracy on held-out problems. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/rl/rollout.h"

enum cg_status cg_session_evaluate(struct cg_session *s, size_t stage, double *accuracy, char **answers, size_t n)
{
    const struct cg_dataset *d = &s->data.stages[stage].eval;
    struct cg_rollout r;
    *accuracy = NAN;
    if (d->n == 0) return CG_OK;
    CG_TRY(cg_rollout_create(d->n, 1, s->grpo.max_completion_length, &r));
    for (size_t i = 0; i < d->n; i++) r.items[i] = &d->items[i];
    enum cg_status st = cg_rollout_generate(s, &r, 0.0f);
    if (st == CG_OK) st = cg_rewards_one(s->rewards, 0, s->state.steps, r.n, r.cases, r.reward);
    double std;
    if (st == CG_OK) cg_reward_mean_std(r.n, r.reward, accuracy, &std);
    for (size_t i = 0; i < d->n && st == CG_OK; i++) {
        if (i < n && answers) {
            answers[i] = r.text[i];
            r.text[i] = NULL;
        }
    }
    cg_rollout_free(&r);
    s->undone = st != CG_OK;
    return st;
}

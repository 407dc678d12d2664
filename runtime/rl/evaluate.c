/* Greedy accuracy on held-out problems. */
#include <stdlib.h>
#include <string.h>

#include "runtime/rl/rollout.h"

enum cg_status cg_session_evaluate(struct cg_session *s, size_t stage, double *accuracy, char **answers, size_t n)
{
    const struct cg_dataset *d = &s->eval[stage];
    struct cg_rollout r;
    CG_TRY(cg_rollout_create(d->n, 1, s->grpo.max_completion_length, &r));
    for (size_t i = 0; i < d->n; i++) r.items[i] = &d->items[i];
    enum cg_status st = cg_rollout_run(s, &r, 0.0f);
    double right = 0;
    for (size_t i = 0; i < d->n && st == CG_OK; i++) {
        right += (double)r.reward[i];
        if (i < n && answers) {
            answers[i] = r.text[i];
            r.text[i] = NULL;
        }
    }
    *accuracy = right / (double)d->n;
    cg_rollout_free(&r);
    return st;
}

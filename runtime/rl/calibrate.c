/* Scales of INT8 weights for generation, from the activations of the first problems (runtime/nn/smooth.h). */
#include <string.h>

#include "runtime/nn/smooth.h"
#include "runtime/rl/step.h"

#define TOKENS 512 /* at least, where there are as many */

/* The first problems of all stages by turns; NULL: that was the last. */
static const struct cg_item *item_at(const struct cg_session *s, size_t *i)
{
    size_t stages = s->data.n_stages, longest = 0;
    for (size_t k = 0; k < stages; k++)
        if (s->data.stages[k].train.n > longest) longest = s->data.stages[k].train.n;
    for (; *i < longest * stages; ++*i) {
        const struct cg_dataset *d = &s->data.stages[*i % stages].train;
        if (*i / stages < d->n) return &d->items[(*i)++ / stages];
    }
    return NULL;
}

/* One problem at a time, whatever a memory budget allows: the same scales for all. */
enum cg_status cg_session_calibrate(struct cg_session *s)
{
    enum cg_status st = CG_OK;
    size_t seen = 0, next = 0;
    const struct cg_item *it;
    memset(s->s8_net.smooth, 0, s->s8_net.inputs * sizeof *s->s8_net.smooth);
    cg_smooth_observe(&s->net, s->s8_net.smooth);
    while (st == CG_OK && seen < TOKENS && (it = item_at(s, &next)) != NULL) {
        const int32_t *answer = it->answer_ids;
        cg_batch_clear(&s->batch);
        st = cg_batch_group(&s->batch, it->prompt_ids, it->prompt_len, 1, &answer, &it->answer_len);
        if (st == CG_OK && it->answer_len == 0) st = cg_batch_row(&s->batch, it->prompt_len - 1, 0);
        if (st == CG_OK) st = cg_trainer_forward(s->trainer, &s->batch, 1.0f, s->step->row_stats);
        seen += s->batch.n_tokens;
    }
    cg_smooth_observe(&s->net, NULL);
    cg_smooth_set(&s->s8_net);
    return st;
}

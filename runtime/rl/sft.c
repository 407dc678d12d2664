/* Supervised steps on the tasks' own answers, and the Fisher information of a stage: both are sums of log-probabilities
 * with constant coefficients. */
#include "runtime/rl/step.h"

struct constant_loss {
    float coef;
    double sum; /* of the log-probabilities */
};

static void constant_loss(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats,
                          struct cg_logits_coef *coef)
{
    struct constant_loss *l = ctx;
    (void)first;
    for (size_t i = 0; i < n; i++) {
        coef[i] = (struct cg_logits_coef){.logprob = l->coef};
        l->sum += (double)stats[i].logprob;
    }
}

enum cg_status cg_session_sft_step(struct cg_session *s, size_t stage, uint64_t first, size_t n, double lr,
                                   double *loss, struct cg_update *u)
{
    size_t rows = 0;
    for (size_t i = 0; i < n; i++) rows += cg_session_item(s, stage, first + i)->answer_len;
    struct constant_loss l = {.coef = -1.0f / (float)rows};
    enum cg_status st = CG_OK;
    cg_trainer_zero_grad(s->trainer);
    for (size_t i = 0; i < n && st == CG_OK;) {
        cg_batch_clear(&s->batch);
        for (; i < n && st == CG_OK; i++) {
            const struct cg_item *it = cg_session_item(s, stage, first + i);
            const int32_t *answer = it->answer_ids;
            if (s->batch.n_tokens &&
                s->batch.n_tokens + it->prompt_len + it->answer_len > s->memory.choice.micro_tokens)
                break;
            st = cg_batch_group(&s->batch, it->prompt_ids, it->prompt_len, 1, &answer, &it->answer_len);
        }
        if (st == CG_OK) st = cg_trainer_backward(s->trainer, &s->batch, 1.0f, constant_loss, &l, s->step->row_stats);
    }
    *loss = -l.sum / (double)rows;
    return st == CG_OK ? cg_session_update(s, *loss, lr, u) : st;
}

enum cg_status cg_session_consolidate(struct cg_session *s, size_t stage)
{
    size_t n = (size_t)s->cfg->fisher_samples;
    if (n > s->data.stages[stage].train.n) n = s->data.stages[stage].train.n;
    struct cg_rollout r;
    CG_TRY(cg_rollout_create(n, 1, s->grpo.max_completion_length, &r));
    for (size_t i = 0; i < n; i++) r.items[i] = cg_session_item(s, stage, i);
    enum cg_status st = cg_rollout_generate(s, &r, 1.0f);
    for (size_t i = 0; i < n && st == CG_OK; i++) {
        struct constant_loss l = {.coef = 1.0f};
        const int32_t *tokens = r.completion[i].tokens;
        cg_batch_clear(&s->batch);
        cg_trainer_zero_grad(s->trainer);
        st =
            cg_batch_group(&s->batch, r.items[i]->prompt_ids, r.items[i]->prompt_len, 1, &tokens, &r.completion[i].len);
        if (st == CG_OK) st = cg_trainer_backward(s->trainer, &s->batch, 1.0f, constant_loss, &l, s->step->row_stats);
        if (st == CG_OK) st = cg_trainer_finish(s->trainer);
        if (st == CG_OK) cg_ewc_add_sample(&s->ewc, cg_trainer_grad(s->trainer), 1.0f / (float)n);
    }
    if (st == CG_OK) cg_ewc_consolidate(&s->ewc);
    cg_rollout_free(&r);
    return st;
}

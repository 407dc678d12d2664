/* The gradient of a GRPO step, in batches of whole groups. A group whose advantages are all 0 has none (without a KL
 * term): of its rows only log-probability and entropy are needed, for the metrics. */
#include "runtime/rl/step.h"

static int has_gradient(const struct cg_session *s, const struct cg_step *p, size_t prompt)
{
    if (s->grpo.beta != 0.0f) return 1;
    for (size_t i = prompt * p->r.generations; i < (prompt + 1) * p->r.generations; i++)
        if (p->advantage[i] != 0.0f) return 1;
    return 0;
}

static void order_groups(const struct cg_session *s, struct cg_step *p)
{
    size_t n = 0;
    for (int gradient = 0; gradient < 2; gradient++) {
        for (size_t i = 0; i < p->r.prompts; i++)
            if (has_gradient(s, p, i) == gradient) p->order[n++] = i;
        if (!gradient) p->idle = n;
    }
}

void cg_step_list_tokens(const struct cg_session *s, struct cg_step *p)
{
    struct cg_grpo_token *t = p->tokens;
    size_t g = p->r.generations;
    int other = !cg_session_acts_as_policy(s);
    order_groups(s, p);
    for (size_t k = 0; k < p->r.n; k++) {
        size_t i = p->order[k / g] * g + k % g;
        const struct cg_completion *c = &p->r.completion[i];
        for (size_t j = 0; j < p->rows[i]; j++, t++) {
            *t = (struct cg_grpo_token){.old_logprob = c->logprobs[j],
                                        .sampling_logprob = c->sampling_logprobs[j],
                                        .correction = 1.0f,
                                        .completion = (uint32_t)i};
            other |= c->sampling_logprobs[j] != c->logprobs[j];
        }
    }
    p->corrected = other && s->grpo.correct_sampling;
    if (!p->corrected || !cg_session_acts_as_policy(s)) return;
    /* The first forward pass will give what generation gave: the correction need not wait for it. */
    t = p->tokens;
    for (size_t k = 0; k < p->r.n; k++) {
        size_t rows = p->rows[p->order[k / g] * g + k % g];
        cg_grpo_correct(&s->grpo, 1, rows, t, &p->sampling);
        t += rows;
    }
}

/* Tokens of a group in a batch; 0: none of its completions counts. */
static size_t group_tokens(const struct cg_step *p, size_t prompt)
{
    size_t n = 0;
    for (size_t g = 0; g < p->r.generations; g++) n += p->rows[prompt * p->r.generations + g];
    return n ? n + p->r.items[prompt]->prompt_len : 0;
}

/* Puts the groups order[at..end) into the batch while they fit; *next is the first that did not. */
static enum cg_status fill_batch(struct cg_session *s, struct cg_step *p, size_t at, size_t end, size_t *next)
{
    size_t g = p->r.generations, tokens = 0;
    cg_batch_clear(&s->batch);
    for (; at < end; at++) {
        size_t prompt = p->order[at], need = group_tokens(p, prompt);
        if (!need) continue;
        if (tokens && tokens + need > s->memory.choice.micro_tokens) break;
        tokens += need;
        for (size_t i = 0; i < g; i++) p->ids[i] = p->r.completion[prompt * g + i].tokens;
        CG_TRY(cg_batch_group(&s->batch, p->r.items[prompt]->prompt_ids, p->r.items[prompt]->prompt_len, g, p->ids,
                              p->rows + prompt * g));
    }
    *next = at;
    return CG_OK;
}

/* One batch: its rows are l->tokens[0..n_rows). */
static enum cg_status batch_loss(struct cg_session *s, struct cg_step *p, struct cg_grpo_loss *l, int gradient)
{
    float temperature = (float)s->cfg->temperature;
    size_t rows = s->batch.n_rows;
    if (s->grpo.beta != 0.0f && l->first_iteration) {
        CG_TRY(cg_session_reference(s, &s->batch, p->row_stats));
        for (size_t i = 0; i < rows; i++) l->tokens[i].ref_logprob = p->row_stats[i].logprob;
    }
    if (gradient)
        return (cg_grpo_loss_whole(l) ? cg_trainer_backward_whole : cg_trainer_backward)(
            s->trainer, &s->batch, temperature, cg_grpo_loss, l, p->row_stats);
    CG_TRY(cg_trainer_forward(s->trainer, &s->batch, temperature, p->row_stats));
    cg_grpo_loss(l, 0, rows, p->row_stats, p->coef);
    return CG_OK;
}

/* The loss of groups without a gradient, from what generation has found of their tokens. That has the bits of a forward
 * pass, but where other weights have generated: the difference of the two is then told of the groups that are trained
 * on only. */
static void idle_loss(const struct cg_session *s, struct cg_step *p, struct cg_grpo_loss *l)
{
    size_t g = p->r.generations;
    struct cg_sampling_sums *told = l->sampling, untold = {0};
    if (!cg_session_acts_as_policy(s)) l->sampling = &untold;
    for (size_t k = 0; k < p->idle * g; k++) {
        size_t i = p->order[k / g] * g + k % g;
        const struct cg_completion *c = &p->r.completion[i];
        for (size_t j = 0; j < p->rows[i]; j++)
            p->row_stats[j] = (struct cg_row_stats){c->logprobs[j], c->entropies[j]};
        cg_grpo_loss(l, 0, p->rows[i], p->row_stats, p->coef);
        l->tokens += p->rows[i];
    }
    l->sampling = told;
}

enum cg_status cg_step_gradient(struct cg_session *s, struct cg_step *p)
{
    struct cg_grpo_loss l = {.o = &s->grpo,
                             .completions = p->completions,
                             .tokens = p->tokens,
                             .first_iteration = p->iteration == 0,
                             .corrected = p->corrected,
                             .correction_known = p->corrected && cg_session_acts_as_policy(s),
                             .sampling = &p->sampling};
    for (size_t i = 0; i < p->r.n; i++)
        p->completions[i] =
            (struct cg_grpo_completion){.advantage = p->advantage[i], .weight = p->weight[i], .rows = p->rows[i]};
    size_t end[] = {p->idle, p->r.prompts}, at = 0;
    if (l.first_iteration) {
        idle_loss(s, p, &l);
        at = p->idle;
    }
    for (int gradient = 0; gradient < 2; gradient++) {
        if (gradient) cg_trainer_zero_grad(s->trainer);
        while (at < end[gradient]) {
            CG_TRY(fill_batch(s, p, at, end[gradient], &at));
            if (s->batch.n_rows == 0) continue;
            CG_TRY(batch_loss(s, p, &l, gradient));
            l.tokens += s->batch.n_rows;
        }
    }
    return CG_OK;
}

/* One GRPO step: roll out, reward, backward in micro-batches of whole groups, update. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "runtime/rl/step.h"

void cg_step_free(struct cg_step *p)
{
    if (!p) return;
    cg_rollout_free(&p->r);
    free(p->advantage);
    free(p->weight);
    free(p->len);
    free(p->truncated);
    free(p->tokens);
    free(p->stats);
    free(p->ref);
    free(p->ids);
    cg_free(p);
}

enum cg_status cg_step_create(const struct cg_session *s, struct cg_step **out)
{
    size_t g = s->grpo.num_generations, max = s->grpo.max_completion_length, n = s->prompts_per_step * g;
    struct cg_step *p = cg_alloc(sizeof *p);
    *out = p;
    if (!p) return cg_fail(CG_ERR_MEMORY, "out of memory");
    CG_TRY(cg_rollout_create(s->prompts_per_step, g, max, &p->r));
    p->advantage = calloc(n, sizeof *p->advantage);
    p->weight = calloc(n, sizeof *p->weight);
    p->len = calloc(n, sizeof *p->len);
    p->truncated = calloc(n, sizeof *p->truncated);
    p->tokens = calloc(n * max, sizeof *p->tokens);
    p->stats = calloc(n * max, sizeof *p->stats);
    p->ref = calloc(n * max, sizeof *p->ref);
    p->ids = calloc(g, sizeof *p->ids);
    if (p->advantage && p->weight && p->len && p->truncated && p->tokens && p->stats && p->ref && p->ids) return CG_OK;
    return cg_fail(CG_ERR_MEMORY, "out of memory for a step of %zu completions", n);
}

static size_t group_tokens(const struct cg_step *p, size_t prompt)
{
    size_t n = p->r.items[prompt]->prompt_len;
    for (size_t g = 0; g < p->r.generations; g++) n += p->r.completion[prompt * p->r.generations + g].len;
    return n;
}

/* Puts groups from `prompt` on into the batch while they fit; returns the first that did not. */
static enum cg_status fill_batch(struct cg_session *s, struct cg_step *p, size_t prompt, size_t *next)
{
    size_t g = p->r.generations, rows = 0, tokens = 0;
    cg_batch_clear(&s->batch);
    for (; prompt < p->r.prompts; prompt++) {
        size_t need = group_tokens(p, prompt);
        if (tokens && tokens + need > s->micro_tokens) break;
        tokens += need;
        for (size_t i = 0; i < g; i++) {
            const struct cg_completion *c = &p->r.completion[prompt * g + i];
            p->ids[i] = c->tokens;
            for (size_t j = 0; j < c->len; j++)
                p->tokens[rows++] = (struct cg_grpo_token){.advantage = p->advantage[prompt * g + i],
                                                           .weight = p->weight[prompt * g + i],
                                                           .old_logprob = c->logprobs[j]};
        }
        CG_TRY(cg_batch_group(&s->batch, p->r.items[prompt]->prompt_ids, p->r.items[prompt]->prompt_len, g, p->ids,
                              p->len + prompt * g));
    }
    *next = prompt;
    return CG_OK;
}

/* Gradient of the loss of all completions, into the trainer. */
static enum cg_status backward(struct cg_session *s, struct cg_step *p, struct cg_grpo_loss *loss)
{
    cg_trainer_zero_grad(s->trainer);
    *loss = (struct cg_grpo_loss){.o = &s->grpo, .tokens = p->tokens};
    for (size_t prompt = 0; prompt < p->r.prompts;) {
        CG_TRY(fill_batch(s, p, prompt, &prompt));
        if (s->ref_trainer) {
            CG_TRY(cg_trainer_forward(s->ref_trainer, &s->batch, (float)s->cfg->temperature, p->ref));
            for (size_t i = 0; i < s->batch.n_rows; i++) p->tokens[i].ref_logprob = p->ref[i].logprob;
        }
        CG_TRY(cg_trainer_backward(s->trainer, &s->batch, (float)s->cfg->temperature, cg_grpo_loss, loss, p->stats));
    }
    return CG_OK;
}

static void length_stats(const struct cg_session *s, const struct cg_step *p, struct cg_step_stats *st)
{
    double sum = 0, ended = 0, ended_sum = 0, low = 1e30, high = 0;
    for (size_t i = 0; i < p->r.n; i++) {
        double len = (double)p->len[i];
        sum += len;
        if (!p->truncated[i]) {
            ended++;
            ended_sum += len;
        }
        if (len < low) low = len;
        if (len > high) high = len;
        st->tokens += p->len[i];
    }
    for (size_t i = 0; i < p->r.prompts; i++) st->tokens += p->r.items[i]->prompt_len * s->grpo.num_generations;
    st->mean_length = sum / (double)p->r.n;
    st->min_length = low;
    st->max_length = high;
    st->clipped_ratio = 1.0 - ended / (double)p->r.n;
    st->mean_terminated_length = ended > 0 ? ended_sum / ended : 0;
}

static void loss_stats(const struct cg_grpo_loss *l, struct cg_step_stats *st)
{
    double n = l->tokens_seen > 0 ? l->tokens_seen : 1;
    st->loss = l->loss;
    st->entropy = l->entropy / n;
    st->kl = l->kl / n;
    st->low_clipped = l->low_clipped / n;
    st->high_clipped = l->high_clipped / n;
    st->max_logp_difference = l->max_ratio_error;
}

static enum cg_status run(struct cg_session *s, struct cg_step *p, size_t stage, double lr, struct cg_step_stats *st)
{
    double start = cg_now();
    for (size_t i = 0; i < p->r.prompts; i++) p->r.items[i] = cg_session_item(s, stage, s->state.next_item++);
    CG_TRY(cg_rollout_run(s, &p->r, (float)s->cfg->temperature));
    st->generate_seconds = cg_now() - start;
    for (size_t i = 0; i < p->r.n; i++) {
        p->len[i] = p->r.completion[i].len;
        p->truncated[i] = !p->r.completion[i].finished;
    }
    cg_grpo_advantages(&s->grpo, p->r.n, p->r.reward, p->advantage, &st->reward);
    cg_grpo_weights(&s->grpo, p->r.n, p->len, p->truncated, p->weight);
    length_stats(s, p, st);
    for (int64_t it = 0; it < s->cfg->num_iterations; it++) {
        struct cg_grpo_loss loss;
        CG_TRY(backward(s, p, &loss));
        CG_TRY(cg_session_update(s, loss.loss, lr, &st->update));
        loss_stats(&loss, st);
    }
    st->seconds = cg_now() - start;
    return CG_OK;
}

enum cg_status cg_session_grpo_step(struct cg_session *s, size_t stage, double lr, cg_completion_fn *each, void *ctx,
                                    struct cg_step_stats *st)
{
    struct cg_step *p = s->step;
    memset(st, 0, sizeof *st);
    CG_TRY(run(s, p, stage, lr, st));
    s->state.steps++;
    for (size_t i = 0; each && i < p->r.n; i++)
        each(ctx, p->r.items[i / p->r.generations], p->r.text[i], p->r.reward[i], p->advantage[i]);
    return CG_OK;
}

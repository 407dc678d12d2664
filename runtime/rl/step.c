/* One GRPO step: roll out, reward, gradient, update. */
#include "runtime/rl/step.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

void cg_step_free(struct cg_step *p)
{
    if (!p) return;
    p->more.n = p->r.n; /* as it was made; its last round may have been a smaller one */
    cg_rollout_free(&p->r);
    cg_rollout_free(&p->more);
    free(p->advantage);
    free(p->weight);
    free(p->len);
    free(p->rows);
    free(p->truncated);
    free(p->order);
    free(p->completions);
    free(p->tokens);
    free(p->row_stats);
    free(p->coef);
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
    if (s->cfg->dynamic_sampling) CG_TRY(cg_rollout_create(s->prompts_per_step, g, max, &p->more));
    p->advantage = calloc(n, sizeof *p->advantage);
    p->weight = calloc(n, sizeof *p->weight);
    p->len = calloc(n, sizeof *p->len);
    p->rows = calloc(n, sizeof *p->rows);
    p->truncated = calloc(n, sizeof *p->truncated);
    p->order = calloc(s->prompts_per_step, sizeof *p->order);
    p->completions = calloc(n, sizeof *p->completions);
    p->tokens = calloc(n * max, sizeof *p->tokens);
    p->row_stats = calloc(s->batch_rows, sizeof *p->row_stats);
    p->coef = calloc(s->batch_rows, sizeof *p->coef);
    p->ids = calloc(g, sizeof *p->ids);
    if (p->advantage && p->weight && p->len && p->rows && p->truncated && p->order && p->completions && p->tokens &&
        p->row_stats && p->coef && p->ids)
        return CG_OK;
    return cg_fail(CG_ERR_MEMORY, "out of memory for a step of %zu completions", n);
}

static void length_stats(const struct cg_step *p, struct cg_step_stats *st)
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
    }
    st->mean_length = sum / (double)p->r.n;
    st->min_length = low;
    st->max_length = high;
    st->clipped_ratio = 1.0 - ended / (double)p->r.n;
    st->mean_terminated_length = ended > 0 ? ended_sum / ended : 0;
}

static enum cg_status roll_out(struct cg_session *s, struct cg_step *p, size_t stage)
{
    const struct cg_grpo_options *o = &s->grpo;
    double start = cg_now();
    p->stats = (struct cg_step_stats){0};
    p->sampling = (struct cg_sampling_sums){0};
    for (size_t i = 0; i < p->r.prompts; i++) p->r.items[i] = cg_session_item(s, stage, s->state.next_item++);
    CG_TRY(cg_rollout_run(s, &p->r, (float)s->cfg->temperature));
    for (size_t i = 0; i < p->r.prompts; i++) p->stats.tokens += cg_rollout_tokens(&p->r, i);
    /* Rewards are told of these groups: a choice among more of them would not be of the policy. */
    for (size_t i = 0; i < cg_rewards_count(s->rewards); i++)
        cg_reward_mean_std(p->r.n, p->r.each + i * p->r.n, &p->stats.reward_func[i].mean, &p->stats.reward_func[i].std);
    cg_grpo_advantages(o, p->r.n, p->r.reward, p->advantage, &p->stats.reward);
    if (s->cfg->dynamic_sampling) {
        struct cg_reward_stats chosen;
        CG_TRY(cg_step_replace_groups(s, p, stage));
        cg_grpo_advantages(o, p->r.n, p->r.reward, p->advantage, &chosen);
    }
    p->stats.generate_seconds = cg_now() - start;
    for (size_t i = 0; i < p->r.n; i++) {
        p->len[i] = p->r.completion[i].len;
        p->truncated[i] = !p->r.completion[i].finished;
        p->rows[i] = o->mask_truncated_completions && p->truncated[i] ? 0 : p->len[i];
    }
    cg_grpo_weights(o, p->r.n, p->len, p->truncated, p->weight);
    cg_step_list_tokens(s, p);
    length_stats(p, &p->stats);
    return CG_OK;
}

/* A rollout that fails leaves no trace: the next one would take the same problems and draw the same numbers. */
static enum cg_status try_rollout(struct cg_session *s, struct cg_step *p, size_t stage)
{
    const struct cg_rl_state before = s->state;
    enum cg_status st = roll_out(s, p, stage);
    s->undone = st != CG_OK;
    if (s->undone) s->state = before;
    return st;
}

static void tell(const struct cg_session *s, const struct cg_step *p, cg_completion_fn *each, void *ctx)
{
    for (size_t i = 0; i < p->r.n; i++) {
        struct cg_told_completion x = {.item = p->r.items[i / p->r.generations],
                                       .text = p->r.text[i],
                                       .reward = p->r.reward[i],
                                       .advantage = p->advantage[i],
                                       .rewards = s->rewards};
        for (size_t f = 0; f < cg_rewards_count(s->rewards); f++) x.each[f] = p->r.each[f * p->r.n + i];
        each(ctx, &x);
    }
}

enum cg_status cg_session_grpo_step(struct cg_session *s, size_t stage, double lr, cg_completion_fn *each, void *ctx,
                                    struct cg_step_stats *st)
{
    struct cg_step *p = s->step;
    double start = cg_now();
    int fresh = p->iteration == 0;
    if (fresh) CG_TRY(try_rollout(s, p, stage));
    CG_TRY(cg_step_gradient(s, p));
    if (fresh) {
        p->stats.sampling = p->sampling;
        p->stats.corrected = p->corrected && p->sampling.tokens > 0;
    }
    *st = p->stats;
    cg_grpo_loss_stats(&s->grpo, p->r.n, p->completions, &st->loss);
    CG_TRY(cg_session_update(s, st->loss.loss, lr, &st->update));
    s->state.steps++;
    cg_session_sync_reference(s);
    p->iteration = (p->iteration + 1) % s->grpo.num_iterations;
    if (!fresh) {
        st->generate_seconds = 0;
        st->tokens = 0;
    }
    st->seconds = cg_now() - start;
    if (fresh && each) tell(s, p, each, ctx);
    return CG_OK;
}

/* Dynamic sampling (DAPO, Yu et al. 2025): a group whose rewards are all the same teaches nothing, and the next prompts
 * take its place. */
#include <math.h>

#include "runtime/rl/step.h"

/* Do the rewards of group `i` differ? Those that are not numbers say nothing. */
static int has_spread(const struct cg_rollout *r, size_t i)
{
    float low = INFINITY, high = -INFINITY;
    for (size_t j = i * r->generations; j < (i + 1) * r->generations; j++) {
        low = fminf(low, r->reward[j]);
        high = fmaxf(high, r->reward[j]);
    }
    return low < high;
}

/* Exchanges group i of a with group j of b, with what `functions` rewards gave; what a completion points to goes with
 * it. */
static void exchange(struct cg_rollout *a, size_t i, struct cg_rollout *b, size_t j, size_t functions)
{
    const struct cg_item *item = a->items[i];
    a->items[i] = b->items[j];
    b->items[j] = item;
    for (size_t k = 0; k < a->generations; k++) {
        size_t x = i * a->generations + k, y = j * b->generations + k;
        struct cg_completion completion = a->completion[x];
        a->completion[x] = b->completion[y];
        b->completion[y] = completion;
        char *text = a->text[x];
        a->text[x] = b->text[y];
        b->text[y] = text;
        float reward = a->reward[x];
        a->reward[x] = b->reward[y];
        b->reward[y] = reward;
        for (size_t f = 0; f < functions; f++) a->each[f * a->n + x] = b->each[f * b->n + y];
    }
}

enum cg_status cg_step_replace_groups(struct cg_session *s, struct cg_step *p, size_t stage)
{
    struct cg_rollout *r = &p->r, *more = &p->more;
    struct cg_step_stats *st = &p->stats;
    for (st->rounds = 1; st->rounds < (size_t)s->cfg->dynamic_sampling_max_rounds; st->rounds++) {
        size_t missing = 0, at = 0;
        for (size_t i = 0; i < r->prompts; i++) missing += !has_spread(r, i);
        if (missing == 0) break;
        more->prompts = missing;
        more->n = missing * more->generations;
        for (size_t i = 0; i < missing; i++) more->items[i] = cg_session_item(s, stage, s->state.next_item++);
        CG_TRY(cg_rollout_run(s, more, (float)s->cfg->temperature));
        for (size_t i = 0; i < missing; i++) {
            st->tokens += cg_rollout_tokens(more, i);
            if (!has_spread(more, i)) continue;
            while (has_spread(r, at)) at++;
            exchange(r, at, more, i, cg_rewards_count(s->rewards));
            st->replaced++;
        }
    }
    return CG_OK;
}

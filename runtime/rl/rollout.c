#include "runtime/rl/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/rl/budget.h"

enum cg_status cg_rollout_create(size_t prompts, size_t generations, size_t max_new_tokens, struct cg_rollout *r)
{
    memset(r, 0, sizeof *r);
    r->prompts = prompts;
    r->generations = generations;
    r->n = prompts * generations;
    r->items = calloc(prompts, sizeof *r->items);
    r->gen_prompts = calloc(prompts, sizeof *r->gen_prompts);
    r->completion = calloc(r->n, sizeof *r->completion);
    r->text = calloc(r->n, sizeof *r->text);
    r->reward = calloc(r->n, sizeof *r->reward);
    r->each = calloc(CG_MAX_REWARDS * r->n, sizeof *r->each);
    r->cases = calloc(r->n, sizeof *r->cases);
    r->tokens = calloc(r->n * max_new_tokens, sizeof *r->tokens);
    r->logprobs = calloc(r->n * max_new_tokens, sizeof *r->logprobs);
    r->sampling_logprobs = calloc(r->n * max_new_tokens, sizeof *r->sampling_logprobs);
    r->entropies = calloc(r->n * max_new_tokens, sizeof *r->entropies);
    if (!r->items || !r->gen_prompts || !r->completion || !r->text || !r->reward || !r->each || !r->cases ||
        !r->tokens || !r->logprobs || !r->sampling_logprobs || !r->entropies) {
        cg_rollout_free(r);
        return cg_fail(CG_ERR_MEMORY, "out of memory for %zu completions", prompts * generations);
    }
    for (size_t i = 0; i < r->n; i++) {
        r->completion[i].tokens = r->tokens + i * max_new_tokens;
        r->completion[i].logprobs = r->logprobs + i * max_new_tokens;
        r->completion[i].sampling_logprobs = r->sampling_logprobs + i * max_new_tokens;
        r->completion[i].entropies = r->entropies + i * max_new_tokens;
    }
    return CG_OK;
}

void cg_rollout_free(struct cg_rollout *r)
{
    for (size_t i = 0; r->text && i < r->n; i++) free(r->text[i]);
    free(r->items);
    free(r->gen_prompts);
    free(r->completion);
    free(r->text);
    free(r->reward);
    free(r->each);
    free(r->cases);
    free(r->tokens);
    free(r->logprobs);
    free(r->sampling_logprobs);
    free(r->entropies);
    memset(r, 0, sizeof *r);
}

enum cg_status cg_rollout_generate(struct cg_session *s, struct cg_rollout *r, float temperature)
{
    struct cg_gen_options o = {.max_new_tokens = s->grpo.max_completion_length,
                               .temperature = temperature,
                               .eos = cg_tokenizer_eos(s->tok),
                               .seed = (uint64_t)s->cfg->seed,
                               .step = (uint32_t)s->state.draws,
                               .max_batch = s->memory.choice.sequences};
    if (temperature > 0) {
        s->state.draws++;
        o.kv_type = s->kv_type;
        o.top_k = (size_t)s->cfg->top_k;
        o.top_p = (float)s->cfg->top_p;
        o.min_p = (float)s->cfg->min_p;
        o.repetition_penalty = (float)s->cfg->repetition_penalty;
    }
    for (size_t i = 0; i < r->prompts; i++)
        r->gen_prompts[i] = (struct cg_gen_prompt){r->items[i]->prompt_ids, r->items[i]->prompt_len, (uint32_t)i};
    cg_generator_use(s->generator, temperature > 0 ? cg_session_actor(s) : cg_session_model_net(s));
    cg_session_before_generation(s);
    enum cg_status st = cg_generator_run(s->generator, &o, r->prompts, r->gen_prompts, r->generations, r->completion);
    cg_session_after_generation(s);
    CG_TRY(st);
    for (size_t i = 0; i < r->n; i++) {
        size_t len;
        free(r->text[i]);
        r->text[i] = NULL;
        CG_TRY(cg_tokenizer_decode(s->tok, r->completion[i].tokens, r->completion[i].len, 1, &r->text[i], &len));
        r->cases[i] = (struct cg_reward_case){r->items[i / r->generations], r->text[i], r->completion[i].tokens,
                                              r->completion[i].len};
    }
    return CG_OK;
}

enum cg_status cg_rollout_run(struct cg_session *s, struct cg_rollout *r, float temperature)
{
    CG_TRY(cg_rollout_generate(s, r, temperature));
    return cg_rewards_all(s->rewards, s->state.steps, r->n, r->cases, r->each, r->reward);
}

size_t cg_rollout_tokens(const struct cg_rollout *r, size_t i)
{
    size_t n = r->items[i]->prompt_len * r->generations;
    for (size_t j = i * r->generations; j < (i + 1) * r->generations; j++) n += r->completion[j].len;
    return n;
}

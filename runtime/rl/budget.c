#include "runtime/rl/budget.h"
#include "runtime/rl/weights.h"

#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "detect/memory.h"
#include "runtime/config/bytes.h"

/* What comes on top of what is resident before the model is loaded: stacks of threads, blocks too small to be counted,
 * pages of libraries that are not used before. */
#define UNCOUNTED ((size_t)6 << 20)
#define RECORD 96 /* bytes about each token of a completion: tokens, log-probabilities, what the loss is told */

static enum cg_status find_budget(struct cg_session *s)
{
    char from[64];
    if (*s->cfg->memory_budget) return cg_bytes_parse("memory_budget", s->cfg->memory_budget, &s->memory_budget);
    size_t left = cg_memory_available("", from, sizeof from);
    s->memory_budget = left == SIZE_MAX ? left : left / 10 * 9;
    return CG_OK;
}

static int recompute_of(const char *text)
{
    static const char *const levels[] = {"none", "mlp", "all"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, levels[i]) == 0) return i;
    return -1;
}

enum cg_status cg_session_plan_memory(struct cg_session *s)
{
    const struct cg_run_config *c = s->cfg;
    size_t evaluated = 0;
    for (size_t i = 0; i < s->data.n_stages; i++)
        if (s->data.stages[i].eval.n > evaluated) evaluated = s->data.stages[i].eval.n;
    CG_TRY(find_budget(s));
    struct cg_adapter_options adapters = cg_session_adapter_options(c);
    struct cg_memory_request r = {
        .config = &s->model.cfg,
        .plans = s->plans,
        .longest_prompt = s->data.longest_prompt,
        .longest_answer = s->data.longest_answer,
        .max_completion = s->grpo.max_completion_length,
        .evaluation = {evaluated, 1, CG_KV_F32},
        .training = {s->prompts_per_step, s->grpo.num_generations, s->kv_type},
        .max_sequences = (size_t)c->max_num_seqs,
        .sft_batch = c->sft_steps.n ? (size_t)c->sft_batch_size : 0,
        .trainable_layers = c->trainable_layers,
        .adapters = c->use_peft ? &adapters : NULL,
        .moments8 = strcmp(c->optim, "adamw_8bit") == 0,
        .int8 = strcmp(c->generation_weights, "int8") == 0,
        .reference = s->grpo.beta != 0.0f,
        .ewc = c->ewc_lambda > 0,
        .base = cg_mem_resident() + UNCOUNTED,
        .budget = s->memory_budget,
        .micro_tokens = (size_t)c->micro_batch_tokens,
        .recompute = recompute_of(c->gradient_checkpointing),
    };
    if (r.ewc) r.fisher = (struct cg_memory_rollout){(size_t)c->fisher_samples, 1, s->kv_type};
    r.records =
        (r.training.prompts * r.training.completions + evaluated + r.fisher.prompts) * r.max_completion * RECORD;
    CG_TRY(cg_memory_plan(&r, &s->memory));
    cg_mem_limit(s->memory_budget - r.base - r.records);
    return CG_OK;
}

void cg_session_before_generation(struct cg_session *s)
{
    if (s->memory.choice.gives_back) {
        cg_trainer_release(s->trainer);
        cg_trainer_release(s->ref_trainer);
    }
    cg_mem_part(cg_memory_part_names[CG_MEMORY_GENERATION]);
}

void cg_session_after_generation(struct cg_session *s)
{
    if (s->memory.choice.gives_back) cg_generator_release(s->generator);
    cg_mem_part(cg_memory_part_names[CG_MEMORY_ACTIVATIONS]);
}

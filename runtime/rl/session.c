#include "runtime/rl/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "detect/bind.h"
#include "runtime/data/prompt.h"
#include "runtime/model/source.h"
#include "runtime/rl/budget.h"
#include "runtime/rl/step.h"
#include "runtime/rl/weights.h"

int cg_session_stopped(const struct cg_session *s)
{
    return s->stop && *s->stop;
}

static enum cg_status set_grpo(struct cg_session *s)
{
    const struct cg_run_config *c = s->cfg;
    struct cg_grpo_options *o = &s->grpo;
    CG_TRY(cg_grpo_options_set(c, o));
    size_t batch = o->micro_batch * (size_t)c->gradient_accumulation_steps;
    s->prompts_per_step = batch / o->num_generations;
    if (s->prompts_per_step == 0 || batch % o->num_generations)
        return cg_fail(CG_ERR_USER,
                       "per_device_train_batch_size * gradient_accumulation_steps (%zu) must be a multiple of "
                       "num_generations (%zu)",
                       batch, o->num_generations);
    return CG_OK;
}

/* A model that was trained with another chat template is saved with that. */
static enum cg_status keep_template(struct cg_session *s)
{
    char *text;
    const char *name;
    if (!*s->cfg->chat_template) return CG_OK;
    CG_TRY(cg_prompt_template(s->cfg, s->tok, &text, &name));
    enum cg_status st = cg_tokenizer_set_chat_template(s->tok, text);
    free(text);
    return st;
}

/* Rewards first: they know what the data must have. */
static enum cg_status load_data(struct cg_session *s)
{
    CG_TRY(cg_rewards_open(s->cfg, s->stop, &s->rewards));
    struct cg_data_needs needs = {.context = s->model.cfg.max_position_embeddings,
                                  .answers = cg_rewards_need_answers(s->rewards),
                                  .fields = cg_rewards_need_fields(s->rewards)};
    CG_TRY(cg_data_open(s->cfg, s->tok, &needs, &s->data));
    CG_TRY(keep_template(s));
    const char *eval_file = *s->cfg->eval_file ? s->cfg->eval_file : s->data.source;
    for (size_t i = 0; i < s->data.n_stages; i++) {
        CG_TRY(cg_rewards_check(s->rewards, s->data.source, &s->data.stages[i].train));
        CG_TRY(cg_rewards_check(s->rewards, eval_file, &s->data.stages[i].eval));
    }
    return CG_OK;
}

/* Tokenizer and data belong to the model, of which only the configuration is read here. */
static enum cg_status plan_all(struct cg_session *s)
{
    const struct cg_run_config *c = s->cfg;
    struct cg_source source;
    CG_TRY(cg_machine_detect(&s->machine));
    CG_TRY(cg_plans_open(&s->machine, (int)c->threads, &s->plans));
    CG_TRY(cg_bind_threads(&s->machine, cg_plans_threads(s->plans)));
    CG_TRY(set_grpo(s));
    CG_TRY(cg_tokenizer_load(c->model, &s->tok));
    CG_TRY(cg_source_open(c->model, (uint64_t)c->seed, &source));
    s->model.cfg = source.model.cfg;
    cg_source_close(&source);
    if (cg_tokenizer_vocab(s->tok) > s->model.cfg.vocab_size)
        return cg_fail(CG_ERR_USER, "%s: the tokenizer has %zu tokens, the model only %zu; they do not belong together",
                       c->model, cg_tokenizer_vocab(s->tok), s->model.cfg.vocab_size);
    CG_TRY(load_data(s));
    s->kv_type = strcmp(c->kv_cache_dtype, "int8") == 0   ? CG_KV_S8
                 : strcmp(c->kv_cache_dtype, "bf16") == 0 ? CG_KV_BF16
                                                          : CG_KV_F32;
    return cg_session_plan_memory(s);
}

static enum cg_status make_nets(struct cg_session *s)
{
    struct cg_trainer_options t = cg_memory_trainer(&s->memory, 0);
    CG_TRY(cg_session_open_nets(s));
    CG_TRY(cg_generator_create(&s->net, &s->generator));
    if (s->grpo.beta == 0.0f) return CG_OK;
    CG_TRY(cg_session_open_reference(s));
    return cg_trainer_open(&s->ref_net, &t, &s->ref_trainer);
}

static enum cg_status make_all(struct cg_session *s)
{
    const struct cg_run_config *c = s->cfg;
    struct cg_trainer_options trainer = cg_memory_trainer(&s->memory, 1);
    struct cg_adamw_options a = {.beta1 = (float)c->adam_beta1,
                                 .beta2 = (float)c->adam_beta2,
                                 .eps = (float)c->adam_epsilon,
                                 .weight_decay = (float)c->weight_decay,
                                 .max_grad_norm = (float)c->max_grad_norm,
                                 .bits8 = strcmp(c->optim, "adamw_8bit") == 0};
    cg_mem_part(cg_memory_part_names[CG_MEMORY_WEIGHTS]);
    CG_TRY(cg_model_load(c->model, (uint64_t)c->seed, &s->model));
    CG_TRY(make_nets(s));
    cg_mem_part(cg_memory_part_names[CG_MEMORY_MOMENTS]);
    CG_TRY(cg_optimizer_create(&s->params, s->net.rows, s->net.threads, &a, &s->opt));
    cg_mem_part(cg_memory_part_names[CG_MEMORY_EWC]);
    if (c->ewc_lambda > 0) CG_TRY(cg_ewc_create(&s->params, s->net.threads, &s->ewc));
    cg_mem_part(cg_memory_part_names[CG_MEMORY_ACTIVATIONS]);
    s->batch_rows = trainer.max_rows;
    CG_TRY(cg_trainer_open(&s->net, &trainer, &s->trainer));
    CG_TRY(cg_step_create(s, &s->step));
    /* Adapters read a layer's input as it is; the scales would be folded into that. */
    return s->s8_net.model && !s->cfg->use_peft ? cg_session_calibrate(s) : CG_OK;
}

enum cg_status cg_session_plan(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop, struct cg_session *s)
{
    memset(s, 0, sizeof *s);
    s->cfg = cfg;
    s->stop = stop;
    enum cg_status st = plan_all(s);
    if (st != CG_OK) cg_session_close(s);
    return st;
}

enum cg_status cg_session_open(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop, struct cg_session *s)
{
    char text[512];
    CG_TRY(cg_session_plan(cfg, stop, s));
    cg_info("memory: %s", cg_memory_summary(&s->memory, s->memory_budget, text, sizeof text));
    enum cg_status st = make_all(s);
    if (st != CG_OK) cg_session_close(s);
    return st;
}

void cg_session_close(struct cg_session *s)
{
    cg_data_close(&s->data);
    cg_rewards_close(s->rewards);
    cg_batch_free(&s->batch);
    cg_step_free(s->step);
    cg_ewc_free(&s->ewc);
    cg_optimizer_free(&s->opt);
    cg_generator_free(s->generator);
    cg_trainer_free(s->trainer);
    cg_trainer_free(s->ref_trainer);
    cg_net_free(&s->ref_net);
    cg_net_free(&s->s8_net);
    cg_net_free(&s->net);
    cg_params_free(&s->params);
    cg_adapters_free(&s->adapters);
    cg_tokenizer_free(s->tok);
    cg_model_free(&s->model);
    cg_model_free(&s->ref_model);
    cg_bind_undo();
    cg_plans_close(s->plans);
    cg_mem_limit(0);
    memset(s, 0, sizeof *s);
}

const struct cg_item *cg_session_item(const struct cg_session *s, size_t stage, uint64_t i)
{
    return cg_data_item(&s->data, (uint64_t)s->cfg->seed, stage, i);
}

enum cg_status cg_session_update(struct cg_session *s, double loss, double lr, struct cg_update *u)
{
    float *grad = cg_trainer_grad(s->trainer);
    CG_TRY(cg_trainer_finish(s->trainer));
    *u = (struct cg_update){.lr = lr};
    if (s->cfg->ewc_lambda > 0) u->ewc_penalty = cg_ewc_gradient(&s->ewc, (float)s->cfg->ewc_lambda, grad);
    if (isfinite(loss)) CG_TRY(cg_optimizer_step(&s->opt, grad, lr, &u->grad_norm));
    else u->grad_norm = cg_grad_norm(s->opt.rows, grad, s->params.n, s->opt.threads);
    u->skipped = !isfinite(loss) || !isfinite(u->grad_norm);
    if (!u->skipped) cg_session_weights_changed(s);
    return CG_OK;
}

void cg_session_begin_stage(struct cg_session *s)
{
    s->state.next_item = 0;
    s->step->iteration = 0;
}

int cg_session_at_rollout(const struct cg_session *s)
{
    return s->step->iteration == 0;
}

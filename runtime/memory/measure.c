#include "runtime/memory/measure.h"

#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/sample.h"
#include "runtime/continual/ewc.h"
#include "runtime/nn/attend.h"
#include "runtime/optim/adamw.h"

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static enum cg_status count_optimizer(struct cg_rehearsal *h)
{
    size_t before = cg_mem_live();
    struct cg_adamw_options o = {.bits8 = h->r->moments8};
    struct cg_optimizer opt;
    CG_TRY(cg_optimizer_create(&h->params, h->net.rows, h->net.threads, &o, &opt));
    h->moments = cg_mem_live() - before;
    cg_optimizer_free(&opt);
    if (!h->r->ewc) return CG_OK;
    struct cg_ewc ewc;
    before = cg_mem_live();
    CG_TRY(cg_ewc_create(&h->params, h->net.threads, &ewc));
    h->ewc = cg_mem_live() - before;
    cg_ewc_free(&ewc);
    return CG_OK;
}

static enum cg_status count_nets(struct cg_rehearsal *h)
{
    struct cg_net_options o = {.max_len = h->longest, .params = &h->params, .empty = 1};
    struct cg_net_options s8 = {.max_len = h->longest, .weights = CG_WEIGHTS_S8};
    size_t before = cg_mem_live();
    CG_TRY(cg_net_open(&h->model, h->r->plans, &o, &h->net));
    h->packed = cg_mem_live() - before;
    o.lends = 1;
    before = cg_mem_live();
    CG_TRY(cg_net_open(&h->model, h->r->plans, &o, &h->lending));
    h->packed_lending = cg_mem_live() - before;
    if (!h->r->int8) return CG_OK;
    struct cg_net net;
    before = cg_mem_live();
    CG_TRY(cg_net_open(&h->model, h->r->plans, &s8, &net));
    h->int8 = cg_mem_live() - before;
    cg_net_free(&net);
    return CG_OK;
}

enum cg_status cg_rehearsal_open(const struct cg_memory_request *r, struct cg_rehearsal *h)
{
    memset(h, 0, sizeof *h);
    h->r = r;
    h->limit = cg_mem_limit(0);
    size_t pair = r->longest_prompt + r->longest_answer;
    h->group = r->longest_prompt + r->training.completions * r->max_completion;
    h->all_tokens = max_of(r->training.prompts * h->group, r->sft_batch * pair);
    h->longest = r->longest_prompt + max_of(r->max_completion, r->longest_answer);
    h->least_micro = max_of(h->group, pair);
    size_t before = cg_mem_live();
    CG_TRY(cg_model_create(r->config, &h->model));
    if (r->adapters) {
        CG_TRY(cg_adapters_create(&h->model, r->plans, r->adapters, &h->adapters));
        CG_TRY(cg_params_of(h->adapters.w, h->adapters.n, &h->params));
    } else {
        CG_TRY(cg_params_create(&h->model, r->trainable_layers, &h->params));
    }
    h->weights = cg_mem_live() - before;
    h->gradient = h->params.n * sizeof(float);
    CG_TRY(count_nets(h));
    return count_optimizer(h);
}

void cg_rehearsal_close(struct cg_rehearsal *h)
{
    cg_net_free(&h->net);
    cg_net_free(&h->lending);
    cg_params_free(&h->params);
    cg_adapters_free(&h->adapters);
    cg_model_free(&h->model);
    cg_mem_limit(h->limit);
    cg_mem_restart();
}

size_t cg_rehearsed_room(const struct cg_rehearsal *h)
{
    return h->lending.scratch->pack_cap * sizeof(float);
}

size_t cg_rehearse_trainer(const struct cg_rehearsal *h, size_t micro_tokens, enum cg_recompute recompute,
                           int with_grad)
{
    struct cg_memory_plan p = {.choice = {.micro_tokens = micro_tokens, .recompute = recompute},
                               .all_tokens = h->all_tokens,
                               .longest = h->longest};
    struct cg_trainer_options o = cg_memory_trainer(&p, with_grad);
    struct cg_trainer *t;
    size_t before = cg_mem_live(), room = cg_rehearsed_room(h);
    if (cg_trainer_open(&h->lending, &o, &t) != CG_OK) return SIZE_MAX;
    size_t bytes = cg_mem_live() - before - (cg_rehearsed_room(h) - room);
    cg_trainer_free(t);
    return bytes;
}

size_t cg_rehearse_rollouts(const struct cg_rehearsal *h, const struct cg_memory_rollout *o, size_t n, size_t sequences)
{
    struct cg_gen_options g = {.max_new_tokens = h->r->max_completion, .max_batch = sequences};
    struct cg_gen_sizes most = {0}, s;
    size_t prompt = h->r->longest_prompt, threads = (size_t)h->net.threads;
    for (size_t i = 0; i < n; i++) {
        if (!o[i].prompts) continue;
        g.kv_type = o[i].kv_type;
        cg_gen_sizes(&h->model.cfg, &g, o[i].prompts, prompt, o[i].completions, &s);
        most.sequences = max_of(most.sequences, s.sequences);
        most.prompts = max_of(most.prompts, s.prompts);
        most.rows = max_of(most.rows, s.rows);
        most.logit_rows = max_of(most.logit_rows, s.logit_rows);
    }
    if (!most.sequences) return 0;
    if (n > 1) g.kv_type = CG_KV_F32; /* no other takes more */
    cg_gen_bytes(&h->model.cfg, &g, prompt, &most);
    struct cg_attention at = cg_attend_config(&h->net);
    size_t cap = (prompt + 15) / 16 * 16, own = (h->r->max_completion + 15) / 16 * 16;
    size_t attend = max_of(cg_attend_floats(&h->net, prompt, prompt, 0), cg_attention_decode_scratch(&at, cap, own));
    return most.bytes + threads * (attend * sizeof(float) + cg_sample_scratch(h->model.cfg.vocab_size));
}

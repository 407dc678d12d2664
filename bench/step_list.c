/* A step put together, and the memory that a run holds. */
#include <stdint.h>
#include <string.h>

#include "bench/step_impl.h"
#include "runtime/model/internal.h"
#include "runtime/nn/attend.h"
#include "runtime/nn/generate.h"
#include "runtime/nn/trainer_impl.h"

enum { MOST = 1 << 24, LONGEST = 1 << 16 };

enum cg_status cg_workload_check(const struct cg_workload *w)
{
    const struct {
        const char *name;
        size_t value, most;
    } all[] = {{"prompts", w->prompts, MOST},
               {"completions of a prompt", w->generations, MOST},
               {"tokens of a prompt", w->prompt_length, LONGEST},
               {"tokens of a completion", w->max_completion_length, LONGEST},
               {"tokens of a micro-batch", w->micro_tokens, SIZE_MAX},
               {"updates with each batch", w->iterations, MOST}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].value < 1 || all[i].value > all[i].most)
            return cg_fail(CG_ERR_USER, "%zu %s: from 1 to %zu can be predicted", all[i].value, all[i].name,
                           all[i].most);
    if (!(w->completion_length >= 1 && w->completion_length <= (double)w->max_completion_length))
        return cg_fail(CG_ERR_USER, "a mean completion length of %g is not from 1 to the longest allowed, %zu",
                       w->completion_length, w->max_completion_length);
    double group = (double)w->prompt_length + (double)w->generations * (double)w->max_completion_length;
    if (group * (double)w->prompts > MOST)
        return cg_fail(CG_ERR_USER, "a step of up to %.3g tokens is more than this program predicts; the limit is %d",
                       group * (double)w->prompts, MOST);
    return CG_OK;
}

static struct cg_config config_of(const struct cg_sizes *s, const struct cg_workload *w)
{
    return (struct cg_config){.vocab_size = s->vocab,
                              .hidden_size = s->hidden,
                              .intermediate_size = s->ff,
                              .num_hidden_layers = s->layers,
                              .num_attention_heads = s->heads,
                              .num_key_value_heads = s->kv_heads,
                              .head_dim = s->head_dim,
                              .max_position_embeddings = w->prompt_length + w->max_completion_length,
                              .rms_norm_eps = 1e-5f,
                              .rope_theta = 1e4,
                              .tie_word_embeddings = s->tied,
                              .bos_token_id = -1,
                              .eos_token_id = -1,
                              .pad_token_id = -1};
}

/* The model without its weights. */
static enum cg_status lay_out(const struct cg_sizes *s, const struct cg_workload *w, struct cg_model *m)
{
    const struct cg_config c = config_of(s, w);
    return cg_model_layout(&c, m);
}

/* Most tokens and rows of a backward pass, for which the trainer is made. */
static size_t trainer_tokens(const struct cg_workload *w)
{
    size_t group = w->prompt_length + w->generations * w->max_completion_length, all = w->prompts * group;
    size_t cap = all < w->micro_tokens ? all : w->micro_tokens;
    return cap > group ? cap : group;
}

struct cg_gen_sizes cg_step_gen_sizes(const struct cg_lister *l)
{
    const struct cg_workload *w = l->w;
    const struct cg_config c = config_of(l->s, w);
    const struct cg_gen_options o = {.max_new_tokens = w->max_completion_length};
    struct cg_gen_sizes sizes;
    cg_gen_sizes(&c, &o, w->prompts, w->prompt_length, w->generations, &sizes);
    return sizes;
}

/* Bytes of a trainer for n tokens. */
static double trainer_bytes(const struct cg_lister *l, size_t n, int gradients)
{
    const struct cg_sizes *s = l->s;
    double t = (double)n, d = (double)s->hidden, f = (double)s->ff;
    double bytes = cg_step_layer_bytes(l, n) * (gradients ? (double)s->layers : 1) + 4.0 * t * (2 * d + f) +
                   4.0 * (double)cg_trainer_head_chunk(n) * (double)cg_trainer_ld_logits(s->vocab);
    if (gradients) bytes += 4.0 * t * (3 * d + 2 * f + (double)l->qkv + (double)l->att);
    return bytes;
}

static void memory(struct cg_lister *l, size_t n)
{
    const struct cg_sizes *s = l->s;
    double linear = (double)s->layers * ((double)s->hidden * (double)(l->qkv + l->att + 3 * s->ff)) +
                    (double)s->vocab * (double)s->hidden;
    double sets = l->w->reference ? 2 : 1;
    /* Weights and packed weights, gradient and two moments, activations; generation comes on top of them. */
    l->out->memory = sets * 4 * (l->out->params + linear) + 12 * l->out->params + trainer_bytes(l, n, 1) +
                     (l->w->reference ? trainer_bytes(l, n, 0) : 0) + (double)cg_step_gen_sizes(l).bytes;
}

static void list(struct cg_lister *l)
{
    const struct cg_workload *w = l->w;
    size_t tokens = trainer_tokens(w);
    double group = (double)w->prompt_length + (double)w->generations * w->completion_length;
    size_t fit = (size_t)((double)w->micro_tokens / group);
    size_t groups = fit < 1 ? 1 : fit < w->prompts ? fit : w->prompts;
    double buffers = (double)cg_step_gen_sizes(l).bytes; /* made anew for each generation */
    l->calls = 1;
    cg_step_generate(l);
    l->phase = CG_STEP_PREFILL;
    l->calls = 1;
    cg_step_pass(l, CG_PART_OF_MEMORY, CG_WORK_ZERO, buffers / 4, buffers, 1);
    l->calls = (double)(w->prompts / groups * w->iterations);
    cg_step_train_pass(l, groups, tokens);
    l->calls = (double)w->iterations;
    if (w->prompts % groups) cg_step_train_pass(l, w->prompts % groups, tokens);
    l->out->trained /= (double)w->iterations;
    cg_step_update(l, l->out->params);
    memory(l, tokens);
}

enum cg_status cg_step_list(const struct cg_sizes *model, const struct cg_workload *w, const struct cg_plans *plans,
                            struct cg_step_list *out)
{
    struct cg_model m;
    memset(out, 0, sizeof *out);
    CG_TRY(cg_workload_check(w));
    enum cg_status st = lay_out(model, w, &m);
    out->params = (double)m.n_params;
    struct cg_net net = {.model = &m, .plans = plans, .rows = cg_plans_rows(plans)};
    struct cg_lister l = {.s = model, .w = w, .threads = (size_t)cg_plans_threads(plans), .calls = 1, .out = out};
    l.att = model->heads * model->head_dim;
    l.kv = model->kv_heads * model->head_dim;
    l.qkv = l.att + 2 * l.kv;
    if (st == CG_OK) {
        l.at = cg_attend_config(&net);
        list(&l);
        if (l.failed) st = cg_fail(CG_ERR_MEMORY, "out of memory for the list of a step");
    }
    cg_model_free(&m);
    if (st != CG_OK) cg_step_list_free(out);
    return st;
}

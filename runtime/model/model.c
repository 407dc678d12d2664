/* Configuration checks, the layout of the flat block, names, hash. */
#include "runtime/model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/mem.h"
#include "runtime/model/internal.h"

/* Far above any model a CPU can train, and small enough that no product of sizes below overflows 64 bits. */
#define MAX_VOCAB ((size_t)1 << 24)
#define MAX_HIDDEN ((size_t)1 << 16)
#define MAX_FF ((size_t)1 << 18)
#define MAX_LAYERS ((size_t)1024)
#define MAX_HEADS ((size_t)1024)
#define MAX_POSITIONS ((size_t)1 << 24)

static const struct cg_architecture architectures[CG_MODEL_COUNT] = {
    [CG_MODEL_LLAMA] = {"llama", "LlamaForCausalLM", .gguf_interleaved = 1},
    [CG_MODEL_QWEN2] = {"qwen2", "Qwen2ForCausalLM", .qkv_bias = 1},
    [CG_MODEL_QWEN3] = {"qwen3", "Qwen3ForCausalLM", .qk_norm = 1, .default_head_dim = 128},
};

static const char *const hf_names[] = {
#define TENSOR(kind, hf, gguf) [CG_TENSOR_##kind] = hf,
#define LAYER_TENSOR(kind, hf, gguf) [CG_TENSOR_##kind] = hf,
#include "runtime/model/tensors.def"
};

enum {
#define LAYER_TENSOR(kind, hf, gguf) LAYER_##kind,
#include "runtime/model/tensors.def"
    LAYER_KINDS
};

const struct cg_architecture *cg_architecture(enum cg_model_arch arch)
{
    return &architectures[arch];
}

enum cg_model_arch cg_model_arch_of_class(const char *causal_lm)
{
    int i = 0;
    while (i < CG_MODEL_COUNT && strcmp(causal_lm, architectures[i].causal_lm) != 0) i++;
    return (enum cg_model_arch)i;
}

enum cg_model_arch cg_model_arch_of_name(const char *name, size_t n)
{
    int i = 0;
    while (i < CG_MODEL_COUNT && (strlen(architectures[i].name) != n || memcmp(name, architectures[i].name, n) != 0))
        i++;
    return (enum cg_model_arch)i;
}

const char *cg_model_arch_list(int classes, char buf[128])
{
    size_t n = 0;
    for (int i = 0; i < CG_MODEL_COUNT; i++)
        n += (size_t)snprintf(buf + n, 128 - n, "%s%s", i ? ", " : "",
                              classes ? architectures[i].causal_lm : architectures[i].name);
    return buf;
}

static enum cg_status check_size(const char *name, size_t value, size_t max)
{
    if (value >= 1 && value <= max) return CG_OK;
    return cg_fail(CG_ERR_USER, "%s is %zu, must be from 1 to %zu", name, value, max);
}

static enum cg_status check_config(const struct cg_config *c)
{
    CG_TRY(check_size("vocab_size", c->vocab_size, MAX_VOCAB));
    CG_TRY(check_size("hidden_size", c->hidden_size, MAX_HIDDEN));
    CG_TRY(check_size("intermediate_size", c->intermediate_size, MAX_FF));
    CG_TRY(check_size("num_hidden_layers", c->num_hidden_layers, MAX_LAYERS));
    CG_TRY(check_size("num_attention_heads", c->num_attention_heads, MAX_HEADS));
    CG_TRY(check_size("num_key_value_heads", c->num_key_value_heads, MAX_HEADS));
    CG_TRY(check_size("head_dim", c->head_dim, CG_MAX_HEAD_DIM));
    CG_TRY(check_size("max_position_embeddings", c->max_position_embeddings, MAX_POSITIONS));
    if (c->num_attention_heads % c->num_key_value_heads != 0)
        return cg_fail(CG_ERR_USER, "num_attention_heads (%zu) is not a multiple of num_key_value_heads (%zu)",
                       c->num_attention_heads, c->num_key_value_heads);
    if (c->head_dim % 2 != 0)
        return cg_fail(CG_ERR_USER, "head_dim is %zu, must be even (rotary embedding turns pairs)", c->head_dim);
    if (!(c->rms_norm_eps > 0.0f) || !(c->rms_norm_eps < 1.0f))
        return cg_fail(CG_ERR_USER, "rms_norm_eps is %g, must be above 0 and below 1", (double)c->rms_norm_eps);
    if (!(c->rope_theta >= 1.0) || !isfinite(c->rope_theta))
        return cg_fail(CG_ERR_USER, "rope_theta is %g, must be a number from 1 on", c->rope_theta);
    const int ids[3] = {c->bos_token_id, c->eos_token_id, c->pad_token_id};
    static const char *const names[3] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    for (int i = 0; i < 3; i++)
        if (ids[i] < -1 || (ids[i] >= 0 && (size_t)ids[i] >= c->vocab_size))
            return cg_fail(CG_ERR_USER, "%s is %d, outside the vocabulary of %zu", names[i], ids[i], c->vocab_size);
    return CG_OK;
}

static size_t take(size_t *at, size_t rows, size_t cols)
{
    size_t start = *at;
    *at += rows * cols;
    return start;
}

enum cg_status cg_model_layout(const struct cg_config *cfg, struct cg_model *m)
{
    memset(m, 0, sizeof *m);
    CG_TRY(check_config(cfg));
    m->cfg = *cfg;
    m->cfg.tie_word_embeddings = cfg->tie_word_embeddings != 0;
    m->layers = calloc(cfg->num_hidden_layers, sizeof *m->layers);
    if (!m->layers) return cg_fail(CG_ERR_MEMORY, "out of memory");
    size_t d = cfg->hidden_size, ff = cfg->intermediate_size, at = 0;
    size_t q = cfg->num_attention_heads * cfg->head_dim, kv = cfg->num_key_value_heads * cfg->head_dim;
    const struct cg_architecture *a = cg_architecture(cfg->arch);
    m->embed = take(&at, cfg->vocab_size, d);
    for (size_t l = 0; l < cfg->num_hidden_layers; l++) {
        struct cg_layer_offsets *o = &m->layers[l];
        o->input_norm = take(&at, 1, d);
        o->qkv = take(&at, q + 2 * kv, d);
        if (a->qkv_bias) o->qkv_bias = take(&at, 1, q + 2 * kv);
        if (a->qk_norm) o->q_norm = take(&at, 1, cfg->head_dim);
        if (a->qk_norm) o->k_norm = take(&at, 1, cfg->head_dim);
        o->o = take(&at, d, q);
        o->post_norm = take(&at, 1, d);
        o->gate_up = take(&at, 2 * ff, d);
        o->down = take(&at, d, ff);
    }
    m->final_norm = take(&at, 1, d);
    m->lm_head = m->cfg.tie_word_embeddings ? m->embed : take(&at, cfg->vocab_size, d);
    m->n_params = at;
    return CG_OK;
}

enum cg_status cg_model_alloc(struct cg_model *m)
{
    m->w = cg_alloc_n(m->n_params, sizeof *m->w);
    if (m->w) return CG_OK;
    return cg_fail(CG_ERR_MEMORY, "out of memory: the weights of a model of %zu parameters take %.1f GiB", m->n_params,
                   (double)m->n_params * 4.0 / 0x1p30);
}

enum cg_status cg_model_create(const struct cg_config *cfg, struct cg_model *m)
{
    enum cg_status s = cg_model_layout(cfg, m);
    if (s == CG_OK) s = cg_model_alloc(m);
    if (s != CG_OK) cg_model_free(m);
    return s;
}

void cg_model_free(struct cg_model *m)
{
    cg_free(m->w);
    free(m->layers);
    free(m->source);
    memset(m, 0, sizeof *m);
}

/* The tensors of layer l into out[LAYER_KINDS]; their number. */
static size_t layer_tensors(const struct cg_model *m, size_t l, struct cg_tensor_ref *out)
{
    const struct cg_config *c = &m->cfg;
    const struct cg_layer_offsets *o = &m->layers[l];
    size_t d = c->hidden_size, ff = c->intermediate_size, hd = c->head_dim;
    size_t q = c->num_attention_heads * hd, kv = c->num_key_value_heads * hd, n = 0;
    const struct cg_tensor_ref all[LAYER_KINDS] = {
        {"", o->input_norm, d, 0, CG_TENSOR_INPUT_NORM, l},
        {"", o->qkv, q, d, CG_TENSOR_Q, l},
        {"", o->qkv + q * d, kv, d, CG_TENSOR_K, l},
        {"", o->qkv + (q + kv) * d, kv, d, CG_TENSOR_V, l},
        {"", o->qkv_bias, o->qkv_bias ? q : 0, 0, CG_TENSOR_Q_BIAS, l},
        {"", o->qkv_bias + q, o->qkv_bias ? kv : 0, 0, CG_TENSOR_K_BIAS, l},
        {"", o->qkv_bias + q + kv, o->qkv_bias ? kv : 0, 0, CG_TENSOR_V_BIAS, l},
        {"", o->q_norm, o->q_norm ? hd : 0, 0, CG_TENSOR_Q_NORM, l},
        {"", o->k_norm, o->k_norm ? hd : 0, 0, CG_TENSOR_K_NORM, l},
        {"", o->o, d, q, CG_TENSOR_O, l},
        {"", o->post_norm, d, 0, CG_TENSOR_POST_NORM, l},
        {"", o->gate_up, ff, d, CG_TENSOR_GATE, l},
        {"", o->gate_up + ff * d, ff, d, CG_TENSOR_UP, l},
        {"", o->down, d, ff, CG_TENSOR_DOWN, l},
    };
    for (size_t i = 0; i < LAYER_KINDS; i++)
        if (all[i].rows) out[n++] = all[i];
    return n;
}

size_t cg_model_tensor_count(const struct cg_model *m)
{
    struct cg_tensor_ref t[LAYER_KINDS];
    return 1 + layer_tensors(m, 0, t) * m->cfg.num_hidden_layers + 1 + (m->cfg.tie_word_embeddings ? 0 : 1);
}

struct cg_tensor_ref cg_model_tensor(const struct cg_model *m, size_t i)
{
    const struct cg_config *c = &m->cfg;
    struct cg_tensor_ref t[LAYER_KINDS], r;
    size_t per_layer = layer_tensors(m, 0, t), end = 1 + per_layer * c->num_hidden_layers;
    if (i > 0 && i < end) {
        layer_tensors(m, (i - 1) / per_layer, t);
        r = t[(i - 1) % per_layer];
        snprintf(r.name, sizeof r.name, "model.layers.%zu.%s", r.layer, hf_names[r.kind]);
        return r;
    }
    if (i == 0) r = (struct cg_tensor_ref){"", m->embed, c->vocab_size, c->hidden_size, CG_TENSOR_EMBED, 0};
    else if (i == end) r = (struct cg_tensor_ref){"", m->final_norm, c->hidden_size, 0, CG_TENSOR_FINAL_NORM, 0};
    else r = (struct cg_tensor_ref){"", m->lm_head, c->vocab_size, c->hidden_size, CG_TENSOR_HEAD, 0};
    snprintf(r.name, sizeof r.name, "%s", hf_names[r.kind]);
    return r;
}

void cg_model_hash(const struct cg_model *m, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)XXH3_64bits(m->w, m->n_params * sizeof *m->w));
}

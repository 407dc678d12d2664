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

#define PER_LAYER 9

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
    m->embed = take(&at, cfg->vocab_size, d);
    for (size_t l = 0; l < cfg->num_hidden_layers; l++) {
        struct cg_layer_offsets *o = &m->layers[l];
        o->input_norm = take(&at, 1, d);
        o->qkv = take(&at, q + 2 * kv, d);
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

size_t cg_model_tensor_count(const struct cg_model *m)
{
    return 1 + PER_LAYER * m->cfg.num_hidden_layers + 1 + (m->cfg.tie_word_embeddings ? 0 : 1);
}

static struct cg_tensor_ref layer_tensor(const struct cg_model *m, size_t l, size_t which)
{
    const struct cg_config *c = &m->cfg;
    const struct cg_layer_offsets *o = &m->layers[l];
    size_t d = c->hidden_size, ff = c->intermediate_size;
    size_t q = c->num_attention_heads * c->head_dim, kv = c->num_key_value_heads * c->head_dim;
    const struct {
        const char *name;
        size_t offset, rows, cols;
    } t[PER_LAYER] = {
        {"input_layernorm", o->input_norm, d, 0},
        {"self_attn.q_proj", o->qkv, q, d},
        {"self_attn.k_proj", o->qkv + q * d, kv, d},
        {"self_attn.v_proj", o->qkv + (q + kv) * d, kv, d},
        {"self_attn.o_proj", o->o, d, q},
        {"post_attention_layernorm", o->post_norm, d, 0},
        {"mlp.gate_proj", o->gate_up, ff, d},
        {"mlp.up_proj", o->gate_up + ff * d, ff, d},
        {"mlp.down_proj", o->down, d, ff},
    };
    struct cg_tensor_ref r = {.offset = t[which].offset, .rows = t[which].rows, .cols = t[which].cols};
    snprintf(r.name, sizeof r.name, "model.layers.%zu.%s.weight", l, t[which].name);
    return r;
}

struct cg_tensor_ref cg_model_tensor(const struct cg_model *m, size_t i)
{
    const struct cg_config *c = &m->cfg;
    size_t end = 1 + PER_LAYER * c->num_hidden_layers;
    if (i > 0 && i < end) return layer_tensor(m, (i - 1) / PER_LAYER, (i - 1) % PER_LAYER);
    if (i == 0) return (struct cg_tensor_ref){"model.embed_tokens.weight", m->embed, c->vocab_size, c->hidden_size};
    if (i == end) return (struct cg_tensor_ref){"model.norm.weight", m->final_norm, c->hidden_size, 0};
    return (struct cg_tensor_ref){"lm_head.weight", m->lm_head, c->vocab_size, c->hidden_size};
}

void cg_model_hash(const struct cg_model *m, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)XXH3_64bits(m->w, m->n_params * sizeof *m->w));
}

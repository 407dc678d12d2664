/* A Llama model out of a GGUF file. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "runtime/model/dtype.h"
#include "runtime/model/gguf.h"
#include "runtime/model/internal.h"
#include "runtime/model/json.h"

static enum cg_status get_size(const struct cg_gguf *g, const char *key, size_t *v)
{
    uint64_t u;
    CG_TRY(cg_gguf_uint(g, key, &u));
    *v = (size_t)u;
    return CG_OK;
}

/* A token id; -1 where there is none. */
static enum cg_status get_token(const struct cg_gguf *g, const char *key, int *v)
{
    uint64_t u = UINT64_MAX;
    *v = -1;
    if (!cg_gguf_has(g, key)) return CG_OK;
    CG_TRY(cg_gguf_uint(g, key, &u));
    if (u < INT_MAX) *v = (int)u;
    return CG_OK;
}

static enum cg_status check_features(const struct cg_gguf *g, const char *path)
{
    struct cg_gguf_str s;
    char buf[64];
    uint64_t u = 0;
    CG_TRY(cg_gguf_string(g, "general.architecture", &s));
    if (s.n != 5 || memcmp(s.s, "llama", 5) != 0)
        return cg_fail(CG_ERR_USER,
                       "%s: the architecture %s is not supported; supported: llama (SmolLM2, TinyLlama, "
                       "Llama 1 and 2 and the like)",
                       path, cg_printable(s.s, s.n, buf));
    if (cg_gguf_has(g, "llama.expert_count")) CG_TRY(cg_gguf_uint(g, "llama.expert_count", &u));
    if (u > 0) return cg_fail(CG_ERR_USER, "%s: a mixture of experts (llama.expert_count) is not supported", path);
    if (cg_gguf_has(g, "llama.rope.scaling.type")) {
        CG_TRY(cg_gguf_string(g, "llama.rope.scaling.type", &s));
        if (s.n != 4 || memcmp(s.s, "none", 4) != 0)
            return cg_fail(CG_ERR_USER, "%s: llama.rope.scaling.type is %s; supported is none", path,
                           cg_printable(s.s, s.n, buf));
    }
    return CG_OK;
}

static enum cg_status read_heads(const struct cg_gguf *g, const char *path, struct cg_config *c)
{
    CG_TRY(get_size(g, "llama.attention.head_count", &c->num_attention_heads));
    c->num_key_value_heads = c->num_attention_heads;
    if (cg_gguf_has(g, "llama.attention.head_count_kv"))
        CG_TRY(get_size(g, "llama.attention.head_count_kv", &c->num_key_value_heads));
    if (cg_gguf_has(g, "llama.attention.key_length")) {
        CG_TRY(get_size(g, "llama.attention.key_length", &c->head_dim));
    } else {
        if (c->num_attention_heads == 0 || c->hidden_size % c->num_attention_heads != 0)
            return cg_fail(CG_ERR_USER,
                           "%s: llama.embedding_length (%zu) is no multiple of llama.attention.head_count "
                           "(%zu)",
                           path, c->hidden_size, c->num_attention_heads);
        c->head_dim = c->hidden_size / c->num_attention_heads;
    }
    static const char *const same[] = {"llama.attention.value_length", "llama.rope.dimension_count"};
    for (int i = 0; i < 2; i++) {
        size_t v = c->head_dim;
        if (cg_gguf_has(g, same[i])) CG_TRY(get_size(g, same[i], &v));
        if (v != c->head_dim)
            return cg_fail(CG_ERR_USER, "%s: %s is %zu; supported is the size of a head, %zu", path, same[i], v,
                           c->head_dim);
    }
    return CG_OK;
}

static enum cg_status read_config(const struct cg_gguf *g, const char *path, struct cg_config *c)
{
    memset(c, 0, sizeof *c);
    CG_TRY(check_features(g, path));
    CG_TRY(get_size(g, "llama.embedding_length", &c->hidden_size));
    CG_TRY(get_size(g, "llama.feed_forward_length", &c->intermediate_size));
    CG_TRY(get_size(g, "llama.block_count", &c->num_hidden_layers));
    CG_TRY(get_size(g, "llama.context_length", &c->max_position_embeddings));
    CG_TRY(read_heads(g, path, c));
    const struct cg_gguf_tensor *embed = cg_gguf_find(g, "token_embd.weight");
    if (!embed) return cg_fail(CG_ERR_USER, "%s: it lacks the tensor token_embd.weight", path);
    c->vocab_size = (size_t)embed->dims[1];
    double eps;
    CG_TRY(cg_gguf_float(g, "llama.attention.layer_norm_rms_epsilon", &eps));
    c->rms_norm_eps = (float)eps;
    c->rope_theta = 10000.0;
    if (cg_gguf_has(g, "llama.rope.freq_base")) CG_TRY(cg_gguf_float(g, "llama.rope.freq_base", &c->rope_theta));
    c->tie_word_embeddings = cg_gguf_find(g, "output.weight") == NULL;
    CG_TRY(get_token(g, "tokenizer.ggml.bos_token_id", &c->bos_token_id));
    CG_TRY(get_token(g, "tokenizer.ggml.eos_token_id", &c->eos_token_id));
    return get_token(g, "tokenizer.ggml.padding_token_id", &c->pad_token_id);
}

/* GGUF's name of a tensor of ours, and the number of heads when its rows are permuted (0: they are not). */
static void gguf_name(const struct cg_model *m, const struct cg_tensor_ref *r, char out[64], size_t *heads)
{
    static const struct {
        const char *hf, *gguf;
    } names[] = {
        {"input_layernorm.weight", "attn_norm"},    {"self_attn.q_proj.weight", "attn_q"},
        {"self_attn.k_proj.weight", "attn_k"},      {"self_attn.v_proj.weight", "attn_v"},
        {"self_attn.o_proj.weight", "attn_output"}, {"post_attention_layernorm.weight", "ffn_norm"},
        {"mlp.gate_proj.weight", "ffn_gate"},       {"mlp.up_proj.weight", "ffn_up"},
        {"mlp.down_proj.weight", "ffn_down"},
    };
    size_t layer;
    int used = 0;
    *heads = 0;
    if (sscanf(r->name, "model.layers.%zu.%n", &layer, &used) != 1 || used == 0) {
        const char *n = strcmp(r->name, "model.embed_tokens.weight") == 0 ? "token_embd.weight"
                        : strcmp(r->name, "model.norm.weight") == 0       ? "output_norm.weight"
                                                                          : "output.weight";
        snprintf(out, 64, "%s", n);
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(r->name + used, names[i].hf) != 0) continue;
        snprintf(out, 64, "blk.%zu.%s.weight", layer, names[i].gguf);
        if (i == 1) *heads = m->cfg.num_attention_heads;
        if (i == 2) *heads = m->cfg.num_key_value_heads;
    }
}

static enum cg_status check_tensors(const struct cg_gguf *g, const char *path, const struct cg_model *m)
{
    size_t n = cg_model_tensor_count(m), heads;
    char name[64];
    for (size_t i = 0; i < n; i++) {
        struct cg_tensor_ref r = cg_model_tensor(m, i);
        gguf_name(m, &r, name, &heads);
        const struct cg_gguf_tensor *t = cg_gguf_find(g, name);
        if (!t) return cg_fail(CG_ERR_USER, "%s: it lacks the tensor %s, which its metadata asks for", path, name);
        uint64_t cols = r.cols ? r.cols : r.rows, rows = r.cols ? r.rows : 1;
        if (t->dims[0] != cols || t->dims[1] != rows || t->dims[2] != 1 || t->dims[3] != 1)
            return cg_fail(CG_ERR_USER,
                           "%s: tensor %s has %llu columns and %llu rows, its metadata asks for %llu and %llu", path,
                           name, (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
                           (unsigned long long)cols, (unsigned long long)rows);
        /* Refuses types that are not supported before the weights are allocated. */
        CG_TRY(cg_gguf_rows(g, t, 0, 0, NULL));
    }
    if (cg_gguf_find(g, "rope_freqs.weight"))
        return cg_fail(CG_ERR_USER, "%s: it scales rotary positions (rope_freqs.weight), which is not supported", path);
    if (cg_gguf_tensor_count(g) != n)
        return cg_fail(CG_ERR_USER,
                       "%s: it has %zu tensors, a Llama model of its sizes has %zu (biases or extra norms "
                       "are not supported)",
                       path, cg_gguf_tensor_count(g), n);
    return CG_OK;
}

/* The rotary embedding of Hugging Face turns the pairs (j, j + half) of a head, that of ggml the pairs (2j, 2j + 1):
 * the converter moved the rows of Q and K accordingly, here they go back. */
static enum cg_status read_permuted(const struct cg_gguf *g, const struct cg_gguf_tensor *t, size_t head_dim,
                                    float *out)
{
    size_t cols = (size_t)t->dims[0], rows = (size_t)t->dims[1], half = head_dim / 2;
    for (size_t r = 0; r < rows; r++) {
        size_t head = r / head_dim, within = r % head_dim;
        size_t from = head * head_dim + within % half * 2 + within / half;
        CG_TRY(cg_gguf_rows(g, t, from, 1, out + r * cols));
    }
    return CG_OK;
}

static enum cg_status read_tensors(const struct cg_gguf *g, const char *path, struct cg_model *m)
{
    char name[64];
    size_t heads;
    for (size_t i = 0; i < cg_model_tensor_count(m); i++) {
        struct cg_tensor_ref r = cg_model_tensor(m, i);
        gguf_name(m, &r, name, &heads);
        const struct cg_gguf_tensor *t = cg_gguf_find(g, name);
        float *out = m->w + r.offset;
        if (heads) CG_TRY(read_permuted(g, t, m->cfg.head_dim, out));
        else CG_TRY(cg_gguf_rows(g, t, 0, r.cols ? r.rows : 1, out));
        if (!cg_all_finite(out, r.rows * (r.cols ? r.cols : 1)))
            return cg_fail(CG_ERR_USER, "%s: tensor %s has values that are infinite or not numbers", path, name);
    }
    return CG_OK;
}

enum cg_status cg_gguf_model(const char *path, struct cg_model *m)
{
    struct cg_gguf *g;
    struct cg_config cfg;
    CG_TRY(cg_gguf_open(path, &g));
    enum cg_status s = read_config(g, path, &cfg);
    if (s == CG_OK && (s = cg_model_layout(&cfg, m)) != CG_OK) s = cg_fail_in(s, "%s", path);
    if (s == CG_OK) s = check_tensors(g, path, m);
    if (s == CG_OK) s = cg_model_alloc(m);
    if (s == CG_OK) s = read_tensors(g, path, m);
    cg_gguf_close(g);
    return s;
}

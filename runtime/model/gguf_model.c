/* A model out of a GGUF file. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "runtime/model/dtype.h"
#include "runtime/model/gguf_names.h"
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

/* "ARCH.REST" of a file of this architecture. */
static const char *key_of(const struct cg_config *c, const char *rest, char buf[64])
{
    snprintf(buf, 64, "%s.%s", cg_architecture(c->arch)->name, rest);
    return buf;
}

static enum cg_status arch_size(const struct cg_gguf *g, const struct cg_config *c, const char *rest, size_t *v)
{
    char key[64];
    return get_size(g, key_of(c, rest, key), v);
}

static int has(const struct cg_gguf *g, const struct cg_config *c, const char *rest)
{
    char key[64];
    return cg_gguf_has(g, key_of(c, rest, key));
}

static enum cg_status read_architecture(const struct cg_gguf *g, const char *path, struct cg_config *c)
{
    struct cg_gguf_str s;
    char buf[64], known[128];
    CG_TRY(cg_gguf_string(g, "general.architecture", &s));
    c->arch = cg_model_arch_of_name(s.s, s.n);
    if (c->arch != CG_MODEL_COUNT) return CG_OK;
    return cg_fail(CG_ERR_USER, "%s: the architecture %s is not supported; supported: %s", path,
                   cg_printable(s.s, s.n, buf), cg_model_arch_list(0, known));
}

/* What would change the computation. */
static enum cg_status check_features(const struct cg_gguf *g, const char *path, const struct cg_config *c)
{
    static const struct {
        const char *rest, *what;
    } off[] = {{"expert_count", "a mixture of experts"},
               {"attention.sliding_window", "attention to the last positions"}};
    struct cg_gguf_str s;
    char buf[64], key[64];
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        size_t n = 0;
        if (has(g, c, off[i].rest)) CG_TRY(arch_size(g, c, off[i].rest, &n));
        if (n)
            return cg_fail(CG_ERR_USER, "%s: %s (%s) is not supported", path, off[i].what, key_of(c, off[i].rest, key));
    }
    if (!has(g, c, "rope.scaling.type")) return CG_OK;
    CG_TRY(cg_gguf_string(g, key_of(c, "rope.scaling.type", key), &s));
    if (s.n == 4 && memcmp(s.s, "none", 4) == 0) return CG_OK;
    return cg_fail(CG_ERR_USER, "%s: %s is %s; supported is none", path, key, cg_printable(s.s, s.n, buf));
}

static enum cg_status read_heads(const struct cg_gguf *g, const char *path, struct cg_config *c)
{
    char key[64];
    CG_TRY(arch_size(g, c, "attention.head_count", &c->num_attention_heads));
    c->num_key_value_heads = c->num_attention_heads;
    if (has(g, c, "attention.head_count_kv"))
        CG_TRY(arch_size(g, c, "attention.head_count_kv", &c->num_key_value_heads));
    if (has(g, c, "attention.key_length")) {
        CG_TRY(arch_size(g, c, "attention.key_length", &c->head_dim));
    } else {
        if (c->num_attention_heads == 0 || c->hidden_size % c->num_attention_heads != 0)
            return cg_fail(CG_ERR_USER, "%s: the embedding length (%zu) is no multiple of %s (%zu)", path,
                           c->hidden_size, key_of(c, "attention.head_count", key), c->num_attention_heads);
        c->head_dim = c->hidden_size / c->num_attention_heads;
    }
    static const char *const same[] = {"attention.value_length", "rope.dimension_count"};
    for (int i = 0; i < 2; i++) {
        size_t v = c->head_dim;
        if (has(g, c, same[i])) CG_TRY(arch_size(g, c, same[i], &v));
        if (v != c->head_dim)
            return cg_fail(CG_ERR_USER, "%s: %s is %zu; supported is the size of a head, %zu", path,
                           key_of(c, same[i], key), v, c->head_dim);
    }
    return CG_OK;
}

static enum cg_status read_config(const struct cg_gguf *g, const char *path, struct cg_config *c)
{
    char key[64];
    memset(c, 0, sizeof *c);
    CG_TRY(read_architecture(g, path, c));
    CG_TRY(check_features(g, path, c));
    CG_TRY(arch_size(g, c, "embedding_length", &c->hidden_size));
    CG_TRY(arch_size(g, c, "feed_forward_length", &c->intermediate_size));
    CG_TRY(arch_size(g, c, "block_count", &c->num_hidden_layers));
    CG_TRY(arch_size(g, c, "context_length", &c->max_position_embeddings));
    CG_TRY(read_heads(g, path, c));
    const struct cg_gguf_tensor *embed = cg_gguf_find(g, "token_embd.weight");
    if (!embed) return cg_fail(CG_ERR_USER, "%s: it lacks the tensor token_embd.weight", path);
    c->vocab_size = (size_t)embed->dims[1];
    double eps;
    CG_TRY(cg_gguf_float(g, key_of(c, "attention.layer_norm_rms_epsilon", key), &eps));
    c->rms_norm_eps = (float)eps;
    c->rope_theta = 10000.0;
    if (has(g, c, "rope.freq_base")) CG_TRY(cg_gguf_float(g, key_of(c, "rope.freq_base", key), &c->rope_theta));
    c->tie_word_embeddings = cg_gguf_find(g, "output.weight") == NULL;
    CG_TRY(get_token(g, "tokenizer.ggml.bos_token_id", &c->bos_token_id));
    CG_TRY(get_token(g, "tokenizer.ggml.eos_token_id", &c->eos_token_id));
    return get_token(g, "tokenizer.ggml.padding_token_id", &c->pad_token_id);
}

static enum cg_status check_tensors(const struct cg_gguf *g, const char *path, const struct cg_model *m)
{
    size_t n = cg_model_tensor_count(m);
    char name[CG_GGUF_NAME];
    for (size_t i = 0; i < n; i++) {
        struct cg_tensor_ref r = cg_model_tensor(m, i);
        const struct cg_gguf_tensor *t = cg_gguf_find(g, cg_gguf_name(&r, name));
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
                       "%s: it has %zu tensors, a %s model of its sizes has %zu (other biases or norms are not "
                       "supported)",
                       path, cg_gguf_tensor_count(g), cg_architecture(m->cfg.arch)->name, n);
    return CG_OK;
}

/* Rows of q or k, which stand in another order (cg_gguf_row). */
static enum cg_status interleaved_rows(const struct cg_gguf *g, const struct cg_gguf_tensor *t, size_t head_dim,
                                       size_t row, size_t n, float *out)
{
    size_t cols = (size_t)t->dims[0], first = row / head_dim * head_dim;
    size_t heads = (row + n - first + head_dim - 1) / head_dim;
    for (size_t r = 0; r < n; r++) CG_TRY(cg_gguf_rows(g, t, cg_gguf_row(row + r, head_dim), 1, out + r * cols));
    cg_gguf_release(g, t, first, heads * head_dim);
    return CG_OK;
}

static enum cg_status gguf_rows(const struct cg_source *s, const struct cg_tensor_ref *r, size_t row, size_t n,
                                float *out)
{
    char name[CG_GGUF_NAME];
    const struct cg_gguf_tensor *t = cg_gguf_find(s->file, cg_gguf_name(r, name));
    const struct cg_config *c = &s->model.cfg;
    if (cg_gguf_interleaved(c, r->kind)) {
        CG_TRY(interleaved_rows(s->file, t, c->head_dim, row, n, out));
    } else {
        CG_TRY(cg_gguf_rows(s->file, t, row, n, out));
        cg_gguf_release(s->file, t, row, n);
    }
    if (cg_all_finite(out, n * (size_t)t->dims[0])) return CG_OK;
    return cg_fail(CG_ERR_USER, "%s: tensor %s has values that are infinite or not numbers", cg_gguf_path(s->file),
                   name);
}

static void gguf_close(struct cg_source *s)
{
    cg_gguf_close(s->file);
}

enum cg_status cg_gguf_source(const char *path, struct cg_source *s)
{
    struct cg_gguf *g;
    struct cg_config cfg;
    CG_TRY(cg_gguf_open(path, &g));
    s->file = g;
    s->rows = gguf_rows;
    s->close = gguf_close;
    CG_TRY(read_config(g, path, &cfg));
    enum cg_status r = cg_model_layout(&cfg, &s->model);
    if (r != CG_OK) return cg_fail_in(r, "%s", path);
    return check_tensors(g, path, &s->model);
}

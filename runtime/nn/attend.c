#include "runtime/nn/attend.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "common/mem.h"

const struct cg_variant *cg_attend_kernel(const struct cg_machine *m, size_t n)
{
    const struct cg_variant *best = cg_plan_default(m, CG_OP_gemm_f32, CG_FORM_NT, 0, 64, n, 64, 1).variant;
    size_t count, width = best->pack_nr;
    const struct cg_variant *v = cg_variants_for(m->arch, &count);
    for (size_t i = 0; i < count; i++) {
        if (v[i].op != CG_OP_gemm_f32 || v[i].pack_nr != width || v[i].nr != width) continue;
        if (cg_variant_runs(&v[i], m->isa) && (best->nr != width || v[i].mr > best->mr)) best = &v[i];
    }
    return best;
}

struct cg_attention cg_attend_config(const struct cg_net *net)
{
    const struct cg_config *c = &net->model->cfg;
    return (struct cg_attention){.gemm = cg_attend_kernel(cg_plans_machine(net->plans), c->head_dim),
                                 .rows = net->rows,
                                 .head_dim = c->head_dim,
                                 .group = c->num_attention_heads / c->num_key_value_heads,
                                 .scale = 1.0f / sqrtf((float)c->head_dim)};
}

enum cg_status cg_attend_reserve(struct cg_attend_scratch *s, size_t threads, size_t each)
{
    size_t need = threads * each;
    if (need <= s->cap) return CG_OK;
    cg_free(s->p);
    s->p = cg_alloc_n(need, sizeof(float));
    s->cap = s->p ? need : 0;
    return s->p ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory for attention over %zu floats", need);
}

/* The group that starts at segment `root`: itself and the children that follow. */
static size_t group_end(const struct cg_batch *b, size_t root)
{
    size_t e = root + 1;
    while (e < b->n_segs && b->segs[e].parent == root) e++;
    return e;
}

/* Longest sequence (prompt and completion) and longest segment of the batch. */
static void extents(const struct cg_batch *b, size_t *longest, size_t *segment)
{
    *longest = *segment = 0;
    for (size_t i = 0; i < b->n_segs; i++) {
        size_t tk = b->segs[i].pos0 + b->segs[i].len;
        if (tk > *longest) *longest = tk;
        if (b->segs[i].len > *segment) *segment = b->segs[i].len;
    }
}

/* Floats that backward_group needs beside the scratch of the kernels: keys both ways, values, dk, dv. */
static size_t backward_size(const struct cg_attention *at, size_t longest, size_t cap)
{
    return 2 * cg_attention_keys_size(at, cap) + cg_attention_values_size(at, cap) +
           2 * longest * cg_attention_pad(at, at->head_dim);
}

size_t cg_attend_floats(const struct cg_net *net, size_t longest, size_t segment, int backward)
{
    struct cg_attention at = cg_attend_config(net);
    size_t cap = cg_attention_pad(&at, longest), each;
    if (backward) each = backward_size(&at, longest, cap) + cg_attention_backward_scratch(&at, segment, longest);
    else
        each = cg_attention_keys_size(&at, cap) + cg_attention_values_size(&at, cap) +
               cg_attention_forward_scratch(&at, segment > at.group ? segment : at.group, longest);
    return (each + 15) / 16 * 16;
}

static void forward_group(const struct cg_net *net, const struct cg_attention *at, const struct cg_batch *b,
                          size_t root, size_t kv, const float *qkv, float *att, size_t cap, float *scratch)
{
    size_t hd = at->head_dim, ld = net->qkv_dim;
    float *keys = scratch, *values = keys + cg_attention_keys_size(at, cap);
    float *rest = values + cg_attention_values_size(at, cap);
    for (size_t i = root, end = group_end(b, root); i < end; i++) {
        const struct cg_segment *sg = &b->segs[i];
        const float *base = qkv + sg->start * ld;
        /* A child's own keys overwrite its elder sibling's, behind the prompt's. */
        const float *k = base + net->att_dim + kv * hd;
        cg_attention_put_keys(at, keys, sg->pos0, sg->len, k, ld);
        cg_attention_put_values(at, values, cap, sg->pos0, sg->len, k + net->kv_dim, ld);
        cg_attention_forward(at, sg->len, sg->pos0, base + kv * at->group * hd, ld, keys, values, cap,
                             att + sg->start * net->att_dim + kv * at->group * hd, net->att_dim, rest);
    }
}

enum cg_status cg_attend_forward(const struct cg_net *net, struct cg_attend_scratch *s, const struct cg_batch *b,
                                 const float *qkv, float *att)
{
    struct cg_attention at = cg_attend_config(net);
    size_t longest, segment, kvs = net->model->cfg.num_key_value_heads;
    extents(b, &longest, &segment);
    size_t cap = cg_attention_pad(&at, longest), each = cg_attend_floats(net, longest, segment, 0);
    CG_TRY(cg_attend_reserve(s, (size_t)net->threads, each));
#pragma omp parallel for num_threads(net->threads) schedule(dynamic) collapse(2) if (b->n_tokens > 16)
    for (size_t i = 0; i < b->n_segs; i++)
        for (size_t kv = 0; kv < kvs; kv++)
            if (b->segs[i].parent == CG_NO_PARENT)
                forward_group(net, &at, b, i, kv, qkv, att, cap, s->p + (size_t)omp_get_thread_num() * each);
    return CG_OK;
}

static void scatter(const struct cg_net *net, const struct cg_segment *sg, const float *from, size_t ldf, size_t hd,
                    float *dqkv, size_t column)
{
    for (size_t t = 0; t < sg->len; t++)
        memcpy(dqkv + (sg->start + t) * net->qkv_dim + column, from + (sg->pos0 + t) * ldf, hd * sizeof(float));
}

static void backward_group(const struct cg_net *net, const struct cg_attention *at, const struct cg_batch *b,
                           size_t root, size_t kv, const float *qkv, const float *datt, float *dqkv, size_t longest,
                           size_t cap, float *scratch)
{
    size_t hd = at->head_dim, wd = cg_attention_pad(at, hd), ld = net->qkv_dim;
    size_t kcol = net->att_dim + kv * hd, vcol = kcol + net->kv_dim, qcol = kv * at->group * hd;
    float *keys = scratch, *values_t = keys + cg_attention_keys_size(at, cap);
    float *keys_t = values_t + cg_attention_keys_size(at, cap), *dk = keys_t + cg_attention_values_size(at, cap);
    float *dv = dk + longest * wd, *rest = dv + longest * wd;
    struct cg_attention_kv read = {keys, keys_t, values_t, cap};
    memset(dk, 0, 2 * longest * wd * sizeof(float));
    for (size_t i = root, end = group_end(b, root); i < end; i++) {
        const struct cg_segment *sg = &b->segs[i];
        const float *base = qkv + sg->start * ld;
        cg_attention_put_keys(at, keys, sg->pos0, sg->len, base + kcol, ld);
        cg_attention_put_values(at, keys_t, cap, sg->pos0, sg->len, base + kcol, ld);
        cg_attention_put_keys(at, values_t, sg->pos0, sg->len, base + vcol, ld);
        if (i != root) { /* the prompt's rows go on accumulating, its own begin at 0 */
            memset(dk + sg->pos0 * wd, 0, sg->len * wd * sizeof(float));
            memset(dv + sg->pos0 * wd, 0, sg->len * wd * sizeof(float));
        }
        cg_attention_backward(at, sg->len, sg->pos0, base + qcol, ld, read, datt + sg->start * net->att_dim + qcol,
                              net->att_dim, dqkv + sg->start * ld + qcol, ld, dk, dv, rest);
        if (i == root) continue;
        scatter(net, sg, dk, wd, hd, dqkv, kcol);
        scatter(net, sg, dv, wd, hd, dqkv, vcol);
    }
    scatter(net, &b->segs[root], dk, wd, hd, dqkv, kcol);
    scatter(net, &b->segs[root], dv, wd, hd, dqkv, vcol);
}

enum cg_status cg_attend_backward(const struct cg_net *net, struct cg_attend_scratch *s, const struct cg_batch *b,
                                  const float *qkv, const float *datt, float *dqkv)
{
    struct cg_attention at = cg_attend_config(net);
    size_t longest, segment, kvs = net->model->cfg.num_key_value_heads;
    extents(b, &longest, &segment);
    size_t cap = cg_attention_pad(&at, longest), each = cg_attend_floats(net, longest, segment, 1);
    CG_TRY(cg_attend_reserve(s, (size_t)net->threads, each));
#pragma omp parallel for num_threads(net->threads) schedule(dynamic) collapse(2) if (b->n_tokens > 16)
    for (size_t i = 0; i < b->n_segs; i++)
        for (size_t kv = 0; kv < kvs; kv++)
            if (b->segs[i].parent == CG_NO_PARENT)
                backward_group(net, &at, b, i, kv, qkv, datt, dqkv, longest, cap,
                               s->p + (size_t)omp_get_thread_num() * each);
    return CG_OK;
}

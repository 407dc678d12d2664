#include "bench/onednn.h"

#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/bf16.h"

/* The part of oneDNN's binary interface that is used here; it is the same in versions 2 and 3 but for memory
 * descriptors, which the caller holds in 2 and the library in 3, and the way to a matmul. Values of its public enums.
 */
enum { ENGINE_CPU = 1, STREAM_IN_ORDER = 1, TAG_ANY = 1, QUERY_WEIGHTS_MD = 131, ARG_SRC = 1, ARG_DST = 17 };
enum { ARG_FROM = 1, ARG_TO = 17, ARG_WEIGHTS = 33 };
enum { TYPE_BF16 = 2, TYPE_F32 = 3, TYPE_S8 = 5, TYPE_U8 = 6 };

/* More than the structures of version 2 take (about 700 and 5,000 bytes in 2.6). */
enum { DESC_BYTES = 4096, OP_BYTES = 32768 };

typedef int64_t dims_t[12];

struct version {
    int major, minor, patch;
};

struct exec_arg {
    int arg;
    void *memory;
};

/* X(field, result, name, arguments): functions of every version. */
#define COMMON(X)                                                                                   \
    X(engine_create, int, "dnnl_engine_create", (void **, int, size_t))                             \
    X(engine_destroy, int, "dnnl_engine_destroy", (void *))                                         \
    X(stream_create, int, "dnnl_stream_create", (void **, void *, unsigned))                        \
    X(stream_wait, int, "dnnl_stream_wait", (void *))                                               \
    X(stream_destroy, int, "dnnl_stream_destroy", (void *))                                         \
    X(desc_size, size_t, "dnnl_memory_desc_get_size", (const void *))                               \
    X(memory_create, int, "dnnl_memory_create", (void **, const void *, void *, void *))            \
    X(memory_destroy, int, "dnnl_memory_destroy", (void *))                                         \
    X(pd_query_md, const void *, "dnnl_primitive_desc_query_md", (const void *, int, int))          \
    X(pd_destroy, int, "dnnl_primitive_desc_destroy", (void *))                                     \
    X(primitive_create, int, "dnnl_primitive_create", (void **, const void *))                      \
    X(primitive_destroy, int, "dnnl_primitive_destroy", (void *))                                   \
    X(execute, int, "dnnl_primitive_execute", (const void *, void *, int, const struct exec_arg *)) \
    X(reorder_pd, int, "dnnl_reorder_primitive_desc_create",                                        \
      (void **, const void *, void *, const void *, void *, const void *))
#define ONLY_2(X)                                                                                                   \
    X(desc2_strides, int, "dnnl_memory_desc_init_by_strides", (void *, int, const int64_t *, int, const int64_t *)) \
    X(desc2_tag, int, "dnnl_memory_desc_init_by_tag", (void *, int, const int64_t *, int, int))                     \
    X(matmul2_desc, int, "dnnl_matmul_desc_init", (void *, const void *, const void *, const void *, const void *)) \
    X(pd2_create, int, "dnnl_primitive_desc_create", (void **, const void *, const void *, void *, const void *))
#define ONLY_3(X)                                                                                    \
    X(desc3_strides, int, "dnnl_memory_desc_create_with_strides",                                    \
      (void **, int, const int64_t *, int, const int64_t *))                                         \
    X(desc3_tag, int, "dnnl_memory_desc_create_with_tag", (void **, int, const int64_t *, int, int)) \
    X(desc3_destroy, int, "dnnl_memory_desc_destroy", (void *))                                      \
    X(matmul3_pd, int, "dnnl_matmul_primitive_desc_create",                                          \
      (void **, void *, const void *, const void *, const void *, const void *, const void *))

struct cg_onednn {
    void *engine, *stream;
    int has[CG_ONEDNN_TYPES], major;
#define X(field, result, name, args) result(*field) args;
    COMMON(X)
    ONLY_2(X)
    ONLY_3(X)
#undef X
};

struct cg_onednn_matmul {
    struct cg_onednn *o;
    void *primitive, *src, *dst, *a; /* a: the bytes of A */
    void **weights;                  /* a memory object for each copy of B */
    char *b;                         /* their bytes */
    size_t copies, next;
};

static int find(void *library, const char *name, void *to)
{
    void *symbol = dlsym(library, name);
    memcpy(to, &symbol, sizeof symbol);
    return symbol != NULL;
}

/* Looks up every function that this version should have. */
static enum cg_status find_all(void *library, struct cg_onednn *o)
{
    const struct version *(*version)(void);
    if (!find(library, "dnnl_version", &version))
        return cg_fail(CG_ERR_USER, "the library has no dnnl_version: it is no oneDNN");
    o->major = version()->major;
    if (o->major != 2 && o->major != 3)
        return cg_fail(CG_ERR_USER, "it is oneDNN %d.%d; versions 2 and 3 are known here", o->major, version()->minor);
    const char *missing = NULL;
#define X(field, result, name, args) \
    if (!find(library, name, &o->field)) missing = name;
    COMMON(X)
    if (o->major == 2) {
        ONLY_2(X)
    } else {
        ONLY_3(X)
    }
#undef X
    return missing ? cg_fail(CG_ERR_USER, "the library has no function %s", missing) : CG_OK;
}

/* ---- Memory descriptors --------------------------------------------------------------------------------------------
 */

static void *desc(struct cg_onednn *o, int64_t rows, int64_t cols, int type, int64_t rs, int64_t cs)
{
    dims_t dims = {rows, cols}, strides = {rs, cs};
    void *d = NULL;
    if (o->major == 3) return o->desc3_strides(&d, 2, dims, type, strides) == 0 ? d : NULL;
    d = calloc(1, DESC_BYTES);
    if (d && o->desc2_strides(d, 2, dims, type, strides) == 0) return d;
    free(d);
    return NULL;
}

/* The layout is oneDNN's to choose. */
static void *desc_any(struct cg_onednn *o, int64_t rows, int64_t cols, int type)
{
    dims_t dims = {rows, cols};
    void *d = NULL;
    if (o->major == 3) return o->desc3_tag(&d, 2, dims, type, TAG_ANY) == 0 ? d : NULL;
    d = calloc(1, DESC_BYTES);
    if (d && o->desc2_tag(d, 2, dims, type, TAG_ANY) == 0) return d;
    free(d);
    return NULL;
}

static void desc_free(struct cg_onednn *o, void *d)
{
    if (d && o->major == 3) o->desc3_destroy(d);
    else free(d);
}

/* ---- Operands ------------------------------------------------------------------------------------------------------
 */

static const struct {
    int a, b;
    size_t bytes;
} types[CG_ONEDNN_TYPES] = {
    {TYPE_F32, TYPE_F32, 4}, {TYPE_BF16, TYPE_BF16, 2}, {TYPE_S8, TYPE_S8, 1}, {TYPE_U8, TYPE_S8, 1}};

/* Converts n numbers of [-1, 1]; integers are 127 times as large. */
static void convert(int type, size_t n, const float *x, void *out)
{
    if (type == TYPE_F32) memcpy(out, x, n * sizeof *x);
    for (size_t i = 0; type != TYPE_F32 && i < n; i++) {
        if (type == TYPE_BF16) ((uint16_t *)out)[i] = cg_bf16_of(x[i]);
        else if (type == TYPE_S8) ((int8_t *)out)[i] = (int8_t)lrintf(127 * x[i]);
        else ((uint8_t *)out)[i] = (uint8_t)lrintf(fabsf(127 * x[i]));
    }
}

/* The matmul's primitive descriptor; NULL where oneDNN has none. */
static void *matmul_pd(struct cg_onednn *o, const void *src, const void *weights, const void *dst)
{
    void *pd = NULL, *op;
    if (!src || !weights || !dst) return NULL;
    if (o->major == 3) return o->matmul3_pd(&pd, o->engine, src, weights, NULL, dst, NULL) == 0 ? pd : NULL;
    op = calloc(1, OP_BYTES);
    if (op && o->matmul2_desc(op, src, weights, NULL, dst) == 0) o->pd2_create(&pd, op, NULL, o->engine, NULL);
    free(op);
    return pd;
}

/* Runs a primitive on one source and one destination. */
static int reorder(struct cg_onednn *o, const void *from_md, void *from, const void *to_md, void *to)
{
    void *pd = NULL, *primitive = NULL;
    struct exec_arg args[] = {{ARG_FROM, from}, {ARG_TO, to}};
    int ok = o->reorder_pd(&pd, from_md, o->engine, to_md, o->engine, NULL) == 0 &&
             o->primitive_create(&primitive, pd) == 0 && o->execute(primitive, o->stream, 2, args) == 0 &&
             o->stream_wait(o->stream) == 0;
    if (primitive) o->primitive_destroy(primitive);
    if (pd) o->pd_destroy(pd);
    return ok;
}

/* B in the layout `md`, as many times as calls rotate through. */
static int open_weights(struct cg_onednn_matmul *m, const struct cg_bench_case *c, enum cg_onednn_type type,
                        const float *b, const void *md, size_t cold)
{
    struct cg_onednn *o = m->o;
    size_t size = o->desc_size(md), stride = (size + 63) / 64 * 64;
    int64_t n = (int64_t)c->n, k = (int64_t)c->k;
    void *plain_md = c->form == CG_FORM_NT ? desc(o, k, n, types[type].b, 1, k) : desc(o, k, n, types[type].b, n, 1);
    void *plain = cg_alloc_n(c->n * c->k, types[type].bytes), *from = NULL;
    m->copies = cg_cold_copies(cold, size);
    m->weights = cg_alloc_n(m->copies, sizeof *m->weights);
    m->b = cg_alloc_n(m->copies, stride);
    int ok = plain_md && plain && m->weights && m->b;
    if (ok) convert(types[type].b, c->n * c->k, b, plain);
    for (size_t i = 0; ok && i < m->copies; i++)
        ok = o->memory_create(&m->weights[i], md, o->engine, m->b + i * stride) == 0;
    if (ok) ok = o->memory_create(&from, plain_md, o->engine, plain) == 0;
    if (ok) ok = reorder(o, plain_md, from, md, m->weights[0]);
    for (size_t i = 1; ok && i < m->copies; i++) memcpy(m->b + i * stride, m->b, size);
    if (from) o->memory_destroy(from);
    cg_free(plain);
    desc_free(o, plain_md);
    return ok;
}

enum cg_status cg_onednn_matmul_open(struct cg_onednn *o, enum cg_onednn_type type, const struct cg_bench_case *c,
                                     const struct cg_plain *plain, size_t cold, struct cg_onednn_matmul **out)
{
    int64_t m = (int64_t)c->m, n = (int64_t)c->n, k = (int64_t)c->k;
    int ta = types[type].a, tb = types[type].b;
    struct cg_onednn_matmul *mm = cg_alloc(sizeof *mm);
    *out = NULL;
    if (!mm) return cg_fail(CG_ERR_MEMORY, "out of memory");
    mm->o = o;
    void *src = c->form == CG_FORM_TN ? desc(o, m, k, ta, 1, m) : desc(o, m, k, ta, k, 1);
    void *weights = c->form == CG_FORM_NT ? desc_any(o, k, n, tb) : desc(o, k, n, tb, n, 1);
    void *dst = desc(o, m, n, TYPE_F32, n, 1), *pd = matmul_pd(o, src, weights, dst);
    enum cg_status st = pd ? CG_OK : cg_fail(CG_ERR_USER, "oneDNN has no product for %s", c->name);
    mm->a = pd ? cg_alloc_n(c->m * c->k, types[type].bytes) : NULL;
    if (mm->a) convert(ta, c->m * c->k, plain->a, mm->a);
    if (st == CG_OK && !(mm->a && o->primitive_create(&mm->primitive, pd) == 0 &&
                         o->memory_create(&mm->src, src, o->engine, mm->a) == 0 &&
                         o->memory_create(&mm->dst, dst, o->engine, plain->c) == 0 &&
                         open_weights(mm, c, type, plain->b, o->pd_query_md(pd, QUERY_WEIGHTS_MD, 0), cold)))
        st = cg_fail(CG_ERR_MEMORY, "oneDNN cannot prepare %s (out of memory?)", c->name);
    if (pd) o->pd_destroy(pd);
    desc_free(o, src);
    desc_free(o, weights);
    desc_free(o, dst);
    if (st == CG_OK) *out = mm;
    else cg_onednn_matmul_close(mm);
    return st;
}

void cg_onednn_matmul_call(struct cg_onednn_matmul *m)
{
    struct exec_arg args[] = {{ARG_SRC, m->src}, {ARG_WEIGHTS, m->weights[m->next]}, {ARG_DST, m->dst}};
    m->next = m->next + 1 == m->copies ? 0 : m->next + 1;
    m->o->execute(m->primitive, m->o->stream, 3, args);
    m->o->stream_wait(m->o->stream);
}

void cg_onednn_matmul_close(struct cg_onednn_matmul *m)
{
    if (!m) return;
    for (size_t i = 0; m->weights && i < m->copies; i++)
        if (m->weights[i]) m->o->memory_destroy(m->weights[i]);
    if (m->src) m->o->memory_destroy(m->src);
    if (m->dst) m->o->memory_destroy(m->dst);
    if (m->primitive) m->o->primitive_destroy(m->primitive);
    void *all[] = {m->a, m->weights, m->b, m};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

/* ---- Opening -------------------------------------------------------------------------------------------------------
 */

static double converted(int type, float x)
{
    union {
        float f32;
        uint16_t bf16;
        int8_t s8;
        uint8_t u8;
    } to;
    convert(type, 1, &x, &to);
    if (type == TYPE_F32) return to.f32;
    if (type == TYPE_BF16) return cg_bf16_value(to.bf16);
    return type == TYPE_S8 ? (double)to.s8 : (double)to.u8;
}

/* A small product in this type and form, compared with one in double precision: 1 right, 0 wrong, -1 there is none. */
static int multiplies(struct cg_onednn *o, enum cg_onednn_type type, enum cg_form form)
{
    enum { M = 5, N = 7, K = 9 };
    float a[M * K], b[N * K], c[M * N];
    const struct cg_bench_case shape = {.op = CG_OP_gemm_f32, .form = form, .m = M, .n = N, .k = K};
    const struct cg_plain plain = {a, b, 0, 1, NULL, c};
    struct cg_onednn_matmul *m;
    for (int i = 0; i < M * K; i++) a[i] = (float)(i * 7 % 13 - 6) / 16;
    for (int i = 0; i < N * K; i++) b[i] = (float)(i * 5 % 11 - 5) / 16;
    for (int i = 0; i < M * N; i++) c[i] = NAN;
    if (cg_onednn_matmul_open(o, type, &shape, &plain, 0, &m) != CG_OK) return -1;
    cg_onednn_matmul_call(m);
    cg_onednn_matmul_close(m);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int p = 0; p < K; p++)
                sum += converted(types[type].a, form == CG_FORM_TN ? a[p * M + i] : a[i * K + p]) *
                       converted(types[type].b, form == CG_FORM_NT ? b[j * K + p] : b[p * N + j]);
            if (!(fabs(c[i * N + j] - sum) <= 1e-3)) return 0;
        }
    return 1;
}

enum cg_status cg_onednn_open(void *library, struct cg_onednn **out)
{
    *out = NULL;
    struct cg_onednn *o = cg_alloc(sizeof *o);
    if (!o) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status st = find_all(library, o);
    if (st == CG_OK && (o->engine_create(&o->engine, ENGINE_CPU, 0) != 0 ||
                        o->stream_create(&o->stream, o->engine, STREAM_IN_ORDER) != 0))
        st = cg_fail(CG_ERR_USER, "oneDNN has no engine for this CPU");
    for (int type = 0; st == CG_OK && type < CG_ONEDNN_TYPES; type++)
        for (int form = 0; form < (type == CG_ONEDNN_F32 ? 3 : 1); form++) {
            int right = multiplies(o, (enum cg_onednn_type)type, (enum cg_form)form);
            o->has[type] = right == 1;
            if (right == 0 || (right < 0 && type == CG_ONEDNN_F32))
                st = cg_fail(CG_ERR_USER, "a small product came out wrong");
        }
    if (st == CG_OK) *out = o;
    else cg_onednn_close(o);
    return st;
}

void cg_onednn_close(struct cg_onednn *o)
{
    if (!o) return;
    if (o->stream) o->stream_destroy(o->stream);
    if (o->engine) o->engine_destroy(o->engine);
    cg_free(o);
}

int cg_onednn_has(const struct cg_onednn *o, enum cg_onednn_type type)
{
    return o->has[type];
}

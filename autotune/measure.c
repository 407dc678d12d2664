#include "autotune/measure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "kernels/gemm.h"

enum { MAX_COPIES = 64, MAX_COPIES_DOT = 6 };

struct cg_bench {
    struct cg_shape s;
    size_t max_m, copies, next;
    float *a, *c;    /* f32 A and result */
    char *b;         /* f32 or bf16w: `copies` copies, packed for NT */
    size_t b_stride; /* bytes */
    float *scratch;
    size_t scratch_n;
    void *rows; /* INT8, native bf16: activations as the variant reads them */
    float *sa;
    struct cg_packed_s8 *w8;
    struct cg_packed_bf16 *w16;
    size_t n_packed;
    double share;
};

/* Numbers of [-1, 1) that depend on `seed` only; speed matters here, quality does not. */
static void fill(float *x, size_t n, uint32_t seed)
{
    uint32_t r = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        r ^= r << 13, r ^= r >> 17, r ^= r << 5;
        x[i] = (float)(int32_t)r * 0x1p-31f;
    }
}

static size_t copies_of(const struct cg_machine *m, const struct cg_shape *s, size_t bytes, size_t stream)
{
    size_t llc = cg_machine_cache(m, 3) ? cg_machine_cache(m, 3) : cg_machine_cache(m, 2);
    if (llc && 2 * llc < stream) stream = 2 * llc;
    if (s->model_bytes < stream) stream = s->model_bytes;
    size_t copies = bytes ? stream / bytes : 1;
    return copies < 1 ? 1 : copies > MAX_COPIES ? MAX_COPIES : copies;
}

static void pack(const struct cg_shape *s, const float *w, size_t nr, void *out, int threads)
{
    if (s->op == CG_OP_gemm_bf16w) cg_pack_bf16w(s->n, s->k, w, 1, s->k, nr, out, threads);
    else cg_pack_f32(s->n, s->k, w, 1, s->k, nr, out, threads);
}

/* f32 arithmetic: B in f32 or bf16. */
static int fill_f32(struct cg_bench *b, const struct cg_machine *m, const struct cg_variant *like, int threads,
                    size_t stream)
{
    const struct cg_shape *s = &b->s;
    size_t plain = s->n * s->k, nr = like->pack_nr;
    size_t packed = s->op == CG_OP_gemm_bf16w ? cg_pack_bf16w_size(s->n, s->k, nr) * sizeof(uint16_t)
                                              : cg_pack_f32_size(s->n, s->k, nr) * sizeof(float);
    b->b_stride = ((s->form == CG_FORM_NT ? packed : plain * sizeof(float)) + 63) / 64 * 64;
    /* For TN, B is the layer's input, just made; weights come from afar. */
    b->copies = s->form == CG_FORM_TN ? 1 : copies_of(m, s, b->b_stride, stream);
    b->a = cg_alloc_n(b->max_m * s->k, sizeof(float));
    b->b = cg_alloc_n(b->b_stride, b->copies);
    if (!b->a || !b->b) return 0;
    fill(b->a, b->max_m * s->k, 1);
    if (s->form == CG_FORM_NT) {
        float *w = cg_alloc_n(plain, sizeof(float));
        if (!w) return 0;
        fill(w, plain, 2);
        pack(s, w, nr, b->b, threads);
        cg_free(w);
    } else {
        fill((float *)(void *)b->b, plain, 2);
    }
    for (size_t i = 1; i < b->copies; i++) memcpy(b->b + i * b->b_stride, b->b, b->b_stride);
    return 1;
}

/* Packs w[n][k] once for every copy, and rows x[max_m][k] for the first. */
static int fill_s8(struct cg_bench *b, const struct cg_rowops *rows, const struct cg_variant *like, const float *w,
                   const float *x)
{
    size_t n = b->s.n, k = b->s.k;
    b->w8 = cg_alloc_n(b->copies, sizeof *b->w8);
    b->sa = cg_alloc_n(b->max_m, sizeof(float));
    if (!b->w8 || !b->sa) return 0;
    for (; b->n_packed < b->copies; b->n_packed++)
        if (cg_pack_s8(like, rows, n, k, w, &b->w8[b->n_packed]) != 0) return 0;
    b->rows = cg_alloc(cg_s8_rows_size(&b->w8[0], b->max_m));
    if (b->rows) cg_s8_rows_quant(&b->w8[0], rows, b->max_m, x, k, b->rows, b->sa);
    return b->rows != NULL;
}

static int fill_bf16(struct cg_bench *b, const struct cg_rowops *rows, const struct cg_variant *like, const float *w,
                     const float *x)
{
    size_t n = b->s.n, k = b->s.k;
    b->w16 = cg_alloc_n(b->copies, sizeof *b->w16);
    if (!b->w16) return 0;
    for (; b->n_packed < b->copies; b->n_packed++)
        if (cg_pack_bf16(like, rows, n, k, w, &b->w16[b->n_packed]) != 0) return 0;
    b->rows = cg_alloc(cg_bf16_rows_size(&b->w16[0], b->max_m));
    if (b->rows) cg_bf16_rows_round(&b->w16[0], rows, b->max_m, x, k, b->rows);
    return b->rows != NULL;
}

/* Dot products. */
static int fill_dot(struct cg_bench *b, const struct cg_machine *m, const struct cg_variant *like, size_t stream)
{
    const struct cg_shape *s = &b->s;
    const struct cg_rowops *rows = cg_rowops_for(m->isa);
    int bf16 = s->op == CG_OP_gemm_bf16;
    b->copies = copies_of(m, s, s->n * s->k * (bf16 ? sizeof(uint16_t) : 1), stream);
    if (b->copies > MAX_COPIES_DOT) b->copies = MAX_COPIES_DOT;
    float *w = cg_alloc_n(s->n * s->k, sizeof(float)), *x = cg_alloc_n(b->max_m * s->k, sizeof(float));
    int ok = w && x;
    if (ok) {
        fill(w, s->n * s->k, 2);
        fill(x, b->max_m * s->k, 1);
        ok = bf16 ? fill_bf16(b, rows, like, w, x) : fill_s8(b, rows, like, w, x);
    }
    cg_free(w);
    cg_free(x);
    return ok;
}

enum cg_status cg_bench_open(const struct cg_machine *m, const struct cg_shape *s, size_t max_m,
                             const struct cg_variant *like, int threads, size_t stream, struct cg_bench **out)
{
    *out = NULL;
    struct cg_bench *b = cg_alloc(sizeof *b);
    if (!b) return cg_fail(CG_ERR_MEMORY, "out of memory");
    b->s = *s;
    b->max_m = s->form == CG_FORM_NT ? max_m : s->m;
    b->c = cg_alloc_n(b->max_m * s->n, sizeof(float));
    int ok = b->c && (cg_op_is_dot(s->op) ? fill_dot(b, m, like, stream) : fill_f32(b, m, like, threads, stream));
    if (!ok) {
        cg_bench_close(b);
        return cg_fail(CG_ERR_MEMORY, "not enough memory to time %s %zux%zux%zu", cg_op_name(s->op), b->s.m, s->n,
                       s->k);
    }
    *out = b;
    return CG_OK;
}

void cg_bench_close(struct cg_bench *b)
{
    if (!b) return;
    for (size_t i = 0; i < b->n_packed; i++) {
        if (b->w8) cg_packed_s8_free(&b->w8[i]);
        else cg_packed_bf16_free(&b->w16[i]);
    }
    void *all[] = {b->a, b->b, b->c, b->scratch, b->rows, b->sa, b->w8, b->w16, b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

static int need_scratch(struct cg_bench *b, const struct cg_plan *plan)
{
    size_t want = b->s.form == CG_FORM_NT ? 0 : cg_gemm_scratch(plan, b->s.n, b->s.k);
    if (want <= b->scratch_n) return 1;
    cg_free(b->scratch);
    b->scratch = cg_alloc_n(want, sizeof(float));
    b->scratch_n = b->scratch ? want : 0;
    return b->scratch != NULL;
}

static void call(struct cg_bench *b, const struct cg_plan *plan, size_t rows)
{
    const struct cg_shape *s = &b->s;
    size_t i = b->next++ % b->copies;
    if (s->op == CG_OP_gemm_s8) {
        cg_gemm_s8(plan, rows, b->rows, b->sa, &b->w8[i], b->c, s->n, NULL);
        return;
    }
    if (s->op == CG_OP_gemm_bf16) {
        cg_gemm_bf16(plan, rows, b->rows, &b->w16[i], b->c, s->n, NULL);
        return;
    }
    const void *w = b->b + i * b->b_stride;
    if (s->form == CG_FORM_NT) cg_gemm(plan, rows, s->n, s->k, b->a, s->k, 1, w, b->c, s->n, 0, NULL);
    else if (s->form == CG_FORM_NN)
        cg_gemm_f32_pack(plan, s->m, s->n, s->k, b->a, s->k, 1, w, s->n, 1, b->scratch, b->c, s->n, 0);
    else cg_gemm_f32_pack(plan, s->m, s->n, s->k, b->a, 1, s->m, w, s->n, 1, b->scratch, b->c, s->n, 1);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double cg_bench_time(struct cg_bench *b, const struct cg_plan *plan, size_t rows, size_t calls, int warm)
{
    if (!need_scratch(b, plan)) return -1;
    if (warm) call(b, plan, rows);
    double cpu = cpu_seconds(), t = cg_now();
    for (size_t i = 0; i < calls; i++) call(b, plan, rows);
    t = cg_now() - t;
    cpu = cpu_seconds() - cpu;
    /* Threads of a region wait for each other busily: undisturbed, all of them run all the time. */
    b->share = t > 0 ? cpu / (t * plan->threads) : 1;
    return t / (double)calls;
}

double cg_bench_share(const struct cg_bench *b)
{
    return b->share;
}

const float *cg_bench_result(struct cg_bench *b, const struct cg_plan *plan, size_t rows)
{
    size_t m = b->s.form == CG_FORM_NT ? rows : b->s.m;
    if (!need_scratch(b, plan)) return NULL;
    memset(b->c, 0, m * b->s.n * sizeof(float));
    call(b, plan, rows);
    return b->c;
}

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

double cg_typical(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return x[n / 3];
}

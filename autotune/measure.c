#include "autotune/measure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "autotune/waits.h"
#include "common/clock.h"
#include "common/mem.h"
#include "kernels/gemm.h"

enum { MAX_COPIES = 256 };
#define MOST_WAIT 0.02                 /* of a batch, by all threads together, is nothing: interrupts */
#define MAX_STREAM ((size_t)192 << 20) /* more than most caches hold twice */

struct cg_bench {
    struct cg_shape s;
    size_t max_m, copies, next;
    float *a;        /* f32 A */
    char *b;         /* copies of B: f32 or bf16w, packed for NT; or packed panels of dot products */
    size_t b_stride; /* bytes */
    float *c;        /* the result; TN: as many copies as of B, since gradients lie as far away as weights */
    size_t c_stride; /* floats; 0: one C for all */
    float *scratch;
    size_t scratch_n;
    void *rows; /* INT8, native bf16: activations as the variant reads them */
    float *sa;
    struct cg_packed_s8 w8; /* B is copied, the rest is shared */
    struct cg_packed_bf16 w16;
    struct cg_waits waits;
    int watched; /* threads of the plan that `waits` was opened for */
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

size_t cg_bench_stream(const struct cg_machine *m, const struct cg_shape *s)
{
    size_t llc = cg_machine_cache(m, 3) ? cg_machine_cache(m, 3) : cg_machine_cache(m, 2), stream = MAX_STREAM;
    if (llc && 2 * llc < stream) stream = 2 * llc;
    return s->model_bytes < stream ? s->model_bytes : stream;
}

/* Room for as many copies of B (and C) as `stream` allows, at least one. */
static int alloc_copies(struct cg_bench *b, size_t b_bytes, size_t stream)
{
    const struct cg_shape *s = &b->s;
    size_t c_floats = b->max_m * s->n, each;
    b->b_stride = (b_bytes + 63) / 64 * 64;
    each = b->b_stride + (s->form == CG_FORM_TN ? c_floats * sizeof(float) : 0);
    b->copies = each ? stream / each : 1;
    b->copies = b->copies < 1 ? 1 : b->copies > MAX_COPIES ? MAX_COPIES : b->copies;
    if (s->form == CG_FORM_TN) b->c_stride = (c_floats + 15) / 16 * 16;
    b->c = b->c_stride ? cg_alloc_n(b->c_stride * sizeof(float), b->copies) : cg_alloc_n(c_floats, sizeof(float));
    b->b = cg_alloc_n(b->b_stride, b->copies);
    return b->c && b->b;
}

static void copy_all(struct cg_bench *b)
{
    for (size_t i = 1; i < b->copies; i++) memcpy(b->b + i * b->b_stride, b->b, b->b_stride);
}

static void pack(const struct cg_shape *s, const float *w, size_t nr, void *out, int threads)
{
    if (s->op == CG_OP_gemm_bf16w) cg_pack_bf16w(s->n, s->k, w, 1, s->k, nr, out, threads);
    else cg_pack_f32(s->n, s->k, w, 1, s->k, nr, out, threads);
}

/* f32 arithmetic: B in f32 or bf16. */
static int fill_f32(struct cg_bench *b, const struct cg_variant *like, int threads, size_t stream)
{
    const struct cg_shape *s = &b->s;
    size_t plain = s->n * s->k, nr = like->pack_nr;
    size_t packed = s->op == CG_OP_gemm_bf16w ? cg_pack_bf16w_size(s->n, s->k, nr) * sizeof(uint16_t)
                                              : cg_pack_f32_size(s->n, s->k, nr) * sizeof(float);
    b->a = cg_alloc_n(b->max_m * s->k, sizeof(float));
    if (!b->a || !alloc_copies(b, s->form == CG_FORM_NT ? packed : plain * sizeof(float), stream)) return 0;
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
    return 1;
}

/* Packs w[n][k], and rows x[max_m][k]. */
static int fill_s8(struct cg_bench *b, const struct cg_rowops *rows, const struct cg_variant *like, const float *w,
                   const float *x)
{
    size_t n = b->s.n, k = b->s.k;
    b->sa = cg_alloc_n(b->max_m, sizeof(float));
    if (!b->sa || cg_pack_s8(like, rows, n, k, w, &b->w8) != 0) return 0;
    b->rows = cg_alloc(cg_s8_rows_size(&b->w8, b->max_m));
    if (b->rows) cg_s8_rows_quant(&b->w8, rows, b->max_m, x, k, b->rows, b->sa);
    return b->rows != NULL;
}

static int fill_bf16(struct cg_bench *b, const struct cg_rowops *rows, const struct cg_variant *like, const float *w,
                     const float *x)
{
    size_t n = b->s.n, k = b->s.k;
    if (cg_pack_bf16(like, rows, n, k, w, &b->w16) != 0) return 0;
    b->rows = cg_alloc(cg_bf16_rows_size(&b->w16, b->max_m));
    if (b->rows) cg_bf16_rows_round(&b->w16, rows, b->max_m, x, k, b->rows);
    return b->rows != NULL;
}

/* Dot products. */
static int fill_dot(struct cg_bench *b, const struct cg_machine *m, const struct cg_variant *like, size_t stream)
{
    const struct cg_shape *s = &b->s;
    const struct cg_rowops *rows = cg_rowops_for(m->isa);
    int bf16 = s->op == CG_OP_gemm_bf16;
    size_t cols = (s->n + like->pack_nr - 1) / like->pack_nr * like->pack_nr;
    size_t bytes = cols * ((s->k + like->ku - 1) / like->ku * like->ku) * (bf16 ? sizeof(uint16_t) : 1);
    if (!alloc_copies(b, bytes, stream)) return 0;
    float *w = cg_alloc_n(s->n * s->k, sizeof(float)), *x = cg_alloc_n(b->max_m * s->k, sizeof(float));
    int ok = w && x;
    if (ok) {
        fill(w, s->n * s->k, 2);
        fill(x, b->max_m * s->k, 1);
        ok = bf16 ? fill_bf16(b, rows, like, w, x) : fill_s8(b, rows, like, w, x);
    }
    if (ok) memcpy(b->b, bf16 ? (const void *)b->w16.b : b->w8.b, bytes);
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
    if (!(cg_op_is_dot(s->op) ? fill_dot(b, m, like, stream) : fill_f32(b, like, threads, stream))) {
        cg_bench_close(b);
        return cg_fail(CG_ERR_MEMORY, "not enough memory to time %s %zux%zux%zu", cg_op_name(s->op), s->m, s->n, s->k);
    }
    copy_all(b);
    *out = b;
    return CG_OK;
}

void cg_bench_close(struct cg_bench *b)
{
    if (!b) return;
    cg_waits_close(&b->waits);
    cg_packed_s8_free(&b->w8);
    cg_packed_bf16_free(&b->w16);
    void *all[] = {b->a, b->b, b->c, b->scratch, b->rows, b->sa, b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

enum cg_status cg_bench_open_two(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *va,
                                 const struct cg_variant *vb, int threads, size_t stream, struct cg_bench **a,
                                 struct cg_bench **b)
{
    *b = NULL;
    CG_TRY(cg_bench_open(m, s, s->m, va, threads, stream, a));
    if (s->form == CG_FORM_NT && !cg_variant_same_layout(va, vb))
        return cg_bench_open(m, s, s->m, vb, threads, stream, b);
    *b = *a;
    return CG_OK;
}

void cg_bench_close_two(struct cg_bench *a, struct cg_bench *b)
{
    if (b != a) cg_bench_close(b);
    cg_bench_close(a);
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

static void call(struct cg_bench *b, const struct cg_plan *plan, size_t rows, size_t copy)
{
    const struct cg_shape *s = &b->s;
    void *w = b->b + copy * b->b_stride;
    float *c = b->c + copy * b->c_stride;
    if (s->op == CG_OP_gemm_s8) {
        struct cg_packed_s8 w8 = b->w8;
        w8.b = w;
        cg_gemm_s8(plan, rows, b->rows, b->sa, &w8, c, s->n, NULL);
    } else if (s->op == CG_OP_gemm_bf16) {
        struct cg_packed_bf16 w16 = b->w16;
        w16.b = w;
        cg_gemm_bf16(plan, rows, b->rows, &w16, c, s->n, NULL);
    } else if (s->form == CG_FORM_NT) {
        cg_gemm(plan, rows, s->n, s->k, b->a, s->k, 1, w, c, s->n, 0, NULL);
    } else if (s->form == CG_FORM_NN) {
        cg_gemm_f32_pack(plan, s->m, s->n, s->k, b->a, s->k, 1, w, s->n, 1, b->scratch, c, s->n, 0);
    } else {
        cg_gemm_f32_pack(plan, s->m, s->n, s->k, b->a, 1, s->m, w, s->n, 1, b->scratch, c, s->n, 1);
    }
}

/* Involuntary switches of all threads of this process: a rough answer where the system gives no better one. */
static double switches(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_nivcsw : 0;
}

/* Looks again whose waits are to be known, when a plan may have made threads or ended some. */
static void watch(struct cg_bench *b, const struct cg_plan *plan)
{
    if (b->watched == plan->threads && cg_waits_seconds(&b->waits) >= 0) return;
    cg_waits_close(&b->waits);
    cg_waits_open(&b->waits);
    b->watched = plan->threads;
}

int cg_bench_time(struct cg_bench *b, const struct cg_plan *plan, size_t rows, size_t calls, double most,
                  struct cg_sample *out)
{
    if (!need_scratch(b, plan)) return 0;
    if (calls > 1) call(b, plan, rows, b->next++ % b->copies);
    watch(b, plan);
    size_t done = 0;
    double switched = switches(), waited = cg_waits_seconds(&b->waits), start = cg_now(), t;
    do {
        call(b, plan, rows, b->next++ % b->copies);
        t = cg_now() - start;
    } while (++done < calls && t < most);
    double waits = cg_waits_seconds(&b->waits) - waited;
    int known = waited >= 0 && waits >= 0;
    *out = (struct cg_sample){.seconds = t / (double)done,
                              .disturbed = known ? waits > MOST_WAIT * t : switches() > switched};
    return 1;
}

const float *cg_bench_result(struct cg_bench *b, const struct cg_plan *plan, size_t rows)
{
    size_t m = b->s.form == CG_FORM_NT ? rows : b->s.m;
    if (!need_scratch(b, plan)) return NULL;
    memset(b->c, 0, m * b->s.n * sizeof(float));
    call(b, plan, rows, 0);
    return b->c;
}

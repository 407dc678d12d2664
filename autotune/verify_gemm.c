#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autotune/plan.h"
#include "autotune/verify.h"
#include "common/mem.h"
#include "kernels/bf16.h"
#include "kernels/gemm.h"

enum { MARGIN = 19 }; /* floats around C that nobody may touch */

/* The first float that differs, over C and its margins; n when all agree. */
static size_t first_difference(const float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&x[i], &y[i], sizeof *x) != 0) return i;
    return n;
}

static struct cg_plan random_plan(const struct cg_variant *v, struct cg_draw *d)
{
    return (struct cg_plan){.variant = v,
                            .mc = cg_draw_below(d, 2) ? 0 : 1 + cg_draw_below(d, 40),
                            .nc = cg_draw_below(d, 2) ? 0 : 1 + cg_draw_below(d, 300),
                            .kc = cg_draw_below(d, 2) ? 0 : 1 + cg_draw_below(d, 200),
                            .threads = (uint16_t)(1 + cg_draw_below(d, 3)),
                            .by_rows = (uint16_t)cg_draw_below(d, 4),
                            .prefetch = (uint16_t)cg_draw_below(d, 20),
                            .in_place = (uint16_t)cg_draw_below(d, CG_IN_PLACE_COUNT)};
}

/* Sizes around the edges of tiles. */
static size_t near_multiple(struct cg_draw *d, size_t unit, uint32_t most)
{
    size_t x = unit * cg_draw_below(d, most + 1) + cg_draw_below(d, 3);
    return x < 2 ? 1 + cg_draw_below(d, (uint32_t)unit) : x - 1;
}

/* C as the contract has it: one chain of fused multiply-adds an output. */
static void truth(size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                  size_t cs_b, float *c, size_t ldc, int accumulate)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float acc = accumulate ? c[i * ldc + j] : 0.0f;
            for (size_t p = 0; p < k; p++) acc = fmaf(a[i * rs_a + p * cs_a], b[p * rs_b + j * cs_b], acc);
            c[i * ldc + j] = acc;
        }
}

struct f32_case {
    struct cg_plan plan;
    enum cg_form form;
    size_t m, n, k, lda, ldb, ldc, c_floats;
    int accumulate;
    float *a_mem, *b_mem, *a, *b, *bp, *scratch, *got, *want; /* a, b: in a_mem, b_mem, not aligned */
};

static void f32_free(struct f32_case *q)
{
    void *all[] = {q->a_mem, q->b_mem, q->bp, q->scratch, q->got, q->want};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

static int f32_make(struct f32_case *q, const struct cg_variant *v, struct cg_draw *d)
{
    memset(q, 0, sizeof *q);
    q->plan = random_plan(v, d);
    int bf16w = v->op == CG_OP_gemm_bf16w;
    q->form = bf16w ? CG_FORM_NT : (enum cg_form)cg_draw_below(d, 3);
    q->m = near_multiple(d, v->mr, 3);
    q->n = near_multiple(d, cg_draw_below(d, 2) ? v->pack_nr : v->nr, 3);
    q->k = cg_draw_below(d, 8) == 0 ? 700 + cg_draw_below(d, 400) : 1 + cg_draw_below(d, 160);
    q->accumulate = (int)cg_draw_below(d, 2);
    q->ldc = q->n + cg_draw_below(d, 5);
    q->c_floats = q->m * q->ldc + 2 * MARGIN;
    size_t a_rows = q->form == CG_FORM_TN ? q->k : q->m, b_rows = q->form == CG_FORM_NT ? q->n : q->k;
    q->lda = (q->form == CG_FORM_TN ? q->m : q->k) + cg_draw_below(d, 4);
    q->ldb = (q->form == CG_FORM_NT ? q->k : q->n) + cg_draw_below(d, 4);
    size_t shift = cg_draw_below(d, 4), a_floats = a_rows * q->lda, b_floats = b_rows * q->ldb;
    q->a_mem = cg_alloc_n(a_floats + shift, sizeof(float));
    q->b_mem = cg_alloc_n(b_floats + shift, sizeof(float));
    q->bp = cg_alloc_n(cg_pack_f32_size(q->n, q->k + 1, v->pack_nr), sizeof(float)); /* bf16w: pairs of rows */
    q->scratch = cg_alloc_n(cg_gemm_scratch(&q->plan, q->n, q->k), sizeof(float));
    q->got = cg_alloc_n(q->c_floats, sizeof(float));
    q->want = cg_alloc_n(q->c_floats, sizeof(float));
    if (!q->a_mem || !q->b_mem || !q->bp || !q->scratch || !q->got || !q->want) return 0;
    q->a = q->a_mem + shift;
    q->b = q->b_mem + shift;
    cg_draw_fill(d, q->a, a_floats, 2.0f);
    cg_draw_fill(d, q->b, b_floats, 2.0f);
    if (bf16w)
        for (size_t i = 0; i < b_floats; i++) q->b[i] = cg_bf16_value(cg_bf16_of(q->b[i]));
    cg_draw_fill(d, q->want, q->c_floats, 2.0f);
    memcpy(q->got, q->want, q->c_floats * sizeof(float));
    return 1;
}

int cg_verify_gemm_f32(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size)
{
    static const char *const forms[] = {"NT", "NN", "TN"};
    struct f32_case q;
    if (!f32_make(&q, variant, d)) {
        f32_free(&q);
        return -1;
    }
    size_t rs_a = q.form == CG_FORM_TN ? 1 : q.lda, cs_a = q.form == CG_FORM_TN ? q.lda : 1;
    size_t rs_b = q.form == CG_FORM_NT ? 1 : q.ldb, cs_b = q.form == CG_FORM_NT ? q.ldb : 1;
    truth(q.m, q.n, q.k, q.a, rs_a, cs_a, q.b, rs_b, cs_b, q.want + MARGIN, q.ldc, q.accumulate);
    if (variant->op == CG_OP_gemm_bf16w) {
        cg_pack_bf16w(q.n, q.k, q.b, rs_b, cs_b, variant->pack_nr, (uint16_t *)q.bp, q.plan.threads);
        cg_gemm_bf16w(&q.plan, q.m, q.n, q.k, q.a, rs_a, cs_a, (uint16_t *)q.bp, q.got + MARGIN, q.ldc, q.accumulate);
    } else if (q.form == CG_FORM_NT) {
        cg_pack_f32(q.n, q.k, q.b, rs_b, cs_b, variant->pack_nr, q.bp, q.plan.threads);
        cg_gemm_f32(&q.plan, q.m, q.n, q.k, q.a, rs_a, cs_a, q.bp, q.got + MARGIN, q.ldc, q.accumulate);
    } else {
        cg_gemm_f32_pack(&q.plan, q.m, q.n, q.k, q.a, rs_a, cs_a, q.b, rs_b, cs_b, q.scratch, q.got + MARGIN, q.ldc,
                         q.accumulate);
    }
    size_t at = first_difference(q.got, q.want, q.c_floats);
    int ok = at == q.c_floats;
    if (!ok)
        snprintf(what, size, "%s m %zu n %zu k %zu mc %u nc %u kc %u threads %u: C at %ld is %a, not %a", forms[q.form],
                 q.m, q.n, q.k, q.plan.mc, q.plan.nc, q.plan.kc, q.plan.threads, (long)at - MARGIN, q.got[at],
                 q.want[at]);
    f32_free(&q);
    return ok;
}

/* ---- INT8 -------------------------------------------------------------------------------------------------------- */

struct s8_case {
    struct cg_plan plan;
    struct cg_packed_s8 packed;
    size_t m, n, k, ldc, c_floats;
    int8_t *a, *q;
    void *rows; /* of A as the variant reads them */
    float *w, *sa, *got, *want;
};

static void s8_free(struct s8_case *q)
{
    cg_packed_s8_free(&q->packed);
    void *all[] = {q->a, q->q, q->rows, q->w, q->sa, q->got, q->want};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

static int s8_make(struct s8_case *q, const struct cg_variant *v, struct cg_draw *d)
{
    memset(q, 0, sizeof *q);
    q->plan = random_plan(v, d);
    q->m = near_multiple(d, v->mr, 3);
    q->n = near_multiple(d, v->nr, 3);
    q->k = 1 + cg_draw_below(d, cg_draw_below(d, 8) ? 200 : 2000);
    q->ldc = q->n + cg_draw_below(d, 5);
    q->c_floats = q->m * q->ldc + 2 * MARGIN;
    q->a = cg_alloc_n(q->m, q->k);
    q->q = cg_alloc(q->k);
    q->w = cg_alloc_n(q->n * q->k, sizeof(float));
    q->sa = cg_alloc_n(q->m, sizeof(float));
    q->got = cg_alloc_n(q->c_floats, sizeof(float));
    q->want = cg_alloc_n(q->c_floats, sizeof(float));
    if (!q->a || !q->q || !q->w || !q->sa || !q->got || !q->want) return 0;
    cg_draw_fill(d, q->w, q->n * q->k, 1.0f);
    cg_draw_fill(d, q->sa, q->m, 0.02f);
    cg_draw_fill(d, q->want, q->c_floats, 2.0f);
    memcpy(q->got, q->want, q->c_floats * sizeof(float));
    int extreme = cg_draw_below(d, 4) == 0; /* the largest sums there are */
    for (size_t i = 0; i < q->m * q->k; i++)
        q->a[i] = (int8_t)(extreme ? (cg_draw_below(d, 2) ? 127 : -127) : (int)cg_draw_below(d, 255) - 127);
    if (cg_pack_s8(v, cg_rowops_for(0), q->n, q->k, q->w, &q->packed) != 0) return 0;
    q->rows = cg_alloc(cg_s8_rows_size(&q->packed, q->m));
    return q->rows != NULL;
}

/* Exact integer sums of the quantised weights, then the two scales. */
static void s8_truth(struct s8_case *q)
{
    const struct cg_rowops *rows = cg_rowops_for(0);
    for (size_t j = 0; j < q->n; j++) {
        float sb = rows->quant_s8(q->k, q->w + j * q->k, q->q);
        for (size_t i = 0; i < q->m; i++) {
            int64_t sum = 0;
            for (size_t p = 0; p < q->k; p++) sum += (int)q->a[i * q->k + p] * q->q[p];
            q->want[MARGIN + i * q->ldc + j] = ((float)sum * q->sa[i]) * sb;
        }
    }
}

int cg_verify_gemm_s8(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size)
{
    struct s8_case q;
    if (!s8_make(&q, variant, d)) {
        s8_free(&q);
        return -1;
    }
    s8_truth(&q);
    cg_s8_rows_copy(&q.packed, q.m, q.a, q.k, q.rows);
    cg_gemm_s8(&q.plan, q.m, q.rows, q.sa, &q.packed, q.got + MARGIN, q.ldc, NULL);
    size_t at = first_difference(q.got, q.want, q.c_floats);
    int ok = at == q.c_floats;
    if (!ok)
        snprintf(what, size, "m %zu n %zu k %zu threads %u: C at %ld is %a, not %a", q.m, q.n, q.k, q.plan.threads,
                 (long)at - MARGIN, q.got[at], q.want[at]);
    s8_free(&q);
    return ok;
}

/* ---- Native bf16: against the variant's own scalar model ------------------------------------------------------------
 */

struct bf16_case {
    struct cg_plan plan;
    struct cg_packed_bf16 packed;
    size_t m, n, k, lda, ldc, c_floats;
    uint16_t *a16, *w16; /* rows of A and of the weights as the model takes them: padded with zeros */
    void *rows;          /* of A as the variant reads them */
    float *a, *w, *got, *want;
};

static void bf16_free(struct bf16_case *q)
{
    cg_packed_bf16_free(&q->packed);
    void *all[] = {q->a16, q->w16, q->rows, q->a, q->w, q->got, q->want};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

static int bf16_make(struct bf16_case *q, const struct cg_variant *v, struct cg_draw *d)
{
    memset(q, 0, sizeof *q);
    q->plan = random_plan(v, d);
    q->m = near_multiple(d, v->mr, 3);
    q->n = near_multiple(d, v->nr, 3);
    q->k = 1 + cg_draw_below(d, cg_draw_below(d, 8) ? 160 : 1200);
    q->lda = q->k + cg_draw_below(d, 3);
    q->ldc = q->n + cg_draw_below(d, 5);
    q->c_floats = q->m * q->ldc + 2 * MARGIN;
    q->a = cg_alloc_n(q->m * q->lda, sizeof(float));
    q->w = cg_alloc_n(q->n * q->k, sizeof(float));
    q->got = cg_alloc_n(q->c_floats, sizeof(float));
    q->want = cg_alloc_n(q->c_floats, sizeof(float));
    if (!q->a || !q->w || !q->got || !q->want) return 0;
    cg_draw_fill(d, q->a, q->m * q->lda, 2.0f);
    cg_draw_fill(d, q->w, q->n * q->k, 2.0f);
    cg_draw_fill(d, q->want, q->c_floats, 2.0f);
    memcpy(q->got, q->want, q->c_floats * sizeof(float));
    if (cg_pack_bf16(v, cg_rowops_for(0), q->n, q->k, q->w, &q->packed) != 0) return 0;
    q->rows = cg_alloc(cg_bf16_rows_size(&q->packed, q->m));
    return q->rows != NULL;
}

/* Rows of k floats as rows of `kpad` bf16, zeros at the end; NULL without memory. */
static uint16_t *rounded(const float *x, size_t rows, size_t k, size_t ld, size_t kpad)
{
    uint16_t *to = cg_alloc_n(rows * kpad, sizeof *to);
    if (!to) return NULL;
    for (size_t i = 0; i < rows; i++)
        for (size_t p = 0; p < k; p++) to[i * kpad + p] = cg_bf16_of(x[i * ld + p]);
    return to;
}

int cg_verify_gemm_bf16(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size)
{
    struct bf16_case q;
    int made = bf16_make(&q, variant, d);
    size_t kpad = (q.k + variant->ku - 1) / variant->ku * variant->ku;
    if (made) {
        q.a16 = rounded(q.a, q.m, q.k, q.lda, kpad);
        q.w16 = rounded(q.w, q.n, q.k, q.k, kpad);
    }
    if (!made || !q.a16 || !q.w16) {
        bf16_free(&q);
        return -1;
    }
    for (size_t i = 0; i < q.m; i++)
        for (size_t j = 0; j < q.n; j++)
            q.want[MARGIN + i * q.ldc + j] = variant->model(kpad, q.a16 + i * kpad, q.w16 + j * kpad);
    cg_bf16_rows_round(&q.packed, cg_rowops_for(0), q.m, q.a, q.lda, q.rows);
    cg_gemm_bf16(&q.plan, q.m, q.rows, &q.packed, q.got + MARGIN, q.ldc, NULL);
    size_t at = first_difference(q.got, q.want, q.c_floats);
    int ok = at == q.c_floats;
    if (!ok)
        snprintf(what, size, "m %zu n %zu k %zu threads %u: C at %ld is %a, not %a", q.m, q.n, q.k, q.plan.threads,
                 (long)at - MARGIN, q.got[at], q.want[at]);
    bf16_free(&q);
    return ok;
}

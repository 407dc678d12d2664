/* Memory for a case, and the call that is timed. Operands are used again at every call, as benchmarks of BLAS libraries
 * do: what fits a cache is found there; or, cold, another copy of the weights at every call. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "bench/cases.h"
#include "common/mem.h"
#include "kernels/gemm.h"
#include "kernels/kv_case.h"

struct cg_operands {
    const struct cg_bench_case *c;
    const struct cg_rowops *rows;
    size_t copies, next; /* of B as the kernel reads it */
    float *a, *b, *out;  /* plain operands; row operations: three inputs and three outputs of m*n each, in a and out */
    size_t plain_copies,
        plain_next;          /* of b: one turn for all who read it, so that nobody finds what another has read */
    float *packed, *scratch; /* gemm_f32 */
    uint16_t *packed16;      /* gemm_bf16w */
    size_t stride, b_bytes;  /* elements from one copy to the next; bytes of one copy that a call reads */
    void *a8;                /* gemm_s8: activations as its variant reads them */
    float *sa;
    struct cg_packed_s8 *w8;
    struct cg_packed_bf16 *w16; /* gemm_bf16 */
    void *a16;                  /* its activations as the variant reads them */
    size_t footprint;
};

/* Numbers of [-1, 1) that depend on `seed` only. */
static void fill(float *x, size_t n, uint32_t seed)
{
    uint32_t r = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        r ^= r << 13, r ^= r >> 17, r ^= r << 5;
        x[i] = (float)(int32_t)r * 0x1p-31f;
    }
}

size_t cg_cold_copies(size_t cold, size_t bytes)
{
    return cold && bytes ? cold / bytes + 2 : 1;
}

/* Would the operands leave the machine half of its memory? Memory that is promised and missing kills the process. */
static enum cg_status check_memory(const struct cg_bench_case *c, size_t cold)
{
    double m = (double)c->m, n = (double)c->n, k = (double)c->k;
    double floats = c->op == CG_OP_gemm_s8 ? 0.5 * m * k + 1.3 * n * k + 2 * m * n
                    : cg_op_is_gemm(c->op) ? m * k + 2.2 * n * k + m * n
                                           : 6 * m * n;
    floats += 2 * (double)cold / sizeof(float);
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    double have = pages > 0 && size > 0 ? 0.5 * (double)pages * (double)size : 1e18;
    if (4 * floats <= have) return CG_OK;
    return cg_fail(CG_ERR_USER,
                   "%s needs %.1f GB of memory, more than half of what this machine has; give smaller --shapes",
                   c->name, 4e-9 * floats);
}

/* Plain operands: a, C and as many copies of b as asked for. */
static int open_plain(struct cg_operands *o, size_t copies)
{
    const struct cg_bench_case *c = o->c;
    size_t nk = c->n * c->k;
    o->plain_copies = copies;
    o->a = cg_alloc_n(c->m * c->k, sizeof(float));
    o->b = cg_alloc_n(nk, copies * sizeof(float));
    o->out = cg_alloc_n(c->m * c->n, sizeof(float));
    if (!o->a || !o->b || !o->out) return 0;
    fill(o->a, c->m * c->k, 1);
    fill(o->b, nk, 2);
    for (size_t i = 1; i < copies; i++) memcpy(o->b + i * nk, o->b, nk * sizeof(float));
    return 1;
}

static int open_f32(struct cg_operands *o, int threads, size_t cold)
{
    const struct cg_bench_case *c = o->c;
    if (c->form != CG_FORM_NT) {
        o->copies = o->plain_copies;
        o->b_bytes = c->n * c->k * sizeof(float);
        o->scratch = cg_alloc_n(cg_gemm_scratch(&c->plan, c->n, c->k), sizeof(float));
        return o->scratch != NULL;
    }
    size_t nr = c->plan.variant->pack_nr;
    o->stride = cg_pack_f32_size(c->n, c->k, nr);
    o->b_bytes = c->n * c->k * sizeof(float);
    o->copies = cg_cold_copies(cold, o->b_bytes);
    o->packed = cg_alloc_n(o->stride, o->copies * sizeof(float));
    if (!o->packed) return 0;
    cg_pack_f32(c->n, c->k, o->b, 1, c->k, nr, o->packed, threads);
    for (size_t i = 1; i < o->copies; i++) memcpy(o->packed + i * o->stride, o->packed, o->stride * sizeof(float));
    return 1;
}

static int open_bf16w(struct cg_operands *o, int threads, size_t cold)
{
    const struct cg_bench_case *c = o->c;
    size_t nr = c->plan.variant->pack_nr;
    o->stride = (cg_pack_bf16w_size(c->n, c->k, nr) + 31) / 32 * 32;
    o->b_bytes = c->n * c->k * sizeof(uint16_t);
    o->copies = cg_cold_copies(cold, o->b_bytes);
    o->packed16 = cg_alloc_n(o->stride, o->copies * sizeof(uint16_t));
    if (!o->packed16) return 0;
    cg_pack_bf16w(c->n, c->k, o->b, 1, c->k, nr, o->packed16, threads);
    for (size_t i = 1; i < o->copies; i++)
        memcpy(o->packed16 + i * o->stride, o->packed16, o->stride * sizeof(uint16_t));
    return 1;
}

static int open_s8(struct cg_operands *o, size_t cold)
{
    const struct cg_bench_case *c = o->c;
    o->b_bytes = c->n * c->k;
    o->copies = cg_cold_copies(cold, o->b_bytes);
    o->sa = cg_alloc_n(c->m, sizeof(float));
    o->w8 = cg_alloc_n(o->copies, sizeof *o->w8);
    int ok = o->sa && o->w8;
    for (size_t i = 0; ok && i < o->copies; i++)
        ok = cg_pack_s8(c->plan.variant, o->rows, c->n, c->k, o->b, &o->w8[i]) == 0;
    if (ok) o->a8 = cg_alloc(cg_s8_rows_size(&o->w8[0], c->m));
    if (!ok || !o->a8) return 0;
    cg_s8_rows_quant(&o->w8[0], o->rows, c->m, o->a, c->k, o->a8, o->sa);
    return 1;
}

static int open_bf16(struct cg_operands *o, size_t cold)
{
    const struct cg_bench_case *c = o->c;
    o->b_bytes = c->n * c->k * sizeof(uint16_t);
    o->copies = cg_cold_copies(cold, o->b_bytes);
    o->w16 = cg_alloc_n(o->copies, sizeof *o->w16);
    int ok = o->w16 != NULL;
    for (size_t i = 0; ok && i < o->copies; i++)
        ok = cg_pack_bf16(c->plan.variant, o->rows, c->n, c->k, o->b, &o->w16[i]) == 0;
    if (ok) o->a16 = cg_alloc(cg_bf16_rows_size(&o->w16[0], c->m));
    if (!ok || !o->a16) return 0;
    cg_bf16_rows_round(&o->w16[0], o->rows, c->m, o->a, c->k, o->a16);
    return 1;
}

static int open_gemm(struct cg_operands *o, const struct cg_plans *plans, size_t cold, int plain)
{
    const struct cg_bench_case *c = o->c;
    int rotate = plain || c->form != CG_FORM_NT;
    if (!open_plain(o, rotate ? cg_cold_copies(cold, c->n * c->k * sizeof(float)) : 1)) return 0;
    int threads = cg_plans_threads(plans), ok = 0;
    if (c->op == CG_OP_gemm_f32) ok = open_f32(o, threads, cold);
    else if (c->op == CG_OP_gemm_bf16w) ok = open_bf16w(o, threads, cold);
    else if (c->op == CG_OP_gemm_bf16) ok = open_bf16(o, cold);
    else ok = open_s8(o, cold);
    size_t a = c->op == CG_OP_gemm_s8 ? 1 : c->op == CG_OP_gemm_bf16 ? sizeof(uint16_t) : sizeof(float);
    o->footprint = c->m * c->k * a + c->m * c->n * sizeof(float) + o->copies * o->b_bytes;
    return ok;
}

static int open_row(struct cg_operands *o)
{
    size_t n = o->c->m * o->c->n;
    o->a = cg_alloc_n(3 * n, sizeof(float));
    o->out = cg_alloc_n(3 * n, sizeof(float));
    if (o->a) fill(o->a, 3 * n, 1);
    o->copies = 1;
    o->footprint = cg_bench_row_bytes(o->c->op) * n;
    return o->a && o->out;
}

enum cg_status cg_operands_open(const struct cg_plans *plans, const struct cg_bench_case *c, size_t cold, int plain,
                                struct cg_operands **out)
{
    *out = NULL;
    if (c->op == CG_OP_gemm_s8 && c->k > CG_S8_MAX_K)
        return cg_fail(CG_ERR_USER, "%s: an INT8 GEMM has at most %d terms in a sum", c->name, CG_S8_MAX_K);
    CG_TRY(check_memory(c, cold));
    struct cg_operands *o = cg_alloc(sizeof *o);
    if (!o) return cg_fail(CG_ERR_MEMORY, "out of memory");
    o->c = c;
    o->rows = cg_plans_rows(plans);
    if (!(cg_op_is_gemm(c->op) ? open_gemm(o, plans, cold, plain) : open_row(o))) {
        cg_operands_close(o);
        return cg_fail(CG_ERR_MEMORY, "not enough memory for %s", c->name);
    }
    *out = o;
    return CG_OK;
}

void cg_operands_close(struct cg_operands *o)
{
    if (!o) return;
    for (size_t i = 0; o->w8 && i < o->copies; i++) cg_packed_s8_free(&o->w8[i]);
    for (size_t i = 0; o->w16 && i < o->copies; i++) cg_packed_bf16_free(&o->w16[i]);
    void *all[] = {o->a, o->b, o->out, o->packed, o->packed16, o->scratch, o->a8, o->sa, o->w8, o->w16, o->a16, o};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

void cg_operands_plain(struct cg_operands *o, struct cg_plain *out)
{
    *out = (struct cg_plain){o->a, o->b, o->c->n * o->c->k, o->plain_copies, &o->plain_next, o->out};
}

size_t cg_operands_footprint(const struct cg_operands *o)
{
    return o->footprint;
}

size_t cg_operands_traffic(const struct cg_operands *o)
{
    return o->footprint - (o->copies - 1) * o->b_bytes;
}

static float sink; /* results that have no other place */

static void call_row(const struct cg_variant *v, size_t n, const float *x, const float *y, const float *z, float *o,
                     float *o1, float *o2)
{
    static const struct cg_adamw adamw = {.gscale = 1,
                                          .b1 = 0.9f,
                                          .one_minus_b1 = 0.1f,
                                          .b2 = 0.999f,
                                          .one_minus_b2 = 0.001f,
                                          .lr_wd = 1e-6f,
                                          .step_size = 1e-6f,
                                          .rsqrt_bc2 = 1,
                                          .eps = 1e-8f};
    struct cg_kv_case kv = cg_kv_case_of(n);
    switch (v->op) {
    case CG_OP_softmax_f32: v->fn.softmax_f32(n, 0.5f, x, o); break;
    case CG_OP_softmax_bwd_f32: v->fn.softmax_bwd_f32(n, 0.5f, x, y, o); break;
    case CG_OP_softmax_len_f32: v->fn.softmax_len_f32(n, n - n / 4, 0.5f, x, o); break;
    case CG_OP_softmax_len_bwd_f32: v->fn.softmax_len_bwd_f32(n, n - n / 4, 0.5f, x, y, o); break;
    case CG_OP_softmax_mask_f32: v->fn.softmax_mask_f32(n, 0.5f, y, x, o); break;
    case CG_OP_logsoftmax_f32: v->fn.logsoftmax_f32(n, 0.5f, 0.5f, x, o); break;
    case CG_OP_logsoftmax_bwd_f32: v->fn.logsoftmax_bwd_f32(n, 0.5f, x, y, o); break;
    case CG_OP_max_f32: sink = v->fn.max_f32(n, x); break;
    case CG_OP_sumexp_f32: v->fn.sumexp_f32(n, 0.5f, 0.5f, x, o); break;
    case CG_OP_expmul_f32: v->fn.expmul_f32(n, 0.5f, 0.5f, 0.5f, x, o); break;
    case CG_OP_rmsnorm_f32: sink = v->fn.rmsnorm_f32(n, 1e-5f, x, y, o); break;
    case CG_OP_rmsnorm_bwd_f32: v->fn.rmsnorm_bwd_f32(n, 0.001f, x, y, z, o); break;
    case CG_OP_rmsnorm_dw_f32: v->fn.rmsnorm_dw_f32(n, 0.001f, x, y, o); break;
    case CG_OP_rope_f32: v->fn.rope_f32(n / 2 * 2, x, y, z, o); break;
    case CG_OP_swiglu_f32: v->fn.swiglu_f32(n, x, y, o); break;
    case CG_OP_swiglu_bwd_f32: v->fn.swiglu_bwd_f32(n, x, y, z, o, o1); break;
    case CG_OP_add_f32: v->fn.add_f32(n, x, y, o); break;
    case CG_OP_axpy_f32: v->fn.axpy_f32(n, 0.001f, x, o); break;
    case CG_OP_sumsq_f32: sink = v->fn.sumsq_f32(n, x); break;
    case CG_OP_adamw_f32: v->fn.adamw_f32(n, &adamw, x, o, o1, o2); break;
    case CG_OP_quant_s8: sink = v->fn.quant_s8(n, x, (int8_t *)o); break;
    case CG_OP_dequant_s8: v->fn.dequant_s8(n, 0.5f, (const int8_t *)x, o); break;
    case CG_OP_kv_f32: v->fn.kv_f32(kv.m, kv.cols, kv.k, x, kv.k, y, 16 * kv.k, 16, o, kv.cols, 0); break;
    case CG_OP_kv_bf16:
        v->fn.kv_bf16(kv.m, kv.cols, kv.k, x, kv.k, (const uint16_t *)y, 16 * kv.k, o, kv.cols, 0);
        break;
    case CG_OP_kv_keys_s8:
        v->fn.kv_keys_s8(kv.m, kv.cols, kv.k, x, kv.k, (const int8_t *)y, 16 * kv.k, z, o, kv.cols, 0);
        break;
    case CG_OP_kv_values_s8:
        v->fn.kv_values_s8(kv.m, kv.cols, kv.k, x, kv.k, (const int8_t *)y, 16 * kv.k, z, o, kv.cols, 0);
        break;
    case CG_OP_dot16_f32: v->fn.dot16_f32(n / 16 < 6 ? n / 16 : 6, n / 16, x, n / 16, y, 16, o, 16); break;
    case CG_OP_to_bf16: v->fn.to_bf16(n, x, (uint16_t *)o); break;
    case CG_OP_from_bf16: v->fn.from_bf16(n, (const uint16_t *)x, o); break;
    case CG_OP_gemm_f32:
    case CG_OP_gemm_bf16w:
    case CG_OP_gemm_bf16:
    case CG_OP_gemm_s8:
    case CG_OP_COUNT: break;
    }
}

static void call_f32(const struct cg_operands *o, size_t copy)
{
    const struct cg_bench_case *c = o->c;
    size_t m = c->m, n = c->n, k = c->k;
    const float *b = o->b + copy * n * k;
    if (c->form == CG_FORM_NT) cg_gemm_f32(&c->plan, m, n, k, o->a, k, 1, o->packed + copy * o->stride, o->out, n, 0);
    else if (c->form == CG_FORM_NN) cg_gemm_f32_pack(&c->plan, m, n, k, o->a, k, 1, b, n, 1, o->scratch, o->out, n, 0);
    else cg_gemm_f32_pack(&c->plan, m, n, k, o->a, 1, m, b, n, 1, o->scratch, o->out, n, 0);
}

void cg_operands_call(struct cg_operands *o)
{
    const struct cg_bench_case *c = o->c;
    size_t *next = c->op == CG_OP_gemm_f32 && c->form != CG_FORM_NT ? &o->plain_next : &o->next;
    size_t m = c->m, n = c->n, k = c->k, copy = *next;
    *next = copy + 1 == o->copies ? 0 : copy + 1;
    if (c->op == CG_OP_gemm_f32) {
        call_f32(o, copy);
    } else if (c->op == CG_OP_gemm_s8) {
        cg_gemm_s8(&c->plan, m, o->a8, o->sa, &o->w8[copy], o->out, n, NULL);
    } else if (c->op == CG_OP_gemm_bf16) {
        cg_gemm_bf16(&c->plan, m, o->a16, &o->w16[copy], o->out, n, NULL);
    } else if (c->op == CG_OP_gemm_bf16w) {
        cg_gemm_bf16w(&c->plan, m, n, k, o->a, k, 1, o->packed16 + copy * o->stride, o->out, n, 0);
    } else {
        const float *x = o->a;
        float *y = o->out;
        for (size_t i = 0; i < m * n; i += n)
            call_row(c->plan.variant, n, x + i, x + m * n + i, x + 2 * m * n + i, y + i, y + m * n + i,
                     y + 2 * m * n + i);
    }
}

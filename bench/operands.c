/* Memory for a case, and the call that is timed. Operands are used again at every call, as benchmarks of BLAS libraries
 * do: what fits a cache is found there. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "bench/cases.h"
#include "common/mem.h"
#include "kernels/gemm.h"

struct cg_operands {
    const struct cg_bench_case *c;
    const struct cg_rowops *rows;
    float *a, *b, *out; /* plain operands; row operations: three inputs and three outputs of m*n each, in a and out */
    float *packed, *scratch; /* gemm_f32 */
    int8_t *a8;
    float *sa;
    struct cg_packed_s8 w8;
    void *scratch8;
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

/* Would the operands leave the machine half of its memory? Memory that is promised and missing kills the process. */
static enum cg_status check_memory(const struct cg_bench_case *c)
{
    double m = (double)c->m, n = (double)c->n, k = (double)c->k;
    double floats = c->op == CG_OP_gemm_f32  ? m * k + 2.2 * n * k + m * n
                    : c->op == CG_OP_gemm_s8 ? 0.5 * m * k + 1.3 * n * k + 2 * m * n
                                             : 6 * m * n;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    double have = pages > 0 && size > 0 ? 0.5 * (double)pages * (double)size : 1e18;
    if (4 * floats <= have) return CG_OK;
    return cg_fail(CG_ERR_USER,
                   "%s needs %.1f GB of memory, more than half of what this machine has; give smaller --shapes",
                   c->name, 4e-9 * floats);
}

static int open_f32(struct cg_operands *o, const struct cg_plans *plans)
{
    const struct cg_bench_case *c = o->c;
    o->a = cg_alloc_n(c->m * c->k, sizeof(float));
    o->b = cg_alloc_n(c->n * c->k, sizeof(float));
    o->out = cg_alloc_n(c->m * c->n, sizeof(float));
    if (!o->a || !o->b || !o->out) return 0;
    fill(o->a, c->m * c->k, 1);
    fill(o->b, c->n * c->k, 2);
    if (c->form != CG_FORM_NT) {
        o->scratch = cg_alloc_n(cg_gemm_scratch(&c->plan, c->n, c->k), sizeof(float));
        return o->scratch != NULL;
    }
    size_t nr = c->plan.variant->pack_nr;
    o->packed = cg_alloc_n(cg_pack_f32_size(c->n, c->k, nr), sizeof(float));
    if (o->packed) cg_pack_f32(c->n, c->k, o->b, 1, c->k, nr, o->packed, cg_plans_threads(plans));
    return o->packed != NULL;
}

static int open_s8(struct cg_operands *o)
{
    const struct cg_bench_case *c = o->c;
    float *w = cg_alloc_n(c->n * c->k, sizeof(float)), *x = cg_alloc_n(c->k, sizeof(float));
    o->a8 = cg_alloc_n(c->m, c->k);
    o->sa = cg_alloc_n(c->m, sizeof(float));
    o->out = cg_alloc_n(c->m * c->n, sizeof(float));
    int ok = w && x && o->a8 && o->sa && o->out;
    if (ok) {
        fill(w, c->n * c->k, 2);
        ok = cg_pack_s8(c->plan.variant, o->rows, c->n, c->k, w, &o->w8) == 0;
    }
    for (size_t i = 0; ok && i < c->m; i++) {
        fill(x, c->k, (uint32_t)i + 3);
        o->sa[i] = o->rows->quant_s8(c->k, x, o->a8 + i * c->k);
    }
    if (ok) o->scratch8 = cg_alloc(cg_gemm_s8_scratch(&o->w8, c->m));
    cg_free(w);
    cg_free(x);
    return ok && o->scratch8;
}

static int open_row(struct cg_operands *o)
{
    size_t n = o->c->m * o->c->n;
    o->a = cg_alloc_n(3 * n, sizeof(float));
    o->out = cg_alloc_n(3 * n, sizeof(float));
    if (o->a) fill(o->a, 3 * n, 1);
    return o->a && o->out;
}

enum cg_status cg_operands_open(const struct cg_plans *plans, const struct cg_bench_case *c, struct cg_operands **out)
{
    *out = NULL;
    if (c->op == CG_OP_gemm_s8 && c->k > 131071)
        return cg_fail(CG_ERR_USER, "%s: an INT8 GEMM has at most 131071 terms in a sum", c->name);
    CG_TRY(check_memory(c));
    struct cg_operands *o = cg_alloc(sizeof *o);
    if (!o) return cg_fail(CG_ERR_MEMORY, "out of memory");
    o->c = c;
    o->rows = cg_plans_rows(plans);
    int ok = c->op == CG_OP_gemm_f32 ? open_f32(o, plans) : c->op == CG_OP_gemm_s8 ? open_s8(o) : open_row(o);
    if (!ok) {
        cg_operands_close(o);
        return cg_fail(CG_ERR_MEMORY, "not enough memory for %s", c->name);
    }
    *out = o;
    return CG_OK;
}

void cg_operands_close(struct cg_operands *o)
{
    if (!o) return;
    cg_packed_s8_free(&o->w8);
    void *all[] = {o->a, o->b, o->out, o->packed, o->scratch, o->a8, o->sa, o->scratch8, o};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

void cg_operands_plain(struct cg_operands *o, const float **a, const float **b, float **c)
{
    *a = o->a;
    *b = o->b;
    *c = o->out;
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
    switch (v->op) {
    case CG_OP_softmax_f32: v->fn.softmax_f32(n, 0.5f, x, o); break;
    case CG_OP_softmax_bwd_f32: v->fn.softmax_bwd_f32(n, 0.5f, x, y, o); break;
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
    case CG_OP_to_bf16: v->fn.to_bf16(n, x, (uint16_t *)o); break;
    case CG_OP_from_bf16: v->fn.from_bf16(n, (const uint16_t *)x, o); break;
    case CG_OP_gemm_f32:
    case CG_OP_gemm_bf16w:
    case CG_OP_gemm_bf16:
    case CG_OP_gemm_s8:
    case CG_OP_COUNT: break;
    }
}

void cg_operands_call(struct cg_operands *o)
{
    const struct cg_bench_case *c = o->c;
    size_t m = c->m, n = c->n, k = c->k;
    if (c->op == CG_OP_gemm_s8) {
        cg_gemm_s8(&c->plan, m, o->a8, k, o->sa, &o->w8, o->scratch8, o->out, n);
    } else if (c->op != CG_OP_gemm_f32) {
        const float *x = o->a;
        float *y = o->out;
        for (size_t i = 0; i < m * n; i += n)
            call_row(c->plan.variant, n, x + i, x + m * n + i, x + 2 * m * n + i, y + i, y + m * n + i,
                     y + 2 * m * n + i);
    } else if (c->form == CG_FORM_NT) {
        cg_gemm_f32(&c->plan, m, n, k, o->a, k, 1, o->packed, o->out, n, 0);
    } else if (c->form == CG_FORM_NN) {
        cg_gemm_f32_pack(&c->plan, m, n, k, o->a, k, 1, o->b, n, 1, o->scratch, o->out, n, 0);
    } else {
        cg_gemm_f32_pack(&c->plan, m, n, k, o->a, 1, m, o->b, n, 1, o->scratch, o->out, n, 0);
    }
}

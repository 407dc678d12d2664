#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autotune/verify.h"
#include "common/mem.h"
#include "kernels/bf16.h"
#include "kernels/kv_case.h"

enum {
    INPUTS = 4,
    OUTPUTS = 3,
    MARGIN = 33, /* floats around outputs that nobody may touch */
    LONGEST = 1200,
    FLOATS = LONGEST + 2 * MARGIN,
};

/* Operands of any row operation: what it reads, what it writes (read as well by some), what it returns. */
struct row_case {
    size_t n;
    float scale, max, other;
    struct cg_adamw adamw;
    float in[INPUTS][FLOATS];
    float out[OUTPUTS][FLOATS];
    uint16_t half[FLOATS]; /* in[1] as bf16 */
    float ret;
};

/* Calls `v` on the case; `at` is the alignment of all operands, in floats. */
static void run(const struct cg_variant *v, struct row_case *c, size_t at)
{
    const float *x = c->in[0] + at, *y = c->in[1] + at, *z = c->in[2] + at;
    float *o = c->out[0] + MARGIN - at, *o1 = c->out[1] + MARGIN - at, *o2 = c->out[2] + MARGIN - at;
    size_t n = c->n;
    struct cg_kv_case kv = cg_kv_case_of(n);
    switch (v->op) {
    case CG_OP_softmax_f32: v->fn.softmax_f32(n, c->scale, x, o); break;
    case CG_OP_softmax_bwd_f32: v->fn.softmax_bwd_f32(n, c->scale, x, y, o); break;
    case CG_OP_softmax_len_f32: v->fn.softmax_len_f32(n, n - n / 3, c->scale, x, o); break;
    case CG_OP_softmax_len_bwd_f32: v->fn.softmax_len_bwd_f32(n, n - n / 3, c->scale, x, y, o); break;
    case CG_OP_softmax_mask_f32: v->fn.softmax_mask_f32(n, c->scale, y, x, o); break;
    case CG_OP_logsoftmax_f32: v->fn.logsoftmax_f32(n, c->scale, c->max, x, o); break;
    case CG_OP_logsoftmax_bwd_f32: v->fn.logsoftmax_bwd_f32(n, c->scale, x, y, o); break;
    case CG_OP_max_f32: c->ret = v->fn.max_f32(n, x); break;
    case CG_OP_sumexp_f32: v->fn.sumexp_f32(n, c->scale, c->max, x, o); break;
    case CG_OP_expmul_f32: v->fn.expmul_f32(n, c->scale, c->max, c->other, x, o); break;
    case CG_OP_rmsnorm_f32: c->ret = v->fn.rmsnorm_f32(n, 1e-5f, x, y, o); break;
    case CG_OP_rmsnorm_bwd_f32: v->fn.rmsnorm_bwd_f32(n, c->other, x, y, z, o); break;
    case CG_OP_rmsnorm_dw_f32: v->fn.rmsnorm_dw_f32(n, c->other, x, y, o); break;
    case CG_OP_rope_f32: v->fn.rope_f32(n / 2 * 2, x, y, z, o); break;
    case CG_OP_swiglu_f32: v->fn.swiglu_f32(n, x, y, o); break;
    case CG_OP_swiglu_bwd_f32: v->fn.swiglu_bwd_f32(n, x, y, z, o, o1); break;
    case CG_OP_add_f32: v->fn.add_f32(n, x, y, o); break;
    case CG_OP_axpy_f32: v->fn.axpy_f32(n, c->other, x, o); break;
    case CG_OP_sumsq_f32: c->ret = v->fn.sumsq_f32(n, x); break;
    case CG_OP_adamw_f32: v->fn.adamw_f32(n, &c->adamw, x, o, o1, o2); break;
    case CG_OP_quant_s8: c->ret = v->fn.quant_s8(n, x, (int8_t *)o); break;
    case CG_OP_dequant_s8: v->fn.dequant_s8(n, c->other, (const int8_t *)x, o); break;
    case CG_OP_kv_f32: v->fn.kv_f32(kv.m, kv.cols, kv.k, x, kv.k, y, 16 * kv.k, 16, o, kv.cols, n % 2); break;
    case CG_OP_kv_bf16: v->fn.kv_bf16(kv.m, kv.cols, kv.k, x, kv.k, c->half + at, 16 * kv.k, o, kv.cols, n % 2); break;
    case CG_OP_kv_keys_s8:
        v->fn.kv_keys_s8(kv.m, kv.cols, kv.k, x, kv.k, (const int8_t *)y, 16 * kv.k, z, o, kv.cols, n % 2);
        break;
    case CG_OP_kv_values_s8:
        v->fn.kv_values_s8(kv.m, kv.cols, kv.k, x, kv.k, (const int8_t *)y, 16 * kv.k, z, o, kv.cols, n % 2);
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

static void draw(struct row_case *c, struct cg_draw *d)
{
    static const float spans[] = {1.0f, 8.0f, 100.0f, 3e4f};
    memset(c, 0, sizeof *c);
    c->n = 1 + cg_draw_below(d, cg_draw_below(d, 4) ? 100 : LONGEST);
    float span = spans[cg_draw_below(d, 4)];
    for (int i = 0; i < INPUTS; i++) cg_draw_fill(d, c->in[i], FLOATS, i == 0 ? span : 2.0f);
    for (int i = 0; i < FLOATS; i++) c->half[i] = cg_bf16_of(c->in[1][i]);
    for (int i = 0; i < OUTPUTS; i++) cg_draw_fill(d, c->out[i], FLOATS, 1.0f);
    for (int i = 0; i < FLOATS; i++) c->out[2][i] = fabsf(c->out[2][i]); /* the second moment of AdamW */
    c->scale = 0.05f + 0.01f * (float)cg_draw_below(d, 300);
    c->other = 0.001f * (float)(1 + cg_draw_below(d, 4000));
    c->max = -INFINITY;
    for (int i = 0; i < FLOATS; i++) c->max = fmaxf(c->max, c->in[0][i] * c->scale);
    c->adamw = (struct cg_adamw){.gscale = 0.7f,
                                 .b1 = 0.9f,
                                 .one_minus_b1 = 0.1f,
                                 .b2 = 0.999f,
                                 .one_minus_b2 = 0.001f,
                                 .lr_wd = 1e-5f,
                                 .step_size = 1e-3f * c->other,
                                 .rsqrt_bc2 = 3.2f,
                                 .eps = 1e-8f};
}

static int compare(const struct row_case *got, const struct row_case *want, char *what, size_t size)
{
    if (memcmp(&got->ret, &want->ret, sizeof got->ret) != 0) {
        snprintf(what, size, "n %zu: returns %a, not %a", got->n, got->ret, want->ret);
        return 0;
    }
    for (int o = 0; o < OUTPUTS; o++)
        for (int i = 0; i < FLOATS; i++)
            if (memcmp(&got->out[o][i], &want->out[o][i], sizeof(float)) != 0) {
                snprintf(what, size, "n %zu: output %d at %d is %a, not %a", got->n, o, i - MARGIN, got->out[o][i],
                         want->out[o][i]);
                return 0;
            }
    return 1;
}

int cg_verify_row(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size)
{
    size_t count;
    const struct cg_variant *all = cg_variants(&count), *ref = NULL;
    for (size_t i = 0; i < count && !ref; i++)
        if (all[i].op == variant->op && all[i].isa == 0) ref = &all[i];
    struct row_case *c = cg_alloc_n(2, sizeof *c);
    if (!c || !ref) {
        cg_free(c);
        return -1;
    }
    draw(&c[0], d);
    c[1] = c[0];
    size_t at = cg_draw_below(d, 16);
    run(variant, &c[0], at);
    run(ref, &c[1], at);
    int ok = compare(&c[0], &c[1], what, size);
    cg_free(c);
    return ok;
}

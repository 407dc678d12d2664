#include "autotune/verify.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/rng.h"
#include "kernels/gemm.h"

uint32_t cg_draw_below(struct cg_draw *d, uint32_t n)
{
    return cg_rng_below(d->seed, CG_RNG_TEST, d->a, d->b, d->c++, n);
}

void cg_draw_fill(struct cg_draw *d, float *x, size_t n, float max)
{
    uint32_t r[4] = {0};
    for (size_t i = 0; i < n; i++) {
        if (i % 2 == 0) cg_rng4(d->seed, CG_RNG_TEST, d->a, d->b, d->c++, r);
        uint32_t u = r[i % 2], kind = r[2 + i % 2] % 64;
        float v = ((float)(u >> 8) * 0x1p-23f - 1.0f) * max;
        if (kind == 0) v *= 0x1p-130f;
        if (kind == 1) v *= 0x1p-40f;
        if (kind == 2) v = u & 1 ? 0.0f : -0.0f;
        x[i] = v;
    }
}

void cg_verify_why(const struct cg_machine *m, const struct cg_variant *variant, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "needs ");
    int first = 1;
    for (int i = 1; i < CG_ISA_COUNT; i++) {
        uint64_t bit = CG_ISA_BIT(i);
        if (!(variant->isa & ~m->isa & bit) || n >= size) continue;
        const char *why = m->isa_cpu & bit && m->isa_why[i][0] ? m->isa_why[i] : "this CPU does not have it";
        n += (size_t)snprintf(buf + n, size - n, "%s%s (%s)", first ? "" : ", ", cg_isa_name((enum cg_isa)i), why);
        first = 0;
    }
}

static int verify_case(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size)
{
    switch (variant->op) {
    case CG_OP_gemm_f32:
    case CG_OP_gemm_bf16w: return cg_verify_gemm_f32(variant, d, what, size);
    case CG_OP_gemm_bf16: return cg_verify_gemm_bf16(variant, d, what, size);
    case CG_OP_gemm_s8: return cg_verify_gemm_s8(variant, d, what, size);
    default: return cg_verify_row(variant, d, what, size);
    }
}

enum cg_status cg_verify_variant(struct cg_verify *v, const struct cg_variant *variant)
{
    size_t count, bad = 0;
    uint32_t index = (uint32_t)(variant - cg_variants(&count));
    for (int i = 0; i < v->cases; i++) {
        struct cg_draw d = {.seed = v->seed, .a = index, .b = (uint32_t)i, .c = 0};
        char what[256], line[320];
        int ok = verify_case(variant, &d, what, sizeof what);
        if (ok < 0) return cg_fail(CG_ERR_MEMORY, "out of memory while checking %s", variant->name);
        v->checked++;
        if (ok) continue;
        v->mismatches++;
        if (bad++ >= 3 || !v->mismatch) continue; /* three cases say enough about one variant */
        snprintf(line, sizeof line, "%s (seed %llu, case %d)", what, (unsigned long long)v->seed, i);
        v->mismatch(v->ctx, variant, line);
    }
    v->variants++;
    return CG_OK;
}

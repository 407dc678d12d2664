/* exp and exp2 of the numeric contract: each one polynomial, one sequence of operations, at most 1 ulp over the whole
 * range of f32, denormal results included. Of -inf 0, of inf inf, of NaN NaN. */
#ifndef CG_KERNELS_REF_EXP_H
#define CG_KERNELS_REF_EXP_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/exp_poly.h"

/* 2^e for -126 <= e <= 127. */
static inline float cg_exp2i(int32_t e)
{
    uint32_t bits = (uint32_t)(e + 127) << 23;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* p * 2^n for a whole n, in two factors: the first product is exact, so a denormal result is rounded once. */
static inline float cg_scale2(float p, float n)
{
    int32_t i = (int32_t)n, half = i / 2;
    return p * cg_exp2i(half) * cg_exp2i(i - half);
}

static inline float cg_exp(float t)
{
    if (t != t) return t;
    t = t > CG_EXP_HI ? CG_EXP_HI : t;
    t = t < CG_EXP_LO ? CG_EXP_LO : t;
    float n = rintf(t * CG_EXP_LOG2E);
    float r = fmaf(n, -CG_EXP_LN2_HI, t);
    r = fmaf(n, -CG_EXP_LN2_LO, r);
    float p = CG_EXP_C6;
    p = fmaf(p, r, CG_EXP_C5);
    p = fmaf(p, r, CG_EXP_C4);
    p = fmaf(p, r, CG_EXP_C3);
    p = fmaf(p, r, CG_EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return cg_scale2(p, n);
}

static inline float cg_exp2(float t)
{
    if (t != t) return t;
    t = t > CG_EXP2_HI ? CG_EXP2_HI : t;
    t = t < CG_EXP2_LO ? CG_EXP2_LO : t;
    float n = rintf(t), r = t - n; /* exact */
    float p = CG_EXP2_D6;
    p = fmaf(p, r, CG_EXP2_D5);
    p = fmaf(p, r, CG_EXP2_D4);
    p = fmaf(p, r, CG_EXP2_D3);
    p = fmaf(p, r, CG_EXP2_D2);
    p = fmaf(p, r, CG_EXP2_D1);
    p = fmaf(p, r, 1.0f);
    return cg_scale2(p, n);
}

#endif

/* 16 lanes in SVE registers: four of 128 bits, two of 256, one of 512, or the first 16 lanes of a longer one. Compiled
 * once for each length (-msve-vector-bits), since only a vector of known length may be part of a struct. */
#ifndef CG_KERNELS_ARM_LANES_SVE_H
#define CG_KERNELS_ARM_LANES_SVE_H

#include <arm_sve.h>
#include <stddef.h>
#include <stdint.h>

#if __ARM_FEATURE_SVE_BITS >= 512
#define KV_ROWS 6
#define KV_COLS 4
#else
#define KV_ROWS 3
#define KV_COLS 2
#endif
#define LANE static inline __attribute__((always_inline))
#define VECTORS (__ARM_FEATURE_SVE_BITS < 512 ? 512 / __ARM_FEATURE_SVE_BITS : 1)
#define WIDTH (16 / VECTORS) /* lanes in use of each vector */
#define EACH _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++)
#define ALL svptrue_b32() /* also what lies past the 16th lane: it is never stored nor summed */

typedef svfloat32_t vec __attribute__((arm_sve_vector_bits(__ARM_FEATURE_SVE_BITS)));
typedef struct {
    vec q[VECTORS]; /* vector j: lanes j*WIDTH... */
} v16;

/* The lanes of vector j that are in use when r of the 16 are. */
LANE svbool_t v_lanes(size_t r, int j)
{
    if (r == 16) return __ARM_FEATURE_SVE_BITS > 512 ? svptrue_pat_b32(SV_VL16) : svptrue_b32();
    return svwhilelt_b32((uint64_t)(j * WIDTH), (uint64_t)r);
}

LANE v16 v_load(const float *p, size_t r)
{
    v16 v;
    EACH v.q[j] = svld1(v_lanes(r, j), p + j * WIDTH);
    return v;
}

LANE void v_store(float *p, size_t r, v16 v)
{
    EACH svst1(v_lanes(r, j), p + j * WIDTH, v.q[j]);
}

LANE v16 v_first(size_t r, v16 a, v16 b)
{
    if (r == 16) return a;
    EACH b.q[j] = svsel(v_lanes(r, j), a.q[j], b.q[j]);
    return b;
}

LANE v16 v_set1(float x)
{
    v16 v;
    EACH v.q[j] = svdup_f32(x);
    return v;
}

#define UNARY(name, f)                                                                                                 \
    LANE v16 name(v16 a)                                                                                               \
    {                                                                                                                  \
        EACH a.q[j] = f(ALL, a.q[j]);                                                                                  \
        return a;                                                                                                      \
    }
#define BINARY(name, f)                                                                                                \
    LANE v16 name(v16 a, v16 b)                                                                                        \
    {                                                                                                                  \
        EACH a.q[j] = f(ALL, a.q[j], b.q[j]);                                                                          \
        return a;                                                                                                      \
    }
#define FUSED(name, f) /* c comes first there */                                                                       \
    LANE v16 name(v16 a, v16 b, v16 c)                                                                                 \
    {                                                                                                                  \
        EACH c.q[j] = f(ALL, c.q[j], a.q[j], b.q[j]);                                                                  \
        return c;                                                                                                      \
    }
BINARY(v_add, svadd_x)
BINARY(v_sub, svsub_x)
BINARY(v_mul, svmul_x)
BINARY(v_div, svdiv_x)
FUSED(v_fma, svmla_x)
FUSED(v_fnma, svmls_x)
UNARY(v_sqrt, svsqrt_x)
UNARY(v_abs, svabs_x)
UNARY(v_neg, svneg_x)
UNARY(v_rint, svrintn_x)
/* svmaxnm passes over NaN, svmin and svmax keep it. */
BINARY(v_max, svmaxnm_x)
BINARY(v_min_nan, svmin_x)
BINARY(v_max_nan, svmax_x)
LANE v16 v_clamp(v16 x, v16 lo, v16 hi) { return v_max_nan(v_min_nan(x, hi), lo); }
LANE v16 v_at_least(v16 x, v16 lo) { return v_max_nan(x, lo); }

LANE v16 v_ldexp(v16 p, v16 n)
{
    EACH p.q[j] = svscale_x(ALL, p.q[j], svcvt_s32_x(ALL, n.q[j]));
    return p;
}

/* svcvt gives 0 for NaN. */
LANE void v_store_s8(int8_t *q, size_t r, v16 v)
{
    v = v_clamp(v_rint(v), v_set1(-127.0f), v_set1(127.0f));
    EACH svst1b(v_lanes(r, j), q + j * WIDTH, svcvt_s32_x(ALL, v.q[j]));
}

LANE v16 v_load_s8(const int8_t *q, size_t r)
{
    v16 v;
    EACH v.q[j] = svcvt_f32_x(ALL, svld1sb_s32(v_lanes(r, j), q + j * WIDTH));
    return v;
}

LANE v16 v_load_bf16(const uint16_t *q, size_t r)
{
    v16 v;
    EACH v.q[j] = svreinterpret_f32(svlsl_x(ALL, svld1uh_u32(v_lanes(r, j), q + j * WIDTH), 16));
    return v;
}

LANE svuint32_t v_bf16_of(svfloat32_t v)
{
    svuint32_t u = svreinterpret_u32(v), odd = svand_x(ALL, svlsr_x(ALL, u, 16), 1);
    svuint32_t w = svadd_x(ALL, svadd_x(ALL, u, 0x7fff), odd);
    return svlsr_x(ALL, svsel(svcmpuo(ALL, v, v), svorr_x(ALL, u, 1 << 22), w), 16);
}
LANE void v_store_bf16(uint16_t *q, size_t r, v16 v)
{
    EACH svst1h(v_lanes(r, j), q + j * WIDTH, v_bf16_of(v.q[j]));
}

/* lane i += lane i+from, in one vector. */
#define FOLD(v, from) svadd_x(ALL, v, svext(v, v, from))

LANE float v_fold_add(v16 v)
{
    svfloat32_t a = v.q[0];
    if (VECTORS == 4)
        a = svadd_x(ALL, svadd_x(ALL, a, v.q[2 % VECTORS]), svadd_x(ALL, v.q[1 % VECTORS], v.q[3 % VECTORS]));
    if (VECTORS == 2) a = svadd_x(ALL, a, v.q[1 % VECTORS]);
    if (VECTORS == 1) a = FOLD(a, 8);
    if (VECTORS <= 2) a = FOLD(a, 4);
    a = FOLD(a, 2);
    a = FOLD(a, 1);
    return svlasta(svpfalse(), a); /* the first */
}

LANE float v_fold_max(v16 v)
{
    svfloat32_t a = v.q[0];
    for (int j = 1; j < VECTORS; j++) a = svmaxnm_x(ALL, a, v.q[j]);
    return svmaxnmv(v_lanes(16, 0), a);
}

#endif

/* 16 lanes in four NEON registers. */
#ifndef CG_KERNELS_ARM_LANES_NEON_H
#define CG_KERNELS_ARM_LANES_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KV_ROWS 3
#define KV_COLS 2
#define LANE static inline __attribute__((always_inline))
#define MAP1(f, a) ((v16){{f((a).q[0]), f((a).q[1]), f((a).q[2]), f((a).q[3])}})
#define MAP2(f, a, b)                                                                                                  \
    ((v16){{f((a).q[0], (b).q[0]), f((a).q[1], (b).q[1]), f((a).q[2], (b).q[2]), f((a).q[3], (b).q[3])}})
#define MAP3(f, a, b, c)                                                                                               \
    ((v16){{f((a).q[0], (b).q[0], (c).q[0]), f((a).q[1], (b).q[1], (c).q[1]), f((a).q[2], (b).q[2], (c).q[2]),         \
            f((a).q[3], (b).q[3], (c).q[3])}})

typedef struct {
    float32x4_t q[4]; /* lanes 0-3, 4-7, 8-11, 12-15 */
} v16;

/* Fewer than 16 lanes go through a buffer: NEON has no masked access. */
LANE v16 v_load(const float *p, size_t r)
{
    float tmp[16] = {0};
    if (r != 16) p = memcpy(tmp, p, r * sizeof(float));
    return (v16){{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}

LANE void v_store(float *p, size_t r, v16 v)
{
    float tmp[16], *to = r == 16 ? p : tmp;
    for (int j = 0; j < 4; j++) vst1q_f32(to + 4 * j, v.q[j]);
    if (r != 16) memcpy(p, tmp, r * sizeof(float));
}

LANE v16 v_first(size_t r, v16 a, v16 b)
{
    static const uint32_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    if (r == 16) return a;
    uint32x4_t n = vdupq_n_u32((uint32_t)r);
    v16 v;
    for (int j = 0; j < 4; j++) v.q[j] = vbslq_f32(vcltq_u32(vld1q_u32(lanes + 4 * j), n), a.q[j], b.q[j]);
    return v;
}

LANE v16 v_set1(float x)
{
    float32x4_t v = vdupq_n_f32(x);
    return (v16){{v, v, v, v}};
}
LANE v16 v_add(v16 a, v16 b) { return MAP2(vaddq_f32, a, b); }
LANE v16 v_sub(v16 a, v16 b) { return MAP2(vsubq_f32, a, b); }
LANE v16 v_mul(v16 a, v16 b) { return MAP2(vmulq_f32, a, b); }
LANE v16 v_div(v16 a, v16 b) { return MAP2(vdivq_f32, a, b); }
LANE v16 v_fma(v16 a, v16 b, v16 c) { return MAP3(vfmaq_f32, c, a, b); }
LANE v16 v_fnma(v16 a, v16 b, v16 c) { return MAP3(vfmsq_f32, c, a, b); }
LANE v16 v_sqrt(v16 a) { return MAP1(vsqrtq_f32, a); }
LANE v16 v_abs(v16 a) { return MAP1(vabsq_f32, a); }
LANE v16 v_neg(v16 a) { return MAP1(vnegq_f32, a); }
LANE v16 v_rint(v16 a) { return MAP1(vrndnq_f32, a); }
/* vmaxnm passes over NaN, vmin and vmax keep it. */
LANE v16 v_max(v16 x, v16 acc) { return MAP2(vmaxnmq_f32, x, acc); }
LANE v16 v_clamp(v16 x, v16 lo, v16 hi)
{
    x = MAP2(vminq_f32, x, hi);
    return MAP2(vmaxq_f32, x, lo);
}
LANE v16 v_at_least(v16 x, v16 lo) { return MAP2(vmaxq_f32, x, lo); }

/* Two factors, the first product exact: a denormal result is rounded once. */
LANE float32x4_t v_ldexp4(float32x4_t p, float32x4_t n)
{
    int32x4_t i = vcvtq_s32_f32(n), half = vshrq_n_s32(i, 1), bias = vdupq_n_s32(127);
    float32x4_t f0 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    float32x4_t f1 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(i, half), bias), 23));
    return vmulq_f32(vmulq_f32(p, f0), f1);
}
LANE v16 v_ldexp(v16 p, v16 n) { return MAP2(v_ldexp4, p, n); }

LANE void v_store_s8(int8_t *q, size_t r, v16 v)
{
    v = v_clamp(v, v_set1(-127.0f), v_set1(127.0f));
    int16x8_t lo = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v.q[0])), vqmovn_s32(vcvtnq_s32_f32(v.q[1])));
    int16x8_t hi = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v.q[2])), vqmovn_s32(vcvtnq_s32_f32(v.q[3])));
    int8x16_t b = vcombine_s8(vqmovn_s16(lo), vqmovn_s16(hi));
    if (r == 16) {
        vst1q_s8(q, b);
    } else {
        int8_t tmp[16];
        vst1q_s8(tmp, b);
        memcpy(q, tmp, r);
    }
}

LANE v16 v_load_s8(const int8_t *q, size_t r)
{
    int8_t tmp[16] = {0};
    if (r != 16) q = memcpy(tmp, q, r);
    int8x16_t b = vld1q_s8(q);
    int16x8_t lo = vmovl_s8(vget_low_s8(b)), hi = vmovl_high_s8(b);
    return (v16){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo))), vcvtq_f32_s32(vmovl_high_s16(lo)),
                  vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi))), vcvtq_f32_s32(vmovl_high_s16(hi))}};
}

LANE v16 v_load_bf16(const uint16_t *q, size_t r)
{
    uint16_t tmp[16] = {0};
    v16 v;
    if (r != 16) q = memcpy(tmp, q, r * sizeof *q);
    for (int j = 0; j < 4; j++) v.q[j] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(q + 4 * j), 16));
    return v;
}

LANE uint16x4_t v_bf16_of4(float32x4_t v)
{
    uint32x4_t u = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t w = vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), odd);
    return vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), w, vorrq_u32(u, vdupq_n_u32(1 << 22))), 16);
}
LANE void v_store_bf16(uint16_t *q, size_t r, v16 v)
{
    uint16_t tmp[16], *to = r == 16 ? q : tmp;
    for (int j = 0; j < 4; j++) vst1_u16(to + 4 * j, v_bf16_of4(v.q[j]));
    if (r != 16) memcpy(q, tmp, r * sizeof *q);
}

LANE float v_fold_add(v16 v)
{
    float32x4_t a = vaddq_f32(vaddq_f32(v.q[0], v.q[2]), vaddq_f32(v.q[1], v.q[3]));
    float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}

LANE float v_fold_max(v16 v)
{
    return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(v.q[0], v.q[2]), vmaxnmq_f32(v.q[1], v.q[3])));
}

#endif

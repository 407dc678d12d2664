/* 16 lanes in two AVX2 registers. */
#ifndef CG_KERNELS_X86_LANES_AVX2_H
#define CG_KERNELS_X86_LANES_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KV_ROWS 3
#define KV_COLS 2
#define LANE static inline __attribute__((always_inline))
#define RNE (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define BOTH(e0, e1) ((v16){{(e0), (e1)}})

typedef struct {
    __m256 h[2]; /* lanes 0-7, 8-15 */
} v16;

/* All bits set in the lanes 8*half + 0..7 that are < r. */
LANE __m256i v_mask(size_t r, int half)
{
    __m256i lane = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(8 * half));
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)r), lane);
}

/* p + 8 may lie past the end of the row when r < 8: its mask is empty then, so nothing is touched; the address is
 * formed as an integer because C knows no such pointer. */
LANE const float *v_upper(const float *p) { return (const float *)((uintptr_t)p + 8 * sizeof(float)); }

LANE v16 v_load(const float *p, size_t r)
{
    if (r == 16) return BOTH(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
    return BOTH(_mm256_maskload_ps(p, v_mask(r, 0)), _mm256_maskload_ps(v_upper(p), v_mask(r, 1)));
}

LANE void v_store(float *p, size_t r, v16 v)
{
    if (r == 16) {
        _mm256_storeu_ps(p, v.h[0]);
        _mm256_storeu_ps(p + 8, v.h[1]);
    } else {
        _mm256_maskstore_ps(p, v_mask(r, 0), v.h[0]);
        _mm256_maskstore_ps((float *)v_upper(p), v_mask(r, 1), v.h[1]);
    }
}

LANE v16 v_first(size_t r, v16 a, v16 b)
{
    if (r == 16) return a;
    return BOTH(_mm256_blendv_ps(b.h[0], a.h[0], _mm256_castsi256_ps(v_mask(r, 0))),
                _mm256_blendv_ps(b.h[1], a.h[1], _mm256_castsi256_ps(v_mask(r, 1))));
}

LANE v16 v_set1(float x) { return BOTH(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
LANE v16 v_add(v16 a, v16 b) { return BOTH(_mm256_add_ps(a.h[0], b.h[0]), _mm256_add_ps(a.h[1], b.h[1])); }
LANE v16 v_sub(v16 a, v16 b) { return BOTH(_mm256_sub_ps(a.h[0], b.h[0]), _mm256_sub_ps(a.h[1], b.h[1])); }
LANE v16 v_mul(v16 a, v16 b) { return BOTH(_mm256_mul_ps(a.h[0], b.h[0]), _mm256_mul_ps(a.h[1], b.h[1])); }
LANE v16 v_div(v16 a, v16 b) { return BOTH(_mm256_div_ps(a.h[0], b.h[0]), _mm256_div_ps(a.h[1], b.h[1])); }
LANE v16 v_fma(v16 a, v16 b, v16 c)
{
    return BOTH(_mm256_fmadd_ps(a.h[0], b.h[0], c.h[0]), _mm256_fmadd_ps(a.h[1], b.h[1], c.h[1]));
}
LANE v16 v_fnma(v16 a, v16 b, v16 c)
{
    return BOTH(_mm256_fnmadd_ps(a.h[0], b.h[0], c.h[0]), _mm256_fnmadd_ps(a.h[1], b.h[1], c.h[1]));
}
LANE v16 v_sqrt(v16 a) { return BOTH(_mm256_sqrt_ps(a.h[0]), _mm256_sqrt_ps(a.h[1])); }
LANE v16 v_abs(v16 a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return BOTH(_mm256_andnot_ps(sign, a.h[0]), _mm256_andnot_ps(sign, a.h[1]));
}
LANE v16 v_neg(v16 a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return BOTH(_mm256_xor_ps(a.h[0], sign), _mm256_xor_ps(a.h[1], sign));
}
LANE v16 v_rint(v16 a) { return BOTH(_mm256_round_ps(a.h[0], RNE), _mm256_round_ps(a.h[1], RNE)); }
/* max and min give the second operand when one is NaN. */
LANE v16 v_max(v16 x, v16 acc) { return BOTH(_mm256_max_ps(x.h[0], acc.h[0]), _mm256_max_ps(x.h[1], acc.h[1])); }
LANE v16 v_clamp(v16 x, v16 lo, v16 hi)
{
    return BOTH(_mm256_max_ps(lo.h[0], _mm256_min_ps(hi.h[0], x.h[0])),
                _mm256_max_ps(lo.h[1], _mm256_min_ps(hi.h[1], x.h[1])));
}
LANE v16 v_at_least(v16 x, v16 lo)
{
    return BOTH(_mm256_max_ps(lo.h[0], x.h[0]), _mm256_max_ps(lo.h[1], x.h[1]));
}

/* 2^n for a whole n in the range of normal numbers. */
LANE __m256 v_exp2i(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/* Two factors, the first product exact: a denormal result is rounded once. */
LANE __m256 v_ldexp8(__m256 p, __m256 n)
{
    __m256i i = _mm256_cvttps_epi32(n), half = _mm256_srai_epi32(i, 1);
    return _mm256_mul_ps(_mm256_mul_ps(p, v_exp2i(half)), v_exp2i(_mm256_sub_epi32(i, half)));
}
LANE v16 v_ldexp(v16 p, v16 n) { return BOTH(v_ldexp8(p.h[0], n.h[0]), v_ldexp8(p.h[1], n.h[1])); }

LANE __m256i v_s32(__m256 v)
{
    return _mm256_cvttps_epi32(_mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q)));
}
LANE void v_store_s8(int8_t *q, size_t r, v16 v)
{
    v = v_clamp(v_rint(v), v_set1(-127.0f), v_set1(127.0f));
    __m256i w = _mm256_packs_epi32(v_s32(v.h[0]), v_s32(v.h[1])); /* 0-3, 8-11, 4-7, 12-15 */
    w = _mm256_permute4x64_epi64(w, 0xd8);
    __m128i b = _mm_packs_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
    if (r == 16) {
        _mm_storeu_si128((__m128i *)(void *)q, b);
    } else {
        int8_t tmp[16];
        _mm_storeu_si128((__m128i *)(void *)tmp, b);
        memcpy(q, tmp, r);
    }
}

LANE v16 v_load_s8(const int8_t *q, size_t r)
{
    int8_t tmp[16] = {0};
    if (r != 16) q = memcpy(tmp, q, r);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)q);
    return BOTH(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(b, b))));
}

LANE __m256 v_widen8(const uint16_t *q)
{
    __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)q));
    return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}
LANE v16 v_load_bf16(const uint16_t *q, size_t r)
{
    uint16_t tmp[16] = {0};
    if (r != 16) q = memcpy(tmp, q, r * sizeof *q);
    return BOTH(v_widen8(q), v_widen8(q + 8));
}

/* As 32-bit integers. */
LANE __m256i v_bf16_of8(__m256 v)
{
    __m256i u = _mm256_castps_si256(v), half = _mm256_set1_epi32(0x7fff), quiet = _mm256_set1_epi32(1 << 22);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i w = _mm256_add_epi32(_mm256_add_epi32(u, half), odd);
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return _mm256_srli_epi32(_mm256_blendv_epi8(w, _mm256_or_si256(u, quiet), nan), 16);
}
LANE void v_store_bf16(uint16_t *q, size_t r, v16 v)
{
    __m256i w = _mm256_packus_epi32(v_bf16_of8(v.h[0]), v_bf16_of8(v.h[1])); /* 0-3, 8-11, 4-7, 12-15 */
    uint16_t tmp[16];
    _mm256_storeu_si256((__m256i *)(void *)(r == 16 ? q : tmp), _mm256_permute4x64_epi64(w, 0xd8));
    if (r != 16) memcpy(q, tmp, r * sizeof *q);
}

LANE float v_fold_add(v16 v)
{
    __m256 a = _mm256_add_ps(v.h[0], v.h[1]);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

LANE float v_fold_max(v16 v)
{
    __m256 a = _mm256_max_ps(v.h[0], v.h[1]);
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

#endif

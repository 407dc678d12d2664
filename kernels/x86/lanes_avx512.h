/* 16 lanes in one AVX-512 register. */
#ifndef CG_KERNELS_X86_LANES_AVX512_H
#define CG_KERNELS_X86_LANES_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define KV_ROWS 6
#define KV_COLS 4
#define LANE static inline __attribute__((always_inline))
#define RNE (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

typedef __m512 v16;

LANE __mmask16 v_mask(size_t r) { return (__mmask16)((1u << r) - 1); }

LANE v16 v_load(const float *p, size_t r)
{
    return r == 16 ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(v_mask(r), p);
}

LANE void v_store(float *p, size_t r, v16 v)
{
    if (r == 16)
        _mm512_storeu_ps(p, v);
    else
        _mm512_mask_storeu_ps(p, v_mask(r), v);
}

LANE v16 v_first(size_t r, v16 a, v16 b) { return r == 16 ? a : _mm512_mask_blend_ps(v_mask(r), b, a); }
LANE v16 v_set1(float x) { return _mm512_set1_ps(x); }
LANE v16 v_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
LANE v16 v_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
LANE v16 v_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
LANE v16 v_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
LANE v16 v_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
LANE v16 v_fnma(v16 a, v16 b, v16 c) { return _mm512_fnmadd_ps(a, b, c); }
LANE v16 v_sqrt(v16 a) { return _mm512_sqrt_ps(a); }
LANE v16 v_abs(v16 a) { return _mm512_abs_ps(a); }
LANE v16 v_neg(v16 a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
LANE v16 v_rint(v16 a) { return _mm512_roundscale_ps(a, RNE); }
/* max and min give the second operand when one is NaN. */
LANE v16 v_max(v16 x, v16 acc) { return _mm512_max_ps(x, acc); }
LANE v16 v_clamp(v16 x, v16 lo, v16 hi) { return _mm512_max_ps(lo, _mm512_min_ps(hi, x)); }
LANE v16 v_at_least(v16 x, v16 lo) { return _mm512_max_ps(lo, x); }
LANE v16 v_ldexp(v16 p, v16 n) { return _mm512_scalef_ps(p, n); }

LANE void v_store_s8(int8_t *q, size_t r, v16 v)
{
    v = v_clamp(v_rint(v), _mm512_set1_ps(-127.0f), _mm512_set1_ps(127.0f));
    __mmask16 number = _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q);
    __m128i b = _mm512_cvtepi32_epi8(_mm512_maskz_cvttps_epi32(number, v));
    if (r == 16)
        _mm_storeu_si128((__m128i *)(void *)q, b);
    else
        _mm_mask_storeu_epi8(q, v_mask(r), b);
}

LANE v16 v_load_s8(const int8_t *q, size_t r)
{
    __m128i b = r == 16 ? _mm_loadu_si128((const __m128i *)(const void *)q) : _mm_maskz_loadu_epi8(v_mask(r), q);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(b));
}

LANE v16 v_load_bf16(const uint16_t *q, size_t r)
{
    __m256i h = r == 16 ? _mm256_loadu_si256((const __m256i *)(const void *)q) : _mm256_maskz_loadu_epi16(v_mask(r), q);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

LANE void v_store_bf16(uint16_t *q, size_t r, v16 v)
{
    __m512i u = _mm512_castps_si512(v), half = _mm512_set1_epi32(0x7fff), quiet = _mm512_set1_epi32(1 << 22);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i w = _mm512_add_epi32(_mm512_add_epi32(u, half), odd);
    w = _mm512_mask_or_epi32(w, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), u, quiet);
    __m256i h = _mm512_cvtepi32_epi16(_mm512_srli_epi32(w, 16));
    if (r == 16)
        _mm256_storeu_si256((__m256i *)(void *)q, h);
    else
        _mm256_mask_storeu_epi16(q, v_mask(r), h);
}

LANE float v_fold_add(v16 v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

LANE float v_fold_max(v16 v)
{
    __m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

#endif

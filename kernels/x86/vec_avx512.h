/* One AVX-512 register of floats, for the GEMM templates. */
#ifndef CG_KERNELS_X86_VEC_AVX512_H
#define CG_KERNELS_X86_VEC_AVX512_H

#include <immintrin.h>

typedef __m512 vec;
#define LANES 16
#define REG "v" /* its registers in assembly */
#define vec_load(p) _mm512_loadu_ps(p)
#define vec_store(p, v) _mm512_storeu_ps(p, v)
#define vec_zero() _mm512_setzero_ps()
#define vec_set1(p) _mm512_set1_ps(*(p))
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)

#endif

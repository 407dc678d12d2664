/* One AVX2 register of floats, for the GEMM templates. */
#ifndef CG_KERNELS_X86_VEC_AVX2_H
#define CG_KERNELS_X86_VEC_AVX2_H

#include <immintrin.h>

typedef __m256 vec;
#define LANES 8
#define REG "x" /* its registers in assembly */
#define vec_load(p) _mm256_loadu_ps(p)
#define vec_store(p, v) _mm256_storeu_ps(p, v)
#define vec_zero() _mm256_setzero_ps()
#define vec_set1(p) _mm256_broadcast_ss(p)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)

#endif

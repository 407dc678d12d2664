/* GEMM with bf16 weights for AVX-512.
 *
 * 14x32 is tall since expanding B costs one instruction for every MR multiply-adds: 28 accumulators, two vectors of B,
 * a broadcast of A and the mask are all 32 registers. 4x96, 1x192 and 3x128 read two or four panels at once: a few rows
 * of one panel are too few chains to hide the latency of a multiply-add. */
#include "kernels/ops.h"
#include "kernels/x86/vec_avx512.h"

#define EXPAND_MASK const __m512i mask = _mm512_set1_epi32((int)0xffff0000)
#define expand(pair, odd) expand_with(pair, odd, mask)

static inline __attribute__((always_inline)) vec expand_with(const uint16_t *b, int odd, __m512i mask)
{
    const struct {
        uint16_t x[32];
    } *pair = (const void *)b;
    vec y;
    if (odd) __asm__("vpandd %1, %2, %0" : "=v"(y) : "m"(*pair), "v"(mask));
    else __asm__("vpslld $16, %1, %0" : "=v"(y) : "m"(*pair));
    return y;
}

#include "kernels/x86/gemm_bf16w.inc.h"

KERNEL(1x192_avx512, ROWS_1, 3, 4)
KERNEL(4x96_avx512, ROWS_4, 3, 2)
KERNEL(3x128_avx512, ROWS_3, 2, 4)
KERNEL(8x48_avx512, ROWS_8, 3, 1)
KERNEL(14x32_avx512, ROWS_14, 2, 1)

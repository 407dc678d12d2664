/* GEMM with bf16 weights for AVX2.
 *
 * With 4x24, accumulators, B and A take all 16 registers, so the mask stays in memory. 2x48 and 1x96 read two and four
 * panels at once: a row or two of one panel are too few chains to hide the latency of a multiply-add. */
#include "kernels/ops.h"
#include "kernels/x86/vec_avx2.h"

static const uint32_t odd_rows[8] = {0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000,
                                     0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000};
#define EXPAND_MASK (void)0

static inline __attribute__((always_inline)) vec expand(const uint16_t *b, int odd)
{
    const struct {
        uint16_t x[16];
    } *pair = (const void *)b;
    vec y;
    if (odd) __asm__("vmovups %1, %0\n\tvandps %2, %0, %0" : "=&x"(y) : "m"(*pair), "m"(odd_rows));
    else __asm__("vmovups %1, %0\n\tvpslld $16, %0, %0" : "=&x"(y) : "m"(*pair));
    return y;
}

#include "kernels/x86/gemm_bf16w.inc.h"

KERNEL(1x96_avx2, ROWS_1, 3, 4)
KERNEL(2x48_avx2, ROWS_2, 3, 2)
KERNEL(4x24_avx2, ROWS_4, 3, 1)
KERNEL(6x16_avx2, ROWS_6, 2, 1)

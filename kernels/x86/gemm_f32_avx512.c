/* GEMM f32 for AVX-512.
 *
 * 8x48 is the main tile: 24 accumulators, three vectors of B and a broadcast of A fill 28 of 32 registers, and 24
 * multiply-adds stand against 11 loads. 6x64 is for widths that 48 does not divide. 4x96, 1x192 and 1x128 read two or
 * four panels at once, since one or two rows of a panel are too few chains to hide the latency of a multiply-add and too
 * few streams to fill the path to L2. */
#include "kernels/ops.h"
#include "kernels/x86/vec_avx512.h"

#include "kernels/x86/gemm_f32.inc.h"

KERNEL(1x192_avx512, ROWS_1, 3, 4)
KERNEL(4x96_avx512, ROWS_4, 3, 2)
KERNEL(8x48_avx512, ROWS_8, 3, 1)
KERNEL(1x128_avx512, ROWS_1, 4, 2)
KERNEL(6x64_avx512, ROWS_6, 4, 1)

/* GEMM f32 for AVX2.
 *
 * 4x24 is the main tile: 12 accumulators, three vectors of B and a broadcast of A fill the 16 registers. 6x16 is for
 * widths that 24 does not divide. 2x48 and 1x96, 2x32 and 1x64 read two and four panels of these at once, since one or two
 * rows of a panel are too few chains to hide the latency of a multiply-add. */
#include "kernels/ops.h"
#include "kernels/x86/vec_avx2.h"

#include "kernels/x86/gemm_f32.inc.h"

KERNEL(1x96_avx2, ROWS_1, 3, 4)
KERNEL(2x48_avx2, ROWS_2, 3, 2)
KERNEL(4x24_avx2, ROWS_4, 3, 1)
KERNEL(1x64_avx2, ROWS_1, 2, 4)
KERNEL(2x32_avx2, ROWS_2, 2, 2)
KERNEL(6x16_avx2, ROWS_6, 2, 1)

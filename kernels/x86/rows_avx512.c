/* The row operations on AVX-512: see kernels/rows.inc.h. */
#include "kernels/x86/lanes_avx512.h"

#define CG_ROW(op) cg_##op##_avx512
#include "kernels/rows.inc.h"

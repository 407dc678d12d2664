/* The row operations on AVX2: see kernels/rows.inc.h. */
#include "kernels/x86/lanes_avx2.h"

#define CG_ROW(op) cg_##op##_avx2
#include "kernels/rows.inc.h"

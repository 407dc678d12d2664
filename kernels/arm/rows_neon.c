/* The row operations on NEON: see kernels/rows.inc.h. */
#include "kernels/arm/lanes_neon.h"

#define CG_ROW(op) cg_##op##_neon
#include "kernels/rows.inc.h"

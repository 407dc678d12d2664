/* The row operations on SVE, once for each length of its vectors: see kernels/rows.inc.h. */
#include "kernels/arm/lanes_sve.h"

#define NAME_(op, bits) cg_##op##_sve##bits
#define NAME(op, bits) NAME_(op, bits)
#define CG_ROW(op) NAME(op, __ARM_FEATURE_SVE_BITS)

/* Left to itself, gcc 12 calls them, and saves four vectors around each call. */
LANE v16 exp16(v16 t);
LANE v16 exp2_within16(v16 t);
LANE v16 exp2_neg16(v16 t);
LANE v16 exp2_16(v16 t);
LANE v16 sigmoid16(v16 g);

#include "kernels/rows.inc.h"

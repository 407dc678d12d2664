/* Names for the limits that autotune/limits.h measures. */
#ifndef CG_BENCH_LIMITS_H
#define CG_BENCH_LIMITS_H

#include <stddef.h>

#include "autotune/limits.h"
#include "detect/machine.h"

/* Where a block of that size lives: "L1", "L2", "L3", "DRAM". */
const char *cg_limit_level(const struct cg_machine *m, size_t footprint, int threads);

#endif

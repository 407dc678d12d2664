/* What bounds a kernel on this machine, measured in the run that it is compared in: how many operations the instruction
 * it is made of allows, and how fast its operands come from where they live. */
#ifndef CG_BENCH_LIMITS_H
#define CG_BENCH_LIMITS_H

#include <stddef.h>

#include "bench/cases.h"
#include "detect/machine.h"

/* The fastest that `threads` threads run the instruction that multiplies in `v`, in operations (an addition and a
 * multiplication count two) a second, out of registers alone. 0 where there is no such figure: row operations and the
 * scalar truth. Takes about a millisecond. */
double cg_limit_fma(const struct cg_machine *m, const struct cg_variant *v, int threads);

/* Bytes a second that `threads` threads read from a block of `footprint` bytes which they go through again and again;
 * with `copy` those that memcpy reads and writes. 0 when there is no memory for it. Takes a few milliseconds. */
double cg_limit_bandwidth(const struct cg_machine *m, size_t footprint, int copy, int threads);

/* Where a block of that size lives: "L1", "L2", "L3", "DRAM". */
const char *cg_limit_level(const struct cg_machine *m, size_t footprint, int threads);

/* Frees the block. */
void cg_limits_release(void);

/* The machine's part, in limits_x86.c or limits_arm.c: runs a dozen or more chains of the instruction of `v`
 * `rounds` times on this thread; returns the operations that were (0: none of these instructions). */
double cg_limit_run_fma(const struct cg_machine *m, const struct cg_variant *v, size_t rounds);
/* Reads n bytes (a multiple of 512), with software prefetch or without. */
void cg_limit_read(const struct cg_machine *m, const void *p, size_t n, int prefetch);

#endif

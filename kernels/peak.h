/* What the machine's instructions reach by themselves: loops of one instruction, for limits and predictions. */
#ifndef CG_KERNELS_PEAK_H
#define CG_KERNELS_PEAK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/registry.h"

/* The instruction that multiplies in `v`, a variant of either architecture, as the level that brought it: all variants
 * of one level and one kind of operands (f32 and bf16w are of one) share it. CG_ISA_SCALAR for row operations and the
 * scalar truth, which have none. */
enum cg_isa cg_peak_level(const struct cg_variant *v);

/* Runs a dozen or more independent chains of that instruction `rounds` times on this thread, out of registers alone;
 * returns the operations that were (an addition and a multiplication count two), 0 without such a loop. The machine
 * must be able to run `v`; sve_bytes: its vector length. */
double cg_peak_run(const struct cg_variant *v, uint32_t sve_bytes, size_t rounds);

/* Reads n bytes (a multiple of 512) with the widest loads of the levels `isa`, with software prefetch of what is so
 * many bytes ahead or without. */
enum { CG_PEAK_AHEAD = 2048 };
void cg_peak_read(uint64_t isa, const void *p, size_t n, int prefetch);

#endif

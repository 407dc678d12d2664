/* Loops of one instruction, each twenty independent chains: see kernels/peak.h. rounds >= 1. */
#ifndef CG_KERNELS_ARM_PEAK_H
#define CG_KERNELS_ARM_PEAK_H

#include <stddef.h>

void cg_peak_f32_neon(size_t rounds);
void cg_peak_f32_sve(size_t rounds);
void cg_peak_s8_neon(size_t rounds);
void cg_peak_s8_dotprod(size_t rounds);
void cg_peak_s8_i8mm(size_t rounds);
void cg_peak_s8_sve(size_t rounds);
void cg_peak_s8_sve_mmla(size_t rounds);
void cg_peak_bf16_neon(size_t rounds);
void cg_peak_bf16_sve(size_t rounds);

/* Reads n bytes, a multiple of 512 and not 0. */
void cg_peak_read_neon(const void *p, size_t n, int prefetch);

#endif

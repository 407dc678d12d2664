/* Loops of one instruction, each a dozen independent chains: see kernels/peak.h. rounds >= 1. */
#ifndef CG_KERNELS_X86_PEAK_H
#define CG_KERNELS_X86_PEAK_H

#include <stddef.h>

void cg_peak_f32_avx2(size_t rounds);
void cg_peak_f32_avx512(size_t rounds);
void cg_peak_s8_avx2(size_t rounds);
void cg_peak_s8_avx_vnni(size_t rounds);
void cg_peak_s8_vnni(size_t rounds);
void cg_peak_s8_amx(size_t rounds);
void cg_peak_bf16(size_t rounds);
void cg_peak_bf16_amx(size_t rounds);

/* Reads n bytes, a multiple of 512 and not 0. */
void cg_peak_read_avx2(const void *p, size_t n, int prefetch);
void cg_peak_read_avx512(const void *p, size_t n, int prefetch);

#endif

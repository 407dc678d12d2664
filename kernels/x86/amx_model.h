/* A software model of AMX (Intel SDM, volume 2: LDTILECFG, STTILECFG, TILELOADD, TILESTORED, TILEZERO, TDPBSSD,
 * TDPBF16PS; palette 1), in portable C, for the tests: AMX kernels compiled with CG_AMX_MODEL run on it anywhere. Each
 * thread has tiles of its own, as on hardware. Where the hardware faults, the operation does nothing and the fault is
 * remembered. */
#ifndef CG_KERNELS_X86_AMX_MODEL_H
#define CG_KERNELS_X86_AMX_MODEL_H

#include <stddef.h>

void cg_amx_ldtilecfg(const void *cfg); /* 64 bytes */
void cg_amx_sttilecfg(void *cfg);       /* 64 bytes */
void cg_amx_tilerelease(void);
/* Rows are `stride` bytes apart. */
void cg_amx_tileloadd(int t, const void *from, ptrdiff_t stride);
void cg_amx_tilestored(int t, void *to, ptrdiff_t stride);
void cg_amx_tilezero(int t);
void cg_amx_tdpbssd(int c, int a, int b);
void cg_amx_tdpbf16ps(int c, int a, int b);

/* The first fault of any thread since the last cg_amx_forget ("#UD tdpbssd: ..."); NULL when there was none. Not to be
 * called while another thread uses tiles. */
const char *cg_amx_fault(void);
void cg_amx_forget(void);

/* How often this thread has loaded a configuration: what a kernel is expected to save. */
unsigned long cg_amx_configurations(void);

#endif

/* AMX tiles with two bodies: the instructions, or (CG_AMX_MODEL) the software model of amx_model.h, which checks what the
 * hardware checks. The same kernel source is compiled against both.
 *
 * All kernels use one division of the eight tiles, so that one configuration serves them all:
 *   0-3 C, up to 16 rows of 16 dwords;  4-5 A, as many rows of 64 bytes;  6-7 B, 16 groups of KR rows, 16 columns. */
#ifndef CG_KERNELS_X86_AMX_H
#define CG_KERNELS_X86_AMX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What LDTILECFG reads: palette 1 has 8 tiles of up to 16 rows of up to 64 bytes. */
struct cg_tilecfg {
    uint8_t palette, start_row, reserved[14];
    uint16_t colsb[16]; /* bytes of a row */
    uint8_t rows[16];
};
_Static_assert(sizeof(struct cg_tilecfg) == 64, "the layout is the hardware's");

#ifdef CG_AMX_MODEL

#include "kernels/x86/amx_model.h"

#define CG_AMX_KERNEL(name) name##_model
#define CG_TILE_ZERO(t) cg_amx_tilezero(t)
#define CG_TILE_LOAD(t, from, stride) cg_amx_tileloadd(t, from, stride)
#define CG_TILE_STORE(t, to, stride) cg_amx_tilestored(t, to, stride)
#define CG_TILE_DPBSSD(c, a, b) cg_amx_tdpbssd(c, a, b)
#define CG_TILE_DPBF16PS(c, a, b) cg_amx_tdpbf16ps(c, a, b)

static inline void cg_tilecfg_load(const struct cg_tilecfg *cfg)
{
    cg_amx_ldtilecfg(cfg);
}

static inline void cg_tilecfg_store(struct cg_tilecfg *cfg)
{
    cg_amx_sttilecfg(cfg);
}

#else

#include <immintrin.h>

/* gcc 12 does not tell the optimiser that its tile loads read memory: a barrier before each does. */
#define CG_TILE_BARRIER_ __asm__ volatile("" ::: "memory")
#define CG_AMX_KERNEL(name) name
#define CG_TILE_ZERO(t) _tile_zero(t)
#define CG_TILE_LOAD(t, from, stride)     \
    do {                                  \
        CG_TILE_BARRIER_;                 \
        _tile_loadd(t, from, stride);     \
    } while (0)
#define CG_TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define CG_TILE_DPBSSD(c, a, b) _tile_dpbssd(c, a, b)
#define CG_TILE_DPBF16PS(c, a, b) _tile_dpbf16ps(c, a, b)

/* As assembly: the intrinsics tell of 8 of the 64 bytes only. */
static inline void cg_tilecfg_load(const struct cg_tilecfg *cfg)
{
    __asm__ volatile("ldtilecfg %0" ::"m"(*cfg));
}

static inline void cg_tilecfg_store(struct cg_tilecfg *cfg)
{
    __asm__ volatile("sttilecfg %0" : "=m"(*cfg));
}

#endif

#define CG_TILECFG_(r)                                                                           \
    {                                                                                            \
        .palette = 1, .colsb = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {r, r, r, r, r, r, 16, 16} \
    }

/* Configures the tiles for C and A of `rows` rows, 1 to 16. LDTILECFG costs of the order of a third of a 32x32 tile with
 * k = 576, and a kernel is called once a tile; so what is configured is asked first, by STTILECFG, which costs a tenth of
 * that, and mostly it is the same. A flag of our own could not know what another library did to the tiles. They are left
 * configured: the ABI lets every callee change them, and Linux releases them before a core sleeps. */
static inline void cg_tiles_for_rows(size_t rows)
{
    static const struct cg_tilecfg all[16] __attribute__((aligned(64))) = {
        CG_TILECFG_(1),  CG_TILECFG_(2),  CG_TILECFG_(3),  CG_TILECFG_(4),  CG_TILECFG_(5),  CG_TILECFG_(6),
        CG_TILECFG_(7),  CG_TILECFG_(8),  CG_TILECFG_(9),  CG_TILECFG_(10), CG_TILECFG_(11), CG_TILECFG_(12),
        CG_TILECFG_(13), CG_TILECFG_(14), CG_TILECFG_(15), CG_TILECFG_(16),
    };
    struct cg_tilecfg now __attribute__((aligned(64)));
    cg_tilecfg_store(&now);
    if (memcmp(&now, &all[rows - 1], sizeof now) != 0) cg_tilecfg_load(&all[rows - 1]);
}

/* ---- The loops that s8 and bf16 share: in bytes their operands look alike --------------------------------------------
 * A step is one tile deep: 64 bytes of a row of A, and 16 groups of KR rows of B. `ahead`: bytes, for the prefetches;
 * they stand between the products, that neither waits for the other. bf16 and fetch are constants. */

#define CG_TILE_DP_(bf16, c, a, b)                \
    do {                                          \
        if (bf16) CG_TILE_DPBF16PS(c, a, b);      \
        else CG_TILE_DPBSSD(c, a, b);             \
    } while (0)

/* Prefetches `lines` lines of 64 bytes, from one register: gcc 12 would keep the address of each. */
static inline __attribute__((always_inline)) void cg_fetch_lines(int fetch, const char *from, size_t lines)
{
    if (!fetch) return;
    __asm__("" : "+r"(from));
#pragma GCC unroll 16
    for (size_t i = 0; i < lines; i++) __builtin_prefetch(from + 64 * i, 0, 3);
}

/* 32 columns, two tiles of 16 rows at a0 and a1: tiles 0 and 1 get the products of a0, 2 and 3 those of a1. */
static inline __attribute__((always_inline)) void cg_tiles_2x2(int bf16, size_t steps, const char *a0, const char *a1,
                                                               size_t stride, const char *b, int fetch, size_t ahead)
{
    CG_TILE_ZERO(0);
    CG_TILE_ZERO(1);
    CG_TILE_ZERO(2);
    CG_TILE_ZERO(3);
    for (; steps > 0; steps--, a0 += 64, a1 += 64, b += 2048) {
        CG_TILE_LOAD(4, a0, stride);
        CG_TILE_LOAD(6, b, 128);
        CG_TILE_DP_(bf16, 0, 4, 6);
        cg_fetch_lines(fetch, b + ahead, 8);
        CG_TILE_LOAD(7, b + 64, 128);
        CG_TILE_DP_(bf16, 1, 4, 7);
        cg_fetch_lines(fetch, b + ahead + 512, 8);
        CG_TILE_LOAD(5, a1, stride);
        CG_TILE_DP_(bf16, 2, 5, 6);
        cg_fetch_lines(fetch, b + ahead + 1024, 8);
        CG_TILE_DP_(bf16, 3, 5, 7);
        cg_fetch_lines(fetch, b + ahead + 1536, 8);
    }
}

/* 64 columns, one tile of rows, which turns between two registers: one step of cg_tiles_1x4. */
#define CG_TILES_1X4_STEP_(bf16, ta, a, stride, b, fetch, ahead) \
    do {                                                         \
        CG_TILE_LOAD(ta, a, stride);                             \
        CG_TILE_LOAD(6, b, 256);                                 \
        CG_TILE_DP_(bf16, 0, ta, 6);                             \
        cg_fetch_lines(fetch, (b) + (ahead), 16);                \
        CG_TILE_LOAD(7, (b) + 64, 256);                          \
        CG_TILE_DP_(bf16, 1, ta, 7);                             \
        cg_fetch_lines(fetch, (b) + (ahead) + 1024, 16);         \
        CG_TILE_LOAD(6, (b) + 128, 256);                         \
        CG_TILE_DP_(bf16, 2, ta, 6);                             \
        cg_fetch_lines(fetch, (b) + (ahead) + 2048, 16);         \
        CG_TILE_LOAD(7, (b) + 192, 256);                         \
        CG_TILE_DP_(bf16, 3, ta, 7);                             \
        cg_fetch_lines(fetch, (b) + (ahead) + 3072, 16);         \
    } while (0)

static inline __attribute__((always_inline)) void cg_tiles_1x4(int bf16, size_t steps, const char *a, size_t stride,
                                                               const char *b, int fetch, size_t ahead)
{
    CG_TILE_ZERO(0);
    CG_TILE_ZERO(1);
    CG_TILE_ZERO(2);
    CG_TILE_ZERO(3);
    for (; steps >= 2; steps -= 2, a += 128, b += 8192) {
        CG_TILES_1X4_STEP_(bf16, 4, a, stride, b, fetch, ahead);
        CG_TILES_1X4_STEP_(bf16, 5, a + 64, stride, b + 4096, fetch, ahead);
    }
    if (steps) CG_TILES_1X4_STEP_(bf16, 4, a, stride, b, 0, 0);
}

#endif

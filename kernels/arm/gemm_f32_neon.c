/* GEMM f32 for Advanced SIMD: tiles of M x 12 (one panel, M to 8) and of M x 48 (four panels, M to 2, for
 * generation: one row alone leaves an M x 12 tile with three chains, each waiting for its own latency). One lane is one
 * output, so the chain of each is the scalar truth's whatever the tile. */
#include <arm_neon.h>

#include "kernels/ops.h"

#define INLINE static inline __attribute__((always_inline))

/* Where the panel is prefetched to: L1, or, from FAR_ROWS rows ahead on, L2 only: L1 would not hold it until then. */
enum fetch { NONE, NEAR, FAR };
#define FAR_ROWS 64

/* c[0..3) += b[0..3) * a[0]. As assembly, since gcc 12 hoists the loads of all rows and spills accumulators for them.
 */
INLINE void row(float32x4_t *c, const float *a, const float32x4_t *b)
{
    float32x4_t x;
    __asm__("ldr %s3, %4\n\t"
            "fmla %0.4s, %5.4s, %3.s[0]\n\t"
            "fmla %1.4s, %6.4s, %3.s[0]\n\t"
            "fmla %2.4s, %7.4s, %3.s[0]"
            : "+w"(c[0]), "+w"(c[1]), "+w"(c[2]), "=&w"(x)
            : "m"(*a), "w"(b[0]), "w"(b[1]), "w"(b[2]));
}

/* One step of the reduction: m rows of A against 3 vectors of each of `panels` panels. */
INLINE void step(size_t m, size_t panels, float32x4_t *acc, const float *const *a, size_t at, const float *b,
                 size_t ps_b, enum fetch fetch, size_t ahead)
{
#pragma GCC unroll 4
    for (size_t j = 0; j < panels; j++, b += ps_b) {
        float32x4_t bv[3] = {vld1q_f32(b), vld1q_f32(b + 4), vld1q_f32(b + 8)};
        if (fetch == NEAR) __builtin_prefetch(b + ahead, 0, 3);
        if (fetch == FAR) __builtin_prefetch(b + ahead, 0, 2);
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++) row(acc + 3 * (i * panels + j), a[i] + at, bv);
    }
}

/* C[m][12*panels]; m, panels and fetch are constants. */
INLINE void tile(size_t m, size_t panels, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b,
                 size_t rs_b, size_t ps_b, float *c, size_t rs_c, int accumulate, enum fetch fetch, size_t ahead)
{
    float32x4_t acc[24];
    const float *rows[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) {
        rows[i] = a + i * rs_a;
#pragma GCC unroll 12
        for (size_t v = 0; v < 3 * panels; v++)
            acc[3 * panels * i + v] = accumulate ? vld1q_f32(c + i * rs_c + 4 * v) : vdupq_n_f32(0.0f);
    }
    for (size_t p = 0, at = 0; p < k; p++, at += cs_a, b += rs_b) step(m, panels, acc, rows, at, b, ps_b, fetch, ahead);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 12
        for (size_t v = 0; v < 3 * panels; v++) vst1q_f32(c + i * rs_c + 4 * v, acc[3 * panels * i + v]);
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(panels, m)                                                                                              \
    static __attribute__((noinline)) void tile_##m##x##panels(size_t k, const float *a, size_t rs_a, size_t cs_a,    \
                                                              const float *b, size_t rs_b, size_t ps_b, float *c,    \
                                                              size_t rs_c, int accumulate, size_t prefetch)          \
    {                                                                                                                \
        size_t ahead = prefetch * rs_b;                                                                              \
        if (prefetch >= FAR_ROWS) tile(m, panels, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, FAR, ahead); \
        else if (prefetch) tile(m, panels, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, NEAR, ahead);       \
        else tile(m, panels, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, NONE, 0);                         \
    }

#define CASE(panels, m)                                                                      \
    case m:                                                                                  \
        tile_##m##x##panels(k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, prefetch); \
        break;

#define TILES_12(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8)
#define TILES_48(X) X(4, 1) X(4, 2)
TILES_12(TILE)
TILES_48(TILE)

void cg_gemm_f32_8x12_neon(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                           size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    switch (m) {
        TILES_12(CASE)
    }
}

void cg_gemm_f32_2x48_neon(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                           size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    switch (m) {
        TILES_48(CASE)
    }
}

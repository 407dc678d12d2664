/* INT8 GEMM with SVE's smmla, compiled once for each length of its vectors (-msve-vector-bits): each 128-bit segment is
 * 2 rows of A times 2 columns of B, 8 products for each of the four int32 outputs, exactly. V is the 32-bit lanes of a
 * vector. Tiles of 8 x 3V, and of 4 x 6V, which needs half the vectors of A put together and leaves few rows more
 * chains, but reads twice the B for a multiplication. */
#include <arm_sve.h>

#include "kernels/ops.h"

#define ELEM int8_t
#define KR 8
typedef svint32_t acc_vec __attribute__((arm_sve_vector_bits(__ARM_FEATURE_SVE_BITS)));
typedef svint8_t vec __attribute__((arm_sve_vector_bits(__ARM_FEATURE_SVE_BITS)));
#define as_vec(x) svreinterpret_s8(x)
#define columns(b) svld1(svptrue_b8(), b)
#define mmla(c, x, y) svmmla(c, x, y)

#include "kernels/arm/mmla_sve.inc.h"

/* V outputs of a row, scaled and stored. */
INLINE void store(float *c, svint64_t row, float sa, const float *sb)
{
    const svbool_t all = svptrue_b32();
    svfloat32_t f = svmul_x(all, svcvt_f32_x(all, svreinterpret_s32(row)), sa);
    svst1(all, c, svmul_x(all, f, svld1(all, sb)));
}

/* C[m][nv*V/2]; m, nv, split and fetch are constants. Few rows leave few chains, each bound by the latency of smmla:
 * `split` sets of accumulators take turns at the groups and are added at the end (integers: any order is exact). */
INLINE void tile(size_t m, size_t nv, size_t split, size_t k, const int8_t *a, size_t rs_a, const int8_t *b,
                 const float *sa, const float *sb, float *c, size_t rs_c, int fetch, size_t ahead)
{
    acc_vec acc[24];
    const int8_t *rows[8];
    const size_t set = nv * ((m + 1) / 2), group = PER_VEC * nv;
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] = a + i * rs_a;
#pragma GCC unroll 24
    for (size_t x = 0; x < split * set; x++) acc[x] = svdup_s32(0);
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < split * set; x++) __asm__("" : "+w"(acc[x]));
    size_t groups = (k + KR - 1) / KR;
    while (groups >= split) {
#pragma GCC unroll 4
        for (size_t s = 0; s < split; s++, b += group) {
            if (fetch) prefetch_group(b + ahead, group);
            step(m, nv, acc + set * s, rows, b);
#pragma GCC unroll 8
            for (size_t i = 0; i < m; i++) rows[i] += KR;
        }
        groups -= split;
    }
    for (; split > 1 && groups > 0; groups--, b += group) {
        step(m, nv, acc, rows, b);
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++) rows[i] += KR;
    }
#pragma GCC unroll 24
    for (size_t x = set; x < split * set; x++) acc[x % set] = svadd_x(svptrue_b32(), acc[x % set], acc[x]);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 6
        for (size_t j = 0; j < nv / 2; j++) {
            const acc_vec *at = acc + nv * (i / 2) + 2 * j;
            svint64_t lo = svreinterpret_s64(at[0]), hi = svreinterpret_s64(at[1]);
            store(c + i * rs_c + V * j, i % 2 ? svuzp2(lo, hi) : svuzp1(lo, hi), sa[i], sb + V * j);
        }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(nv, m, split)                                                                                         \
    static __attribute__((noinline)) void tile_##m##x##nv(size_t k, const int8_t *a, size_t rs_a, const int8_t *b, \
                                                          const float *sa, const float *sb, float *c, size_t rs_c, \
                                                          size_t prefetch)                                         \
    {                                                                                                              \
        if (prefetch) tile(m, nv, split, k, a, rs_a, b, sa, sb, c, rs_c, 1, prefetch *nv *V / 2);                  \
        else tile(m, nv, split, k, a, rs_a, b, sa, sb, c, rs_c, 0, 0);                                             \
    }

#define CASE(nv, m, split)                                         \
    case m:                                                        \
        tile_##m##x##nv(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); \
        break;

#define KERNEL(name, TILES)                                                                                      \
    TILES(TILE)                                                                                                  \
    void cg_gemm_s8_##name(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp, \
                           const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)             \
    {                                                                                                            \
        (void)comp;                                                                                              \
        switch (m) {                                                                                             \
            TILES(CASE)                                                                                          \
        }                                                                                                        \
    }

/* X(vectors of V/2 columns, rows, sets of accumulators) */
#define TILES_3V(X) X(6, 1, 2) X(6, 2, 2) X(6, 3, 1) X(6, 4, 1) X(6, 5, 1) X(6, 6, 1) X(6, 7, 1) X(6, 8, 1)
#define TILES_6V(X) X(12, 1, 1) X(12, 2, 1) X(12, 3, 1) X(12, 4, 1)

#if __ARM_FEATURE_SVE_BITS == 128
KERNEL(8x12_sve128_i8mm, TILES_3V)
KERNEL(4x24_sve128_i8mm, TILES_6V)
#elif __ARM_FEATURE_SVE_BITS == 256
KERNEL(8x24_sve256_i8mm, TILES_3V)
KERNEL(4x48_sve256_i8mm, TILES_6V)
#elif __ARM_FEATURE_SVE_BITS == 512
KERNEL(8x48_sve512_i8mm, TILES_3V)
KERNEL(4x96_sve512_i8mm, TILES_6V)
#elif __ARM_FEATURE_SVE_BITS == 1024
KERNEL(8x96_sve1024_i8mm, TILES_3V)
KERNEL(4x192_sve1024_i8mm, TILES_6V)
#elif __ARM_FEATURE_SVE_BITS == 2048
KERNEL(8x192_sve2048_i8mm, TILES_3V)
KERNEL(4x384_sve2048_i8mm, TILES_6V)
#else
#error "compile with -msve-vector-bits=128, 256, 512, 1024 or 2048"
#endif

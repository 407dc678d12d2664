/* INT8 GEMM with SVE's sdot, compiled once for each length of its vectors (-msve-vector-bits): a lane adds four s8*s8
 * products to an int32, exactly. V is the lanes of a vector, a panel has 3V columns. */
#include <arm_sve.h>

#include "kernels/ops.h"

/* gcc 12 would move loads ahead until it has to move accumulators about for them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns")
#endif

#define INLINE static inline __attribute__((always_inline))
#define BITS __ARM_FEATURE_SVE_BITS
#define V ((size_t)BITS / 32)
#define NV 3
#define NR (NV * V)
#define KR 4
#define UNROLL 4 /* groups a step: KU = 16 */

typedef svint32_t acc_vec __attribute__((arm_sve_vector_bits(BITS)));
typedef svint8_t vec __attribute__((arm_sve_vector_bits(BITS)));

#define LD1RW "Uty" /* what ld1rw can address: a register and a small offset */

struct four {
    int8_t x[KR];
};

/* c[0..3) += b[0..3) . a[0..4). As assembly, since gcc 12 hoists the loads of all rows and spills accumulators for
 * them. */
INLINE void row(acc_vec *c, const int8_t *a, const vec *b)
{
    svint8_t x;
    __asm__("ld1rw {%3.s}, %7/z, %8\n\t"
            "sdot %0.s, %4.b, %3.b\n\t"
            "sdot %1.s, %5.b, %3.b\n\t"
            "sdot %2.s, %6.b, %3.b"
            : "+w"(c[0]), "+w"(c[1]), "+w"(c[2]), "=&w"(x)
            : "w"(b[0]), "w"(b[1]), "w"(b[2]), "Upl"(svptrue_b32()), LD1RW(*(const struct four *)a));
}

INLINE void prefetch_step(const int8_t *b)
{
    __asm__("" : "+r"(b)); /* one register, from which all are told */
#pragma GCC unroll 48
    for (size_t x = 0; x < NR * KR * UNROLL; x += 64) __builtin_prefetch(b + x);
}

/* Group u of a step against m rows of A. */
INLINE void group(size_t m, acc_vec *c, const int8_t *const *a, size_t u, const int8_t *b)
{
    vec bv[NV];
    b += u * NR * KR;
#pragma GCC unroll 3
    for (size_t j = 0; j < NV; j++) bv[j] = svld1(svptrue_b8(), b + KR * V * j);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) row(c + NV * i, a[i] + KR * u, bv);
}

/* C[m][NR]; m, split and fetch are constants. Few rows leave few chains, each bound by the latency of sdot: `split`
 * sets of accumulators take turns at the groups and are added at the end (integers: any order gives the same sum). */
INLINE void tile(size_t m, size_t split, size_t k, const int8_t *a, size_t rs_a, const int8_t *b, const float *sa,
                 const float *sb, float *c, size_t rs_c, int fetch, size_t ahead)
{
    const svbool_t all = svptrue_b32();
    const size_t set = NV * m;
    acc_vec acc[24];
    const int8_t *rows[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++) rows[i] = a + i * rs_a;
#pragma GCC unroll 24
    for (size_t x = 0; x < split * set; x++) acc[x] = svdup_s32(0);
        /* Starts that look alike to the compiler would share a register and be copied apart in the loop. */
#pragma GCC unroll 24
    for (size_t x = 0; x < split * set; x++) __asm__("" : "+w"(acc[x]));
    for (size_t p = 0; p < k; p += KR * UNROLL, b += NR * KR * UNROLL) {
        if (fetch) prefetch_step(b + ahead);
        group(m, acc, rows, 0, b);
        group(m, acc + 1 % split * set, rows, 1, b);
        group(m, acc + 2 % split * set, rows, 2, b);
        group(m, acc + 3 % split * set, rows, 3, b);
#pragma GCC unroll 8
        for (size_t i = 0; i < m; i++) rows[i] += KR * UNROLL;
    }
#pragma GCC unroll 24
    for (size_t x = set; x < split * set; x++) acc[x % set] = svadd_x(all, acc[x % set], acc[x]);
#pragma GCC unroll 8
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 3
        for (size_t j = 0; j < NV; j++) {
            svfloat32_t f = svmul_x(all, svcvt_f32_x(all, acc[NV * i + j]), sa[i]);
            svst1(all, c + i * rs_c + V * j, svmul_x(all, f, svld1(all, sb + V * j)));
        }
}

/* One function a tile, so that each has the registers to itself. */
#define TILE(m, split)                                                                                      \
    static __attribute__((noinline)) void tile_##m(size_t k, const int8_t *a, size_t rs_a, const int8_t *b, \
                                                   const float *sa, const float *sb, float *c, size_t rs_c, \
                                                   size_t prefetch)                                         \
    {                                                                                                       \
        if (prefetch) tile(m, split, k, a, rs_a, b, sa, sb, c, rs_c, 1, prefetch *NR);                      \
        else tile(m, split, k, a, rs_a, b, sa, sb, c, rs_c, 0, 0);                                          \
    }

#define CASE(m, split) \
    case m: tile_##m(k, a, rs_a, b, sa, sb, c, rs_c, prefetch); break;

/* X(rows, sets of accumulators) */
#define TILES(X) X(1, 4) X(2, 4) X(3, 2) X(4, 2) X(5, 1) X(6, 1) X(7, 1) X(8, 1)

#define KERNEL(name)                                                                                             \
    TILES(TILE)                                                                                                  \
    void cg_gemm_s8_##name(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp, \
                           const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)             \
    {                                                                                                            \
        (void)comp;                                                                                              \
        switch (m) {                                                                                             \
            TILES(CASE)                                                                                          \
        }                                                                                                        \
    }

#if BITS == 128
KERNEL(8x12_sve128)
#elif BITS == 256
KERNEL(8x24_sve256)
#elif BITS == 512
KERNEL(8x48_sve512)
#elif BITS == 1024
KERNEL(8x96_sve1024)
#elif BITS == 2048
KERNEL(8x192_sve2048)
#else
#error "compile with -msve-vector-bits=128, 256, 512, 1024 or 2048"
#endif

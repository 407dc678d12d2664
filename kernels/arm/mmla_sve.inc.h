/* What the kernels of SVE's smmla and bfmmla share: how two rows of A and a panel of B come together. Compiled once for
 * each length of the vectors (-msve-vector-bits); V is the 32-bit lanes of one. The including file defines
 *   ELEM, KR         the element of A and B, and how many of them are 8 bytes: the rows of B in a group
 *   acc_vec, vec     fixed-length vectors of the outputs and of elements
 *   as_vec(x)        64-bit lanes taken for elements; columns(b): a vector of B
 *   mmla(c, x, y)    c plus, in each 128-bit segment, 2 rows of x times 2 columns of y
 * after including <arm_sve.h>. */

/* gcc 12 would move loads ahead until it has to move accumulators about for them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns")
#endif

#define INLINE static inline __attribute__((always_inline))
#define V ((size_t)__ARM_FEATURE_SVE_BITS / 32)
#define PER_VEC (4 * V / sizeof(ELEM)) /* elements of a vector */

#define LD1RD "Uty" /* what ld1rd can address: a register and a small offset */

/* Two rows of A, one in each half of every segment; the last of an odd number stands in both. */
INLINE vec two_rows(const ELEM *const *a, size_t i, size_t m)
{
    typedef struct {
        ELEM x[KR];
    } group;
    svint64_t lo, hi;
    __asm__("ld1rd {%0.d}, %1/z, %2" : "=w"(lo) : "Upl"(svptrue_b64()), LD1RD(*(const group *)a[i]));
    if (i + 1 == m) return as_vec(lo);
    __asm__("ld1rd {%0.d}, %1/z, %2" : "=w"(hi) : "Upl"(svptrue_b64()), LD1RD(*(const group *)a[i + 1]));
    return as_vec(svtrn1(lo, hi));
}

/* One group of KR rows of B, nv vectors of V/2 columns, against m rows of A: a segment of c[i/2*nv + j] holds the
 * outputs of rows i and i+1 and two of the columns of vector j. What is fewer stays in registers while the other
 * passes. */
INLINE void step(size_t m, size_t nv, acc_vec *c, const ELEM *const *a, const ELEM *b)
{
    vec av[2], bv[6];
    if (m > 4) {
#pragma GCC unroll 6
        for (size_t j = 0; j < nv; j++) bv[j] = columns(b + PER_VEC * j);
#pragma GCC unroll 4
        for (size_t i = 0; i < m; i += 2) {
            av[0] = two_rows(a, i, m);
#pragma GCC unroll 6
            for (size_t j = 0; j < nv; j++) c[i / 2 * nv + j] = mmla(c[i / 2 * nv + j], av[0], bv[j]);
        }
        return;
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < m; i += 2) av[i / 2] = two_rows(a, i, m);
#pragma GCC unroll 12
    for (size_t j = 0; j < nv; j++) {
        bv[0] = columns(b + PER_VEC * j);
#pragma GCC unroll 2
        for (size_t i = 0; i < m; i += 2) c[i / 2 * nv + j] = mmla(c[i / 2 * nv + j], av[i / 2], bv[0]);
    }
}

INLINE void prefetch_group(const ELEM *b, size_t group)
{
    __asm__("" : "+r"(b)); /* one register, from which all are told */
#pragma GCC unroll 96
    for (size_t x = 0; x < group; x += 64 / sizeof(ELEM)) __builtin_prefetch(b + x);
}

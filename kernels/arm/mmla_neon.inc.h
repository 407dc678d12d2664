/* What the kernels of NEON's smmla and bfmmla share: how two rows of A and a panel of B come together. The including
 * file has included <arm_neon.h> and defines ELEM, KR             the element of A and B, and how many of them are 8
 * bytes: the rows of B in a group acc_vec, vec, half   vectors of the four outputs, of elements, and of half as many
 *   load_half(p), join(lo, hi), columns(b)
 *   mmla(c, x, y)        c plus 2 rows of x times 2 columns of y */

/* gcc 12 would move loads ahead until it has to move accumulators about for them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns")
#endif

#define INLINE static inline __attribute__((always_inline))
#define PER_VEC (16 / sizeof(ELEM)) /* elements of a vector */

/* Two rows of A, one in each half; the last of an odd number stands in both. Loaded apart and then put together: a load
 * into the upper half would wait for the one into the lower. */
INLINE vec two_rows(const ELEM *const *a, size_t i, size_t m, size_t at)
{
    half lo = load_half(a[i] + at), hi;
    if (i + 1 == m) return join(lo, lo);
    hi = load_half(a[i + 1] + at);
    __asm__("" : "+w"(hi));
    return join(lo, hi);
}

/* One group of KR rows of B, nv vectors of 2 columns, against m rows of A: c[i/2*nv + j] holds the outputs of rows i
 * and i+1 and columns 2j, 2j+1. What is fewer stays in registers while the other passes. */
INLINE void step(size_t m, size_t nv, acc_vec *c, const ELEM *const *a, size_t at, const ELEM *b)
{
    vec av[2], bv[6];
    if (m > 4) {
#pragma GCC unroll 6
        for (size_t j = 0; j < nv; j++) bv[j] = columns(b + PER_VEC * j);
#pragma GCC unroll 4
        for (size_t i = 0; i < m; i += 2) {
            av[0] = two_rows(a, i, m, at);
#pragma GCC unroll 6
            for (size_t j = 0; j < nv; j++) c[i / 2 * nv + j] = mmla(c[i / 2 * nv + j], av[0], bv[j]);
        }
        return;
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < m; i += 2) av[i / 2] = two_rows(a, i, m, at);
#pragma GCC unroll 12
    for (size_t j = 0; j < nv; j++) {
        bv[0] = columns(b + PER_VEC * j);
#pragma GCC unroll 2
        for (size_t i = 0; i < m; i += 2) c[i / 2 * nv + j] = mmla(c[i / 2 * nv + j], av[i / 2], bv[0]);
    }
}

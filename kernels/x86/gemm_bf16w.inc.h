/* GEMM with bf16 weights of one x86 vector, which the including file has chosen by a vec_ header: the tiles of the f32
 * kernel, at half its bytes of B. One lane is one output, so the chain of each is the scalar truth's whatever the tile.
 *
 * A register of B holds two rows of LANES columns, the even row in the low halves. A shift by 16 is the even row in
 * f32, a mask the odd one, both exact; they cost one instruction for every MR multiply-adds on ports that those want
 * too. The including file says how: EXPAND_MASK declares what expand() wants; expand(pair, odd) is the even or the odd
 * row of the pair of rows at `pair`.
 *
 * Assembly where gcc 12 would choose badly: it copies accumulators around the intrinsics, reads B once and then lacks
 * the registers to keep what it read, and keeps a register for every multiple of a stride. */
#define B_TYPE uint16_t
#define B_STRIDES(type) type ps_b
#define B_AHEAD(V) LANES *V
#define FUNCTION(name) cg_gemm_bf16w_##name

#define INLINE static inline __attribute__((always_inline))

/* One element of A, in row 0, 1 or 2 from a on, against the two or three vectors of a panel. The rows are told apart in
 * the address; left to itself, gcc adds up strides row by row. */
#define ROW_3(address)                                                       \
    __asm__("vbroadcastss " address ", %3\n\t"                               \
            "vfmadd231ps %6, %3, %0\n\t"                                     \
            "vfmadd231ps %7, %3, %1\n\t"                                     \
            "vfmadd231ps %8, %3, %2"                                         \
            : "+" REG(acc[0]), "+" REG(acc[1]), "+" REG(acc[2]), "=&" REG(x) \
            : "r"(a), "r"(ra), REG(y[0]), REG(y[1]), REG(y[2]), "m"(*(const float(*)[])a))
#define ROW_2(address)                                      \
    __asm__("vbroadcastss " address ", %2\n\t"              \
            "vfmadd231ps %5, %2, %0\n\t"                    \
            "vfmadd231ps %6, %2, %1"                        \
            : "+" REG(acc[0]), "+" REG(acc[1]), "=&" REG(x) \
            : "r"(a), "r"(ra), REG(y[0]), REG(y[1]), "m"(*(const float(*)[])a))
INLINE void row(size_t nv, size_t i, vec *acc, const char *a, size_t ra, const vec *y)
{
    vec x;
    if (nv == 3 && i == 0) ROW_3("(%4)");
    if (nv == 3 && i == 1) ROW_3("(%4,%5)");
    if (nv == 3 && i == 2) ROW_3("(%4,%5,2)");
    if (nv == 2 && i == 0) ROW_2("(%3)");
    if (nv == 2 && i == 1) ROW_2("(%3,%4)");
    if (nv == 2 && i == 2) ROW_2("(%3,%4,2)");
}

/* One vector of B against m rows, 1 to 4, the accumulators `step` apart. */
INLINE void column(size_t m, vec *acc, size_t step, const vec *x, vec y)
{
    if (m == 4)
        __asm__("vfmadd231ps %4, %8, %0\n\t"
                "vfmadd231ps %5, %8, %1\n\t"
                "vfmadd231ps %6, %8, %2\n\t"
                "vfmadd231ps %7, %8, %3"
                : "+" REG(acc[0]), "+" REG(acc[step]), "+" REG(acc[2 * step]), "+" REG(acc[3 * step])
                : REG(x[0]), REG(x[1]), REG(x[2]), REG(x[3]), REG(y));
    else if (m == 3)
        __asm__("vfmadd231ps %3, %6, %0\n\t"
                "vfmadd231ps %4, %6, %1\n\t"
                "vfmadd231ps %5, %6, %2"
                : "+" REG(acc[0]), "+" REG(acc[step]), "+" REG(acc[2 * step])
                : REG(x[0]), REG(x[1]), REG(x[2]), REG(y));
    else if (m == 2)
        __asm__("vfmadd231ps %2, %4, %0\n\t"
                "vfmadd231ps %3, %4, %1"
                : "+" REG(acc[0]), "+" REG(acc[step])
                : REG(x[0]), REG(x[1]), REG(y));
    else __asm__("vfmadd231ps %1, %2, %0" : "+" REG(acc[0]) : REG(x[0]), REG(y));
}

/* One row of the reduction, the even or the odd one of a pair: M rows of A against V vectors of each of P panels. With
 * one panel its vectors stay in registers while the rows pass, with more the rows stay while the vectors pass. */
#define STEP(M, V, P, ODD)                                                    \
    do {                                                                      \
        vec x[M], y[V];                                                       \
        const char *ai = ap;                                                  \
        const uint16_t *bq = b;                                               \
        if (P > 1) EACH_ROW(M) x[i] = vec_set1((const float *)(ap + i * ra)); \
        EACH_PANEL(P)                                                         \
        {                                                                     \
            NEXT_PANEL(bq);                                                   \
            EACH_VEC(V)                                                       \
            {                                                                 \
                y[v] = expand(bq + 2 * LANES * v, ODD);                       \
                if (P > 1) column(M, &acc[0][q * V + v], V *P, x, y[v]);      \
            }                                                                 \
        }                                                                     \
        if (P == 1) EACH_ROW(M)                                               \
            {                                                                 \
                if (i > 0 && i % 3 == 0) {                                    \
                    ai += 3 * ra;                                             \
                    OPAQUE(ai);                                               \
                }                                                             \
                row(V, i % 3, acc[i], ai, ra, y);                             \
            }                                                                 \
        ap += ca;                                                             \
    } while (0)

#define FETCH(V, P, HINT)                                                                           \
    do {                                                                                            \
        const uint16_t *bq = b + ahead;                                                             \
        EACH_PANEL(P)                                                                               \
        {                                                                                           \
            NEXT_PANEL(bq);                                                                         \
            EACH_VEC(V) if (STARTS_LINE(v)) _mm_prefetch((const char *)(bq + 2 * LANES * v), HINT); \
        }                                                                                           \
    } while (0)

#define PAIRS(M, V, P, PREFETCH, HINT)   \
    for (size_t g = k / 2; g > 0; g--) { \
        if (PREFETCH) FETCH(V, P, HINT); \
        STEP(M, V, P, 0);                \
        STEP(M, V, P, 1);                \
        b += 2 * LANES * V;              \
    }

#define REDUCE(M, V, P)                                 \
    EXPAND_MASK;                                        \
    if (prefetch >= FAR) PAIRS(M, V, P, 1, _MM_HINT_T1) \
    else if (prefetch) PAIRS(M, V, P, 1, _MM_HINT_T0)   \
    else PAIRS(M, V, P, 0, _MM_HINT_T0)                 \
    if (k % 2) STEP(M, V, P, 0);

#include "kernels/x86/gemm_tile.inc.h"

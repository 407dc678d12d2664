/* What the tiles of f32 arithmetic have in common, for any vector: C in and out of the accumulators, one function for
 * every number of rows. The including template has included a vector header (vec_avx2.h, vec_avx512.h) and defines
 *   B_TYPE                   the element of B
 *   B_STRIDES(type)          the strides of B as parameters of that type, or, without it, as arguments
 *   B_AHEAD(V)               elements from one step's row of B to the next, for prefetching
 *   REDUCE(M, V, P)          the whole reduction, from ap and b into acc[M][V * P], P panels of V vectors
 *   FUNCTION(name)           the name of the micro-kernel */

/* gcc would make a second copy of every loop for cs_a == 1, which gains nothing and leaves it short of registers. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-version-loops-for-strides")
#endif

/* From this many rows ahead on, the panel is prefetched to L2 only: L1 would not hold it until it is needed. */
#define FAR 64
/* Is vector v the first of its cache line? */
#define STARTS_LINE(v) ((v)*LANES % 16 == 0)

/* Or gcc keeps a register for every multiple of a stride. */
#define OPAQUE(pointer) __asm__("" : "+r"(pointer))

#define EACH_ROW(M) _Pragma("GCC unroll 14") for (size_t i = 0; i < M; i++)
#define EACH_VEC(V) _Pragma("GCC unroll 4") for (size_t v = 0; v < V; v++)
#define EACH_PANEL(P) _Pragma("GCC unroll 4") for (size_t q = 0; q < P; q++)
#define EACH_ACC(M, VP) EACH_ROW(M) _Pragma("GCC unroll 16") for (size_t v = 0; v < VP; v++)

#define NEXT_PANEL(bq)  \
    do {                \
        if (q > 0) {    \
            bq += ps_b; \
            OPAQUE(bq); \
        }               \
    } while (0)

/* C is touched first: by the time it is written it has come from wherever it was. Where it is read at once, what is
 * touched is the next rows instead: the driver goes down a panel. */
#define TILE(M, V, P)                                                                                                 \
    static __attribute__((noinline)) void tile_##M##_##V##_##P(size_t k, const float *a, size_t rs_a, size_t cs_a,    \
                                                               const B_TYPE *b, B_STRIDES(size_t), float *c,          \
                                                               size_t rs_c, int accumulate, size_t prefetch)          \
    {                                                                                                                 \
        vec acc[M][V * P];                                                                                            \
        (void)ps_b;                                                                                                   \
        EACH_ACC(M, V *P) _mm_prefetch((const char *)(c + (accumulate ? i + M : i) * rs_c + LANES * v), _MM_HINT_T0); \
        if (accumulate) EACH_ACC(M, V *P) acc[i][v] = vec_load(c + i * rs_c + LANES * v);                             \
        else EACH_ACC(M, V *P) acc[i][v] = vec_zero();                                                                \
        const char *ap = (const char *)a;                                                                             \
        size_t ahead = prefetch * (B_AHEAD(V)), ra = rs_a * sizeof *a, ca = cs_a * sizeof *a;                         \
        REDUCE(M, V, P)                                                                                               \
        EACH_ACC(M, V *P) vec_store(c + i * rs_c + LANES * v, acc[i][v]);                                             \
    }

#define CASE(M, V, P) \
    case M: tile_##M##_##V##_##P(k, a, rs_a, cs_a, b, B_STRIDES(), c, rs_c, accumulate, prefetch); break;

/* The micro-kernel `name` of P panels of V vectors for 1 to MR rows; ROWS is the ROWS_n of that number. */
#define KERNEL(name, ROWS, V, P)                                                                       \
    ROWS(TILE, V, P)                                                                                   \
    void FUNCTION(name)(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const B_TYPE *b, \
                        B_STRIDES(size_t), float *c, size_t rs_c, int accumulate, size_t prefetch)     \
    {                                                                                                  \
        switch (m) {                                                                                   \
            ROWS(CASE, V, P)                                                                           \
        }                                                                                              \
    }

#define ROWS_1(X, V, P) X(1, V, P)
#define ROWS_2(X, V, P) ROWS_1(X, V, P) X(2, V, P)
#define ROWS_3(X, V, P) ROWS_2(X, V, P) X(3, V, P)
#define ROWS_4(X, V, P) ROWS_3(X, V, P) X(4, V, P)
#define ROWS_6(X, V, P) ROWS_4(X, V, P) X(5, V, P) X(6, V, P)
#define ROWS_8(X, V, P) ROWS_6(X, V, P) X(7, V, P) X(8, V, P)
#define ROWS_14(X, V, P) ROWS_8(X, V, P) X(9, V, P) X(10, V, P) X(11, V, P) X(12, V, P) X(13, V, P) X(14, V, P)

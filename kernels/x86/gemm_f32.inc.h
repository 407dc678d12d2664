/* GEMM f32 of one x86 vector, which the including file has chosen by a vec_ header. One lane is one output, so the
 * chain of each is the scalar truth's whatever the tile. */
#define B_TYPE float
#define B_STRIDES(type) type rs_b, type ps_b
#define B_AHEAD(V) rs_b
#define FUNCTION(name) cg_gemm_f32_##name

/* One step of the reduction: M rows of A against V vectors of each of P panels. With one panel its vectors stay in
 * registers while the rows pass, with more the rows stay while the vectors pass. */
#define STEP(M, V, P, PREFETCH, HINT)                                                                       \
    do {                                                                                                    \
        vec x[M], y[V];                                                                                     \
        if (P > 1) EACH_ROW(M) x[i] = vec_set1((const float *)(ap + i * ra));                               \
        const float *bq = b;                                                                                \
        EACH_PANEL(P)                                                                                       \
        {                                                                                                   \
            NEXT_PANEL(bq);                                                                                 \
            EACH_VEC(V)                                                                                     \
            {                                                                                               \
                if (PREFETCH && STARTS_LINE(v)) _mm_prefetch((const char *)(bq + ahead + LANES * v), HINT); \
                y[v] = vec_load(bq + LANES * v);                                                            \
                if (P > 1) EACH_ROW(M) acc[i][q * V + v] = vec_fma(x[i], y[v], acc[i][q * V + v]);          \
            }                                                                                               \
        }                                                                                                   \
        const char *ai = ap;                                                                                \
        if (P == 1) EACH_ROW(M)                                                                             \
            {                                                                                               \
                if (i > 0 && i % 3 == 0) {                                                                  \
                    ai += 3 * ra;                                                                           \
                    OPAQUE(ai);                                                                             \
                }                                                                                           \
                x[i] = vec_set1((const float *)(ai + i % 3 * ra));                                          \
                EACH_VEC(V) acc[i][v] = vec_fma(x[i], y[v], acc[i][v]);                                     \
            }                                                                                               \
        ap += ca;                                                                                           \
        b += rs_b;                                                                                          \
    } while (0)

#define STEPS(M, V, P, PREFETCH, HINT) \
    _Pragma("GCC unroll 2") for (size_t p = 0; p < k; p++) STEP(M, V, P, PREFETCH, HINT)

#define REDUCE(M, V, P)                 \
    if (prefetch >= FAR) {              \
        STEPS(M, V, P, 1, _MM_HINT_T1); \
    } else if (prefetch) {              \
        STEPS(M, V, P, 1, _MM_HINT_T0); \
    } else {                            \
        STEPS(M, V, P, 0, _MM_HINT_T0); \
    }

#include "kernels/x86/gemm_tile.inc.h"

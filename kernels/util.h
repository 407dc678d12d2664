/* Small things that the portable loops share; internal, no ISA file includes it. */
#ifndef CG_KERNELS_UTIL_H
#define CG_KERNELS_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static inline size_t round_up(size_t n, size_t to)
{
    return ceil_div(n, to) * to;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Four floats as their bits. */
typedef uint32_t bits4 __attribute__((vector_size(16)));

static inline bits4 load4(const float *x)
{
    bits4 v;
    memcpy(&v, x, sizeof v);
    return v;
}

/* c[p] = element p of four rows of x that are `ld` apart: 4 x 4 floats turned over in registers. */
static inline void load_turned(const float *x, size_t ld, bits4 c[4])
{
    bits4 r0 = load4(x), r1 = load4(x + ld), r2 = load4(x + 2 * ld), r3 = load4(x + 3 * ld);
    bits4 t0 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), t1 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
    bits4 t2 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5), t3 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
    c[0] = __builtin_shufflevector(t0, t2, 0, 1, 4, 5);
    c[1] = __builtin_shufflevector(t0, t2, 2, 3, 6, 7);
    c[2] = __builtin_shufflevector(t1, t3, 0, 1, 4, 5);
    c[3] = __builtin_shufflevector(t1, t3, 2, 3, 6, 7);
}

/* out[p*ldo + j] = x[j*ld + p] for 4 rows j and 4 columns p. */
static inline void transpose_4x4(const float *x, size_t ld, float *out, size_t ldo)
{
    bits4 c[4];
    load_turned(x, ld, c);
    for (size_t p = 0; p < 4; p++) memcpy(out + p * ldo, &c[p], sizeof c[p]);
}

#endif

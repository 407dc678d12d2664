/* What BFDOT and BFMMLA of the Arm architecture compute (BFDotAdd in the Arm Architecture Reference Manual, with FPCR.EBF
 * 0, as operating systems leave it): for each pair of elements c = c + (a0*b0 + a1*b1), every operation rounded to odd,
 * denormals taken and given as 0, every NaN the default one. FPCR's rounding mode plays no part. */
#include <math.h>

#include "kernels/bf16.h"
#include "kernels/ops.h"

static inline uint64_t double_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double bits_double(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* To f32, rounded to odd: inexact results get a last bit of 1. From 2^128 on infinity, below 2^-126 a signed zero. */
static float round_to_odd(double x)
{
    if (isnan(x)) {
        const uint32_t default_nan = 0x7fc00000;
        float nan;
        memcpy(&nan, &default_nan, sizeof nan);
        return nan;
    }
    if (fabs(x) < 0x1p-126) return copysignf(0.0f, (float)x);
    if (fabs(x) >= 0x1p128) return copysignf(INFINITY, (float)x);
    const uint64_t below = (UINT64_C(1) << 29) - 1; /* what an f32 has no room for */
    uint64_t u = double_bits(x), odd = (u & below) != 0 ? below + 1 : 0;
    return (float)bits_double((u & ~below) | odd);
}

/* The sum is rounded to odd as a double first: that has more than two bits to spare, so nothing is rounded twice. */
static float add(float a, float b)
{
    double x = a, y = b, sum = x + y;
    if (!isfinite(sum)) return round_to_odd(sum);
    double part = sum - x, rest = (x - (sum - part)) + (y - part); /* Knuth's: sum + rest is exact */
    uint64_t u = double_bits(sum);
    if (rest != 0.0 && (u & 1) == 0) u += (rest > 0.0) == (sum > 0.0) ? 1 : UINT64_MAX;
    return round_to_odd(bits_double(u));
}

static inline double flushed(uint16_t b)
{
    float x = cg_bf16_value(b);
    return fabsf(x) < 0x1p-126f ? copysign(0.0, x) : x;
}

static inline float product(uint16_t a, uint16_t b)
{
    return round_to_odd(flushed(a) * flushed(b)); /* exact before */
}

float cg_bf16_dot_arm(size_t k, const uint16_t *a, const uint16_t *b)
{
    float sum = 0.0f;
    for (size_t p = 0; p < k; p += 2) sum = add(sum, add(product(a[p], b[p]), product(a[p + 1], b[p + 1])));
    return sum;
}

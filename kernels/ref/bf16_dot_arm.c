/* What BFDOT and BFMMLA of the Arm architecture compute (BFDotAdd in the Arm Architecture Reference Manual, with
 * FPCR.EBF 0, as operating systems leave it): for each pair of elements c = c + (a0*b0 + a1*b1), every operation
 * rounded to odd, denormals taken and given as 0, every NaN the default one. FPCR's rounding mode plays no part.
 * In integers, on the bits of f32 values: emulators that run the tests do not slow those down. */
#include <string.h>

#include "kernels/ops.h"

#define SIGN 0x80000000u
#define INFINITE 0x7f800000u
#define DEFAULT_NAN 0x7fc00000u

static inline int exponent(uint32_t x)
{
    return x >> 23 & 0xff;
}

static inline uint32_t magnitude(uint32_t x)
{
    return x & ~SIGN;
}

/* m * 2^(e - 127 - 62), m not 0: a number of exponent e where the top bit of m is 62. Inexact ones get a last bit of 1;
 * from 2^128 on they are infinite, below 2^-126 a signed 0. */
static inline uint32_t round_to_odd(uint32_t sign, int e, uint64_t m)
{
    int up = __builtin_clzll(m);
    m <<= up;
    e += 1 - up;
    if (e <= 0) return sign;
    if (e >= 255) return sign | INFINITE;
    uint64_t below = (UINT64_C(1) << 40) - 1;
    return sign | (uint32_t)e << 23 | (uint32_t)(m >> 40 & 0x7fffff) | ((m & below) != 0);
}

static uint32_t add(uint32_t a, uint32_t b)
{
    if (magnitude(a) < magnitude(b)) {
        uint32_t t = a;
        a = b;
        b = t;
    }
    int ea = exponent(a), eb = exponent(b), opposed = (int)((a ^ b) >> 31);
    if (ea == 255) return magnitude(a) > INFINITE || (eb == 255 && opposed) ? DEFAULT_NAN : a;
    if (eb == 0) { /* b is 0, or counts as 0 */
        if (ea != 0) return a;
        return opposed ? 0 : a & SIGN;
    }
    uint64_t ma = (uint64_t)((a & 0x7fffff) | 0x800000) << 39, mb = (uint64_t)((b & 0x7fffff) | 0x800000) << 39;
    int shift = ea - eb;
    if (shift > 62) mb = 1; /* too small to tell how small */
    else mb = mb >> shift | ((mb & ((UINT64_C(1) << shift) - 1)) != 0);
    uint64_t m = opposed ? ma - mb : ma + mb;
    return m == 0 ? 0 : round_to_odd(a & SIGN, ea, m);
}

/* Exact where it is a normal number: 16 bits at most. */
static inline uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t sign = (a ^ b) & SIGN;
    int ea = exponent(a), eb = exponent(b);
    if (ea == 255 || eb == 255) {
        int nan = magnitude(a) > INFINITE || magnitude(b) > INFINITE || ea == 0 || eb == 0;
        return nan ? DEFAULT_NAN : sign | INFINITE;
    }
    if (ea == 0 || eb == 0) return sign;
    uint64_t m = (uint64_t)((a >> 16 & 0x7f) | 0x80) * ((b >> 16 & 0x7f) | 0x80);
    return round_to_odd(sign, ea + eb - 127, m << 48);
}

float cg_bf16_dot_arm(size_t k, const uint16_t *a, const uint16_t *b)
{
    uint32_t sum = 0;
    for (size_t p = 0; p < k; p += 2) {
        uint32_t even = multiply((uint32_t)a[p] << 16, (uint32_t)b[p] << 16);
        uint32_t odd = multiply((uint32_t)a[p + 1] << 16, (uint32_t)b[p + 1] << 16);
        sum = add(sum, add(even, odd));
    }
    float result;
    memcpy(&result, &sum, sizeof result);
    return result;
}

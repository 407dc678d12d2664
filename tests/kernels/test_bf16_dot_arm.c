/* The scalar model of BFDOT and BFMMLA against integer arithmetic, and against results worked out by hand. (That the
 * instructions compute the same is seen where test_gemm_bf16 runs on AArch64.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/ops.h"

#define SEED 20261123u
#define DEFAULT_NAN 0x7fc00000u
#define INFINITE 0x7f800000u
#define LONGEST 16

extern cg_bf16_dot_fn cg_bf16_dot_arm;

static uint32_t rng_state;

static uint32_t rng(void)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return rng_state >> 8;
}

static uint32_t float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* ---- In integers: an f32 is its bits ----------------------------------------------------------------------------- */

static int exponent(uint32_t x)
{
    return x >> 23 & 0xff;
}

static int is_nan(uint32_t x)
{
    return (x & 0x7fffffff) > INFINITE;
}

static uint32_t flushed(uint32_t x)
{
    return exponent(x) == 0 ? x & 0x80000000 : x;
}

/* sign * m * 2^(e - 150 - extra), m not 0, to an f32: rounded to odd, 0 below the normal numbers. */
static uint32_t rounded(uint32_t sign, int e, uint64_t m, int extra)
{
    int top = 63 - __builtin_clzll(m), drop = top - 23;
    uint32_t lost = 0;
    e += drop - extra;
    if (drop > 0) {
        lost = (m & ((UINT64_C(1) << drop) - 1)) != 0;
        m >>= drop;
    } else {
        m <<= -drop;
    }
    if (e <= 0) return sign;
    if (e >= 255) return sign | INFINITE;
    return sign | (uint32_t)e << 23 | (uint32_t)(m & 0x7fffff) | lost;
}

static uint32_t sum(uint32_t a, uint32_t b)
{
    a = flushed(a);
    b = flushed(b);
    if ((a & 0x7fffffff) < (b & 0x7fffffff)) {
        uint32_t t = a;
        a = b;
        b = t;
    }
    uint32_t opposed = (a ^ b) & 0x80000000;
    if (is_nan(a) || (exponent(b) == 255 && opposed)) return DEFAULT_NAN; /* a NaN is the larger */
    if (exponent(a) == 255) return a;
    if (exponent(b) == 0) return exponent(a) == 0 && opposed ? 0 : a;
    enum { EXTRA = 39 }; /* bits below those of a */
    uint64_t ma = (uint64_t)((a & 0x7fffff) | 0x800000) << EXTRA, mb = (uint64_t)((b & 0x7fffff) | 0x800000) << EXTRA;
    int shift = exponent(a) - exponent(b);
    mb = shift > 63 ? 1 : mb >> shift | ((mb & ((UINT64_C(1) << shift) - 1)) != 0);
    uint64_t m = opposed ? ma - mb : ma + mb;
    return m == 0 ? 0 : rounded(a & 0x80000000, exponent(a), m, EXTRA);
}

static uint32_t product(uint16_t x, uint16_t y)
{
    uint32_t a = flushed((uint32_t)x << 16), b = flushed((uint32_t)y << 16), sign = (a ^ b) & 0x80000000;
    int infinite = exponent(a) == 255 || exponent(b) == 255, zero = exponent(a) == 0 || exponent(b) == 0;
    if (is_nan(a) || is_nan(b) || (infinite && zero)) return DEFAULT_NAN;
    if (infinite) return sign | INFINITE;
    if (zero) return sign;
    uint64_t m = (uint64_t)((a >> 16 & 0x7f) | 0x80) * ((b >> 16 & 0x7f) | 0x80);
    return rounded(sign, exponent(a) + exponent(b) - 127, m, 14 - 23);
}

static uint32_t dot(size_t k, const uint16_t *a, const uint16_t *b)
{
    uint32_t c = 0;
    for (size_t p = 0; p < k; p += 2) c = sum(c, sum(product(a[p], b[p]), product(a[p + 1], b[p + 1])));
    return c;
}

/* Numbers of about one size, products about the least and the largest normal number, all bits. */
static uint16_t value(unsigned content)
{
    static const struct {
        uint32_t least, count;
    } exponents[] = {{0x7c, 6}, {0x36, 20}, {0xba, 8}, {0x50, 80}};
    uint32_t sign_and_mantissa = rng() & 0x807f;
    if (content == 4 || rng() % 30 == 0) return (uint16_t)rng();
    return (uint16_t)(sign_and_mantissa | (exponents[content].least + rng() % exponents[content].count) << 7);
}

static void test_integers(void **state)
{
    (void)state;
    rng_state = SEED;
    for (unsigned i = 0; i < 400000; i++) {
        uint16_t a[LONGEST], b[LONGEST];
        size_t k = 2 + rng() % (LONGEST / 2) * 2;
        for (size_t p = 0; p < k; p++) {
            a[p] = value(i % 5);
            b[p] = value(i % 5);
        }
        uint32_t is = float_bits(cg_bf16_dot_arm(k, a, b)), should = dot(k, a, b);
        if (is != should) fail_msg("case %u of seed %u: %08x, not %08x", i, SEED, is, should);
    }
}

/* ---- By hand ----------------------------------------------------------------------------------------------------- */

/* start + (a0*b0 + a1*b1); start is exact in bf16. */
static uint32_t pair(float start, float a0, float b0, float a1, float b1)
{
    uint16_t a[] = {cg_bf16_of(start), 0, cg_bf16_of(a0), cg_bf16_of(a1)};
    uint16_t b[] = {cg_bf16_of(1.0f), 0, cg_bf16_of(b0), cg_bf16_of(b1)};
    return float_bits(cg_bf16_dot_arm(4, a, b));
}

static void test_by_hand(void **state)
{
    (void)state;
    const float odd = 1.0f + 0x1p-23f;
    assert_int_equal(float_bits(cg_bf16_dot_arm(0, NULL, NULL)), 0);
    assert_int_equal(pair(0.0f, 1.0f, 1.0f, 2.0f, 3.0f), float_bits(7.0f));
    /* What is inexact becomes odd, away from zero or towards it. */
    assert_int_equal(pair(1.0f, 0x1p-40f, 1.0f, 0.0f, 0.0f), float_bits(odd));
    assert_int_equal(pair(1.0f, -0x1p-40f, 1.0f, 0.0f, 0.0f), float_bits(1.0f - 0x1p-24f));
    assert_int_equal(pair(-1.0f, -0x1p-100f, 1.0f, 0.0f, 0.0f), float_bits(-odd));
    /* The products of a pair meet first: what they lose does not reach the sum. */
    assert_int_equal(pair(-1.0f, 1.0f, 1.0f, 0x1p-40f, 1.0f), float_bits(0x1p-23f));
    assert_int_equal(pair(0x1p-40f, 1.0f, 1.0f, -1.0f, 1.0f), float_bits(0x1p-40f));
    /* Denormals, taken and made, are 0 of their sign; +0 where numbers cancel. */
    assert_int_equal(pair(1.0f, 0x1p-130f, 0x1p120f, 0.0f, 0.0f), float_bits(1.0f));
    assert_int_equal(pair(0.0f, 0x1p-100f, 0x1p-27f, 0.0f, 0.0f), 0);
    assert_int_equal(pair(0.0f, 0x1p-100f, 0x1p-26f, 0.0f, 0.0f), float_bits(0x1p-126f));
    assert_int_equal(pair(-0x1p-126f, 0x1.8p-100f, 0x1p-26f, 0.0f, 0.0f), 0);
    assert_int_equal(pair(2.0f, -1.0f, 1.0f, -1.0f, 1.0f), 0);
    /* From 2^128 on infinite; below that it stays finite whatever is lost. */
    assert_int_equal(pair(0.0f, 0x1p64f, 0x1p64f, 0.0f, 0.0f), INFINITE);
    assert_int_equal(pair(0.0f, 0x1.fep127f, 1.0f, 0x1.fep119f, 1.0f), float_bits(0x1.fffep127f));
    assert_int_equal(pair(0x1p100f, 0x1.fep127f, 1.0f, 0x1.fep119f, 1.0f), float_bits(0x1.fffe02p127f));
    assert_int_equal(pair(0.0f, INFINITY, -1.0f, 1.0f, 1.0f), 0x80000000 | INFINITE);
    assert_int_equal(pair(0.0f, INFINITY, 1.0f, -INFINITY, 1.0f), DEFAULT_NAN);
    assert_int_equal(pair(0.0f, INFINITY, 0x1p-130f, 1.0f, 1.0f), DEFAULT_NAN);
    assert_int_equal(pair(0.0f, -NAN, 1.0f, 1.0f, 1.0f), DEFAULT_NAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_integers), cmocka_unit_test(test_by_hand)};
    return cmocka_run_group_tests_name("bf16_dot_arm", tests, NULL, NULL);
}

/* The scalar model of BFDOT and BFMMLA against f64 arithmetic, and against results worked out by hand. (That the
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

static float bits_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static uint32_t float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* ---- In f64: its sums and products of f32 numbers are exact, or rounded to odd before they are rounded once more
 * ------ */

static uint64_t double_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double bits_double(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static float rounded(double x)
{
    if (isnan(x)) return bits_float(DEFAULT_NAN);
    if (fabs(x) < 0x1p-126) return copysignf(0.0f, (float)x);
    if (fabs(x) >= 0x1p128) return copysignf(INFINITY, (float)x);
    const uint64_t below = (UINT64_C(1) << 29) - 1; /* what an f32 has no room for */
    uint64_t u = double_bits(x), odd = (u & below) != 0 ? below + 1 : 0;
    return (float)bits_double((u & ~below) | odd);
}

static float sum(float a, float b)
{
    double x = a, y = b, s = x + y;
    if (!isfinite(s)) return rounded(s);
    double part = s - x, rest = (x - (s - part)) + (y - part); /* Knuth's: s + rest is exact */
    uint64_t u = double_bits(s);
    if (rest != 0.0 && (u & 1) == 0) u += (rest > 0.0) == (s > 0.0) ? 1 : UINT64_MAX;
    return rounded(bits_double(u));
}

static double flushed(uint16_t b)
{
    float x = cg_bf16_value(b);
    return fabsf(x) < 0x1p-126f ? copysign(0.0, x) : x;
}

static float dot(size_t k, const uint16_t *a, const uint16_t *b)
{
    float c = 0.0f;
    for (size_t p = 0; p < k; p += 2) {
        float even = rounded(flushed(a[p]) * flushed(b[p])), odd = rounded(flushed(a[p + 1]) * flushed(b[p + 1]));
        c = sum(c, sum(even, odd));
    }
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

static void test_f64(void **state)
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
        uint32_t is = float_bits(cg_bf16_dot_arm(k, a, b)), should = float_bits(dot(k, a, b));
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_f64), cmocka_unit_test(test_by_hand)};
    return cmocka_run_group_tests_name("bf16_dot_arm", tests, NULL, NULL);
}

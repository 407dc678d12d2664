/* What TDPBF16PS computes (Intel SDM, volume 2): one tile operation takes 32 elements of the reduction; the even and the
 * odd ones are two chains of fused multiply-adds from 0, which are added to each other and then to C. Each step rounds to
 * nearest even; denormals are taken and given as zero of their sign; MXCSR has no say. */
#include <math.h>

#include "kernels/bf16.h"
#include "kernels/ops.h"

static float flush(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x;
}

/* fma with denormal results given as zero. What is denormal is told after rounding with 24 bits; fmaf rounds denormals
 * with fewer, so where it gives just 2^-126, the operation is done again with 64 exponents to spare. (There is no
 * overflow in that: a result so small has operands a*b and c that are small.) */
static float fma_flush(float a, float b, float c)
{
    float r = fmaf(a, b, c);
    if (fabsf(r) != 0x1p-126f) return flush(r);
    float wide = fmaf(a * 0x1p64f, b, c * 0x1p64f);
    return fabsf(wide) < 0x1p-62f ? copysignf(0.0f, r) : r;
}

/* Sums of floats that are denormal are exact: no such question. */
static float add_flush(float a, float b)
{
    return flush(a + b);
}

float cg_bf16_dot_amx(size_t k, const uint16_t *a, const uint16_t *b)
{
    float c = 0.0f;
    for (size_t p = 0; p < k; p += 32) {
        float even = 0.0f, odd = 0.0f;
        for (size_t q = p; q < p + 32; q += 2) {
            even = fma_flush(flush(cg_bf16_value(a[q])), flush(cg_bf16_value(b[q])), even);
            odd = fma_flush(flush(cg_bf16_value(a[q + 1])), flush(cg_bf16_value(b[q + 1])), odd);
        }
        c = add_flush(c, add_flush(even, odd));
    }
    return c;
}

/* What vdpbf16ps computes, as Intel documents it (Intel 64 and IA-32 Architectures Software Developer's Manual) and AMD
 * does: of each pair of elements first the odd, then the even one is multiplied and added with one rounding, to nearest
 * even; denormals are taken and given as zeros of their sign. MXCSR plays no part. */
#include <math.h>

#include "kernels/bf16.h"
#include "kernels/ops.h"

static float denormal_is_zero(uint16_t b)
{
    return cg_bf16_value((b & 0x7f80) == 0 ? b & 0x8000 : b);
}

/* A result is tiny when it would round to less than 2^-126 were there no least exponent. Only where fmaf gives just
 * 2^-126, having rounded coarser than that, is there a doubt: there, the sum in double is exact. */
static float multiply_add(float a, float b, float c)
{
    const float least = 0x1p-126f;
    float r = fmaf(a, b, c);
    if (!(fabsf(r) <= least)) return r;
    if (fabsf(r) == least && fabs((double)a * b + c) >= 0x1p-126 - 0x1p-151) return r;
    return copysignf(0.0f, r);
}

float cg_bf16_dot_x86(size_t k, const uint16_t *a, const uint16_t *b)
{
    float c = 0.0f;
    for (size_t p = 0; p < k; p += 2) {
        c = multiply_add(denormal_is_zero(a[p + 1]), denormal_is_zero(b[p + 1]), c);
        c = multiply_add(denormal_is_zero(a[p]), denormal_is_zero(b[p]), c);
    }
    return c;
}

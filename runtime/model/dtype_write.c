/* f32 to the number formats that files are written in. */
#include <math.h>
#include <string.h>

#include "kernels/bf16.h"
#include "runtime/model/dtype.h"

#define BLOCK 32

void cg_to_f32(const float *x, size_t n, unsigned char *out)
{
    memcpy(out, x, n * sizeof *x);
}

void cg_to_bf16(const float *x, size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t v = cg_bf16_of(x[i]);
        memcpy(out + 2 * i, &v, sizeof v);
    }
}

/* To half precision, to nearest, ties to even; what is too large becomes infinite. x >= 0 and no NaN. */
static uint16_t half_of(float x)
{
    uint32_t b;
    if (x < 0x1p-14f) return (uint16_t)rintf(x * 0x1p24f); /* subnormal: multiples of 2^-24, exact here */
    memcpy(&b, &x, sizeof b);
    b += 0xfffu + (b >> 13 & 1);
    b >>= 13;
    uint32_t bias = (127u - 15u) << 10;
    return b - bias < 0x7c00u ? (uint16_t)(b - bias) : 0x7c00u;
}

void cg_to_q8_0(const float *x, size_t n, unsigned char *out)
{
    for (size_t b = 0; b < n / BLOCK; b++, x += BLOCK, out += 2 + BLOCK) {
        float max = 0;
        for (int j = 0; j < BLOCK; j++) max = fmaxf(max, fabsf(x[j]));
        float d = max / 127.0f, inverse = d >= 0x1p-126f ? 1.0f / d : 0.0f; /* below, d is 0 in half precision */
        uint16_t h = half_of(d);
        memcpy(out, &h, sizeof h);
        /* By the scale before it is rounded, as ggml's reference. */
        for (int j = 0; j < BLOCK; j++) out[2 + j] = (unsigned char)(signed char)roundf(x[j] * inverse);
    }
}

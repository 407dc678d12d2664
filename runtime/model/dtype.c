#include "runtime/model/dtype.h"

#include <string.h>

#define BLOCK 32

static float from_bits(uint32_t b)
{
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

static uint16_t read16(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

float cg_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, mag = h & 0x7fffu;
    if (mag >= 0x7c00u) return from_bits(sign | 0x7f800000u | (mag & 0x3ffu) << 13);
    if (mag >= 0x0400u) return from_bits(sign | ((mag << 13) + ((127u - 15u) << 23)));
    /* Subnormal halves are multiples of 2^-24, normal numbers in f32. */
    float f = (float)mag * 0x1p-24f;
    return sign ? -f : f;
}

void cg_from_f32(const unsigned char *src, size_t n, float *out)
{
    memcpy(out, src, n * sizeof *out);
}

void cg_from_f16(const unsigned char *src, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) out[i] = cg_f16_to_f32(read16(src + 2 * i));
}

void cg_from_bf16(const unsigned char *src, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) out[i] = from_bits((uint32_t)read16(src + 2 * i) << 16);
}

void cg_from_q4_0(const unsigned char *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK; b++, src += 18, out += BLOCK) {
        float d = cg_f16_to_f32(read16(src));
        for (int j = 0; j < BLOCK / 2; j++) {
            out[j] = (float)((src[2 + j] & 15) - 8) * d;
            out[j + BLOCK / 2] = (float)((src[2 + j] >> 4) - 8) * d;
        }
    }
}

void cg_from_q4_1(const unsigned char *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK; b++, src += 20, out += BLOCK) {
        float d = cg_f16_to_f32(read16(src)), m = cg_f16_to_f32(read16(src + 2));
        for (int j = 0; j < BLOCK / 2; j++) {
            out[j] = (float)(src[4 + j] & 15) * d + m;
            out[j + BLOCK / 2] = (float)(src[4 + j] >> 4) * d + m;
        }
    }
}

/* A fifth bit of each value in a word of its own: 16 of the lower halves, then 16 of the upper. */
static void fifth_bits(const unsigned char *src, int v[BLOCK])
{
    uint32_t high;
    memcpy(&high, src, sizeof high);
    for (int j = 0; j < BLOCK / 2; j++) {
        v[j] = (src[4 + j] & 15) | (int)(high >> j & 1) << 4;
        v[j + BLOCK / 2] = src[4 + j] >> 4 | (int)(high >> (j + BLOCK / 2) & 1) << 4;
    }
}

void cg_from_q5_0(const unsigned char *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK; b++, src += 22, out += BLOCK) {
        float d = cg_f16_to_f32(read16(src));
        int v[BLOCK];
        fifth_bits(src + 2, v);
        for (int j = 0; j < BLOCK; j++) out[j] = (float)(v[j] - 16) * d;
    }
}

void cg_from_q5_1(const unsigned char *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK; b++, src += 24, out += BLOCK) {
        float d = cg_f16_to_f32(read16(src)), m = cg_f16_to_f32(read16(src + 2));
        int v[BLOCK];
        fifth_bits(src + 4, v);
        for (int j = 0; j < BLOCK; j++) out[j] = (float)v[j] * d + m;
    }
}

void cg_from_q8_0(const unsigned char *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK; b++, src += 34, out += BLOCK) {
        float d = cg_f16_to_f32(read16(src));
        for (int j = 0; j < BLOCK; j++) out[j] = (float)(int8_t)src[2 + j] * d;
    }
}

int cg_all_finite(const float *x, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t b;
        memcpy(&b, &x[i], sizeof b);
        bad |= (b & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

/* bfloat16: the upper half of an f32. */
#ifndef CG_KERNELS_BF16_H
#define CG_KERNELS_BF16_H

#include <stdint.h>
#include <string.h>

/* To nearest, ties to even; a NaN stays one (quiet). */
static inline uint16_t cg_bf16_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float cg_bf16_value(uint16_t b)
{
    uint32_t u = (uint32_t)b << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

#endif

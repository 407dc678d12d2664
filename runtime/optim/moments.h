/* The moments of AdamW, in f32 or in 8 bits. 8 bits as Dettmers et al. 2022 (8-bit optimizers via block-wise
 * quantization): blocks of CG_MOMENT_BLOCK parameters with a scale of their own, and codes that are denser near 0. Two
 * things differ. Codes are small floating-point numbers, a sign, 4 bits of exponent and 3 of mantissa for the first
 * moment, 5 and 3 for the second (never negative), which need no table. And they are rounded at random, up or down so
 * that the mean is right: at beta2 = 0.999 a moment changes by less than half a step of its code, and to the nearest it
 * would stand still. What is not 0 in the second moment never becomes 0: the update divides by it. */
#ifndef CG_RUNTIME_OPTIM_MOMENTS_H
#define CG_RUNTIME_OPTIM_MOMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

#define CG_MOMENT_BLOCK ((size_t)256)

struct cg_moments {
    size_t n;
    float *m, *v;             /* f32: [n]; NULL in 8 bits */
    uint8_t *m8, *v8;         /* 8 bits: [n] codes */
    float *m_scale, *v_scale; /* [blocks] */
};

size_t cg_moments_blocks(size_t n);

/* Zeros. */
enum cg_status cg_moments_create(size_t n, int bits8, struct cg_moments *out);
void cg_moments_free(struct cg_moments *x);
void cg_moments_reset(struct cg_moments *x);

/* Block b of 8-bit moments (entries from b * CG_MOMENT_BLOCK on) as f32, and back. `key`: what the roundings are drawn
 * from, together with b; another one at every update. Blocks may be worked on by different threads at once. */
void cg_moments_read(const struct cg_moments *x, size_t b, float m[CG_MOMENT_BLOCK], float v[CG_MOMENT_BLOCK]);
void cg_moments_write(struct cg_moments *x, size_t b, uint32_t key, const float m[CG_MOMENT_BLOCK],
                      const float v[CG_MOMENT_BLOCK]);

#endif

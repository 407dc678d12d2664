/* The gradient of the language-model head's input. */
#ifndef CG_KERNELS_HEAD_H
#define CG_KERNELS_HEAD_H

#include <stddef.h>

#include "kernels/registry.h"

/* Up to so many rows, reading W as it lies gains over packing it for a GEMM: for few rows cg_head_grad is meant. */
#define CG_HEAD_FEW_ROWS 96
#define CG_HEAD_STRIP 64 /* columns of W that one task reads, of one chunk */

/* dh[m][d] = dl[m][vocab] * W[vocab][d], W row-major, row i of dl at dl[i*ld], ld >= vocab. The reduction runs in
 * chunks of CG_LOGITS_CHUNK, each a chain of its own from 0, the chunks added in ascending order: one chain of 50,000
 * terms would lose three more bits. The bits do not depend on `threads`. What the caller sees to: vocab > 0, d a
 * multiple of 16, threads >= 1; `scratch` has cg_head_grad_scratch floats; nothing overlaps. Any m is right, 0 does
 * nothing. */
size_t cg_head_grad_scratch(size_t m, size_t vocab, size_t d);
void cg_head_grad(const struct cg_rowops *rows, int threads, size_t m, size_t vocab, size_t d, const float *dl,
                  size_t ld, const float *w, float *dh, float *scratch);

#endif

#include "kernels/head.h"

#include <string.h>

#include "kernels/logits.h"
#include "kernels/util.h"

#define DEEP 96 /* rows of W at a time: with the strip a block of 24 KiB, which stays near */
#define FEW 24  /* rows of dl between two helpings of prefetches */

static size_t chunks_of(size_t vocab)
{
    return ceil_div(vocab, CG_LOGITS_CHUNK);
}

size_t cg_head_grad_scratch(size_t m, size_t vocab, size_t d)
{
    return chunks_of(vocab) * m * d;
}

/* part[m][cols] (leading dimension d) = dl[m][k] * W[k][cols]: one strip of one chunk. The next block of W comes while
 * the rows pass this one; its rows lie too far apart for hardware to guess. */
static void strip(const struct cg_rowops *rows, size_t m, size_t cols, size_t k, size_t d, const float *dl, size_t ld,
                  const float *w, float *part)
{
    size_t groups = ceil_div(m, FEW);
    for (size_t p = 0; p < k; p += DEEP) {
        size_t depth = min_size(DEEP, k - p), next = min_size(DEEP, k - p - depth);
        for (size_t g = 0; g < groups; g++) {
            size_t i = g * m / groups, end = (g + 1) * m / groups;
            for (size_t r = g * next / groups; r < (g + 1) * next / groups; r++)
                for (size_t j = 0; j < cols; j += 16) __builtin_prefetch(w + (p + depth + r) * d + j, 0, 2);
            rows->kv_f32(end - i, cols, depth, dl + i * ld + p, ld, w + p * d, 16, d, part + i * d, d, p > 0);
        }
    }
}

void cg_head_grad(const struct cg_rowops *rows, int threads, size_t m, size_t vocab, size_t d, const float *dl,
                  size_t ld, const float *w, float *dh, float *scratch)
{
    size_t chunks = chunks_of(vocab);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for collapse(2) schedule(dynamic)
        for (size_t c = 0; c < chunks; c++)
            for (size_t j = 0; j < d; j += CG_HEAD_STRIP) {
                size_t v = c * CG_LOGITS_CHUNK, k = min_size(CG_LOGITS_CHUNK, vocab - v);
                strip(rows, m, min_size(CG_HEAD_STRIP, d - j), k, d, dl + v, ld, w + v * d + j,
                      scratch + c * m * d + j);
            }
#pragma omp for
        for (size_t i = 0; i < m; i++)
            for (size_t c = 0; c < chunks; c++) {
                const float *part = scratch + (c * m + i) * d;
                if (c == 0) memcpy(dh + i * d, part, d * sizeof(float));
                else rows->add_f32(d, dh + i * d, part, dh + i * d);
            }
    }
}

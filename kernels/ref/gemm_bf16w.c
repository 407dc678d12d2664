#include <math.h>

#include "kernels/bf16.h"
#include "kernels/ops.h"

/* The scalar truth: the chain of the f32 GEMM over weights expanded from bf16. NR = PACK_NR = 16. */
void cg_gemm_bf16w_ref(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b, size_t ps_b,
                       float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    (void)ps_b;
    (void)prefetch;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < 16; j++) {
            float acc = accumulate ? c[i * rs_c + j] : 0.0f;
            for (size_t p = 0; p < k; p++)
                acc = fmaf(a[i * rs_a + p * cs_a], cg_bf16_value(b[p / 2 * 32 + 2 * j + p % 2]), acc);
            c[i * rs_c + j] = acc;
        }
}

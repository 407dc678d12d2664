#include <math.h>

#include "kernels/ops.h"

/* The scalar truth: one chain of fused multiply-adds an output, k ascending. NR = PACK_NR = 16. */
void cg_gemm_f32_ref(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                     size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    (void)ps_b;
    (void)prefetch;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < 16; j++) {
            float acc = accumulate ? c[i * rs_c + j] : 0.0f;
            for (size_t p = 0; p < k; p++) acc = fmaf(a[i * rs_a + p * cs_a], b[p * rs_b + j], acc);
            c[i * rs_c + j] = acc;
        }
}

#include "kernels/ops.h"

/* The scalar truth: an exact integer sum, then three roundings. MR = 4, NR = 16, KR = 4, A signed. */
void cg_gemm_s8_ref(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                    const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    (void)comp;
    (void)prefetch;
    for (size_t i = 0; i < m; i++) {
        const int8_t *row = (const int8_t *)a + i * rs_a;
        for (size_t j = 0; j < 16; j++) {
            int32_t sum = 0;
            for (size_t p = 0; p < k; p++) sum += row[p] * b[p / 4 * 64 + j * 4 + p % 4];
            float f = (float)sum * sa[i];
            c[i * rs_c + j] = f * sb[j];
        }
    }
}

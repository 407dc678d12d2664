/* For those who try all row operations alike: verify, tests, benchmark. Not installed. */
#ifndef CG_KERNELS_KV_CASE_H
#define CG_KERNELS_KV_CASE_H

#include <stddef.h>

/* A product with a cache (kv_f32 and its kin) whose operands have n elements each, or fewer:
 * m < 8 rows, `cols` columns, reduction k; all 0 where n < 16. A is [m][k], C [m][cols]. */
struct cg_kv_case {
    size_t m, cols, k;
};
static inline struct cg_kv_case cg_kv_case_of(size_t n)
{
    size_t panels = n >= 400 ? 5 : n >= 64 ? 2 : 1, k = n / 16 / panels;
    return (struct cg_kv_case){k < 7 ? k : 7, 16 * panels, k};
}

#endif

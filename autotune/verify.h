/* The numeric contract, checked on this machine: every variant against the scalar truth, bit for bit. */
#ifndef CG_AUTOTUNE_VERIFY_H
#define CG_AUTOTUNE_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "detect/machine.h"
#include "kernels/registry.h"

struct cg_verify {
    const struct cg_machine *machine;
    uint64_t seed;
    int cases; /* random cases of each variant */
    /* Called for every mismatch: the variant and a line that says which case. May be NULL. */
    void (*mismatch)(void *ctx, const struct cg_variant *v, const char *what);
    void *ctx;
    /* Results. */
    size_t variants;            /* that were checked */
    size_t checked, mismatches; /* cases */
};

/* Checks one variant; CG_ERR_MEMORY. Mismatches are counted, not errors. GEMM is held against the formula itself, a row
 * operation against its variant in kernels/ref. */
enum cg_status cg_verify_variant(struct cg_verify *v, const struct cg_variant *variant);

/* Why the variant cannot run on the machine, into buf. */
void cg_verify_why(const struct cg_machine *m, const struct cg_variant *variant, char *buf, size_t size);

/* ---- Shared by the checks of GEMM and of row operations ---------------------------------------------------------- */

/* Numbers by counter: the same case on every machine. */
struct cg_draw {
    uint64_t seed;
    uint32_t a, b, c;
};
uint32_t cg_draw_below(struct cg_draw *d, uint32_t n);
/* n values: most of ordinary size, some very small (also denormal), some zero of either sign; |x| <= max. */
void cg_draw_fill(struct cg_draw *d, float *x, size_t n, float max);

/* Checks case `i` of `variant`: 1 when all bits agree, 0 with a description in `what` when they do not, -1 without
 * memory. */
int cg_verify_gemm_f32(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size);
int cg_verify_gemm_bf16(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size);
int cg_verify_gemm_s8(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size);
int cg_verify_row(const struct cg_variant *variant, struct cg_draw *d, char *what, size_t size);

#endif

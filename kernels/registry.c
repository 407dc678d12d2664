#include "kernels/registry.h"

#include <string.h>
#include <xxhash.h>

#include "detect/isa.h"

#if defined(__x86_64__)
#define CG_VARIANTS_X86
#else
#define CG_VARIANTS_ARM
#endif

/* What the list declares... */
#define ROW_FN(op, isas, suffix) extern cg_##op##_fn cg_##op##_##suffix;
#define GEMM_F32(isas, suffix, mr, nr, pack_nr) extern cg_gemm_f32_fn cg_gemm_f32_##suffix;
#define GEMM_BF16W(isas, suffix, mr, nr, pack_nr) extern cg_gemm_bf16w_fn cg_gemm_bf16w_##suffix;
#define GEMM_BF16(isas, suffix, mr, nr, kr, ku, model) \
    extern cg_gemm_bf16_fn cg_gemm_bf16_##suffix;      \
    extern cg_bf16_dot_fn cg_bf16_dot_##model;
#define GEMM_S8(isas, suffix, mr, nr, kr, ku, a_offset) extern cg_gemm_s8_fn cg_gemm_s8_##suffix;
#define ROWS(isas, suffix) CG_ROW_OPS(ROW_FN, isas, suffix)
#include "kernels/variants.def"
#undef ROW_FN

/* ...and what it holds. */
#define FN(op_, suffix) .fn.op_ = cg_##op_##_##suffix
static const struct cg_variant variants[] = {
#include "kernels/variants.inc.h"
};
#undef FN

/* Edge tiles have room on the stack. */
#define FITS(mr, nr) _Static_assert((mr) * (nr) <= CG_MAX_TILE, "a tile is larger than CG_MAX_TILE");
#define GEMM_F32(isas, suffix, mr, nr, pack_nr) FITS(mr, nr)
#define GEMM_BF16W(isas, suffix, mr, nr, pack_nr) FITS(mr, nr)
#define GEMM_BF16(isas, suffix, mr, nr, kr, ku, model) FITS(mr, nr)
#define GEMM_S8(isas, suffix, mr, nr, kr, ku, a_offset) FITS(mr, nr)
#include "kernels/variants.def"

#define B(level) CG_ISA_BIT(CG_ISA_##level)

/* The row operations of each ISA as a table. */
#define ROW_FN(op, isas, suffix) .op = cg_##op##_##suffix,
#define ROWS(isas_, suffix) {.isas = (isas_), .ops = {CG_ROW_OPS(ROW_FN, isas_, suffix).isa = #suffix}},
static const struct {
    uint64_t isas;
    struct cg_rowops ops;
} rowops[] = {
#include "kernels/variants.def"
};
#undef B
#undef ROW_FN

/* The other architecture's: tiles without functions, of which only the models are there. */
#ifdef CG_VARIANTS_X86
#undef CG_VARIANTS_X86
#define CG_VARIANTS_ARM
#else
#undef CG_VARIANTS_ARM
#define CG_VARIANTS_X86
#endif
#define GEMM_BF16(isas, suffix, mr, nr, kr, ku, model) extern cg_bf16_dot_fn cg_bf16_dot_##model;
#include "kernels/variants.def"
#define FN(op_, suffix) .fn.any = NULL
static const struct cg_variant foreign[] = {
#include "kernels/variants.inc.h"
};

static const char *const op_names[CG_OP_COUNT] = {[CG_OP_gemm_f32] = "gemm_f32",
                                                  [CG_OP_gemm_bf16w] = "gemm_bf16w",
                                                  [CG_OP_gemm_bf16] = "gemm_bf16",
                                                  [CG_OP_gemm_s8] = "gemm_s8",
#define X(op, isas, suffix) [CG_OP_##op] = #op,
                                                  CG_ROW_OPS(X, , )
#undef X
};

const struct cg_variant *cg_variants(size_t *count)
{
    *count = sizeof variants / sizeof *variants;
    return variants;
}

const struct cg_variant *cg_variants_for(enum cg_arch arch, size_t *count)
{
    if (arch == CG_ARCH_HERE) return cg_variants(count);
    *count = sizeof foreign / sizeof *foreign;
    return foreign;
}

const struct cg_variant *cg_variant_named(const char *name)
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (strcmp(variants[i].name, name) == 0) return &variants[i];
    return NULL;
}

const char *cg_op_name(enum cg_op op)
{
    return (unsigned)op < CG_OP_COUNT ? op_names[op] : "?";
}

int cg_op_is_gemm(enum cg_op op)
{
    return op <= CG_OP_gemm_s8;
}

int cg_op_is_dot(enum cg_op op)
{
    return op == CG_OP_gemm_s8 || op == CG_OP_gemm_bf16;
}

uint64_t cg_variants_hash(void)
{
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        const struct cg_variant *v = &variants[i];
        uint64_t f[8] = {h, v->isa, v->mr, v->nr, v->kr, v->ku, v->pack_nr, v->a_offset};
        h = XXH3_64bits_withSeed(v->name, strlen(v->name), XXH3_64bits(f, sizeof f));
    }
    return h;
}

int cg_variant_runs(const struct cg_variant *v, uint64_t isa)
{
    return (v->isa & ~isa) == 0;
}

int cg_variant_same_layout(const struct cg_variant *a, const struct cg_variant *b)
{
    if (a->op != b->op) return 0;
    return cg_op_is_dot(a->op) ? a == b : a->pack_nr == b->pack_nr;
}

const struct cg_rowops *cg_rowops_for(uint64_t isa)
{
    const struct cg_rowops *best = &rowops[0].ops;
    for (size_t i = 0; i < sizeof rowops / sizeof *rowops; i++)
        if ((rowops[i].isas & ~isa) == 0) best = &rowops[i].ops;
    return best;
}

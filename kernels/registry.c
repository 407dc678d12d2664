#include "kernels/registry.h"

#include <string.h>
#include <xxhash.h>

#include "detect/isa.h"

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
#define B(level) CG_ISA_BIT(CG_ISA_##level)
#define ROW_FN(op_, isas, suffix) \
    {.op = CG_OP_##op_, .name = #op_ "_" #suffix, .isa = (isas), .fn.op_ = cg_##op_##_##suffix},
#define TILE(op_, isas, suffix, mr_, nr_, kr_, ku_, pack_nr_)                                               \
    .op = CG_OP_##op_, .name = #op_ "_" #suffix, .isa = (isas), .mr = mr_, .nr = nr_, .kr = kr_, .ku = ku_, \
    .pack_nr = pack_nr_, .fn.op_ = cg_##op_##_##suffix
#define GEMM_F32(isas, suffix, mr, nr, pack_nr) {TILE(gemm_f32, isas, suffix, mr, nr, 1, 1, pack_nr)},
#define GEMM_BF16W(isas, suffix, mr, nr, pack_nr) {TILE(gemm_bf16w, isas, suffix, mr, nr, 2, 2, pack_nr)},
#define GEMM_BF16(isas, suffix, mr, nr, kr, ku, model_) \
    {TILE(gemm_bf16, isas, suffix, mr, nr, kr, ku, nr), .model = cg_bf16_dot_##model_},
#define GEMM_S8(isas, suffix, mr, nr, kr, ku, a_offset_) \
    {TILE(gemm_s8, isas, suffix, mr, nr, kr, ku, nr), .a_offset = a_offset_},
#define ROWS(isas, suffix) CG_ROW_OPS(ROW_FN, isas, suffix)
static const struct cg_variant variants[] = {
#include "kernels/variants.def"
};
#undef ROW_FN

/* Edge tiles have room on the stack. */
#define FITS(mr, nr) _Static_assert((mr) * (nr) <= CG_MAX_TILE, "a tile is larger than CG_MAX_TILE");
#define GEMM_F32(isas, suffix, mr, nr, pack_nr) FITS(mr, nr)
#define GEMM_BF16W(isas, suffix, mr, nr, pack_nr) FITS(mr, nr)
#define GEMM_BF16(isas, suffix, mr, nr, kr, ku, model) FITS(mr, nr)
#define GEMM_S8(isas, suffix, mr, nr, kr, ku, a_offset) FITS(mr, nr)
#include "kernels/variants.def"

/* The row operations of each ISA as a table. */
#define ROW_FN(op, isas, suffix) .op = cg_##op##_##suffix,
#define ROWS(isas_, suffix) {.isas = (isas_), .ops = {CG_ROW_OPS(ROW_FN, isas_, suffix).isa = #suffix}},
static const struct {
    uint64_t isas;
    struct cg_rowops ops;
} rowops[] = {
#include "kernels/variants.def"
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

const struct cg_rowops *cg_rowops_for(uint64_t isa)
{
    const struct cg_rowops *best = &rowops[0].ops;
    for (size_t i = 0; i < sizeof rowops / sizeof *rowops; i++)
        if ((rowops[i].isas & ~isa) == 0) best = &rowops[i].ops;
    return best;
}

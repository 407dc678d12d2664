/* The list of variants as the content of an array of struct cg_variant: each with what FN(op, suffix) says of its
 * function. For registry.c only, once for each architecture. */
#define B(level) CG_ISA_BIT(CG_ISA_##level)
#define ROW_FN(op_, isas, suffix) {.op = CG_OP_##op_, .name = #op_ "_" #suffix, .isa = (isas), FN(op_, suffix)},
#define TILE(op_, isas, suffix, mr_, nr_, kr_, ku_, pack_nr_)                                               \
    .op = CG_OP_##op_, .name = #op_ "_" #suffix, .isa = (isas), .mr = mr_, .nr = nr_, .kr = kr_, .ku = ku_, \
    .pack_nr = pack_nr_, FN(op_, suffix)
#define GEMM_F32(isas, suffix, mr, nr, pack_nr) {TILE(gemm_f32, isas, suffix, mr, nr, 1, 1, pack_nr)},
#define GEMM_BF16W(isas, suffix, mr, nr, pack_nr) {TILE(gemm_bf16w, isas, suffix, mr, nr, 2, 2, pack_nr)},
#define GEMM_BF16(isas, suffix, mr, nr, kr, ku, model_) \
    {TILE(gemm_bf16, isas, suffix, mr, nr, kr, ku, nr), .model = cg_bf16_dot_##model_},
#define GEMM_S8(isas, suffix, mr, nr, kr, ku, a_offset_) \
    {TILE(gemm_s8, isas, suffix, mr, nr, kr, ku, nr), .a_offset = a_offset_},
#define ROWS(isas, suffix) CG_ROW_OPS(ROW_FN, isas, suffix)

#include "kernels/variants.def"

#undef B
#undef ROW_FN
#undef TILE

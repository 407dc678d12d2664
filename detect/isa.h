/* ISA levels: the names that variants, reports and CPU_GRPO_ISA use. */
#ifndef CG_DETECT_ISA_H
#define CG_DETECT_ISA_H

#include <stdint.h>

/* X(NAME, "name", what it stands for). In ascending order within an architecture: CPU_GRPO_ISA=name masks everything
 * that comes after it in its architecture's list. The length of SVE's vectors is a fact beside it: variants made for
 * one length need both. It comes before SVE, so that CPU_GRPO_ISA=sve keeps it. */
#define CG_ISA_LIST_X86(X)                                       \
    X(AVX2, "avx2", "AVX2, FMA, F16C, BMI2 (x86-64-v3)")         \
    X(AVX_VNNI, "avx-vnni", "AVX-VNNI")                          \
    X(AVX512, "avx512", "AVX-512 F, BW, DQ, VL, CD (x86-64-v4)") \
    X(AVX512_VNNI, "avx512-vnni", "AVX512-VNNI")                 \
    X(AVX512_BF16, "avx512-bf16", "AVX512-BF16")                 \
    X(AVX512_FP16, "avx512-fp16", "AVX512-FP16")                 \
    X(AMX_INT8, "amx-int8", "AMX tiles with INT8")               \
    X(AMX_BF16, "amx-bf16", "AMX tiles with BF16")
#define CG_ISA_LIST_ARM(X)                                \
    X(NEON, "neon", "Advanced SIMD")                      \
    X(DOTPROD, "dotprod", "Advanced SIMD dot product")    \
    X(I8MM, "i8mm", "Advanced SIMD INT8 matrix multiply") \
    X(BF16, "bf16", "Advanced SIMD BF16")                 \
    X(SVE_128, "sve-128", "SVE vectors of 128 bits")      \
    X(SVE_256, "sve-256", "SVE vectors of 256 bits")      \
    X(SVE_512, "sve-512", "SVE vectors of 512 bits")      \
    X(SVE_1024, "sve-1024", "SVE vectors of 1024 bits")   \
    X(SVE_2048, "sve-2048", "SVE vectors of 2048 bits")   \
    X(SVE, "sve", "Scalable Vector Extension")            \
    X(SVE2, "sve2", "Scalable Vector Extension 2")        \
    X(SVE_I8MM, "sve-i8mm", "SVE INT8 matrix multiply")   \
    X(SVE_BF16, "sve-bf16", "SVE BF16")

enum cg_isa {
    CG_ISA_SCALAR = 0, /* runs everywhere: no bit */
#define X(name, text, what) CG_ISA_##name,
    CG_ISA_LIST_X86(X) CG_ISA_LIST_ARM(X)
#undef X
        CG_ISA_COUNT
};

/* The bit of a level in an ISA mask; 0 for CG_ISA_SCALAR. */
#define CG_ISA_BIT(isa) ((isa) == CG_ISA_SCALAR ? UINT64_C(0) : UINT64_C(1) << (isa))

/* "avx512"; "scalar" for CG_ISA_SCALAR. */
const char *cg_isa_name(enum cg_isa isa);

/* What the level stands for: "AVX-512 F, BW, DQ, VL, CD (x86-64-v4)". */
const char *cg_isa_description(enum cg_isa isa);

#endif

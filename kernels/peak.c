#include "kernels/peak.h"

#include "kernels/arm/peak.h"
#include "kernels/x86/peak.h"

/* Which loop stands for which variants: X(op, level, operations of a round, 1 where they are those of each 16 bytes of
 * a vector, loop). A variant has the last whose level it needs. */
#define PEAKS_X86(X)                              \
    X(gemm_f32, AVX2, 12 * 16, 0, f32_avx2)       \
    X(gemm_f32, AVX512, 12 * 32, 0, f32_avx512)   \
    X(gemm_s8, AVX2, 12 * 32, 0, s8_avx2)         \
    X(gemm_s8, AVX_VNNI, 12 * 64, 0, s8_avx_vnni) \
    X(gemm_s8, AVX512_VNNI, 12 * 128, 0, s8_vnni) \
    X(gemm_s8, AMX_INT8, 12 * 32768, 0, s8_amx)   \
    X(gemm_bf16, AVX512_BF16, 12 * 64, 0, bf16)   \
    X(gemm_bf16, AMX_BF16, 12 * 16384, 0, bf16_amx)
#define PEAKS_ARM(X)                              \
    X(gemm_f32, NEON, 20 * 8, 0, f32_neon)        \
    X(gemm_f32, SVE, 20 * 8, 1, f32_sve)          \
    X(gemm_s8, NEON, 20 * 16, 0, s8_neon)         \
    X(gemm_s8, DOTPROD, 20 * 32, 0, s8_dotprod)   \
    X(gemm_s8, I8MM, 20 * 64, 0, s8_i8mm)         \
    X(gemm_s8, SVE, 20 * 32, 1, s8_sve)           \
    X(gemm_s8, SVE_I8MM, 20 * 64, 1, s8_sve_mmla) \
    X(gemm_bf16, BF16, 20 * 32, 0, bf16_neon)     \
    X(gemm_bf16, SVE_BF16, 20 * 32, 1, bf16_sve)

#define HERE(op_, level_, ops_, scalable_, loop) {CG_OP_##op_, CG_ISA_##level_, ops_, scalable_, cg_peak_##loop},
#define ELSEWHERE(op_, level_, ops_, scalable_, loop) {CG_OP_##op_, CG_ISA_##level_, ops_, scalable_, NULL},
static const struct peak {
    enum cg_op op;
    enum cg_isa level;
    double ops;
    int scalable;
    void (*run)(size_t rounds);
} peaks[] = {
#if defined(__x86_64__)
    PEAKS_X86(HERE) PEAKS_ARM(ELSEWHERE)
#else
    PEAKS_ARM(HERE) PEAKS_X86(ELSEWHERE)
#endif
};

static const struct peak *peak_of(const struct cg_variant *v)
{
    enum cg_op op = v->op == CG_OP_gemm_bf16w ? CG_OP_gemm_f32 : v->op;
    const struct peak *found = NULL;
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++)
        if (peaks[i].op == op && (v->isa & CG_ISA_BIT(peaks[i].level))) found = &peaks[i];
    return found;
}

enum cg_isa cg_peak_level(const struct cg_variant *v)
{
    const struct peak *p = peak_of(v);
    return p ? p->level : CG_ISA_SCALAR;
}

double cg_peak_run(const struct cg_variant *v, uint32_t sve_bytes, size_t rounds)
{
    const struct peak *p = peak_of(v);
    if (!p || !p->run || rounds == 0) return 0;
    p->run(rounds);
    return (double)rounds * p->ops * (p->scalable ? sve_bytes / 16.0 : 1);
}

void cg_peak_read(uint64_t isa, const void *p, size_t n, int prefetch)
{
    if (n == 0) return;
#if defined(__x86_64__)
    if (isa & CG_ISA_BIT(CG_ISA_AVX512)) cg_peak_read_avx512(p, n, prefetch);
    else cg_peak_read_avx2(p, n, prefetch);
#else
    (void)isa;
    cg_peak_read_neon(p, n, prefetch);
#endif
}

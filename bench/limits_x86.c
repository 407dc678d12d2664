/* Loops of one instruction, in assembly: no compiler flag of an ISA is needed, and nothing is optimised away. */
#include "bench/limits.h"

#if defined(__x86_64__)

#define HAS(set, level) (((set)&CG_ISA_BIT(CG_ISA_##level)) != 0)

/* Twelve chains, more than any latency times any number of ports so far. */
#define CHAINS(ins, r)                                                                                                \
    ins " %%" r "0, %%" r "1, %%" r "4\n\t" ins " %%" r "0, %%" r "1, %%" r "5\n\t" ins " %%" r "0, %%" r "1, %%" r   \
        "6\n\t" ins " %%" r "0, %%" r "1, %%" r "7\n\t" ins " %%" r "0, %%" r "1, %%" r "8\n\t" ins " %%" r "0, %%" r \
        "1, %%" r "9\n\t" ins " %%" r "0, %%" r "1, %%" r "10\n\t" ins " %%" r "0, %%" r "1, %%" r "11\n\t" ins       \
        " %%" r "0, %%" r "1, %%" r "12\n\t" ins " %%" r "0, %%" r "1, %%" r "13\n\t" ins " %%" r "0, %%" r "1, %%" r \
        "14\n\t" ins " %%" r "0, %%" r "1, %%" r "15\n\t"
#define CLOBBERS                                                                                               \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
        "xmm13", "xmm14", "xmm15", "memory", "cc"
/* All registers start at 0: no denormals, no infinities. */
#define ZERO       \
    "vzeroall\n\t" \
    ".p2align 5\n"
#define LOOP(body) __asm__ volatile(ZERO "1:\n\t" body "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(rounds) : : CLOBBERS)

/* Multiply pairs of 16 bits, then add: what the INT8 kernel without VNNI does. */
#define MADD(i) "vpmaddwd %%ymm0, %%ymm1, %%ymm" #i "\n\tvpaddd %%ymm2, %%ymm" #i ", %%ymm" #i "\n\t"

static double run_s8(uint64_t isa, size_t rounds)
{
    double n = 12 * (double)rounds;
    if (HAS(isa, AVX512_VNNI)) {
        LOOP(CHAINS("vpdpbusd", "zmm"));
        return 128 * n;
    }
    if (HAS(isa, AVX_VNNI)) {
        LOOP(CHAINS("%{vex%} vpdpbusd", "ymm"));
        return 64 * n;
    }
    if (!HAS(isa, AVX2)) return 0;
    LOOP(MADD(4) MADD(5) MADD(6) MADD(7) MADD(8) MADD(9) MADD(10) MADD(11) MADD(12) MADD(13) MADD(14) MADD(15));
    return 32 * n;
}

static double run_f32(uint64_t isa, size_t rounds)
{
    double n = 12 * (double)rounds;
    if (HAS(isa, AVX512)) {
        LOOP(CHAINS("vfmadd231ps", "zmm"));
        return 32 * n;
    }
    if (!HAS(isa, AVX2)) return 0;
    LOOP(CHAINS("vfmadd231ps", "ymm"));
    return 16 * n;
}

static double run_bf16(uint64_t isa, size_t rounds)
{
    if (!HAS(isa, AVX512_BF16)) return 0;
    double n = 12 * (double)rounds;
    LOOP(CHAINS("vdpbf16ps", "zmm"));
    return 64 * n;
}

/* Eight tiles of 16 rows of 64 bytes: four sums, two of A, two of B. */
static double run_amx(int s8, size_t rounds)
{
    uint8_t config[64] __attribute__((aligned(64))) = {1}; /* palette 1 */
    for (int t = 0; t < 8; t++) {
        config[16 + 2 * t] = 64;
        config[48 + t] = 16;
    }
    double n = 12 * (double)rounds;
#define FOUR(ins)                                                                                             \
    ins " %%tmm7, %%tmm5, %%tmm0\n\t" ins " %%tmm6, %%tmm5, %%tmm1\n\t" ins " %%tmm7, %%tmm4, %%tmm2\n\t" ins \
        " %%tmm6, %%tmm4, %%tmm3\n\t"
#define AMX_LOOP(ins)                                                                                       \
    __asm__ volatile("ldtilecfg %1\n1:\n\t" FOUR(ins) FOUR(ins) FOUR(ins) "dec %0\n\tjnz 1b\n\ttilerelease" \
                     : "+r"(rounds)                                                                         \
                     : "m"(config)                                                                          \
                     : "memory", "cc")
    if (s8) AMX_LOOP("tdpbssd");
    else AMX_LOOP("tdpbf16ps");
    return n * (s8 ? 2 * 16 * 16 * 64 : 2 * 16 * 16 * 32);
}

double cg_limit_run_fma(const struct cg_machine *m, const struct cg_variant *v, size_t rounds)
{
    (void)m;
    if (v->op == CG_OP_gemm_s8) return HAS(v->isa, AMX_INT8) ? run_amx(1, rounds) : run_s8(v->isa, rounds);
    if (v->op == CG_OP_gemm_bf16) return HAS(v->isa, AMX_BF16) ? run_amx(0, rounds) : run_bf16(v->isa, rounds);
    return run_f32(v->isa, rounds);
}

#define LOAD8(r, step)                                                         \
    "vmovups 0*" step "(%0), %%" r "0\n\tvmovups 1*" step "(%0), %%" r "1\n\t" \
    "vmovups 2*" step "(%0), %%" r "2\n\tvmovups 3*" step "(%0), %%" r "3\n\t" \
    "vmovups 4*" step "(%0), %%" r "4\n\tvmovups 5*" step "(%0), %%" r "5\n\t" \
    "vmovups 6*" step "(%0), %%" r "6\n\tvmovups 7*" step "(%0), %%" r "7\n\t"
#define FETCH4 "prefetcht0 2048(%0)\n\tprefetcht0 2112(%0)\n\tprefetcht0 2176(%0)\n\tprefetcht0 2240(%0)\n\t"
#define FETCH8 FETCH4 "prefetcht0 2304(%0)\n\tprefetcht0 2368(%0)\n\tprefetcht0 2432(%0)\n\tprefetcht0 2496(%0)\n\t"
#define READ(body, step)                                                                      \
    __asm__ volatile("1:\n\t" body "add $8*" step ", %0\n\tcmp %1, %0\n\tjb 1b\n\tvzeroupper" \
                     : "+r"(p)                                                                \
                     : "r"(end)                                                               \
                     : CLOBBERS)

void cg_limit_read(const struct cg_machine *m, const void *block, size_t n, int prefetch)
{
    const char *p = block, *end = p + n;
    int wide = HAS(m->isa, AVX512);
    if (n == 0) return;
    if (wide && prefetch) READ(LOAD8("zmm", "64") FETCH8, "64");
    else if (wide) READ(LOAD8("zmm", "64"), "64");
    else if (prefetch) READ(LOAD8("ymm", "32") FETCH4, "32");
    else READ(LOAD8("ymm", "32"), "32");
}

#endif

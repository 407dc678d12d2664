/* Loops of one instruction, in assembly: no compiler flag of an ISA is needed, and nothing is optimised away. */
#include "kernels/x86/peak.h"

#include <stdint.h>

#if defined(__x86_64__)

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

void cg_peak_s8_vnni(size_t rounds)
{
    LOOP(CHAINS("vpdpbusd", "zmm"));
}

void cg_peak_s8_avx_vnni(size_t rounds)
{
    LOOP(CHAINS("%{vex%} vpdpbusd", "ymm"));
}

void cg_peak_s8_avx2(size_t rounds)
{
    LOOP(MADD(4) MADD(5) MADD(6) MADD(7) MADD(8) MADD(9) MADD(10) MADD(11) MADD(12) MADD(13) MADD(14) MADD(15));
}

void cg_peak_f32_avx512(size_t rounds)
{
    LOOP(CHAINS("vfmadd231ps", "zmm"));
}

void cg_peak_f32_avx2(size_t rounds)
{
    LOOP(CHAINS("vfmadd231ps", "ymm"));
}

void cg_peak_bf16(size_t rounds)
{
    LOOP(CHAINS("vdpbf16ps", "zmm"));
}

/* Eight tiles of 16 rows of 64 bytes: four sums, two of A, two of B. */
static void make_config(uint8_t config[64])
{
    config[0] = 1; /* palette 1 */
    for (int t = 0; t < 8; t++) {
        config[16 + 2 * t] = 64;
        config[48 + t] = 16;
    }
}

#define FOUR(ins)                                                                                             \
    ins " %%tmm7, %%tmm5, %%tmm0\n\t" ins " %%tmm6, %%tmm5, %%tmm1\n\t" ins " %%tmm7, %%tmm4, %%tmm2\n\t" ins \
        " %%tmm6, %%tmm4, %%tmm3\n\t"
#define AMX_LOOP(ins)                                                                                       \
    __asm__ volatile("ldtilecfg %1\n1:\n\t" FOUR(ins) FOUR(ins) FOUR(ins) "dec %0\n\tjnz 1b\n\ttilerelease" \
                     : "+r"(rounds)                                                                         \
                     : "m"(config)                                                                          \
                     : "memory", "cc")

void cg_peak_s8_amx(size_t rounds)
{
    uint8_t config[64] __attribute__((aligned(64))) = {0};
    make_config(config);
    AMX_LOOP("tdpbssd");
}

void cg_peak_bf16_amx(size_t rounds)
{
    uint8_t config[64] __attribute__((aligned(64))) = {0};
    make_config(config);
    AMX_LOOP("tdpbf16ps");
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

void cg_peak_read_avx2(const void *block, size_t n, int prefetch)
{
    const char *p = block, *end = p + n;
    if (prefetch) READ(LOAD8("ymm", "32") FETCH4, "32");
    else READ(LOAD8("ymm", "32"), "32");
}

void cg_peak_read_avx512(const void *block, size_t n, int prefetch)
{
    const char *p = block, *end = p + n;
    if (prefetch) READ(LOAD8("zmm", "64") FETCH8, "64");
    else READ(LOAD8("zmm", "64"), "64");
}

#endif

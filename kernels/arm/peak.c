/* Loops of one instruction, in assembly: no compiler flag of an ISA is needed, and nothing is optimised away. */
#include "kernels/arm/peak.h"

#if defined(__aarch64__)

/* Twenty chains: more than any latency times any number of ports so far. I(n) is the instruction on register n. */
#define CHAINS(I) \
    I(4) I(5) I(6) I(7) I(8) I(9) I(10) I(11) I(12) I(13) I(14) I(15) I(16) I(17) I(18) I(19) I(20) I(21) I(22) I(23)
/* For the assembler; which of it runs, the levels decide. */
#define ARCH ".arch armv8.6-a+sve+i8mm+bf16+dotprod\n\t"
#define LOOP(setup, body)                                                                                             \
    __asm__ volatile(ARCH setup "1:\n\t" body "subs %0, %0, #1\n\tb.ne 1b"                                            \
                     : "+r"(rounds)                                                                                   \
                     :                                                                                                \
                     : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", \
                       "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "memory", "cc")
/* All registers start at 0: no denormals, no infinities. */
#define MOVI(n) "movi v" #n ".4s, #0\n\t"
#define ZERO MOVI(0) MOVI(1) CHAINS(MOVI)
#define SVE "ptrue p0.b\n\t"

#define FMLA(n) "fmla v" #n ".4s, v0.4s, v1.4s\n\t"
#define SDOT(n) "sdot v" #n ".4s, v0.16b, v1.16b\n\t"
#define SMMLA(n) "smmla v" #n ".4s, v0.16b, v1.16b\n\t"
#define BFMMLA(n) "bfmmla v" #n ".4s, v0.8h, v1.8h\n\t"
#define SMULL(n) "smull v2.8h, v0.8b, v1.8b\n\tsadalp v" #n ".4s, v2.8h\n\t"
#define ZFMLA(n) "fmla z" #n ".s, p0/m, z0.s, z1.s\n\t"
#define ZSDOT(n) "sdot z" #n ".s, z0.b, z1.b\n\t"
#define ZSMMLA(n) "smmla z" #n ".s, z0.b, z1.b\n\t"
#define ZBFMMLA(n) "bfmmla z" #n ".s, z0.h, z1.h\n\t"

void cg_peak_f32_neon(size_t rounds)
{
    LOOP(ZERO, CHAINS(FMLA));
}

void cg_peak_f32_sve(size_t rounds)
{
    LOOP(SVE ZERO, CHAINS(ZFMLA));
}

void cg_peak_s8_neon(size_t rounds)
{
    LOOP(ZERO, CHAINS(SMULL));
}

void cg_peak_s8_dotprod(size_t rounds)
{
    LOOP(ZERO, CHAINS(SDOT));
}

void cg_peak_s8_i8mm(size_t rounds)
{
    LOOP(ZERO, CHAINS(SMMLA));
}

void cg_peak_s8_sve(size_t rounds)
{
    LOOP(SVE ZERO, CHAINS(ZSDOT));
}

void cg_peak_s8_sve_mmla(size_t rounds)
{
    LOOP(SVE ZERO, CHAINS(ZSMMLA));
}

void cg_peak_bf16_neon(size_t rounds)
{
    LOOP(ZERO, CHAINS(BFMMLA));
}

void cg_peak_bf16_sve(size_t rounds)
{
    LOOP(SVE ZERO, CHAINS(ZBFMMLA));
}

#define LOAD                                                                                          \
    "ldp q0, q1, [%0]\n\tldp q2, q3, [%0, #32]\n\tldp q4, q5, [%0, #64]\n\tldp q6, q7, [%0, #96]\n\t" \
    "ldp q16, q17, [%0, #128]\n\tldp q18, q19, [%0, #160]\n\tldp q20, q21, [%0, #192]\n\tldp q22, q23, [%0, #224]\n\t"
#define FETCH                                                        \
    "prfm pldl1keep, [%0, #2048]\n\tprfm pldl1keep, [%0, #2112]\n\t" \
    "prfm pldl1keep, [%0, #2176]\n\tprfm pldl1keep, [%0, #2240]\n\t"
#define READ(body)                                                                                               \
    __asm__ volatile("1:\n\t" body "add %0, %0, #256\n\tcmp %0, %1\n\tb.lo 1b"                                   \
                     : "+r"(p)                                                                                   \
                     : "r"(end)                                                                                  \
                     : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", \
                       "v22", "v23", "memory", "cc")

void cg_peak_read_neon(const void *block, size_t n, int prefetch)
{
    const char *p = block, *end = p + n;
    if (prefetch) READ(LOAD FETCH);
    else READ(LOAD);
}

#endif

/* One instruction of each level, run in a child process: what CPUID or the auxiliary vector promise is believed only
 * when it works. Emulators and hypervisors have been seen to promise too much. */
#include "detect/parts.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

typedef void probe_fn(void);
static sigjmp_buf back; /* to run_probes, with what is wrong */

#if defined(__x86_64__)
/* This file is compiled for the baseline, so that only the assembler may know the levels. */
static void probe_avx2(void)
{
    __asm__ volatile("vpaddd %%ymm0, %%ymm0, %%ymm0\n\tvfmadd231ps %%ymm0, %%ymm0, %%ymm0\n\t"
                     "vcvtph2ps %%xmm0, %%ymm0\n\tshlx %%eax, %%eax, %%eax\n\tvzeroupper" ::
                         : "xmm0", "rax");
}

static void probe_avx_vnni(void)
{
    __asm__ volatile("%{vex%} vpdpbusd %%ymm0, %%ymm0, %%ymm0\n\tvzeroupper" ::: "xmm0");
}

static void probe_avx512(void)
{
    __asm__ volatile("vpxord %%zmm0, %%zmm0, %%zmm0\n\t"    /* F */
                     "vpaddb %%zmm0, %%zmm0, %%zmm0\n\t"    /* BW */
                     "vpmullq %%zmm0, %%zmm0, %%zmm0\n\t"   /* DQ */
                     "vpaddd %%ymm16, %%ymm16, %%ymm16\n\t" /* VL */
                     "vplzcntd %%zmm0, %%zmm0\n\tvzeroupper" ::
                         : "xmm0"); /* CD */
}

static void probe_avx512_vnni(void)
{
    __asm__ volatile("vpdpbusd %%zmm0, %%zmm0, %%zmm0\n\tvzeroupper" ::: "xmm0");
}

static void probe_avx512_bf16(void)
{
    __asm__ volatile("vdpbf16ps %%zmm0, %%zmm0, %%zmm0\n\tvzeroupper" ::: "xmm0");
}

static void probe_avx512_fp16(void)
{
    __asm__ volatile("vaddph %%zmm0, %%zmm0, %%zmm0\n\tvzeroupper" ::: "xmm0");
}

/* Three tiles of 16 rows of 64 bytes. */
static void tiles_on(void)
{
    unsigned char config[64] __attribute__((aligned(64))) = {1};
    for (int t = 0; t < 3; t++) {
        config[16 + 2 * t] = 64;
        config[48 + t] = 16;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
}

static void probe_amx_int8(void)
{
    tiles_on();
    __asm__ volatile("tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\t"
                     "tdpbssd %%tmm2, %%tmm1, %%tmm0\n\ttilerelease" ::
                         : "memory");
}

static void probe_amx_bf16(void)
{
    tiles_on();
    __asm__ volatile("tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\t"
                     "tdpbf16ps %%tmm2, %%tmm1, %%tmm0\n\ttilerelease" ::
                         : "memory");
}

static probe_fn *const probes[CG_ISA_COUNT] = {
    [CG_ISA_AVX2] = probe_avx2,
    [CG_ISA_AVX_VNNI] = probe_avx_vnni,
    [CG_ISA_AVX512] = probe_avx512,
    [CG_ISA_AVX512_VNNI] = probe_avx512_vnni,
    [CG_ISA_AVX512_BF16] = probe_avx512_bf16,
    [CG_ISA_AVX512_FP16] = probe_avx512_fp16,
    [CG_ISA_AMX_INT8] = probe_amx_int8,
    [CG_ISA_AMX_BF16] = probe_amx_bf16,
};
#elif defined(__aarch64__)
/* As words, so that any assembler takes them. */
#define PROBE(name, word)                                    \
    static void name(void)                                   \
    {                                                        \
        __asm__ volatile(".inst " #word ::: "v0", "memory"); \
    }
PROBE(probe_neon, 0x4e20cc00)     /* fmla v0.4s, v0.4s, v0.4s */
PROBE(probe_dotprod, 0x4e809400)  /* sdot v0.4s, v0.16b, v0.16b */
PROBE(probe_i8mm, 0x4e80a400)     /* smmla v0.4s, v0.16b, v0.16b */
PROBE(probe_bf16, 0x6e40ec00)     /* bfmmla v0.4s, v0.8h, v0.8h */
PROBE(probe_sve, 0x04a00000)      /* add z0.s, z0.s, z0.s */
PROBE(probe_sve2, 0x04a06000)     /* mul z0.s, z0.s, z0.s (unpredicated: SVE2) */
PROBE(probe_sve_i8mm, 0x45009800) /* smmla z0.s, z0.b, z0.b */
PROBE(probe_sve_bf16, 0x6460e400) /* bfmmla z0.s, z0.h, z0.h */

/* rdvl x0, #1: the bytes of a vector as the instructions see them. */
#define PROBE_LENGTH(name, bits)                                   \
    static void name(void)                                         \
    {                                                              \
        register uint64_t bytes __asm__("x0");                     \
        __asm__ volatile(".inst 0x04bf5020" : "=r"(bytes));        \
        if (8 * bytes != (bits)) siglongjmp(back, CG_PROBE_OTHER); \
    }
PROBE_LENGTH(probe_sve_128, 128)
PROBE_LENGTH(probe_sve_256, 256)
PROBE_LENGTH(probe_sve_512, 512)
PROBE_LENGTH(probe_sve_1024, 1024)
PROBE_LENGTH(probe_sve_2048, 2048)

static probe_fn *const probes[CG_ISA_COUNT] = {
    [CG_ISA_NEON] = probe_neon,         [CG_ISA_DOTPROD] = probe_dotprod,   [CG_ISA_I8MM] = probe_i8mm,
    [CG_ISA_BF16] = probe_bf16,         [CG_ISA_SVE_128] = probe_sve_128,   [CG_ISA_SVE_256] = probe_sve_256,
    [CG_ISA_SVE_512] = probe_sve_512,   [CG_ISA_SVE_1024] = probe_sve_1024, [CG_ISA_SVE_2048] = probe_sve_2048,
    [CG_ISA_SVE] = probe_sve,           [CG_ISA_SVE2] = probe_sve2,         [CG_ISA_SVE_I8MM] = probe_sve_i8mm,
    [CG_ISA_SVE_BF16] = probe_sve_bf16,
};
#endif

static void caught(int signal)
{
    siglongjmp(back, signal);
}

/* In the child: only async-signal-safe calls, as the parent may have threads. */
static void run_probes(uint64_t isa, volatile uint8_t *result)
{
    static const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP};
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_handler = caught;
    sigset_t unblock;
    sigemptyset(&unblock);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], &act, NULL);
        sigaddset(&unblock, signals[i]);
    }
    sigprocmask(SIG_UNBLOCK, &unblock, NULL);
    for (volatile int level = 0; level < CG_ISA_COUNT; level++) {
        if (!(isa & CG_ISA_BIT(level)) || !probes[level]) continue;
        int died = sigsetjmp(back, 1);
        if (died) {
            result[level] = (uint8_t)died;
            continue;
        }
        probes[level]();
        result[level] = CG_PROBE_OK;
    }
}

/* Waits for the child, a second at most: one that hangs is ended. */
static void await(pid_t child)
{
    for (double end = cg_now() + 1; cg_now() < end;) {
        pid_t got = waitpid(child, NULL, WNOHANG);
        if (got == child || (got < 0 && errno != EINTR)) return;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
}

int cg_probe(uint64_t isa, uint8_t result[CG_ISA_COUNT])
{
    volatile uint8_t *shared = mmap(NULL, CG_ISA_COUNT + 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return -1;
    for (int i = 0; i < CG_ISA_COUNT; i++) shared[i] = CG_PROBE_NONE;
    pid_t child = fork();
    if (child == 0) {
        shared[CG_ISA_COUNT] = 1; /* the child lives */
        run_probes(isa, shared);
        _exit(0);
    }
    int ran = 0;
    if (child > 0) {
        await(child);
        for (int i = 0; i < CG_ISA_COUNT; i++) result[i] = shared[i];
        ran = shared[CG_ISA_COUNT];
    }
    munmap((void *)(uintptr_t)shared, CG_ISA_COUNT + 1);
    return ran ? 0 : -1;
}

void cg_isa_refuse(struct cg_machine *m, enum cg_isa isa, const char *why)
{
    if (!(m->isa & CG_ISA_BIT(isa))) return;
    m->isa &= ~CG_ISA_BIT(isa);
    snprintf(m->isa_why[isa], sizeof m->isa_why[isa], "%s", why);
}

void cg_apply_probe(struct cg_machine *m, const uint8_t result[CG_ISA_COUNT])
{
    for (int i = CG_ISA_SCALAR + 1; i < CG_ISA_COUNT; i++) {
        if (!(m->isa & CG_ISA_BIT(i)) || result[i] == CG_PROBE_OK) continue;
        char why[96];
        if (result[i] == CG_PROBE_NONE) snprintf(why, sizeof why, "the probe did not get to its instruction");
        else if (result[i] == CG_PROBE_OTHER) snprintf(why, sizeof why, "the probe found vectors of another length");
        else if (result[i] == SIGILL)
            snprintf(why, sizeof why, "the probe instruction was not executed (signal SIGILL)");
        else snprintf(why, sizeof why, "the probe instruction was not executed (signal %d)", result[i]);
        cg_isa_refuse(m, (enum cg_isa)i, why);
    }
    static const enum cg_isa builds_on[][2] = {
        {CG_ISA_AVX_VNNI, CG_ISA_AVX2},      {CG_ISA_AVX512, CG_ISA_AVX2},        {CG_ISA_AVX512_VNNI, CG_ISA_AVX512},
        {CG_ISA_AVX512_BF16, CG_ISA_AVX512}, {CG_ISA_AVX512_FP16, CG_ISA_AVX512}, {CG_ISA_SVE2, CG_ISA_SVE},
        {CG_ISA_SVE_I8MM, CG_ISA_SVE},       {CG_ISA_SVE_BF16, CG_ISA_SVE},
    };
    for (size_t i = 0; i < sizeof builds_on / sizeof *builds_on; i++) {
        if (m->isa & CG_ISA_BIT(builds_on[i][1])) continue;
        char why[96];
        snprintf(why, sizeof why, "%s is not usable", cg_isa_name(builds_on[i][1]));
        cg_isa_refuse(m, builds_on[i][0], why);
    }
}

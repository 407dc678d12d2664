/* What recorded machines may use: x86 by CPUID and XCR0, AArch64 by the auxiliary vector; the probe; the mask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "detect/parts.h"

#define B(level) CG_ISA_BIT(CG_ISA_##level)

enum { XCR0_AVX = 0x7, XCR0_AVX512 = 0xe7, XCR0_AMX = 0x600e7 };

static struct cg_cpuid_leaf *add(struct cg_x86 *x, uint32_t leaf, uint32_t sub)
{
    assert_true(x->n < CG_CPUID_LEAVES);
    struct cg_cpuid_leaf *l = &x->leaves[x->n++];
    memset(l, 0, sizeof *l);
    l->leaf = leaf;
    l->sub = sub;
    return l;
}

static void text(uint32_t *reg, const char *four)
{
    *reg = (uint32_t)(uint8_t)four[0] | (uint32_t)(uint8_t)four[1] << 8 | (uint32_t)(uint8_t)four[2] << 16 |
           (uint32_t)(uint8_t)four[3] << 24;
}

/* What all of them have: a name, and in leaf 1 FMA, OSXSAVE, AVX, F16C. */
static void begin(struct cg_x86 *x, const char *vendor, uint32_t id, uint64_t xcr0)
{
    memset(x, 0, sizeof *x);
    x->xcr0 = xcr0;
    struct cg_cpuid_leaf *l = add(x, 0, 0);
    l->eax = 0x20;
    text(&l->ebx, vendor);
    text(&l->edx, vendor + 4);
    text(&l->ecx, vendor + 8);
    l = add(x, 1, 0);
    l->eax = id;
    l->ecx = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29;
}

static void cache(struct cg_x86 *x, uint32_t leaf, uint32_t sub, uint32_t type, uint32_t level, uint32_t share,
                  uint32_t ways, uint32_t sets)
{
    struct cg_cpuid_leaf *l = add(x, leaf, sub);
    l->eax = type | level << 5 | (share - 1) << 14;
    l->ebx = (ways - 1) << 22 | 63;
    l->ecx = sets - 1;
}

static void brand(struct cg_x86 *x, const char *name)
{
    char padded[48] = "";
    memcpy(padded, name, strlen(name));
    for (uint32_t i = 0; i < 3; i++) {
        struct cg_cpuid_leaf *l = add(x, 0x80000002u + i, 0);
        text(&l->eax, padded + 16 * i);
        text(&l->ebx, padded + 16 * i + 4);
        text(&l->ecx, padded + 16 * i + 8);
        text(&l->edx, padded + 16 * i + 12);
    }
}

static void haswell(struct cg_x86 *x)
{
    begin(x, "GenuineIntel", 0x306c3, XCR0_AVX);
    add(x, 7, 0)->ebx = 0x27ab; /* AVX2, BMI1, BMI2... */
    brand(x, "Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz");
    cache(x, 4, 0, 1, 1, 2, 8, 64);
    cache(x, 4, 1, 2, 1, 2, 8, 64);
    cache(x, 4, 2, 3, 2, 2, 8, 512);
    cache(x, 4, 3, 3, 3, 16, 16, 8192);
    add(x, 4, 4);
}

static void zen4(struct cg_x86 *x)
{
    begin(x, "AuthenticAMD", 0xa10f11, XCR0_AVX512);
    x->leaves[1].ecx |= 1u << 31;
    struct cg_cpuid_leaf *l = add(x, 7, 0);
    l->ebx = 1u << 5 | 1u << 8 | 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
    l->ecx = 1u << 11;
    add(x, 7, 1)->eax = 1u << 5;
    brand(x, "  AMD EPYC 9654   96-Core Processor  ");
    l = add(x, 0x40000000u, 0);
    text(&l->ebx, "KVMK");
    text(&l->ecx, "VMKV");
    text(&l->edx, "M\0\0");
    cache(x, 0x8000001Du, 0, 1, 1, 2, 8, 64);
    cache(x, 0x8000001Du, 1, 2, 1, 2, 8, 64);
    cache(x, 0x8000001Du, 2, 3, 2, 2, 8, 2048);
    cache(x, 0x8000001Du, 3, 3, 3, 16, 16, 32768);
    add(x, 0x8000001Du, 4);
}

static void sapphire_rapids(struct cg_x86 *x)
{
    begin(x, "GenuineIntel", 0x806f8, XCR0_AMX);
    struct cg_cpuid_leaf *l = add(x, 7, 0);
    l->ebx = 1u << 5 | 1u << 8 | 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
    l->ecx = 1u << 11;
    l->edx = 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;
    add(x, 7, 1)->eax = 1u << 4 | 1u << 5;
    add(x, 0x1D, 0)->eax = 1;
    l = add(x, 0x1D, 1);
    l->eax = 1024u << 16 | 8192;
    l->ebx = 8u << 16 | 64;
    l->ecx = 16;
    brand(x, "Intel(R) Xeon(R) Platinum 8480+");
}

static const uint64_t avx512_all = B(AVX512) | B(AVX512_VNNI) | B(AVX512_BF16) | B(AVX512_FP16);
static const uint64_t amx_all = B(AMX_INT8) | B(AMX_BF16);

static struct cg_machine decode(const struct cg_x86 *x)
{
    struct cg_machine m;
    memset(&m, 0, sizeof m);
    cg_x86_decode(x, &m);
    return m;
}

static void decodes_haswell(void **state)
{
    (void)state;
    struct cg_x86 x;
    haswell(&x);
    struct cg_machine m = decode(&x);
    assert_string_equal(m.vendor, "GenuineIntel");
    assert_string_equal(m.model_name, "Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz");
    assert_int_equal(m.family, 6);
    assert_int_equal(m.model, 0x3c);
    assert_int_equal(m.stepping, 3);
    assert_string_equal(m.hypervisor, "");
    assert_int_equal(m.isa, B(AVX2));
    assert_int_equal(m.isa_cpu, B(AVX2));
    assert_int_equal(cg_apply_mask(&m, NULL), CG_OK);
    struct cg_cache c[CG_MAX_CACHES];
    assert_int_equal(cg_x86_caches(&x, c), 4);
    assert_int_equal(c[0].type, 'd');
    assert_int_equal(c[1].type, 'i');
    assert_int_equal(c[2].size, 256 * 1024);
    assert_int_equal(c[3].size, 8 * 1024 * 1024);
    assert_int_equal(c[3].level, 3);
    assert_int_equal(c[3].ways, 16);
    assert_int_equal(c[3].shared_by, 16);
}

static void decodes_zen4(void **state)
{
    (void)state;
    struct cg_x86 x;
    zen4(&x);
    struct cg_machine m = decode(&x);
    assert_string_equal(m.model_name, "AMD EPYC 9654 96-Core Processor");
    assert_int_equal(m.family, 0x19);
    assert_int_equal(m.model, 0x11);
    assert_string_equal(m.hypervisor, "KVM");
    assert_int_equal(m.isa, B(AVX2) | B(AVX512) | B(AVX512_VNNI) | B(AVX512_BF16));
    struct cg_cache c[CG_MAX_CACHES];
    assert_int_equal(cg_x86_caches(&x, c), 4);
    assert_int_equal(c[3].size, 32 * 1024 * 1024);
}

static void decodes_sapphire_rapids(void **state)
{
    (void)state;
    struct cg_x86 x;
    sapphire_rapids(&x);
    struct cg_machine m = decode(&x);
    assert_int_equal(m.isa, B(AVX2) | B(AVX_VNNI) | avx512_all | amx_all);
    assert_int_equal(m.isa, m.isa_cpu);
    assert_int_equal(m.model, 0x8f);
}

static void names_an_unknown_hypervisor(void **state)
{
    (void)state;
    struct cg_x86 x;
    haswell(&x);
    x.leaves[1].ecx |= 1u << 31;
    assert_string_equal(decode(&x).hypervisor, "unknown");
    struct cg_cpuid_leaf *l = add(&x, 0x40000000u, 0);
    text(&l->ebx, "My \x01");
    text(&l->ecx, "Hype");
    text(&l->edx, "r\xff  ");
    assert_string_equal(decode(&x).hypervisor, "My Hyper");
}

static void avx512_not_saved_by_the_system(void **state)
{
    (void)state;
    struct cg_x86 x;
    zen4(&x);
    x.xcr0 = XCR0_AVX;
    struct cg_machine m = decode(&x);
    assert_int_equal(m.isa, B(AVX2));
    assert_int_equal(m.isa_cpu, B(AVX2) | B(AVX512) | B(AVX512_VNNI) | B(AVX512_BF16));
    assert_string_equal(m.isa_why[CG_ISA_AVX512], "the operating system does not save its registers (XCR0)");
    assert_string_equal(m.isa_why[CG_ISA_AVX512_BF16], "the operating system does not save its registers (XCR0)");
    assert_string_equal(m.isa_why[CG_ISA_AVX512_FP16], ""); /* not named by the CPU */
    x.xcr0 = 0x67;                                          /* the upper 16 registers are missing */
    assert_int_equal(decode(&x).isa, B(AVX2));
}

static void amx_refused(void **state)
{
    (void)state;
    struct cg_x86 x;
    sapphire_rapids(&x);
    x.amx_refused = EPERM;
    struct cg_machine m = decode(&x);
    assert_int_equal(m.isa, B(AVX2) | B(AVX_VNNI) | avx512_all);
    assert_non_null(strstr(m.isa_why[CG_ISA_AMX_INT8], "permission refused by the kernel (arch_prctl"));
    x.xcr0 = XCR0_AVX512;
    m = decode(&x);
    assert_int_equal(m.isa_cpu & amx_all, amx_all);
    assert_non_null(strstr(m.isa_why[CG_ISA_AMX_BF16], "XCR0"));
}

/* AVX-512 F alone (Knights Landing, or some of it switched off) is not the level. */
static void part_of_avx512(void **state)
{
    (void)state;
    struct cg_x86 x;
    zen4(&x);
    x.leaves[2].ebx &= ~(1u << 30);
    x.leaves[2].ecx = 0;
    x.leaves[3].eax = 0;
    assert_int_equal(decode(&x).isa_cpu, B(AVX2));
}

static void below_the_floor(void **state)
{
    (void)state;
    struct cg_x86 x;
    haswell(&x);
    x.leaves[2].ebx = 0;
    struct cg_machine m = decode(&x);
    assert_int_equal(m.isa_cpu, 0);
    assert_int_equal(cg_apply_mask(&m, NULL), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "no AVX2"));
    assert_non_null(strstr(cg_error(), "i7-4770"));
    haswell(&x);
    x.leaves[1].ecx &= ~(1u << 12); /* no FMA */
    m = decode(&x);
    assert_int_equal(cg_apply_mask(&m, "scalar"), CG_ERR_USER);
    haswell(&x);
    x.xcr0 = 3;
    m = decode(&x);
    assert_int_equal(cg_apply_mask(&m, NULL), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "XCR0"));
}

static void hostile_leaves(void **state)
{
    (void)state;
    struct cg_x86 x;
    memset(&x, 0xff, sizeof x);
    x.n = CG_CPUID_LEAVES;
    for (int i = 0; i < x.n; i++) {
        x.leaves[i].leaf = 4;
        x.leaves[i].sub = (uint32_t)i;
        x.leaves[i].eax = 0xffffffe3;
    }
    struct cg_cache c[CG_MAX_CACHES];
    assert_int_equal(cg_x86_caches(&x, c), CG_MAX_CACHES);
    struct cg_machine m = decode(&x);
    assert_int_equal(m.isa_cpu, 0);
    memset(&x, 0, sizeof x);
    assert_int_equal(cg_x86_caches(&x, c), 0);
}

static void masks(void **state)
{
    (void)state;
    static const struct {
        const char *mask;
        uint64_t isa;
    } cases[] = {
        {NULL, B(AVX2) | B(AVX_VNNI) | B(AVX512) | B(AVX512_VNNI) | B(AVX512_BF16) | B(AVX512_FP16) | B(AMX_INT8) |
                   B(AMX_BF16)},
        {"", B(AVX2) | B(AVX_VNNI) | B(AVX512) | B(AVX512_VNNI) | B(AVX512_BF16) | B(AVX512_FP16) | B(AMX_INT8) |
                 B(AMX_BF16)},
        {"scalar", 0},
        {"avx2", B(AVX2)},
        {"avx-vnni", B(AVX2) | B(AVX_VNNI)},
        {"avx512", B(AVX2) | B(AVX_VNNI) | B(AVX512)},
        {"avx512-fp16", B(AVX2) | B(AVX_VNNI) | B(AVX512) | B(AVX512_VNNI) | B(AVX512_BF16) | B(AVX512_FP16)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cg_x86 x;
        sapphire_rapids(&x);
        struct cg_machine m = decode(&x);
        assert_int_equal(cg_apply_mask(&m, cases[i].mask), CG_OK);
        if (m.isa != cases[i].isa) fail_msg("CPU_GRPO_ISA=%s gives %llx", cases[i].mask, (unsigned long long)m.isa);
        for (int l = 1; l < CG_ISA_COUNT; l++) /* a reason for each level named and not usable, and for no other */
            assert_int_equal(m.isa_why[l][0] != 0, (m.isa_cpu & ~m.isa & CG_ISA_BIT(l)) != 0);
    }
    struct cg_x86 x;
    sapphire_rapids(&x);
    struct cg_machine m = decode(&x);
    assert_int_equal(cg_apply_mask(&m, "avx2"), CG_OK);
    assert_string_equal(m.isa_why[CG_ISA_AVX512], "masked by CPU_GRPO_ISA=avx2");
}

static void unknown_masks(void **state)
{
    (void)state;
    static const char *const bad[] = {"avx", "AVX2", "neon", "avx512 ", " ", "sve"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cg_x86 x;
        zen4(&x);
        struct cg_machine m = decode(&x);
        assert_int_equal(cg_apply_mask(&m, bad[i]), CG_ERR_USER);
        assert_non_null(strstr(cg_error(),
                               "scalar, avx2, avx-vnni, avx512, avx512-vnni, avx512-bf16, avx512-fp16, amx-int8, "
                               "amx-bf16"));
        assert_null(strstr(cg_error(), "dotprod"));
    }
}

static void arm(void **state)
{
    (void)state;
    const uint64_t asimd = 1u << 1, dp = 1u << 20, sve = 1u << 22, sve2 = 1u << 1, i8mm = 1u << 13, bf16 = 1u << 14;
    const uint64_t sve_i8mm = 1u << 9, sve_bf16 = 1u << 12;
    struct cg_arm a72 = {.hwcap = asimd, .midr = 0x410fd083};
    struct cg_machine m;
    memset(&m, 0, sizeof m);
    cg_arm_decode(&a72, &m);
    assert_string_equal(m.vendor, "ARM");
    assert_string_equal(m.model_name, "Cortex-A72");
    assert_int_equal(m.isa, B(NEON));

    struct cg_arm v2 = {asimd | dp | sve, sve2 | i8mm | bf16 | sve_i8mm | sve_bf16, 0x410fd4f0, 16};
    memset(&m, 0, sizeof m);
    cg_arm_decode(&v2, &m);
    assert_string_equal(m.model_name, "Neoverse V2");
    assert_int_equal(m.isa, B(NEON) | B(DOTPROD) | B(I8MM) | B(BF16) | B(SVE_128) | B(SVE) | B(SVE2) | B(SVE_I8MM) |
                                B(SVE_BF16));
    assert_int_equal(m.sve_bytes, 16);
    assert_int_equal(cg_apply_mask(&m, "dotprod"), CG_OK);
    assert_int_equal(m.isa, B(NEON) | B(DOTPROD));
    assert_int_equal(m.sve_bytes, 0);
    assert_int_equal(cg_apply_mask(&m, "avx2"), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "scalar, neon, dotprod, i8mm, bf16, sve-128, sve-256, sve-512, sve-1024, "
                                       "sve-2048, sve, sve2, sve-i8mm, sve-bf16"));

    v2.sve_bytes = 0;
    memset(&m, 0, sizeof m);
    cg_arm_decode(&v2, &m);
    assert_int_equal(m.isa, B(NEON) | B(DOTPROD) | B(I8MM) | B(BF16));
    assert_non_null(strstr(m.isa_why[CG_ISA_SVE2], "vector length"));

    static const struct {
        uint32_t bytes;
        uint64_t isa;
    } lengths[] = {{16, B(SVE_128)},   {32, B(SVE_256)},   {64, B(SVE_512)},
                   {128, B(SVE_1024)}, {256, B(SVE_2048)}, {48, 0}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct cg_arm some = {asimd | sve, 0, 0, lengths[i].bytes};
        memset(&m, 0, sizeof m);
        cg_arm_decode(&some, &m);
        assert_int_equal(m.isa, B(NEON) | B(SVE) | lengths[i].isa);
        assert_int_equal(cg_apply_mask(&m, "sve"), CG_OK);
        assert_int_equal(m.isa, B(NEON) | B(SVE) | lengths[i].isa);
        assert_int_equal(cg_apply_mask(&m, "neon"), CG_OK);
        assert_int_equal(m.isa, B(NEON));
    }

    struct cg_arm odd = {.hwcap = asimd, .midr = 0xf00fabc0};
    memset(&m, 0, sizeof m);
    cg_arm_decode(&odd, &m);
    assert_string_equal(m.vendor, "implementer 0xf0");
    assert_string_equal(m.model_name, "");
}

static void failed_probes(void **state)
{
    (void)state;
    struct cg_x86 x;
    sapphire_rapids(&x);
    struct cg_machine m = decode(&x);
    uint8_t result[CG_ISA_COUNT] = {0};
    cg_apply_probe(&m, result);
    assert_int_equal(m.isa, m.isa_cpu);
    result[CG_ISA_AMX_INT8] = SIGILL;
    result[CG_ISA_AMX_BF16] = CG_PROBE_NONE;
    result[CG_ISA_AVX512] = SIGSEGV;
    cg_apply_probe(&m, result);
    assert_int_equal(m.isa, B(AVX2) | B(AVX_VNNI));
    assert_string_equal(m.isa_why[CG_ISA_AMX_INT8], "the probe instruction was not executed (signal SIGILL)");
    assert_string_equal(m.isa_why[CG_ISA_AMX_BF16], "the probe did not get to its instruction");
    assert_non_null(strstr(m.isa_why[CG_ISA_AVX512], "signal"));
    assert_string_equal(m.isa_why[CG_ISA_AVX512_VNNI], "avx512 is not usable");

    struct cg_arm v1 = {1u << 1 | 1u << 22, 1u << 9, 0, 32};
    memset(&m, 0, sizeof m);
    memset(result, 0, sizeof result);
    cg_arm_decode(&v1, &m);
    result[CG_ISA_SVE_256] = CG_PROBE_OTHER;
    cg_apply_probe(&m, result);
    assert_int_equal(m.isa, B(NEON) | B(SVE) | B(SVE_I8MM));
    assert_string_equal(m.isa_why[CG_ISA_SVE_256], "the probe found vectors of another length");
    result[CG_ISA_SVE] = SIGILL;
    cg_apply_probe(&m, result);
    assert_int_equal(m.isa, B(NEON));
    assert_string_equal(m.isa_why[CG_ISA_SVE_I8MM], "sve is not usable");
}

/* On this machine every probe is run, and those of levels that it lacks harm nobody. (What CPUID hides may yet work:
 * a hypervisor cannot forbid most instructions.) */
static void probes_run(void **state)
{
    (void)state;
    static struct cg_machine m;
    if (cg_machine_detect(&m) != CG_OK) fail_msg("%s", cg_error());
    uint64_t all = 0;
#if defined(__x86_64__)
    for (int i = CG_ISA_AVX2; i <= CG_ISA_AMX_BF16; i++) all |= CG_ISA_BIT(i);
#else
    for (int i = CG_ISA_NEON; i <= CG_ISA_SVE_BF16; i++) all |= CG_ISA_BIT(i);
#endif
    uint8_t result[CG_ISA_COUNT];
    assert_int_equal(cg_probe(all, result), 0);
    for (int i = 1; i < CG_ISA_COUNT; i++) {
        uint64_t bit = CG_ISA_BIT(i);
        if (!(all & bit)) assert_int_equal(result[i], CG_PROBE_NONE);
        else if (m.isa & bit) assert_int_equal(result[i], CG_PROBE_OK);
        else assert_int_not_equal(result[i], CG_PROBE_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_haswell),
        cmocka_unit_test(decodes_zen4),
        cmocka_unit_test(decodes_sapphire_rapids),
        cmocka_unit_test(names_an_unknown_hypervisor),
        cmocka_unit_test(avx512_not_saved_by_the_system),
        cmocka_unit_test(amx_refused),
        cmocka_unit_test(part_of_avx512),
        cmocka_unit_test(below_the_floor),
        cmocka_unit_test(hostile_leaves),
        cmocka_unit_test(masks),
        cmocka_unit_test(unknown_masks),
        cmocka_unit_test(arm),
        cmocka_unit_test(failed_probes),
        cmocka_unit_test(probes_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* AArch64: what the kernel's auxiliary vector and MIDR_EL1 say. */
#include "detect/parts.h"

#include <stdio.h>
#include <string.h>

#define HWCAP_ASIMD_ (UINT64_C(1) << 1)
#define HWCAP_CPUID_ (UINT64_C(1) << 11)
#define HWCAP_ASIMDDP_ (UINT64_C(1) << 20)
#define HWCAP_SVE_ (UINT64_C(1) << 22)
#define HWCAP2_SVE2_ (UINT64_C(1) << 1)
#define HWCAP2_SVEI8MM_ (UINT64_C(1) << 9)
#define HWCAP2_SVEBF16_ (UINT64_C(1) << 12)
#define HWCAP2_I8MM_ (UINT64_C(1) << 13)
#define HWCAP2_BF16_ (UINT64_C(1) << 14)

#if defined(__aarch64__)
#include <sys/auxv.h>
#include <sys/prctl.h>

#define PR_SVE_GET_VL_ 51
#define PR_SVE_VL_LEN_MASK_ 0xffff

void cg_arm_read(struct cg_arm *a)
{
    memset(a, 0, sizeof *a);
    a->hwcap = getauxval(AT_HWCAP);
    a->hwcap2 = getauxval(AT_HWCAP2);
    if (a->hwcap & HWCAP_CPUID_) /* the kernel answers for the register */
        __asm__("mrs %0, midr_el1" : "=r"(a->midr));
    if (a->hwcap & HWCAP_SVE_) {
        int vl = prctl(PR_SVE_GET_VL_);
        if (vl > 0) a->sve_bytes = (uint32_t)vl & PR_SVE_VL_LEN_MASK_;
    }
}
#else
void cg_arm_read(struct cg_arm *a)
{
    memset(a, 0, sizeof *a);
}
#endif

static const struct {
    uint32_t code;
    const char *name;
} implementers[] = {
    {0x41, "ARM"},    {0x42, "Broadcom"},  {0x43, "Cavium"},   {0x46, "Fujitsu"}, {0x48, "HiSilicon"},
    {0x4e, "NVIDIA"}, {0x50, "APM"},       {0x51, "Qualcomm"}, {0x53, "Samsung"}, {0x56, "Marvell"},
    {0x61, "Apple"},  {0x6d, "Microsoft"}, {0xc0, "Ampere"},
};

static const struct {
    uint32_t implementer, part;
    const char *name;
} parts[] = {
    {0x41, 0xd03, "Cortex-A53"},  {0x41, 0xd05, "Cortex-A55"},   {0x41, 0xd07, "Cortex-A57"},
    {0x41, 0xd08, "Cortex-A72"},  {0x41, 0xd09, "Cortex-A73"},   {0x41, 0xd0a, "Cortex-A75"},
    {0x41, 0xd0b, "Cortex-A76"},  {0x41, 0xd0c, "Neoverse N1"},  {0x41, 0xd0d, "Cortex-A77"},
    {0x41, 0xd40, "Neoverse V1"}, {0x41, 0xd41, "Cortex-A78"},   {0x41, 0xd44, "Cortex-X1"},
    {0x41, 0xd46, "Cortex-A510"}, {0x41, 0xd47, "Cortex-A710"},  {0x41, 0xd48, "Cortex-X2"},
    {0x41, 0xd49, "Neoverse N2"}, {0x41, 0xd4a, "Neoverse E1"},  {0x41, 0xd4d, "Cortex-A715"},
    {0x41, 0xd4e, "Cortex-X3"},   {0x41, 0xd4f, "Neoverse V2"},  {0x41, 0xd80, "Cortex-A520"},
    {0x41, 0xd81, "Cortex-A720"}, {0x41, 0xd82, "Cortex-X4"},    {0x41, 0xd83, "Neoverse V3AE"},
    {0x41, 0xd84, "Neoverse V3"}, {0x41, 0xd8e, "Neoverse N3"},  {0x43, 0x0af, "ThunderX2"},
    {0x46, 0x001, "A64FX"},       {0x48, 0xd01, "Kunpeng 920"},  {0x4e, 0x004, "Carmel"},
    {0x61, 0x022, "M1 Icestorm"}, {0x61, 0x023, "M1 Firestorm"}, {0xc0, 0xac3, "Ampere-1"},
    {0xc0, 0xac4, "Ampere-1A"},
};

static void decode_identity(struct cg_machine *m)
{
    uint32_t implementer = m->midr >> 24 & 0xff, part = m->midr >> 4 & 0xfff;
    if (!m->midr) return;
    snprintf(m->vendor, sizeof m->vendor, "implementer 0x%02x", implementer);
    for (size_t i = 0; i < sizeof implementers / sizeof *implementers; i++)
        if (implementers[i].code == implementer) snprintf(m->vendor, sizeof m->vendor, "%s", implementers[i].name);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].implementer == implementer && parts[i].part == part)
            snprintf(m->model_name, sizeof m->model_name, "%s", parts[i].name);
}

void cg_arm_decode(const struct cg_arm *a, struct cg_machine *m)
{
    static const struct {
        enum cg_isa isa;
        uint64_t hwcap, hwcap2;
    } levels[] = {
        {CG_ISA_NEON, HWCAP_ASIMD_, 0},
        {CG_ISA_DOTPROD, HWCAP_ASIMD_ | HWCAP_ASIMDDP_, 0},
        {CG_ISA_I8MM, HWCAP_ASIMD_, HWCAP2_I8MM_},
        {CG_ISA_BF16, HWCAP_ASIMD_, HWCAP2_BF16_},
        {CG_ISA_SVE, HWCAP_ASIMD_ | HWCAP_SVE_, 0},
        {CG_ISA_SVE2, HWCAP_ASIMD_ | HWCAP_SVE_, HWCAP2_SVE2_},
        {CG_ISA_SVE_I8MM, HWCAP_ASIMD_ | HWCAP_SVE_, HWCAP2_SVEI8MM_},
        {CG_ISA_SVE_BF16, HWCAP_ASIMD_ | HWCAP_SVE_, HWCAP2_SVEBF16_},
    };
    /* Other lengths (old systems allow any multiple of 128) have no variants of their own. */
    static const struct {
        enum cg_isa isa;
        uint32_t bits;
    } lengths[] = {{CG_ISA_SVE_128, 128},
                   {CG_ISA_SVE_256, 256},
                   {CG_ISA_SVE_512, 512},
                   {CG_ISA_SVE_1024, 1024},
                   {CG_ISA_SVE_2048, 2048}};
    m->arch = CG_ARCH_AARCH64;
    m->midr = a->midr;
    decode_identity(m);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if ((a->hwcap & levels[i].hwcap) == levels[i].hwcap && (a->hwcap2 & levels[i].hwcap2) == levels[i].hwcap2)
            m->isa_cpu |= CG_ISA_BIT(levels[i].isa);
    m->sve_bytes = a->sve_bytes;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        if ((m->isa_cpu & CG_ISA_BIT(CG_ISA_SVE)) && 8 * a->sve_bytes == lengths[i].bits)
            m->isa_cpu |= CG_ISA_BIT(lengths[i].isa);
    m->isa = m->isa_cpu;
    if (!a->sve_bytes)
        for (int i = CG_ISA_SVE; i <= CG_ISA_SVE_BF16; i++)
            cg_isa_refuse(m, (enum cg_isa)i, "the kernel does not tell its vector length (prctl)");
}

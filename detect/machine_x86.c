/* x86-64: what CPUID and XCR0 say. Reading is apart from understanding, so that recorded machines replay anywhere. */
#include "detect/parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_REQ_XCOMP_PERM_ 0x1023 /* of asm/prctl.h in Linux 5.16 and later */
#define XFEATURE_XTILEDATA_ 18

static void record(struct cg_x86 *x, uint32_t leaf, uint32_t sub)
{
    if (x->n >= CG_CPUID_LEAVES) return;
    struct cg_cpuid_leaf *l = &x->leaves[x->n++];
    l->leaf = leaf;
    l->sub = sub;
    __cpuid_count(leaf, sub, l->eax, l->ebx, l->ecx, l->edx);
}

/* A list of caches ends with one of type 0. */
static void record_caches(struct cg_x86 *x, uint32_t leaf)
{
    for (uint32_t sub = 0; sub < CG_MAX_CACHES; sub++) {
        record(x, leaf, sub);
        if ((x->leaves[x->n - 1].eax & 31) == 0) break;
    }
}

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

void cg_x86_read(struct cg_x86 *x)
{
    memset(x, 0, sizeof *x);
    record(x, 0, 0);
    uint32_t max = x->leaves[0].eax;
    record(x, 1, 0);
    uint32_t features = x->leaves[1].ecx;
    uint32_t tiles = 0;
    if (max >= 7) {
        record(x, 7, 0);
        tiles = x->leaves[x->n - 1].edx;
        if (x->leaves[x->n - 1].eax >= 1) record(x, 7, 1);
    }
    record(x, 0x80000000u, 0);
    uint32_t max_ext = x->leaves[x->n - 1].eax;
    for (uint32_t leaf = 0x80000001u; leaf <= 0x80000004u && leaf <= max_ext; leaf++) record(x, leaf, 0);
    if (features >> 31 & 1) record(x, 0x40000000u, 0);
    if (max >= 4) record_caches(x, 4);
    if (max_ext >= 0x8000001Du && max_ext < 0x90000000u) record_caches(x, 0x8000001Du);
    if (max >= 0x1D && (tiles >> 24 & 1))
        for (uint32_t sub = 0; sub < 2; sub++) record(x, 0x1D, sub);
    if (features >> 27 & 1) x->xcr0 = read_xcr0();
    if ((x->xcr0 >> 17 & 3) == 3 && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM_, XFEATURE_XTILEDATA_) != 0)
        x->amx_refused = errno;
}
#else
void cg_x86_read(struct cg_x86 *x)
{
    memset(x, 0, sizeof *x);
}
#endif

static struct cg_cpuid_leaf leaf(const struct cg_x86 *x, uint32_t number, uint32_t sub)
{
    for (int i = 0; i < x->n; i++)
        if (x->leaves[i].leaf == number && x->leaves[i].sub == sub) return x->leaves[i];
    return (struct cg_cpuid_leaf){.leaf = number, .sub = sub};
}

static void put_word(char *p, uint32_t word)
{
    for (int i = 0; i < 4; i++) p[i] = (char)(word >> (8 * i));
}

/* Keeps what can be printed, without blanks at either end. */
static void clean(char *s)
{
    size_t n = 0;
    for (const char *p = s; *p; p++) {
        char c = *p >= 32 && *p < 127 ? *p : ' ';
        if (c == ' ' && (n == 0 || s[n - 1] == ' ')) continue;
        s[n++] = c;
    }
    while (n && s[n - 1] == ' ') n--;
    s[n] = 0;
}

static void decode_identity(const struct cg_x86 *x, struct cg_machine *m)
{
    struct cg_cpuid_leaf l = leaf(x, 0, 0);
    put_word(m->vendor, l.ebx);
    put_word(m->vendor + 4, l.edx);
    put_word(m->vendor + 8, l.ecx);
    m->vendor[12] = 0;
    clean(m->vendor);
    for (uint32_t i = 0; i < 3; i++) {
        l = leaf(x, 0x80000002u + i, 0);
        put_word(m->model_name + 16 * i, l.eax);
        put_word(m->model_name + 16 * i + 4, l.ebx);
        put_word(m->model_name + 16 * i + 8, l.ecx);
        put_word(m->model_name + 16 * i + 12, l.edx);
    }
    m->model_name[48] = 0;
    clean(m->model_name);
    uint32_t id = leaf(x, 1, 0).eax;
    m->family = id >> 8 & 15;
    m->model = id >> 4 & 15;
    m->stepping = id & 15;
    if (m->family == 6 || m->family == 15) m->model |= (id >> 16 & 15) << 4;
    if (m->family == 15) m->family += id >> 20 & 255;
}

static void decode_hypervisor(const struct cg_x86 *x, struct cg_machine *m)
{
    static const char *const known[][2] = {
        {"KVMKVMKVM", "KVM"},           {"Linux KVM Hv", "KVM"},  {"Microsoft Hv", "Microsoft"},
        {"VMwareVMware", "VMware"},     {"XenVMMXenVMM", "Xen"},  {"TCGTCGTCGTCG", "QEMU TCG"},
        {"VBoxVBoxVBox", "VirtualBox"}, {"bhyve bhyve", "bhyve"}, {"lrpepyh vr", "Parallels"},
        {"ACRNACRNACRN", "ACRN"},
    };
    if (!(leaf(x, 1, 0).ecx >> 31 & 1)) return;
    struct cg_cpuid_leaf l = leaf(x, 0x40000000u, 0);
    char sign[13] = "";
    put_word(sign, l.ebx);
    put_word(sign + 4, l.ecx);
    put_word(sign + 8, l.edx);
    clean(sign);
    snprintf(m->hypervisor, sizeof m->hypervisor, "%s", sign[0] ? sign : "unknown");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(sign, known[i][0]) == 0) snprintf(m->hypervisor, sizeof m->hypervisor, "%s", known[i][1]);
}

/* Where a level's bits are: all of them must be set. */
struct bits {
    uint32_t leaf, sub;
    char reg;
    uint32_t mask;
};

static int has(const struct cg_x86 *x, struct bits b)
{
    struct cg_cpuid_leaf l = leaf(x, b.leaf, b.sub);
    uint32_t r = b.reg == 'a' ? l.eax : b.reg == 'b' ? l.ebx : b.reg == 'c' ? l.ecx : l.edx;
    return (r & b.mask) == b.mask;
}

#define BIT(n) (UINT32_C(1) << (n))
static const struct bits avx_fma_f16c = {1, 0, 'c', BIT(12) | BIT(28) | BIT(29)};
static const struct {
    enum cg_isa isa;
    struct bits bits;
} levels[] = {
    {CG_ISA_AVX2, {7, 0, 'b', BIT(5) | BIT(8)}}, /* AVX2, BMI2 */
    {CG_ISA_AVX_VNNI, {7, 1, 'a', BIT(4)}},
    {CG_ISA_AVX512, {7, 0, 'b', BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31)}}, /* F, DQ, CD, BW, VL */
    {CG_ISA_AVX512_VNNI, {7, 0, 'c', BIT(11)}},
    {CG_ISA_AVX512_BF16, {7, 1, 'a', BIT(5)}},
    {CG_ISA_AVX512_FP16, {7, 0, 'd', BIT(23)}},
    {CG_ISA_AMX_INT8, {7, 0, 'd', BIT(24) | BIT(25)}}, /* tiles, INT8 */
    {CG_ISA_AMX_BF16, {7, 0, 'd', BIT(24) | BIT(22)}},
};

/* Registers of a level that the operating system must save: bits of XCR0. */
static uint64_t state_of(enum cg_isa isa)
{
    if (isa == CG_ISA_AVX2 || isa == CG_ISA_AVX_VNNI) return 0x6;         /* SSE, AVX */
    if (isa == CG_ISA_AMX_INT8 || isa == CG_ISA_AMX_BF16) return 0x60000; /* tile configuration and data */
    return 0xe6;                                                          /* and opmask, upper halves, upper 16 */
}

/* Whether the tiles are those that the kernels configure: 8 of 16 rows of 64 bytes, in palette 1. Virtual machines have
 * been seen to pass on the bits of AMX and nothing else of it. */
static int has_tiles(const struct cg_x86 *x)
{
    struct cg_cpuid_leaf l = leaf(x, 0x1D, 1);
    return leaf(x, 0x1D, 0).eax >= 1 && l.eax >> 16 >= 1024 && (l.ebx & 0xffff) >= 64 && l.ebx >> 16 >= 8 &&
           (l.ecx & 0xffff) >= 16;
}

int cg_x86_is_hybrid(const struct cg_x86 *x)
{
    return leaf(x, 7, 0).edx >> 15 & 1;
}

void cg_x86_decode(const struct cg_x86 *x, struct cg_machine *m)
{
    m->arch = CG_ARCH_X86_64;
    decode_identity(x, m);
    decode_hypervisor(x, m);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (has(x, levels[i].bits) && has(x, avx_fma_f16c)) m->isa_cpu |= CG_ISA_BIT(levels[i].isa);
    m->isa = m->isa_cpu;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        enum cg_isa isa = levels[i].isa;
        uint64_t state = state_of(isa);
        char why[96];
        if ((x->xcr0 & state) != state) {
            cg_isa_refuse(m, isa, "the operating system does not save its registers (XCR0)");
        } else if (state == 0x60000 && x->amx_refused) {
            snprintf(why, sizeof why, "permission refused by the kernel (arch_prctl: %.40s)", strerror(x->amx_refused));
            cg_isa_refuse(m, isa, why);
        } else if (state == 0x60000 && !has_tiles(x)) {
            cg_isa_refuse(m, isa, "CPUID names no palette with 8 tiles of 16 rows of 64 bytes (leaf 0x1D)");
        }
    }
}

int cg_x86_caches(const struct cg_x86 *x, struct cg_cache *out)
{
    uint32_t number = (leaf(x, 0x8000001Du, 0).eax & 31) ? 0x8000001Du : 4;
    int n = 0;
    for (uint32_t sub = 0; n < CG_MAX_CACHES; sub++) {
        struct cg_cpuid_leaf l = leaf(x, number, sub);
        uint32_t type = l.eax & 31;
        if (type == 0 || type > 3) break;
        struct cg_cache *c = &out[n++];
        memset(c, 0, sizeof *c);
        c->type = "?diu"[type];
        c->level = (int)(l.eax >> 5 & 7);
        c->line = (l.ebx & 0xfff) + 1;
        c->ways = l.eax >> 9 & 1 ? 0 : (l.ebx >> 22) + 1;
        c->size = (uint64_t)((l.ebx >> 22) + 1) * ((l.ebx >> 12 & 0x3ff) + 1) * c->line * ((uint64_t)l.ecx + 1);
        c->reported = c->size;
        c->shared_by = (l.eax >> 14 & 0xfff) + 1;
    }
    return n;
}

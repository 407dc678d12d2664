#include "detect/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "detect/parts.h"

uint64_t cg_machine_cache(const struct cg_machine *m, int level)
{
    for (int i = 0; i < m->n_caches; i++)
        if (m->caches[i].level == level && m->caches[i].type != 'i') return m->caches[i].size;
    return 0;
}

/* The levels of an architecture are those from *first to *last of enum cg_isa. */
static void levels_of(enum cg_arch arch, int *first, int *last)
{
    *first = arch == CG_ARCH_X86_64 ? CG_ISA_AVX2 : CG_ISA_NEON;
    *last = arch == CG_ARCH_X86_64 ? CG_ISA_NEON - 1 : CG_ISA_COUNT - 1;
}

static enum cg_status unknown_mask(const char *mask, int first, int last)
{
    char names[256] = "scalar";
    for (int i = first; i <= last; i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, ", %s", cg_isa_name((enum cg_isa)i));
    }
    return cg_fail(CG_ERR_USER, "CPU_GRPO_ISA=%.40s is no level of this architecture; use one of: %s", mask, names);
}

static enum cg_status check_floor(const struct cg_machine *m)
{
    if (m->arch != CG_ARCH_X86_64 || (m->isa & CG_ISA_BIT(CG_ISA_AVX2))) return CG_OK;
    if (m->isa_cpu & CG_ISA_BIT(CG_ISA_AVX2))
        return cg_fail(CG_ERR_USER, "AVX2 and FMA, which cpu-grpo needs, cannot be used here: %s",
                       m->isa_why[CG_ISA_AVX2]);
    return cg_fail(
        CG_ERR_USER,
        "this CPU (%s) has no AVX2, FMA, F16C and BMI2, which cpu-grpo needs; use a machine with Intel Haswell "
        "(2013), AMD Zen (2017) or later, or a virtual machine that passes them through",
        m->model_name[0] ? m->model_name
        : m->vendor[0]   ? m->vendor
                         : "unknown");
}

enum cg_status cg_apply_mask(struct cg_machine *m, const char *mask)
{
    CG_TRY(check_floor(m));
    if (mask && mask[0]) {
        int first, last, level;
        levels_of(m->arch, &first, &last);
        for (level = last; level >= first; level--)
            if (strcmp(mask, cg_isa_name((enum cg_isa)level)) == 0) break;
        if (level < first && strcmp(mask, cg_isa_name(CG_ISA_SCALAR)) != 0) return unknown_mask(mask, first, last);
        char why[96];
        snprintf(why, sizeof why, "masked by CPU_GRPO_ISA=%s", mask);
        for (int i = level < first ? first : level + 1; i <= last; i++) cg_isa_refuse(m, (enum cg_isa)i, why);
    }
    if (!(m->isa & CG_ISA_BIT(CG_ISA_SVE))) m->sve_bytes = 0;
    return CG_OK;
}

struct text {
    char buf[2048];
    size_t n;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->buf + t->n, sizeof t->buf - t->n, fmt, ap);
    va_end(ap);
    if (n > 0) t->n = t->n + (size_t)n < sizeof t->buf ? t->n + (size_t)n : sizeof t->buf - 1;
}

uint64_t cg_fingerprint(const struct cg_machine *m)
{
    /* Text, so that neither padding nor the order of bits in a struct can change it. */
    struct text t = {.n = 0};
    add(&t, "%d|%s|%s|%u %u %u|%llx|%llx|", (int)m->arch, m->vendor, m->model_name, m->family, m->model, m->stepping,
        (unsigned long long)m->microcode, (unsigned long long)m->midr);
    for (int i = CG_ISA_SCALAR + 1; i < CG_ISA_COUNT; i++)
        if (m->isa & CG_ISA_BIT(i)) add(&t, "%s ", cg_isa_name((enum cg_isa)i));
    add(&t, "|%u|", m->sve_bytes);
    for (int i = 0; i < m->n_caches; i++) {
        const struct cg_cache *c = &m->caches[i];
        add(&t, "%d%c %llu %u %u %u;", c->level, c->type, (unsigned long long)c->size, c->line, c->ways, c->shared_by);
    }
    for (int i = 0; i < m->n_kinds; i++) add(&t, "|%d %d", m->kinds[i].cores, m->kinds[i].threads);
    for (int i = 0; i < m->n_nodes; i++) add(&t, "|%d", m->nodes[i].threads);
    add(&t, "|%d", m->cores_usable);
    return XXH3_64bits(t.buf, t.n);
}

enum cg_status cg_machine_detect(struct cg_machine *m)
{
    struct cg_facts f;
    cg_facts_read(&f);
    return cg_machine_from(&f, getenv("CPU_GRPO_ISA"), m);
}

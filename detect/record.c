/* Writing a record. */
#include "detect/record_parts.h"

#include <stdio.h>
#include <string.h>

#include "common/file.h"

static void put_escaped(FILE *f, const char *s, size_t n, int blanks_too)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 32 && c != '\t') || c >= 127 || c == '\\' || (c == ' ' && blanks_too)) fprintf(f, "\\%03o", c);
        else fputc(c, f);
    }
}

static void put_file(void *ctx, const char *path, const char *text)
{
    FILE *f = ctx;
    fputs("file ", f);
    put_escaped(f, path, strlen(path), 1);
    size_t len = strcspn(text, "\n");
    if (len && text[0] != ' ' && (!text[len] || !text[len + 1])) {
        fputc(' ', f);
        put_escaped(f, text, len, 0);
        fputc('\n', f);
        return;
    }
    fputc('\n', f);
    while (*text) {
        len = strcspn(text, "\n");
        fputc('|', f);
        put_escaped(f, text, len, 0);
        fputc('\n', f);
        text += len + (text[len] == '\n');
    }
}

static void put_affinity(FILE *f, const uint64_t *set)
{
    const char *separator = "affinity ";
    for (int c = 0; c < CG_MAX_CPUS; c++) {
        if (!(set[c / 64] >> c % 64 & 1)) continue;
        int last = c;
        while (last + 1 < CG_MAX_CPUS && (set[(last + 1) / 64] >> (last + 1) % 64 & 1)) last++;
        fprintf(f, last > c ? "%s%d-%d" : "%s%d", separator, c, last);
        separator = ",";
        c = last;
    }
    if (separator[0] == ',') fputc('\n', f);
}

static void put_cpu(FILE *f, const struct cg_facts *facts)
{
    const struct cg_x86 *x = &facts->x86;
    if (facts->arch == CG_ARCH_X86_64) {
        for (int i = 0; i < x->n; i++) {
            const struct cg_cpuid_leaf *l = &x->leaves[i];
            fprintf(f, "cpuid %08x %02x %08x %08x %08x %08x\n", l->leaf, l->sub, l->eax, l->ebx, l->ecx, l->edx);
        }
        fprintf(f, "xcr0 0x%llx\namx-permission %d\n", (unsigned long long)x->xcr0, x->amx_refused);
    } else {
        const struct cg_arm *a = &facts->arm;
        fprintf(f, "hwcap 0x%llx\nhwcap2 0x%llx\nmidr 0x%llx\nsve-bytes %u\n", (unsigned long long)a->hwcap,
                (unsigned long long)a->hwcap2, (unsigned long long)a->midr, a->sve_bytes);
    }
}

/* Of every level that the CPU names. */
static void put_probe(FILE *f, const struct cg_facts *facts, uint64_t isa_cpu)
{
    for (int i = CG_ISA_SCALAR + 1; i < CG_ISA_COUNT; i++) {
        if (!(isa_cpu & CG_ISA_BIT(i))) continue;
        int v = facts->probe[i];
        fprintf(f, "probe %s ", cg_isa_name((enum cg_isa)i));
        if (v == CG_PROBE_OK || v == CG_PROBE_NONE || v == CG_PROBE_OTHER)
            fprintf(f, "%s\n", v == CG_PROBE_OK ? "ok" : v == CG_PROBE_NONE ? "none" : "other-length");
        else fprintf(f, "signal %d\n", v);
    }
}

static enum cg_status check_rates(const char *rates)
{
    for (const char *line = rates; *line;) {
        size_t len = strcspn(line, "\n");
        if (strncmp(line, "rate ", 5) != 0)
            return cg_fail(CG_ERR_INTERNAL, "a line of measurements begins with \"rate \", not as \"%.40s\"", line);
        line += len + (line[len] == '\n');
    }
    return CG_OK;
}

/* Whether both are what detection would say of the same machine; else the name of what differs. */
static const char *difference(const struct cg_machine *a, const struct cg_machine *b)
{
    if (a->isa != b->isa || a->isa_cpu != b->isa_cpu) return "the instruction sets";
    if (a->n_caches != b->n_caches || memcmp(a->caches, b->caches, (size_t)a->n_caches * sizeof *a->caches) != 0)
        return "the caches";
    if (a->cores != b->cores || a->threads != b->threads || a->affinity != b->affinity || a->n_cpus != b->n_cpus ||
        memcmp(a->cpus, b->cpus, (size_t)a->n_cpus * sizeof *a->cpus) != 0)
        return "the CPUs";
    if (a->quota != b->quota) return "the quota";
    if (strcmp(a->hypervisor, b->hypervisor) != 0) return "the hypervisor";
    return a->fingerprint == b->fingerprint ? NULL : "the fingerprint";
}

static enum cg_status check(const char *path, const struct cg_machine *m)
{
    static struct cg_machine again; /* too large for every stack */
    enum cg_status st = cg_machine_replay(path, &again);
    const char *what = st == CG_OK ? difference(m, &again) : NULL;
    if (st != CG_OK) return cg_fail_in(CG_ERR_INTERNAL, "%s is written but cannot be replayed", path);
    return what ? cg_fail(CG_ERR_INTERNAL, "%s is written, but replaying it changes %s; please report it with the file",
                          path, what)
                : CG_OK;
}

enum cg_status cg_record_save(const char *path, const struct cg_machine *m, const char *rates)
{
    struct cg_out out;
    struct cg_facts facts;
    CG_TRY(check_rates(rates));
    CG_TRY(cg_out_open(path, &out));
    cg_facts_read(&facts);
    fprintf(out.f, CG_RECORD_MAGIC CG_RECORD_VERSION "\n# cpu-grpo " CG_VERSION ": %s\n", m->model_name);
    fprintf(out.f, "arch %s\ncpus %d\n", facts.arch == CG_ARCH_X86_64 ? "x86-64" : "AArch64", facts.cpus);
    put_affinity(out.f, facts.affinity);
    put_cpu(out.f, &facts);
    put_probe(out.f, &facts, m->isa_cpu);
    enum cg_status st = cg_record_files(put_file, out.f);
    fputs(rates, out.f);
    if (rates[0] && rates[strlen(rates) - 1] != '\n') fputc('\n', out.f);
    fputs("end\n", out.f);
    if (st != CG_OK) {
        cg_out_discard(&out);
        return st;
    }
    CG_TRY(cg_out_commit(&out));
    return check(path, m);
}

#include "autotune/detect_report.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *arch_name(const struct cg_machine *m)
{
    return m->arch == CG_ARCH_X86_64 ? "x86-64" : "AArch64";
}

static const char *cache_type(const struct cg_cache *c)
{
    return c->type == 'd' ? "data" : c->type == 'i' ? "instruction" : "unified";
}

/* "512 KiB", "32 MiB". */
static const char *size_text(uint64_t bytes, char *buf, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    int u = 0;
    while (u < 3 && bytes >= 1024 && bytes % 1024 == 0) {
        bytes /= 1024;
        u++;
    }
    snprintf(buf, size, "%llu %s", (unsigned long long)bytes, units[u]);
    return buf;
}

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

/* ---- For people -------------------------------------------------------------------------------------------------- */

static void print_cpu(const struct cg_machine *m, FILE *f)
{
    fprintf(f, "%-13s%s\n", "CPU", m->model_name[0] ? m->model_name : m->vendor[0] ? m->vendor : "unknown");
    if (m->arch == CG_ARCH_X86_64) {
        fprintf(f, "%-13s%s family %u model %u stepping %u", "", m->vendor, m->family, m->model, m->stepping);
        if (m->microcode) fprintf(f, ", microcode 0x%llx", (unsigned long long)m->microcode);
    } else {
        fprintf(f, "%-13s%s", "", m->vendor[0] ? m->vendor : "unknown vendor");
        if (m->midr) fprintf(f, ", MIDR 0x%llx", (unsigned long long)m->midr);
    }
    fprintf(f, ", %s\n", arch_name(m));
    fprintf(f, "%-13s%s\n", "hypervisor", m->hypervisor[0] ? m->hypervisor : "none found");
}

static void print_cores(const struct cg_machine *m, FILE *f)
{
    fprintf(f, "%-13s%d usable of %d physical (%d logical CPU%s)\n", "cores", m->cores_usable, m->cores, m->threads,
            plural(m->threads));
    for (int i = 0; m->n_kinds > 1 && i < m->n_kinds; i++) {
        const struct cg_kind *k = &m->kinds[i];
        fprintf(f, "%-13skind %d: %d core%s, %d logical CPU%s", "", i, k->cores, plural(k->cores), k->threads,
                plural(k->threads));
        fprintf(f, i ? ", about %.0f%% as fast\n" : "\n", 100 * k->speed);
    }
    for (int i = 0; m->n_nodes > 1 && i < m->n_nodes; i++)
        fprintf(f, "%-13sNUMA node %d: %d logical CPU%s\n", "", m->nodes[i].os_index, m->nodes[i].threads,
                plural(m->nodes[i].threads));
    fprintf(f, "%-13saffinity: %d logical CPU%s\n", "", m->affinity, plural(m->affinity));
    if (m->quota > 0)
        fprintf(f, "%-13squota: %.4g CPU%s (%s)\n", "", m->quota, m->quota == 1 ? "" : "s", m->quota_from);
    else fprintf(f, "%-13squota: none\n", "");
}

static void print_caches(const struct cg_machine *m, FILE *f)
{
    for (int i = 0; i < m->n_caches; i++) {
        const struct cg_cache *c = &m->caches[i];
        char size[32], named[32], ways[32] = "";
        if (c->ways) snprintf(ways, sizeof ways, "%u ways", c->ways);
        fprintf(f, "%-13sL%d %-12s %8s  %-8s %u-byte lines", i ? "" : "caches", c->level, cache_type(c),
                size_text(c->size, size, sizeof size), ways, c->line);
        if (c->shared_by > 1) fprintf(f, ", shared by %u", c->shared_by);
        if (!c->reported) fputs(" (the machine names no size: a usual one)", f);
        else if (c->reported != c->size)
            fprintf(f, " (the machine names %s)", size_text(c->reported, named, sizeof named));
        fputc('\n', f);
    }
}

static void print_isa(const struct cg_machine *m, FILE *f)
{
    const char *title = "ISA usable";
    if (m->isa == 0) fprintf(f, "%-13s%s\n", title, "only scalar code");
    for (int i = CG_ISA_SCALAR + 1; i < CG_ISA_COUNT; i++) {
        if (!(m->isa & CG_ISA_BIT(i))) continue;
        fprintf(f, "%-13s%-12s %s", title, cg_isa_name((enum cg_isa)i), cg_isa_description((enum cg_isa)i));
        if (i == CG_ISA_SVE) fprintf(f, ", %u bits", 8 * m->sve_bytes);
        fputc('\n', f);
        title = "";
    }
    title = "not usable";
    for (int i = CG_ISA_SCALAR + 1; i < CG_ISA_COUNT; i++) {
        if (!(m->isa_cpu & ~m->isa & CG_ISA_BIT(i))) continue;
        fprintf(f, "%-13s%-12s %s\n", title, cg_isa_name((enum cg_isa)i), m->isa_why[i]);
        title = "";
    }
}

static void print_counters(const struct cg_detect_counters *counters, FILE *f)
{
    const char *title = "counters";
    if (!counters) return;
    if (!counters->open) fprintf(f, "%-13snone: %s\n", title, counters->why);
    for (int i = 0; counters->open && i < CG_COUNTS; i++) {
        const char *event = cg_counters_event(counters->open, (enum cg_count)i);
        if (!event) continue;
        fprintf(f, "%-13s%-12s %s\n", title, cg_count_name((enum cg_count)i), event);
        title = "";
    }
}

/* ---- For programs ------------------------------------------------------------------------------------------------ */

static json_t *hex(uint64_t value, int digits)
{
    char buf[32];
    snprintf(buf, sizeof buf, "%0*llx", digits, (unsigned long long)value);
    return json_string(buf);
}

/* A number in hexadecimal, as a string, or null for 0: what the system does not say. */
static json_t *id_or_null(uint64_t value)
{
    char buf[32];
    snprintf(buf, sizeof buf, "0x%llx", (unsigned long long)value);
    return value ? json_string(buf) : json_null();
}

static json_t *cpu_json(const struct cg_machine *m)
{
    json_t *cpu = json_pack("{s:s,s:s,s:s}", "arch", arch_name(m), "vendor", m->vendor, "name", m->model_name);
    if (m->arch == CG_ARCH_X86_64) {
        json_object_set_new(cpu, "family", json_integer(m->family));
        json_object_set_new(cpu, "model", json_integer(m->model));
        json_object_set_new(cpu, "stepping", json_integer(m->stepping));
        json_object_set_new(cpu, "microcode", id_or_null(m->microcode));
    } else {
        json_object_set_new(cpu, "midr", id_or_null(m->midr));
        json_object_set_new(cpu, "sve_bits", json_integer(8 * (json_int_t)m->sve_bytes));
    }
    return cpu;
}

static json_t *caches_json(const struct cg_machine *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->n_caches; i++) {
        const struct cg_cache *c = &m->caches[i];
        json_array_append_new(list, json_pack("{s:i,s:s,s:I,s:I,s:i,s:i,s:i}", "level", c->level, "type", cache_type(c),
                                              "size", (json_int_t)c->size, "reported", (json_int_t)c->reported, "line",
                                              (int)c->line, "ways", (int)c->ways, "shared_by", (int)c->shared_by));
    }
    return list;
}

static void add_isa(const struct cg_machine *m, json_t *root)
{
    json_t *isa = json_array(), *unusable = json_object();
    for (int i = CG_ISA_SCALAR + 1; i < CG_ISA_COUNT; i++) {
        const char *name = cg_isa_name((enum cg_isa)i);
        if (m->isa & CG_ISA_BIT(i)) json_array_append_new(isa, json_string(name));
        else if (m->isa_cpu & CG_ISA_BIT(i)) json_object_set_new(unusable, name, json_string(m->isa_why[i]));
    }
    json_object_set_new(root, "isa", isa);
    json_object_set_new(root, "isa_unusable", unusable);
}

static void add_cores(const struct cg_machine *m, json_t *root)
{
    json_t *kinds = json_array(), *nodes = json_array(), *order = json_array();
    for (int i = 0; i < m->n_kinds; i++)
        json_array_append_new(kinds, json_pack("{s:i,s:i,s:f}", "cores", m->kinds[i].cores, "logical_cpus",
                                               m->kinds[i].threads, "speed", m->kinds[i].speed));
    for (int i = 0; i < m->n_nodes; i++)
        json_array_append_new(
            nodes, json_pack("{s:i,s:i}", "node", m->nodes[i].os_index, "logical_cpus", m->nodes[i].threads));
    for (int i = 0; i < m->n_cpus; i++) json_array_append_new(order, json_integer(m->cpus[i].os_index));
    json_object_set_new(root, "cores", json_integer(m->cores));
    json_object_set_new(root, "logical_cpus", json_integer(m->threads));
    json_object_set_new(root, "core_kinds", kinds);
    json_object_set_new(root, "numa_nodes", nodes);
    json_object_set_new(root, "cpu_order", order);
}

static void add_counters(const struct cg_detect_counters *counters, json_t *root)
{
    if (!counters) return;
    json_t *events = counters->open ? json_object() : json_null();
    for (int i = 0; counters->open && i < CG_COUNTS; i++) {
        const char *event = cg_counters_event(counters->open, (enum cg_count)i);
        if (event) json_object_set_new(events, cg_count_name((enum cg_count)i), json_string(event));
    }
    json_object_set_new(root, "counters", events);
    json_object_set_new(root, "counters_why", counters->open ? json_null() : json_string(counters->why));
}

static enum cg_status print_json(const struct cg_machine *m, const struct cg_detect_counters *counters, FILE *f)
{
    json_t *root = json_object();
    json_object_set_new(root, "cpu", cpu_json(m));
    json_object_set_new(root, "hypervisor", m->hypervisor[0] ? json_string(m->hypervisor) : json_null());
    add_isa(m, root);
    json_object_set_new(root, "caches", caches_json(m));
    add_cores(m, root);
    json_object_set_new(root, "affinity", json_integer(m->affinity));
    json_object_set_new(root, "quota", m->quota > 0 ? json_real(m->quota) : json_null());
    json_object_set_new(root, "quota_from", m->quota > 0 ? json_string(m->quota_from) : json_null());
    json_object_set_new(root, "cores_usable", json_integer(m->cores_usable));
    add_counters(counters, root);
    json_object_set_new(root, "fingerprint", hex(m->fingerprint, 16));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fprintf(f, "%s\n", text);
    free(text);
    return CG_OK;
}

enum cg_status cg_detect_report(const struct cg_machine *m, const struct cg_detect_counters *counters, int json,
                                FILE *out)
{
    if (json) {
        CG_TRY(print_json(m, counters, out));
    } else {
        print_cpu(m, out);
        print_cores(m, out);
        print_caches(m, out);
        print_isa(m, out);
        print_counters(counters, out);
        fprintf(out, "%-13s%016llx\n", "fingerprint", (unsigned long long)m->fingerprint);
    }
    if (fflush(out) != 0 || ferror(out)) return cg_fail(CG_ERR_IO, "cannot write the report: %s", strerror(errno));
    return CG_OK;
}

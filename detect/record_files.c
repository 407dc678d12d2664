/* Which files of a machine belong into a record: those that detection and hwloc read. */
#include "detect/record_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPU "/sys/devices/system/cpu/"
#define NODE "/sys/devices/system/node/"

/* # stands for a number below CG_MAX_CPUS. Control groups and hypervisors come from where their files are read. */
static const struct {
    const char *path;
    enum cg_file_kind kind;
} known[] = {
    {CPU "online", CG_FILE_LIST},
    {CPU "possible", CG_FILE_LIST},
    {CPU "cpu#/topology/core_cpus", CG_FILE_MASK},
    {CPU "cpu#/topology/package_cpus", CG_FILE_MASK},
    {CPU "cpu#/topology/thread_siblings", CG_FILE_MASK}, /* of kernels that do not have core_cpus */
    {CPU "cpu#/topology/core_siblings", CG_FILE_MASK},
    {CPU "cpu#/topology/core_id", CG_FILE_NUMBER},
    {CPU "cpu#/cache/index#/level", CG_FILE_NUMBER},
    {CPU "cpu#/cache/index#/type", CG_FILE_NUMBER},
    {CPU "cpu#/cache/index#/id", CG_FILE_NUMBER},
    {CPU "cpu#/cache/index#/size", CG_FILE_NUMBER},
    {CPU "cpu#/cache/index#/coherency_line_size", CG_FILE_NUMBER},
    {CPU "cpu#/cache/index#/number_of_sets", CG_FILE_NUMBER},
    {CPU "cpu#/cache/index#/physical_line_partition", CG_FILE_NUMBER},
    {CPU "cpu#/cache/index#/shared_cpu_map", CG_FILE_MASK},
    {CPU "cpu#/cpu_capacity", CG_FILE_NUMBER},
    {CPU "cpu#/cpufreq/cpuinfo_max_freq", CG_FILE_NUMBER},
    {CPU "cpu#/cpufreq/base_frequency", CG_FILE_NUMBER},
    {CPU "cpu#/microcode/version", CG_FILE_NUMBER},
    {CPU "cpu#/regs/identification/midr_el1", CG_FILE_NUMBER},
    {NODE "online", CG_FILE_LIST},
    {NODE "possible", CG_FILE_LIST},
    {NODE "node#/cpumap", CG_FILE_MASK},
    {"/sys/devices/cpu_core/cpus", CG_FILE_LIST},
    {"/sys/devices/cpu_atom/cpus", CG_FILE_LIST},
    {"/sys/devices/cpu_lowpower/cpus", CG_FILE_LIST},
};

/* Where they are read or written: detect/sysfs.c, detect/cgroup.c. */
static const char *const texts[] = {
    "/proc/cpuinfo",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/sys/hypervisor/type",
    "/proc/device-tree/hypervisor/compatible",
    "/sys/class/dmi/id/product_name",
    "/sys/class/dmi/id/sys_vendor",
};

static int matches(const char *pattern, const char *path)
{
    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*path++ != *pattern) return 0;
            continue;
        }
        if (*path < '0' || *path > '9' || (*path == '0' && path[1] >= '0' && path[1] <= '9')) return 0;
        char *end;
        if (strtoul(path, &end, 10) >= CG_MAX_CPUS) return 0;
        path = end;
    }
    return !*path;
}

static int is_plain(const char *path)
{
    size_t len = strlen(path);
    if (path[0] != '/' || len > 3000 || strstr(path, "//")) return 0;
    for (const char *p = path; (p = strchr(p, '/')); p++) {
        size_t name = strcspn(p + 1, "/");
        if (name == 0 || name > 255 || (p[1] == '.' && (name == 1 || (name == 2 && p[2] == '.')))) return 0;
    }
    return 1;
}

enum cg_file_kind cg_record_kind(const char *path)
{
    static const char *const quotas[] = {"/cpu.max", "/cpu.cfs_quota_us", "/cpu.cfs_period_us"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (matches(known[i].path, path)) return known[i].kind;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i], path) == 0) return CG_FILE_TEXT;
    if (!is_plain(path)) return CG_FILE_UNKNOWN;
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++)
        if (strcmp(strrchr(path, '/'), quotas[i]) == 0) return CG_FILE_TEXT;
    return CG_FILE_UNKNOWN;
}

int cg_parse_cpus(const char *text, uint64_t *set)
{
    for (const char *p = text;; p++) {
        if (*p < '0' || *p > '9') return -1;
        char *end;
        unsigned long lo = strtoul(p, &end, 10), hi = lo;
        if (*end == '-') {
            p = end + 1;
            if (*p < '0' || *p > '9') return -1;
            hi = strtoul(p, &end, 10);
        }
        if (lo > hi || hi >= CG_MAX_CPUS) return -1;
        for (unsigned long c = lo; set && c <= hi; c++) set[c / 64] |= UINT64_C(1) << c % 64;
        p = end;
        if (*p == '\n') p++;
        if (!*p) return 0;
        if (*p != ',') return -1;
    }
}

int cg_record_fits(enum cg_file_kind kind, const char *text)
{
    switch (kind) {
    case CG_FILE_TEXT: return strlen(text) < 65536;
    case CG_FILE_NUMBER: return strlen(text) < 64;
    case CG_FILE_LIST: return !strcmp(text, "\n") || !*text || cg_parse_cpus(text, NULL) == 0;
    case CG_FILE_MASK: { /* 8 digits and a comma for 32 CPUs */
        size_t len = strspn(text, "0123456789abcdef,");
        return len > 0 && len <= CG_MAX_CPUS / 32 * 9 && (!text[len] || !strcmp(text + len, "\n"));
    }
    case CG_FILE_UNKNOWN: break;
    }
    return 0;
}

struct collected {
    char **paths;
    size_t n, cap;
    int failed;
};

static void collect(struct collected *c, const char *path)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 256;
        char **more = realloc(c->paths, cap * sizeof *more);
        if (!more) {
            c->failed = 1;
            return;
        }
        c->paths = more;
        c->cap = cap;
    }
    char *copy = strdup(path);
    if (copy) c->paths[c->n++] = copy;
    else c->failed = 1;
}

/* The files that a pattern stands for: `done` is the path up to `pattern`, in which the next # gets every number. */
static void expand(struct collected *c, const char *done, const char *pattern)
{
    char path[512];
    const char *mark = strchr(pattern, '#');
    if (!mark) {
        snprintf(path, sizeof path, "%s%s", done, pattern);
        if (access(path, R_OK) == 0) collect(c, path);
        return;
    }
    for (int i = 0; i < CG_MAX_CPUS; i++) {
        snprintf(path, sizeof path, "%s%.*s%d", done, (int)(mark - pattern), pattern, i);
        if (access(path, F_OK) == 0) expand(c, path, mark + 1);
        else if (done[0]) return; /* caches are numbered without gaps, CPUs and nodes are not */
    }
}

static int by_number(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* The first CPU's entry, and of it what says which CPU this is. */
static void put_cpuinfo(cg_put_file *put, void *ctx)
{
    static const char *const keys[] = {"processor",   "vendor_id",       "cpu family",       "model",
                                       "model name",  "stepping",        "microcode",        "CPU part",
                                       "CPU variant", "CPU implementer", "CPU architecture", "CPU revision"};
    char text[4096], out[4096] = "";
    if (cg_read_text("", "/proc/cpuinfo", text, sizeof text) <= 0) return;
    char *rest = strstr(text, "\n\n");
    if (rest) rest[1] = 0;
    size_t n = 0;
    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n"), key = strcspn(line, "\t:\n");
        for (size_t i = 0; i < sizeof keys / sizeof *keys && line[len]; i++)
            if (strlen(keys[i]) == key && strncmp(line, keys[i], key) == 0) {
                memcpy(out + n, line, len + 1); /* never more than was read */
                n += len + 1;
            }
        line += len + (line[len] == '\n');
    }
    out[n] = 0;
    if (n) put(ctx, "/proc/cpuinfo", out);
}

enum cg_status cg_record_files(cg_put_file *put, void *ctx)
{
    struct collected c = {0};
    size_t size = 65536;
    char *text = malloc(size);
    for (size_t i = 0; text && i < sizeof known / sizeof *known; i++) expand(&c, "", known[i].path);
    if (c.n) qsort(c.paths, c.n, sizeof *c.paths, by_number);
    if (text) {
        put_cpuinfo(put, ctx);
        cg_cgroup_record("", put, ctx);
        cg_hypervisor_record("", put, ctx);
    }
    for (size_t i = 0; i < c.n; i++) {
        if (cg_read_text("", c.paths[i], text, size) >= 0) put(ctx, c.paths[i], text);
        free(c.paths[i]);
    }
    int failed = c.failed || !text;
    free(c.paths);
    free(text);
    return failed ? cg_fail(CG_ERR_MEMORY, "out of memory") : CG_OK;
}

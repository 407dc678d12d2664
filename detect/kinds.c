/* Kinds of cores, and how many of them are worth using. */
#include "detect/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "detect/topology.h"

/* Intel's drivers of performance counters name the cores of each type; hwloc would need CPUID on every CPU for it. */
static void add_intel_types(hwloc_topology_t t, const char *root)
{
    static const struct {
        const char *path, *type;
    } lists[] = {{"/sys/devices/cpu_core/cpus", "IntelCore"},
                 {"/sys/devices/cpu_atom/cpus", "IntelAtom"},
                 {"/sys/devices/cpu_lowpower/cpus", "IntelAtom"}};
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (size_t i = 0; set && i < sizeof lists / sizeof *lists; i++) {
        char text[4096], name[] = "CoreType", value[16];
        if (cg_read_text(root, lists[i].path, text, sizeof text) <= 0) continue;
        strcpy(value, lists[i].type);
        struct hwloc_info_s info = {.name = name, .value = value};
        text[strcspn(text, "\n")] = 0;
        if (hwloc_bitmap_list_sscanf(set, text) != 0) continue;
        hwloc_bitmap_and(set, set, hwloc_topology_get_topology_cpuset(t));
        if (!hwloc_bitmap_iszero(set))
            hwloc_cpukinds_register(t, set, -1, 1, &info, 0); /* -1: no efficiency is known */
    }
    hwloc_bitmap_free(set);
}

/* CPUs of which the system says the same. */
struct group {
    hwloc_bitmap_t set;
    double capacity, mhz, speed; /* 0: unknown */
    int atom;
};

enum { MOST_GROUPS = 64 };

static int read_groups(hwloc_topology_t t, struct group *g)
{
    int n = hwloc_cpukinds_get_nr(t, 0), got = 0;
    for (int i = 0; i < n && got < MOST_GROUPS; i++) {
        unsigned n_infos;
        struct hwloc_info_s *infos;
        memset(&g[got], 0, sizeof g[got]);
        g[got].set = hwloc_bitmap_alloc();
        if (!g[got].set) break;
        if (hwloc_cpukinds_get_info(t, (unsigned)i, g[got].set, NULL, &n_infos, &infos, 0) != 0) n_infos = 0;
        for (unsigned k = 0; k < n_infos; k++) {
            if (strcmp(infos[k].name, "LinuxCapacity") == 0) g[got].capacity = strtod(infos[k].value, NULL);
            if (strcmp(infos[k].name, "FrequencyMaxMHz") == 0) g[got].mhz = strtod(infos[k].value, NULL);
            if (strcmp(infos[k].name, "CoreType") == 0) g[got].atom = strcmp(infos[k].value, "IntelAtom") == 0;
        }
        got++;
    }
    return got;
}

static int by_speed(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->speed != y->speed) return x->speed < y->speed ? 1 : -1;
    return hwloc_bitmap_first(x->set) - hwloc_bitmap_first(y->set);
}

/* The capacity that the kernel knows is the best witness; else the clock, and Intel's small cores multiply half as many
 * numbers at once. */
static void rate_groups(struct group *g, int n)
{
    int capacities = 1, clocks = 1;
    double most = 0;
    for (int i = 0; i < n; i++) {
        capacities &= g[i].capacity > 0;
        clocks &= g[i].mhz > 0;
    }
    for (int i = 0; i < n; i++) {
        g[i].speed = capacities ? g[i].capacity : (clocks ? g[i].mhz : 1) * (g[i].atom ? 0.5 : 1);
        most = fmax(most, g[i].speed);
    }
    for (int i = 0; i < n; i++) g[i].speed /= most;
    qsort(g, (size_t)n, sizeof *g, by_speed);
}

int cg_read_kinds(hwloc_topology_t t, const char *root, struct cg_machine *m, hwloc_bitmap_t sets[CG_MAX_KINDS])
{
    struct group g[MOST_GROUPS];
    add_intel_types(t, root);
    int n = read_groups(t, g);
    rate_groups(g, n);
    hwloc_bitmap_t rest = hwloc_bitmap_dup(hwloc_topology_get_topology_cpuset(t));
    for (int i = 0; i < n; i++) {
        struct cg_kind *last = m->n_kinds ? &m->kinds[m->n_kinds - 1] : NULL;
        /* favoured cores clock a little higher than their neighbours and are of the same kind */
        if (!last || (g[i].speed < 0.85 * last->speed && m->n_kinds < CG_MAX_KINDS)) {
            m->kinds[m->n_kinds].speed = g[i].speed;
            sets[m->n_kinds++] = g[i].set;
        } else {
            hwloc_bitmap_or(sets[m->n_kinds - 1], sets[m->n_kinds - 1], g[i].set);
            hwloc_bitmap_free(g[i].set);
        }
    }
    for (int i = 0; rest && i < m->n_kinds; i++) hwloc_bitmap_andnot(rest, rest, sets[i]);
    if (m->n_kinds == 0) {
        m->kinds[m->n_kinds].speed = 1;
        sets[m->n_kinds++] = rest;
    } else { /* CPUs of which nothing is said */
        if (rest) hwloc_bitmap_or(sets[m->n_kinds - 1], sets[m->n_kinds - 1], rest);
        hwloc_bitmap_free(rest);
    }
    return sets[0] ? 0 : -1;
}

int cg_kinds_worth(const struct cg_kind *kinds, const int *cores, int n)
{
    double best = 0;
    int worth = 0, sum = 0;
    for (int k = 0; k < n; k++) {
        sum += cores[k];
        if (cores[k] == 0 || sum * kinds[k].speed < 1.25 * best) continue;
        best = sum * kinds[k].speed;
        worth = sum;
    }
    return worth;
}

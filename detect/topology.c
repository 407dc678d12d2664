/* Cores, kinds, NUMA nodes, the CPUs of this process, and their caches, by hwloc. */
#include "detect/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Variables of the environment that are set while hwloc loads, which has no other way to be told. */
static const char *const variables[] = {"HWLOC_HIDE_ERRORS", "HWLOC_FSROOT", "HWLOC_THISSYSTEM", "HWLOC_COMPONENTS"};
enum { N_VARIABLES = sizeof variables / sizeof *variables };

static void keep_environment(char *old[N_VARIABLES])
{
    for (int i = 0; i < N_VARIABLES; i++) {
        const char *value = getenv(variables[i]);
        old[i] = value ? strdup(value) : NULL;
    }
}

static void restore_environment(char *old[N_VARIABLES])
{
    for (int i = 0; i < N_VARIABLES; i++) {
        if (old[i]) setenv(variables[i], old[i], 1);
        else unsetenv(variables[i]);
        free(old[i]);
    }
}

/* Only what is asked for is loaded: hwloc's x86 part binds itself to every CPU in turn, which costs more than all else,
 * and PCI, memory and distances are of no use here. `synthetic`: a description in hwloc's words, or NULL. */
static int load_plain(hwloc_topology_t *out, const char *synthetic)
{
    if (hwloc_topology_init(out) != 0) return -1;
    hwloc_topology_t t = *out;
    hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
    hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_GROUP,
                                   HWLOC_TYPE_FILTER_KEEP_STRUCTURE); /* hwloc hangs nodes on them */
    hwloc_topology_set_cache_types_filter(t, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_NO_DISTANCES |
                                    HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS);
    if ((!synthetic || hwloc_topology_set_synthetic(t, synthetic) == 0) && hwloc_topology_load(t) == 0) return 0;
    hwloc_topology_destroy(t);
    return -1;
}

int cg_topology_load(const struct cg_facts *f, hwloc_topology_t *out)
{
    char *old[N_VARIABLES];
    keep_environment(old);
    /* Where /sys is missing, hwloc would write a line of its own: what is lacking is said by the report. */
    if (!old[0]) setenv("HWLOC_HIDE_ERRORS", "2", 1);
    int bad;
    if (f->root[0]) { /* nothing of the machine that replays the record */
        setenv("HWLOC_FSROOT", f->root, 1);
        setenv("HWLOC_THISSYSTEM", "0", 1);
        setenv("HWLOC_COMPONENTS", "linux,stop", 1);
        bad = load_plain(out, NULL);
        if (bad) { /* as on the system itself when it hides /sys: CPUs without anything around them */
            char cpus[32];
            snprintf(cpus, sizeof cpus, "PU:%d", f->cpus);
            unsetenv("HWLOC_COMPONENTS");
            bad = load_plain(out, cpus);
        }
    } else {
        bad = load_plain(out, NULL);
    }
    restore_environment(old);
    return bad;
}

/* The CPUs of the affinity that the topology has; all of them when none is known. */
static void usable_set(const struct cg_facts *f, hwloc_topology_t t, hwloc_bitmap_t set)
{
    for (int c = 0; c < CG_MAX_CPUS; c++)
        if (f->affinity[c / 64] >> c % 64 & 1) hwloc_bitmap_set(set, (unsigned)c);
    hwloc_bitmap_and(set, set, hwloc_topology_get_topology_cpuset(t));
    if (hwloc_bitmap_iszero(set)) hwloc_bitmap_copy(set, hwloc_topology_get_topology_cpuset(t));
}

/* The node of a CPU, into m->nodes when it is new there. hwloc puts nodes without CPUs beside wider sets of CPUs: the
 * smallest set is the CPU's own node. */
static int node_of(hwloc_topology_t t, hwloc_obj_t pu, struct cg_machine *m)
{
    int least = 0, os_index = 0;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, o));) {
        int weight = hwloc_bitmap_weight(o->cpuset);
        if (!hwloc_bitmap_isincluded(pu->cpuset, o->cpuset) || (least && weight >= least)) continue;
        least = weight;
        os_index = (int)o->os_index;
    }
    for (int i = 0; i < m->n_nodes; i++)
        if (m->nodes[i].os_index == os_index) return i;
    if (m->n_nodes == CG_MAX_NODES) return CG_MAX_NODES - 1;
    m->nodes[m->n_nodes].os_index = os_index;
    return m->n_nodes++;
}

static int by_order(const void *a, const void *b)
{
    const struct cg_cpu *x = a, *y = b;
    if (x->smt != y->smt) return x->smt - y->smt;
    if (x->kind != y->kind) return x->kind - y->kind;
    if (x->node != y->node) return x->node - y->node;
    return x->core != y->core ? x->core - y->core : x->os_index - y->os_index;
}

static void read_cpus(hwloc_topology_t t, hwloc_const_bitmap_t set, hwloc_bitmap_t *kinds, struct cg_machine *m)
{
    int cores[CG_MAX_KINDS] = {0};
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu));) {
        int kind = 0, smt = 0;
        while (kind + 1 < m->n_kinds && !hwloc_bitmap_isincluded(pu->cpuset, kinds[kind])) kind++;
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_CORE, pu);
        int node = node_of(t, pu, m), first = !core || hwloc_bitmap_first(core->cpuset) == (int)pu->os_index;
        m->nodes[node].threads++;
        m->kinds[kind].threads++;
        m->kinds[kind].cores += first;
        if (!hwloc_bitmap_isincluded(pu->cpuset, set) || m->n_cpus == CG_MAX_CPUS) continue;
        int number = (int)(core ? core->logical_index : pu->logical_index); /* a machine that names no cores */
        for (int i = 0; i < m->n_cpus; i++) smt += core && m->cpus[i].core == number;
        m->cpus[m->n_cpus++] = (struct cg_cpu){(int)pu->os_index, number, kind, node, smt};
        cores[kind] += smt == 0;
    }
    qsort(m->cpus, (size_t)m->n_cpus, sizeof *m->cpus, by_order);
    m->affinity = hwloc_bitmap_weight(set);
    m->cores_usable = cg_kinds_worth(m->kinds, cores, m->n_kinds);
}

/* The caches above a CPU, inner ones first. */
static void read_caches(hwloc_topology_t t, int cpu, struct cg_machine *m)
{
    hwloc_obj_t o = hwloc_get_pu_obj_by_os_index(t, (unsigned)cpu);
    for (; o && m->n_caches < CG_MAX_CACHES; o = o->parent) {
        if (!hwloc_obj_type_is_cache(o->type)) continue;
        const struct hwloc_cache_attr_s *a = &o->attr->cache;
        struct cg_cache *c = &m->caches[m->n_caches++];
        c->level = (int)a->depth;
        c->type = a->type == HWLOC_OBJ_CACHE_DATA ? 'd' : a->type == HWLOC_OBJ_CACHE_INSTRUCTION ? 'i' : 'u';
        c->size = c->reported = a->size;
        c->line = a->linesize;
        c->ways = a->associativity > 0 ? (uint32_t)a->associativity : 0;
        c->shared_by = (uint32_t)hwloc_bitmap_weight(o->cpuset);
    }
}

enum cg_status cg_topology_read(const struct cg_facts *f, struct cg_machine *m)
{
    hwloc_topology_t t;
    hwloc_bitmap_t kinds[CG_MAX_KINDS] = {NULL};
    if (cg_topology_load(f, &t) != 0)
        return cg_fail(f->root[0] ? CG_ERR_USER : CG_ERR_INTERNAL, "hwloc cannot read the topology of this machine");
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    enum cg_status st = CG_OK;
    if (!set || cg_read_kinds(t, f->root, m, kinds) != 0) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    if (st == CG_OK) {
        m->threads = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PU);
        m->cores = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE);
        if (m->cores < 1) m->cores = m->threads;
        usable_set(f, t, set);
        read_cpus(t, set, kinds, m);
        read_caches(t, m->cpus[0].os_index, m);
    }
    for (int i = 0; i < CG_MAX_KINDS; i++) hwloc_bitmap_free(kinds[i]);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(t);
    return st;
}

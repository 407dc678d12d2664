/* Cores, affinity and caches, by hwloc. */
#include "detect/parts.h"

#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

/* Only what is asked for is loaded: hwloc's x86 part binds itself to every CPU in turn, which costs more than all else,
 * and PCI, memory and distances are of no use here. */
static int load(hwloc_topology_t *out)
{
    /* Where /sys is missing, hwloc would write a line of its own: what is lacking is said by the report. */
    setenv("HWLOC_HIDE_ERRORS", "2", 0);
    if (hwloc_topology_init(out) != 0) return -1;
    hwloc_topology_t t = *out;
    hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
    hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_cache_types_filter(t, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_NO_DISTANCES |
                                    HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS);
    if (hwloc_topology_load(t) == 0) return 0;
    hwloc_topology_destroy(t);
    return -1;
}

static void read_kinds(hwloc_topology_t t, struct cg_machine *m)
{
    int n = hwloc_cpukinds_get_nr(t, 0);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (int i = 0; set && i < n && i < CG_MAX_KINDS; i++)
        if (hwloc_cpukinds_get_info(t, (unsigned)i, set, NULL, NULL, NULL, 0) == 0)
            m->kind_threads[m->n_kinds++] = hwloc_bitmap_weight(set);
    hwloc_bitmap_free(set);
    if (m->n_kinds == 0) {
        m->n_kinds = 1;
        m->kind_threads[0] = m->threads;
    }
}

static int cores_within(hwloc_topology_t t, hwloc_const_bitmap_t set)
{
    int n = 0;
    for (hwloc_obj_t core = NULL; (core = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_CORE, core));)
        n += hwloc_bitmap_intersects(core->cpuset, set);
    return n ? n : hwloc_bitmap_weight(set); /* a machine that names no cores: each CPU counts */
}

/* The caches above the first CPU of `set`, inner ones first. */
static void read_caches(hwloc_topology_t t, hwloc_const_bitmap_t set, struct cg_machine *m)
{
    int first = hwloc_bitmap_first(set);
    hwloc_obj_t o = first < 0 ? NULL : hwloc_get_pu_obj_by_os_index(t, (unsigned)first);
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

enum cg_status cg_topology_read(struct cg_machine *m, int *cores)
{
    hwloc_topology_t t;
    if (load(&t) != 0) return cg_fail(CG_ERR_INTERNAL, "hwloc cannot read the topology of this machine");
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (!set) {
        hwloc_topology_destroy(t);
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    m->threads = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PU);
    m->cores = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE);
    if (m->cores < 1) m->cores = m->threads;
    if (hwloc_get_cpubind(t, set, HWLOC_CPUBIND_THREAD) != 0 || hwloc_bitmap_iszero(set))
        hwloc_bitmap_copy(set, hwloc_topology_get_topology_cpuset(t));
    hwloc_bitmap_and(set, set, hwloc_topology_get_topology_cpuset(t));
    m->affinity = hwloc_bitmap_weight(set);
    *cores = cores_within(t, set);
    read_kinds(t, m);
    read_caches(t, set, m);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(t);
    return CG_OK;
}

static int same_cache(const struct cg_cache *a, const struct cg_cache *b)
{
    return a->level == b->level && a->type == b->type;
}

static int is_sane(const struct cg_cache *c)
{
    const uint64_t kib = 1024, mib = 1024 * kib;
    if (c->level == 1) return c->size >= 4 * kib && c->size <= 512 * kib;
    if (c->level == 2) return c->size >= 64 * kib && c->size <= 128 * mib;
    return c->size >= 256 * kib && c->size <= 4096 * mib;
}

static uint64_t usual_size(int level)
{
    return level == 1 ? 32 * 1024 : level == 2 ? 512 * 1024 : 4 * 1024 * 1024;
}

static void insert(struct cg_machine *m, struct cg_cache c)
{
    if (m->n_caches >= CG_MAX_CACHES) return;
    int at = m->n_caches++;
    for (; at > 0 && m->caches[at - 1].level > c.level; at--) m->caches[at] = m->caches[at - 1];
    m->caches[at] = c;
}

void cg_check_caches(struct cg_machine *m, const struct cg_cache *cpuid, int n)
{
    for (int j = 0; j < n; j++) {
        struct cg_cache *c = NULL;
        for (int i = 0; i < m->n_caches; i++)
            if (same_cache(&m->caches[i], &cpuid[j])) c = &m->caches[i];
        if (!c) {
            insert(m, cpuid[j]);
        } else if (is_sane(&cpuid[j]) && (!is_sane(c) || cpuid[j].size < c->size)) {
            c->size = cpuid[j].size; /* of two sane answers the smaller: blocks made for it fit either way */
        }
    }
    for (int level = 1; level <= 2; level++) /* every machine has these, whatever it says */
        if (cg_machine_cache(m, level) == 0)
            insert(m, (struct cg_cache){.level = level, .type = level == 1 ? 'd' : 'u', .line = 64});
    for (int i = 0; i < m->n_caches; i++) {
        struct cg_cache *c = &m->caches[i];
        if (!is_sane(c)) c->size = usual_size(c->level);
        if (c->line < 16 || c->line > 1024) c->line = 64;
    }
}

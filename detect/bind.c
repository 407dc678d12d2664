#include "detect/bind.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/threads.h"
#include "detect/topology.h"

/* ---- Where ------------------------------------------------------------------------------------------------------- */

static int same_group(const struct cg_cpu *a, const struct cg_cpu *b)
{
    return a->kind == b->kind && a->node == b->node;
}

/* Are the usable CPUs of more than one group? */
static int groups_differ(const struct cg_machine *m)
{
    for (int i = 1; i < m->n_cpus; i++)
        if (!same_group(&m->cpus[i], &m->cpus[0])) return 1;
    return 0;
}

static int user_has_spoken(void)
{
    static const char *const variables[] = {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i])) return 1;
    return 0;
}

enum cg_status cg_bind_choose(const struct cg_machine *m, int threads, enum cg_bind *how)
{
    const char *want = getenv("CPU_GRPO_BIND");
    *how = CG_BIND_NONE;
    if (!want || !want[0] || strcmp(want, "auto") == 0) *how = groups_differ(m) ? CG_BIND_GROUPS : CG_BIND_NONE;
    else if (strcmp(want, "on") == 0) *how = CG_BIND_CPUS;
    else if (strcmp(want, "off") != 0) return cg_fail(CG_ERR_USER, "CPU_GRPO_BIND=%.40s: use auto, on or off", want);
    if (threads > m->n_cpus || user_has_spoken()) *how = CG_BIND_NONE;
    return CG_OK;
}

int cg_bind_place(const struct cg_machine *m, enum cg_bind how, int thread, int *out)
{
    int n = 0;
    for (int i = 0; i < m->n_cpus; i++)
        if (how == CG_BIND_CPUS ? i == thread : same_group(&m->cpus[i], &m->cpus[thread]))
            out[n++] = m->cpus[i].os_index;
    return n;
}

/* ---- Who --------------------------------------------------------------------------------------------------------- */

static struct {
    enum cg_bind how;
    hwloc_topology_t topology;
    hwloc_bitmap_t before; /* of the thread that bound them all */
    hwloc_bitmap_t *place; /* of each thread */
    int threads;
} bound;

static unsigned turn; /* grows whenever threads are to move */
static _Thread_local unsigned seen;
static _Thread_local int mine;

int cg_bind_is_mine(void)
{
    return mine;
}

void cg_bind_follow(void)
{
    if (seen == turn || omp_get_level() != 1) return; /* numbers of threads in inner regions are others */
    int id = omp_get_thread_num();
    hwloc_const_bitmap_t to = id < bound.threads ? bound.place[id] : bound.before;
    if (to) (void)hwloc_set_cpubind(bound.topology, to, HWLOC_CPUBIND_THREAD);
    seen = turn;
}

/* Has all threads of a region look where they belong. */
static void move_all(int threads)
{
    turn++;
    mine = 1;
#pragma omp parallel num_threads(threads)
    cg_bind_follow();
}

static void release(void)
{
    for (int i = 0; i < bound.threads; i++) hwloc_bitmap_free(bound.place[i]);
    cg_free(bound.place);
    hwloc_bitmap_free(bound.before);
    if (bound.topology) hwloc_topology_destroy(bound.topology);
    memset(&bound, 0, sizeof bound);
}

void cg_bind_undo(void)
{
    if (bound.how == CG_BIND_NONE) return;
    int threads = bound.threads;
    for (int i = 0; i < threads; i++) hwloc_bitmap_copy(bound.place[i], bound.before);
    move_all(threads);
    release();
}

static enum cg_status prepare(const struct cg_machine *m, enum cg_bind how, int threads)
{
    struct cg_facts system = {.root = "", .cpus = m->threads};
    int *cpus = cg_alloc_n((size_t)m->n_cpus, sizeof *cpus);
    bound.place = cg_alloc_n((size_t)threads, sizeof *bound.place);
    bound.before = hwloc_bitmap_alloc();
    int ok = cpus && bound.place && bound.before;
    for (; ok && bound.threads < threads; bound.threads++) {
        hwloc_bitmap_t place = bound.place[bound.threads] = hwloc_bitmap_alloc();
        int n = cg_bind_place(m, how, bound.threads, cpus);
        for (int i = 0; place && i < n; i++) hwloc_bitmap_set(place, (unsigned)cpus[i]);
        ok = place != NULL;
    }
    cg_free(cpus);
    if (!ok) return cg_fail(CG_ERR_MEMORY, "out of memory");
    if (cg_topology_load(&system, &bound.topology) != 0 ||
        hwloc_get_cpubind(bound.topology, bound.before, HWLOC_CPUBIND_THREAD) != 0)
        return cg_fail(CG_ERR_INTERNAL, "hwloc cannot bind threads here; CPU_GRPO_BIND=off does without");
    return CG_OK;
}

enum cg_status cg_bind_threads(const struct cg_machine *m, int threads)
{
    enum cg_bind how;
    cg_bind_undo();
    CG_TRY(cg_bind_choose(m, threads, &how));
    if (how == CG_BIND_NONE) return CG_OK;
    enum cg_status st = prepare(m, how, threads);
    if (st != CG_OK) {
        release();
        return st;
    }
    bound.how = how;
    move_all(threads);
    return CG_OK;
}

const char *cg_bind_text(void)
{
    static const char *const texts[] = {NULL, "threads are bound to cores of their kind and NUMA node",
                                        "threads are bound to a CPU each"};
    return texts[bound.how];
}

int cg_bind_mask(uint64_t mask[CG_MAX_CPUS / 64])
{
    if (bound.how == CG_BIND_NONE) return cg_threads_places(mask, CG_MAX_CPUS);
    memset(mask, 0, CG_MAX_CPUS / 8);
    for (int c = 0; c < CG_MAX_CPUS; c++)
        if (hwloc_bitmap_isset(bound.before, (unsigned)c)) mask[c / 64] |= UINT64_C(1) << c % 64;
    return 1;
}

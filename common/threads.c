#include "common/threads.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* About 20 microseconds of spinning: longer than the time between the parallel regions of a layer. */
#define SPIN_COUNT "10000"

int cg_threads_places(uint64_t *mask, int cpus)
{
    int places = omp_get_num_places();
    if (omp_get_proc_bind() == omp_proc_bind_false || places < 1) return 0;
    memset(mask, 0, (size_t)cpus / 8);
    for (int p = 0; p < places; p++) {
        int n = omp_get_place_num_procs(p), *ids = malloc(((size_t)n + 1) * sizeof *ids);
        if (!ids) continue;
        omp_get_place_proc_ids(p, ids);
        for (int i = 0; i < n; i++)
            if (ids[i] >= 0 && ids[i] < cpus) mask[ids[i] / 64] |= UINT64_C(1) << ids[i] % 64;
        free(ids);
    }
    return 1;
}

/* The program that is started anew inherits what this thread may run on. */
static void unbind(void)
{
    uint64_t mask[CPU_SETSIZE / 64];
    cpu_set_t set;
    if (!cg_threads_places(mask, CPU_SETSIZE)) return;
    CPU_ZERO(&set);
    for (int c = 0; c < CPU_SETSIZE; c++)
        if (mask[c / 64] >> c % 64 & 1) CPU_SET(c, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

void cg_threads_setup(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("GOMP_SPINCOUNT", SPIN_COUNT, 1) != 0) return;
    unbind();
    execv("/proc/self/exe", argv);
}

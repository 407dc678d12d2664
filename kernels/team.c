#include "kernels/team.h"

#include <omp.h>

#include "detect/bind.h"

static void deal(cg_part_fn *fn, const void *job, size_t parts)
{
    size_t threads = (size_t)omp_get_num_threads();
    for (size_t part = (size_t)omp_get_thread_num(); part < parts; part += threads) fn(job, parts, part);
}

void cg_team_run(const struct cg_plan *plan, cg_part_fn *first, cg_part_fn *second, const void *job)
{
    size_t parts = cg_team_parts(plan);
    if (parts == 1) {
        first(job, 1, 0);
        if (second) second(job, 1, 0);
        return;
    }
    int bound = cg_bind_is_mine();
#pragma omp parallel num_threads(plan->team > parts ? plan->team : parts)
    {
        if (bound) cg_bind_follow();
        deal(first, job, parts);
        if (second) {
#pragma omp barrier
            deal(second, job, parts);
        }
    }
}

/* How a product runs on threads: the one place where GEMMs open parallel regions. */
#ifndef CG_KERNELS_TEAM_H
#define CG_KERNELS_TEAM_H

#include <stddef.h>

#include "kernels/registry.h"

/* Does part `part` of `parts` of a job. */
typedef void cg_part_fn(const void *job, size_t parts, size_t part);

/* Parts that a plan makes of a product: one for each of its threads. */
static inline size_t cg_team_parts(const struct cg_plan *plan)
{
    return plan->threads > 1 ? plan->threads : 1;
}

/* Does all parts of a job, then, when `second` is not NULL, all parts of that, which begin when the first are done.
 * One part runs on the calling thread alone, and no region is opened. Otherwise the region has plan->team threads, of
 * which each part takes one. Where OpenMP gives fewer (inside another region, or by a limit), a thread does several
 * parts, so that what they are does not depend on it. */
void cg_team_run(const struct cg_plan *plan, cg_part_fn *first, cg_part_fn *second, const void *job);

#endif

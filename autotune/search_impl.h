/* The inside of the search: search.c (groups of shapes, layouts), search_shape.c (one shape). */
#ifndef CG_AUTOTUNE_SEARCH_IMPL_H
#define CG_AUTOTUNE_SEARCH_IMPL_H

#include "autotune/search.h"
#include "autotune/space.h"

#define CG_SEARCH_GAIN 0.02  /* less is not worth leaving the default for */
#define CG_SEARCH_SHARE 0.08 /* of the budget that one shape may use */

enum {
    CG_SEARCH_BREADTH = 64, /* plans of a shape at first, at most */
    CG_SEARCH_NEIGHBOURS = 14,
    CG_SEARCH_TRIALS = CG_SEARCH_BREADTH + CG_SEARCH_NEIGHBOURS + 1,
};

struct cg_search {
    const struct cg_tuner *t;
    double end;      /* of the whole budget, by cg_now */
    double patience; /* times the usual time for a shape */
    struct cg_reference reference;
    struct cg_trial *trials, *spare; /* [CG_SEARCH_TRIALS] */
    struct cg_tune_stats *stats;
    struct {
        const struct cg_variant *like;
        int times; /* far behind the best */
    } slow[2 * CG_MAX_LAYOUTS];
    size_t done, all;
};

/* Is the time out, or was it stopped? */
int cg_search_stopped(const struct cg_search *s);
/* Tells the progress; `ctx` is a struct cg_search. */
void cg_search_report(const void *ctx, const struct cg_shape *shape);
struct cg_contest cg_search_contest(struct cg_search *s, const struct cg_shape *shape);

/* Makes `chosen` the plan of the contest's shape. */
void cg_search_keep(struct cg_found *f, const struct cg_contest *c, const struct cg_trial *chosen, int threads);

/* Finds the plan of one shape: the default on `home`, others with the layout of `like` on `own` (which may be home).
 * f->candidates stays 0 where there was no undisturbed time for it. */
void cg_search_shape(struct cg_search *s, const struct cg_shape *shape, struct cg_bench *home, struct cg_bench *own,
                     const struct cg_variant *like, struct cg_found *f);

#endif

/* Which of several plans for one shape is the fastest: timed in turn with the default plan, so that whatever disturbs
 * the machine meets all alike, and compared with it sample by sample. */
#ifndef CG_AUTOTUNE_CONTEST_H
#define CG_AUTOTUNE_CONTEST_H

#include <signal.h>
#include <stddef.h>

#include "autotune/measure.h"
#include "autotune/reference.h"
#include "autotune/shapes.h"
#include "detect/counters.h"

enum { CG_TRIAL_SAMPLES = 64 };

/* How undisturbed a run was. */
struct cg_tune_stats {
    size_t batches;
    size_t disturbed; /* batches that were timed again, since other programs held the processors */
    size_t drifted;   /* turns that were timed again, since the reference loop ran at another speed */
    size_t shifts;    /* changes of the machine's speed that stayed */
};

/* One plan in a contest. Ratios are its time over the default's. */
struct cg_trial {
    struct cg_plan plan;
    struct cg_bench *bench; /* with B in the plan's layout */
    double handicap;        /* its ratio counts so many times as much among plans; 0: once */
    double ratio, lo, hi;   /* median, and its interval at a confidence of 98%; without a sample 0 to INFINITY */
    double seconds;         /* of a call, the median */
    size_t samples, disturbed;
    int wrong; /* gives other bits than the default: a fault of a kernel */
    int rough; /* all samples were disturbed */
    /* Inside. */
    double x[CG_TRIAL_SAMPLES], t[CG_TRIAL_SAMPLES]; /* log ratios, seconds: the latest, in a ring */
};

struct cg_contest {
    const struct cg_shape *shape;
    struct cg_reference *reference;
    const volatile sig_atomic_t *stop; /* or NULL */
    double until;                      /* by cg_now: no new turn begins after it */
    struct cg_tune_stats *stats;
    void (*tick)(const void *ctx, const struct cg_shape *shape); /* called after every batch; or NULL */
    const void *ctx;
    struct cg_trial standard; /* the default plan; its ratio is 1 */
    size_t calls;             /* of a batch */
    double batch;             /* seconds that a batch takes with its warm-up */
    double last;              /* seconds of a call of the default in the batch just before; 0: there was none */
    int last_clean;
};

/* `c` from what the members before it say: makes `standard` the default plan, on `bench`, and finds out how many calls
 * make a batch. 0 without memory, or when no call gets through undisturbed (long ones on a busy machine) or the clock
 * stands still. */
int cg_contest_begin(struct cg_contest *c, const struct cg_plan *standard, struct cg_bench *bench);

int cg_contest_over(const struct cg_contest *c); /* out of time, or stopped */

/* Compares the bits that each plan gives with those of the default, and marks the wrong ones. 0 without memory. */
int cg_contest_check(struct cg_contest *c, struct cg_trial *t, size_t n);

/* So many turns for each of n plans; then ratios are known, INFINITY for a plan that no sample was to be had of. 0:
 * time was out before that, or without memory. */
int cg_contest_rounds(struct cg_contest *c, struct cg_trial *t, size_t n, size_t rounds);

/* Successive halving (Karnin, Koren & Somekh 2013): turns of all that are left, then the slower half goes, and whoever
 * is a quarter behind the best. Returns how many are left: `keep` at most, the best first, none of them wrong; 0 when
 * time was out before all had a turn. */
size_t cg_contest_halve(struct cg_contest *c, struct cg_trial *t, size_t n, size_t keep);

/* Turns with the default until it is sure whether `t` takes less than 1 - gain of its time, or not: 1, 0; or not to be
 * had (-1): out of time, or too disturbed. */
int cg_contest_duel(struct cg_contest *c, struct cg_trial *t, double gain);

/* Counts what one call of `t` does, over as many calls as a batch has: all 0 in `have` where that failed. */
struct cg_counts cg_contest_count(struct cg_contest *c, const struct cg_trial *t, struct cg_counters *counters);

#endif

/* Is the machine as fast as a moment ago? A fixed loop tells, which nothing but the speed of the cores can change. */
#ifndef CG_AUTOTUNE_REFERENCE_H
#define CG_AUTOTUNE_REFERENCE_H

#include <stddef.h>

enum { CG_REFERENCE_KEPT = 15 };

/* Readings of one thing, in seconds. */
struct cg_readings {
    double tolerance;               /* log of the ratio to the usual one that is no change */
    double kept[CG_REFERENCE_KEPT]; /* the latest that were steady, in a ring */
    double odd[CG_REFERENCE_KEPT];  /* those in a row that were not */
    size_t n, n_odd, shifts;        /* shifts: changes that stayed */
};

struct cg_reference {
    int threads;
    struct cg_readings loop;    /* the loop, on the slowest thread */
    struct cg_readings barrier; /* a barrier of all threads: how far they are from each other, which a hypervisor that
                                   moves processors about changes by factors */
};

void cg_reference_init(struct cg_reference *r, int threads);

/* Runs the loop and some barriers on all threads (about 60 microseconds). 1: as fast as before. 0: what was timed since
 * the last call was timed on another machine, so to speak, and should be timed again. A speed that stays becomes the
 * new one. */
int cg_reference_steady(struct cg_reference *r);

/* Changes of speed that stayed, of both. */
size_t cg_reference_shifts(const struct cg_reference *r);

/* Is a reading like those before? The part that tests can reach. */
int cg_readings_judge(struct cg_readings *r, double seconds);

#endif

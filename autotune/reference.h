/* Is the machine as fast as a moment ago? A fixed loop tells, which nothing but the speed of the cores can change. */
#ifndef CG_AUTOTUNE_REFERENCE_H
#define CG_AUTOTUNE_REFERENCE_H

#include <stddef.h>

enum { CG_REFERENCE_KEPT = 15 };

struct cg_reference {
    int threads;
    double kept[CG_REFERENCE_KEPT]; /* the latest readings that were steady, in a ring */
    double odd[CG_REFERENCE_KEPT];  /* readings in a row that were not */
    size_t n, n_odd, shifts;        /* shifts: changes of speed that stayed */
};

void cg_reference_init(struct cg_reference *r, int threads);

/* Runs the loop on every thread (about 50 microseconds). 1: as fast as before. 0: what was timed since the last call
 * was timed on another machine, so to speak, and should be timed again. A speed that stays becomes the new one. */
int cg_reference_steady(struct cg_reference *r);

/* The same for a reading that was made before, in seconds: the part that tests can reach. */
int cg_reference_judge(struct cg_reference *r, double seconds);

#endif

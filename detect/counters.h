/* Hardware counters, by PAPI: what the threads of a parallel region did while something was timed. Nothing is loaded,
 * opened or asked before cg_counters_open. A library of its own, so that only programs that count depend on PAPI. */
#ifndef CG_DETECT_COUNTERS_H
#define CG_DETECT_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "detect/machine.h"

enum cg_count {
    CG_COUNT_CYCLES,
    CG_COUNT_INSTRUCTIONS,
    CG_COUNT_LLC_MISSES, /* of the last level of caches */
    CG_COUNT_L2_MISSES,
    CG_COUNT_L1D_MISSES,
    CG_COUNTS
};

/* "cycles", "instructions", "llc_misses", "l2_misses", "l1d_misses". */
const char *cg_count_name(enum cg_count count);

/* Sums over all threads, of user code only. */
struct cg_counts {
    unsigned have; /* bits 1 << count: those that were counted; the others are 0 */
    uint64_t value[CG_COUNTS];
};

struct cg_counters;

/* Counters of the calling thread and the other threads of an OpenMP region of `threads` (>= 1): every region with as
 * many runs on the same threads, as long as no region with more than one thread and another number comes while they
 * count.
 * Counters that cannot be had, alone or together with those before them, are left out; none is ever shared in turns
 * (multiplexed), since what is counted then is an estimate. NULL when there are none at all, with one line in why[size]
 * that says what failed. `m`: the machine this runs on. */
struct cg_counters *cg_counters_open(const struct cg_machine *m, int threads, char *why, size_t size);
void cg_counters_close(struct cg_counters *c); /* NULL: nothing */

/* PAPI's name of what is counted for `count`; NULL when it is not counted. */
const char *cg_counters_event(const struct cg_counters *c, enum cg_count count);

/* Starts from 0; not inside a parallel region. Both cost a parallel region and some system calls: outside what is
 * timed, and around a batch of calls rather than one. */
enum cg_status cg_counters_start(struct cg_counters *c);
/* Ends counting, with the sums in *out. CG_ERR_INTERNAL (and no counts) when counting failed or OpenMP has ended a
 * thread and begun another since cg_counters_start. */
enum cg_status cg_counters_stop(struct cg_counters *c, struct cg_counts *out);

#endif

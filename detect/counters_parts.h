/* What counters are made of. For detect/ and its tests. */
#ifndef CG_DETECT_COUNTERS_PARTS_H
#define CG_DETECT_COUNTERS_PARTS_H

#include "detect/counters.h"

/* Why there are no counters. */
struct cg_counters_facts {
    int built;              /* was PAPI there when this program was built? */
    int kinds;              /* of cores */
    const char *hypervisor; /* "" on bare metal */
    int kernel;             /* errno of perf_event_open for the cycles of this thread; 0: it works */
    int paranoid;           /* kernel.perf_event_paranoid; CG_PARANOID_UNKNOWN when it is not there */
    const char *papi;       /* what PAPI said, or "" */
};
#define CG_PARANOID_UNKNOWN (-100)

/* One line from the facts into why[size]. */
void cg_counters_why(const struct cg_counters_facts *f, char *why, size_t size);

extern const int cg_counters_built;

/* The facts of this machine, but for papi, which stays as it is. */
void cg_counters_facts_read(const struct cg_machine *m, struct cg_counters_facts *f);

#define CG_EVENT_NAMES 3
/* For each counter PAPI's names for it, the best first (NULL: no more), and what some 100,000 instructions must make it
 * count at the least: a counter below that is broken, as those of some virtual machines, which stay at 0. */
struct cg_events {
    const char *names[CG_COUNTS][CG_EVENT_NAMES];
    long long least[CG_COUNTS];
};

/* As cg_counters_open with other events. What fails is in why[size] in PAPI's words. */
struct cg_counters *cg_counters_open_events(const struct cg_events *events, int threads, char *why, size_t size);

#endif

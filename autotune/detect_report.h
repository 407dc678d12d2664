/* What cg_machine_detect found, for people and for programs. */
#ifndef CG_AUTOTUNE_DETECT_REPORT_H
#define CG_AUTOTUNE_DETECT_REPORT_H

#include <stdio.h>

#include "common/status.h"
#include "detect/counters.h"
#include "detect/machine.h"

/* What can be counted while kernels run. */
struct cg_detect_counters {
    const struct cg_counters *open; /* NULL: nothing, and `why` says why */
    const char *why;
};

/* Prints `m` to `out`: a table, or with `json` one object with the keys cpu, hypervisor, isa, isa_unusable (name: why),
 * caches, cores, logical_cpus, core_kinds, numa_nodes, cpu_order (Linux's numbers of the usable CPUs in the order in
 * which threads should take them), affinity, quota, quota_from, cores_usable, counters (name: PAPI's event),
 * counters_why, fingerprint; what the machine does not say is null. Without `counters` (NULL, for a machine that is
 * elsewhere) they are not spoken of. CG_ERR_IO when it cannot be written. */
enum cg_status cg_detect_report(const struct cg_machine *m, const struct cg_detect_counters *counters, int json,
                                FILE *out);

#endif

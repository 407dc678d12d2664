/* What cg_machine_detect found, for people and for programs. */
#ifndef CG_AUTOTUNE_DETECT_REPORT_H
#define CG_AUTOTUNE_DETECT_REPORT_H

#include <stdio.h>

#include "common/status.h"
#include "detect/machine.h"

/* Prints `m` to `out`: a table, or with `json` one object with the keys cpu, hypervisor, isa, isa_unusable (name: why),
 * caches, cores, logical_cpus, core_kinds, numa_nodes, cpu_order (Linux's numbers of the usable CPUs in the order in
 * which threads should take them), affinity, quota, quota_from, cores_usable, fingerprint; what the machine does not
 * say is null. CG_ERR_IO when it cannot be written. */
enum cg_status cg_detect_report(const struct cg_machine *m, int json, FILE *out);

#endif

/* What the parts of detect/ that need hwloc's header share. */
#ifndef CG_DETECT_TOPOLOGY_H
#define CG_DETECT_TOPOLOGY_H

#include <hwloc.h>

#include "detect/parts.h"

/* Fills m->n_kinds and the speeds in m->kinds, fastest first, and the CPUs of each kind (hwloc_bitmap_free them); each
 * CPU of the topology is in one. -1 without memory. */
int cg_read_kinds(hwloc_topology_t t, const char *root, struct cg_machine *m, hwloc_bitmap_t sets[CG_MAX_KINDS]);

/* The topology of the facts: cores, nodes and caches. -1 when hwloc cannot load it. */
int cg_topology_load(const struct cg_facts *f, hwloc_topology_t *out);

#endif

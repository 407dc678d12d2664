/* Records of machines: everything that detection reads, in one text file, so that a machine can be looked at (and its
 * speed predicted) where it is not. docs/file-formats.md says what such a file holds. Kernels must not be run for a
 * replayed machine: its instruction sets are those of the record. */
#ifndef CG_DETECT_RECORD_H
#define CG_DETECT_RECORD_H

#include "common/status.h"
#include "detect/machine.h"

struct cg_record;

/* Records this machine, which cg_machine_detect has found to be `m`, in the file `path`, replaced whole. `rates`: lines
 * that begin with "rate " and are kept as they are (measurements); "" for none. The file is then replayed:
 * CG_ERR_INTERNAL when that does not give `m` again (the file is kept, for a report). CG_ERR_USER for other lines,
 * CG_ERR_IO, CG_ERR_MEMORY.
 */
enum cg_status cg_record_save(const char *path, const struct cg_machine *m, const char *rates);

/* Reads a record into *record (cg_record_free it). CG_ERR_USER with the line when it is none, damaged or cut short;
 * CG_ERR_IO, CG_ERR_MEMORY. */
enum cg_status cg_record_load(const char *path, struct cg_record **record);

/* The recorded machine, as cg_machine_detect would find it there; `mask` as CPU_GRPO_ISA (NULL or "" for none). Files
 * of the record lie in a folder of their own below $TMPDIR (else /tmp) meanwhile. As hwloc is led there by environment
 * variables, no other thread may run. */
enum cg_status cg_record_machine(const struct cg_record *record, const char *mask, struct cg_machine *m);

/* The "rate" lines of the record, "" when there are none. Valid until cg_record_free. */
const char *cg_record_rates(const struct cg_record *record);

void cg_record_free(struct cg_record *record);

/* cg_record_load and cg_record_machine with the mask of CPU_GRPO_ISA, as cg_machine_detect has it. */
enum cg_status cg_machine_replay(const char *path, struct cg_machine *m);

#endif

/* What cg_machine_detect found, for people and for programs. */
#ifndef CG_AUTOTUNE_DETECT_REPORT_H
#define CG_AUTOTUNE_DETECT_REPORT_H

#include <stdio.h>

#include "common/status.h"
#include "detect/machine.h"

/* Prints `m` to `out`: a table, or with `json` one object (its keys: docs/tuning.md). CG_ERR_IO when it cannot be
 * written. */
enum cg_status cg_detect_report(const struct cg_machine *m, int json, FILE *out);

#endif

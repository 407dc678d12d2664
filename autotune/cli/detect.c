#include <stdio.h>

#include "autotune/cli/cli.h"
#include "autotune/detect_report.h"
#include "detect/record.h"

enum cg_status cg_cli_detect(const struct cg_cli_options *o, const struct cg_machine *none)
{
    static struct cg_machine m; /* this one, or that of a record */
    (void)none;
    if (o->replay) {
        CG_TRY(cg_machine_replay(o->replay, &m));
        return cg_detect_report(&m, NULL, o->json, stdout);
    }
    CG_TRY(cg_machine_detect(&m));
    if (o->record) CG_TRY(cg_record_save(o->record, &m, ""));
    char why[256];
    struct cg_counters *counters = cg_counters_open(&m, 1, why, sizeof why);
    enum cg_status st = cg_detect_report(&m, &(struct cg_detect_counters){counters, why}, o->json, stdout);
    cg_counters_close(counters);
    return st;
}

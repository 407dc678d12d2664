#include <stdio.h>

#include "autotune/cli/cli.h"
#include "autotune/detect_report.h"
#include "detect/record.h"

enum cg_status cg_cli_detect(const struct cg_cli_options *o, const struct cg_machine *none)
{
    static struct cg_machine m; /* this one, or that of a record */
    (void)none;
    CG_TRY(o->replay ? cg_machine_replay(o->replay, &m) : cg_machine_detect(&m));
    if (o->record) CG_TRY(cg_record_save(o->record, &m, ""));
    return cg_detect_report(&m, o->json, stdout);
}

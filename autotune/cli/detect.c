#include <stdio.h>

#include "autotune/cli/cli.h"
#include "autotune/detect_report.h"

enum cg_status cg_cli_detect(const struct cg_cli_options *o, const struct cg_machine *m)
{
    return cg_detect_report(m, o->json, stdout);
}

#include <stdio.h>

#include "autotune/cli/cli.h"
#include "autotune/report.h"
#include "autotune/store.h"
#include "common/log.h"
#include "common/mem.h"

enum cg_status cg_cli_show(const struct cg_cli_options *o, const struct cg_machine *m)
{
    struct cg_store s = {0};
    char *path = cg_store_path(m);
    if (!path) return CG_ERR_USER;
    enum cg_status st = cg_store_read(path, m, &s);
    if (st == CG_OK && o->json) st = cg_report_store_json(stdout, path, &s);
    else if (st == CG_OK) cg_report_store(stdout, path, &s, cg_terminal_columns(stdout));
    cg_store_free(&s);
    cg_free(path);
    return st;
}

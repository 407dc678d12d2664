/* grpo-tune export and import: plans as files. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "autotune/store_share.h"
#include "common/mem.h"

static enum cg_status print_json(json_t *root)
{
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    puts(text);
    free(text);
    return CG_OK;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

enum cg_status cg_cli_export(const struct cg_cli_options *o, const struct cg_machine *m)
{
    size_t n = 0;
    int to_stdout = strcmp(o->argument, "-") == 0;
    if (to_stdout && o->json)
        return cg_fail(CG_ERR_USER, "export -: standard output is for the plans; --json needs a FILE");
    char *path = cg_store_path(m);
    enum cg_status st = path ? cg_store_export(path, m, o->argument, &n) : CG_ERR_USER;
    if (st == CG_OK && o->json)
        st = print_json(json_pack("{s:I,s:s,s:s}", "plans", (json_int_t)n, "from", path, "file", o->argument));
    else if (st == CG_OK && !to_stdout && !o->quiet)
        printf("%zu plan%s of this machine exported to %s\n", n, plural(n), o->argument);
    cg_free(path);
    return st;
}

enum cg_status cg_cli_import(const struct cg_cli_options *o, const struct cg_machine *m)
{
    size_t n = 0, total = 0;
    char *path = cg_store_path(m);
    enum cg_status st = path ? cg_store_import(o->argument, path, m, &n, &total) : CG_ERR_USER;
    if (st == CG_OK && o->json)
        st = print_json(json_pack("{s:I,s:I,s:s,s:s}", "plans", (json_int_t)n, "total", (json_int_t)total, "stored",
                                  path, "file", o->argument));
    else if (st == CG_OK && !o->quiet) printf("%zu plan%s imported into %s (%zu in all)\n", n, plural(n), path, total);
    cg_free(path);
    return st;
}

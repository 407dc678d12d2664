#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "autotune/cli/cli.h"
#include "autotune/report.h"
#include "autotune/store.h"
#include "autotune/store_share.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"

static enum cg_status print_stores_json(const char *dir, const struct cg_store_listed *s, size_t n)
{
    json_t *stores = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(stores, json_pack("{s:s,s:s?,s:I,s:b,s:s?}", "file", s[i].name, "machine",
                                                s[i].machine[0] ? s[i].machine : NULL, "plans", (json_int_t)s[i].plans,
                                                "usable", s[i].usable, "why", s[i].usable ? NULL : s[i].why));
    json_t *root = json_pack("{s:s,s:o}", "folder", dir, "stores", stores);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    puts(text);
    free(text);
    return CG_OK;
}

/* All stores in the folder that holds `path`. */
static enum cg_status show_all(const struct cg_cli_options *o, const struct cg_machine *m, const char *path)
{
    struct cg_store_listed *s;
    size_t n;
    char *dir = cg_path_folder(path);
    if (!dir) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status st = cg_store_list(dir, m, &s, &n);
    if (st == CG_OK && o->json) st = print_stores_json(dir, s, n);
    else if (st == CG_OK) {
        printf("%s: %zu store%s\n", dir, n, n == 1 ? "" : "s");
        for (size_t i = 0; i < n; i++) {
            printf("%s  ", s[i].name);
            if (s[i].machine[0]) printf("%s: %zu plan%s", s[i].machine, s[i].plans, s[i].plans == 1 ? "" : "s");
            printf(s[i].usable ? ", of this machine\n" : s[i].machine[0] ? "; not for here: %s\n" : "%s\n", s[i].why);
        }
    }
    cg_free(s);
    cg_free(dir);
    return st;
}

enum cg_status cg_cli_show(const struct cg_cli_options *o, const struct cg_machine *m)
{
    struct cg_store s = {0};
    char *path = cg_store_path(m);
    if (!path) return CG_ERR_USER;
    enum cg_status st = o->all ? show_all(o, m, path) : cg_store_read(path, m, &s);
    if (st == CG_OK && !o->all && o->json) st = cg_report_store_json(stdout, path, &s);
    else if (st == CG_OK && !o->all) cg_report_store(stdout, path, &s, cg_terminal_columns(stdout));
    cg_store_free(&s);
    cg_free(path);
    return st;
}

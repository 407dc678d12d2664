/* Stores that leave the machine and come back: copies, and the folder that several machines share. */
#include "autotune/store_share.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/store_parts.h"
#include "common/file.h"
#include "common/mem.h"

enum cg_status cg_store_export(const char *path, const struct cg_machine *m, const char *file, size_t *n)
{
    struct cg_store s;
    struct cg_out out;
    *n = 0;
    CG_TRY(cg_store_read(path, m, &s));
    enum cg_status st = CG_OK;
    if (!s.n) st = cg_fail(CG_ERR_USER, "no plans are stored for this machine (%s); run grpo-tune first", path);
    else if (strcmp(file, "-") == 0) st = cg_store_print(stdout, m, &s);
    else if (cg_is_dir(file)) st = cg_fail(CG_ERR_USER, "%s is a folder; name a file", file);
    else if ((st = cg_out_open(file, &out)) == CG_OK) {
        st = cg_store_print(out.f, m, &s);
        if (st == CG_OK) st = cg_out_commit(&out);
        else cg_out_discard(&out);
    }
    if (st == CG_OK) *n = s.n;
    cg_store_free(&s);
    return st;
}

enum cg_status cg_store_import(const char *file, const char *path, const struct cg_machine *m, size_t *n, size_t *total)
{
    struct cg_store s;
    *n = 0;
    *total = 0;
    CG_TRY(cg_store_load(file, m, "nothing is imported", &s));
    enum cg_status st = CG_OK;
    if (!s.n) st = cg_fail(CG_ERR_USER, "%s: holds no plans; nothing is imported", file);
    if (st == CG_OK) st = cg_store_merge(path, m, &s, total);
    if (st == CG_OK) *n = s.n;
    cg_store_free(&s);
    return st;
}

static int is_store(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    return len > 10 && strncmp(e->d_name, "plans-", 6) == 0 && strcmp(e->d_name + len - 4, ".txt") == 0;
}

/* What the file says of itself, and whether this program on `m` can use it. */
static enum cg_status look_at(const char *dir, const char *name, const struct cg_machine *m,
                              struct cg_store_listed *out)
{
    char *path = cg_path_join(dir, name), *text = NULL, *copy = NULL;
    size_t size = 0;
    struct cg_store s = {0};
    struct cg_store_info info = {0};
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", name);
    enum cg_status st = path ? cg_file_read(path, CG_STORE_MAX_BYTES, &text, &size) : CG_ERR_MEMORY;
    if (st == CG_OK) copy = cg_alloc(size + 1);
    if (copy) {
        memcpy(copy, text, size + 1);
        st = cg_store_parse(copy, size, m, &s);
    }
    out->usable = copy && st == CG_OK;
    if (!out->usable) snprintf(out->why, sizeof out->why, "%s", cg_error());
    if (text && cg_store_peek(text, size, &info) == CG_OK) {
        snprintf(out->machine, sizeof out->machine, "%s", info.machine);
        out->plans = info.plans;
    }
    cg_store_free(&s);
    cg_free(copy);
    cg_free(text);
    cg_free(path);
    return path ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
}

enum cg_status cg_store_list(const char *dir, const struct cg_machine *m, struct cg_store_listed **out, size_t *n)
{
    struct dirent **names = NULL;
    *out = NULL;
    *n = 0;
    int found = scandir(dir, &names, is_store, alphasort);
    if (found < 0) return CG_OK; /* no such folder: no stores */
    enum cg_status st = CG_OK;
    *out = cg_alloc_n((size_t)found, sizeof **out);
    if (!*out) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    for (int i = 0; i < found; i++) {
        if (st == CG_OK) st = look_at(dir, names[i]->d_name, m, &(*out)[(*n)++]);
        free(names[i]);
    }
    free(names);
    if (st != CG_OK) {
        cg_free(*out);
        *out = NULL;
        *n = 0;
    }
    return st;
}

/* The tuning store's way to other places and back. */
#ifndef CG_AUTOTUNE_STORE_SHARE_H
#define CG_AUTOTUNE_STORE_SHARE_H

#include "autotune/store.h"

/* Writes the plans at `path` to `file` ("-": standard output, whose errors are left to the caller). *n: how many.
 * CG_ERR_USER when there are none. */
enum cg_status cg_store_export(const char *path, const struct cg_machine *m, const char *file, size_t *n);

/* Takes over all plans of `file` ("-": standard input) into the store at `path`, or none, when anything is wrong with
 * `file`: damaged, of another machine, other kernels or another compiler, or with a plan that cannot run here or would
 * change a result. Imported plans replace stored ones of the same shapes; others stay. *n: how many were imported;
 * *total: how many are stored now. */
enum cg_status cg_store_import(const char *file, const char *path, const struct cg_machine *m, size_t *n,
                               size_t *total);

/* A store of a folder that several machines may share. */
struct cg_store_listed {
    char name[256];    /* of the file */
    char machine[160]; /* as it calls itself; "" when the file does not say */
    size_t plans;
    int usable;    /* by this program on this machine */
    char why[256]; /* not */
};

/* All stores in `dir`, by name; cg_free *out. A folder that is not there has none. */
enum cg_status cg_store_list(const char *dir, const struct cg_machine *m, struct cg_store_listed **out, size_t *n);

#endif

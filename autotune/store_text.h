/* The text of a tuning store (docs/file-formats.md). */
#ifndef CG_AUTOTUNE_STORE_TEXT_H
#define CG_AUTOTUNE_STORE_TEXT_H

#include <stdio.h>

#include "autotune/store.h"

#define CG_STORE_MAX_BYTES ((size_t)16 << 20)

/* Parses `size` bytes of text (with a 0 byte after them), which it changes. All or nothing: CG_ERR_USER with what is
 * wrong, in the file's order. Every entry names a variant that runs on `m`, of its op. */
enum cg_status cg_store_parse(char *text, size_t size, const struct cg_machine *m, struct cg_store *s);

/* Writes the whole text to `f`; CG_ERR_MEMORY. Errors of `f` are left to its owner. */
enum cg_status cg_store_print(FILE *f, const struct cg_machine *m, const struct cg_store *s);

#endif

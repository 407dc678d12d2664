/* What the parts of the tuning store share. */
#ifndef CG_AUTOTUNE_STORE_PARTS_H
#define CG_AUTOTUNE_STORE_PARTS_H

#include <stdio.h>

#include "autotune/store.h"

#define CG_STORE_MAX_BYTES ((size_t)16 << 20)

/* Parses `size` bytes of text (with a 0 byte after them), which it changes. All or nothing: CG_ERR_USER with what is
 * wrong. Every plan can be used on `m` then, and `s` is in order. */
enum cg_status cg_store_parse(char *text, size_t size, const struct cg_machine *m, struct cg_store *s);

/* What a sound store says of itself, on whatever machine it was made; changes the text. CG_ERR_USER as above. */
struct cg_store_info {
    char machine[160];
    size_t plans;
};
enum cg_status cg_store_peek(char *text, size_t size, struct cg_store_info *info);

/* Writes the whole text to `f`. CG_ERR_MEMORY; errors of `f` are left to its owner. */
enum cg_status cg_store_print(FILE *f, const struct cg_machine *m, const struct cg_store *s);

/* Reads `path`, or standard input where that is "-", as the store of `m`. `advice`: what the message says after what is
 * wrong with the content (CG_ERR_USER). */
enum cg_status cg_store_load(const char *path, const struct cg_machine *m, const char *advice, struct cg_store *s);

/* Sorts the entries. CG_ERR_USER when they contradict each other. */
enum cg_status cg_store_check(struct cg_store *s);

/* All of `add`, and of `old` what that neither replaces nor contradicts: into `out`, to be freed also after an error.
 */
enum cg_status cg_store_join(const struct cg_store *old, const struct cg_store *add, struct cg_store *out);

/* Is all of `part` in `s`, or replaced there by something else? */
int cg_store_covers(const struct cg_store *s, const struct cg_store *part);

#endif

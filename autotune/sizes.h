/* The sizes of a model's linear layers: all that the tuner wants to know of a model. */
#ifndef CG_AUTOTUNE_SIZES_H
#define CG_AUTOTUNE_SIZES_H

#include <stddef.h>

#include "common/status.h"

struct cg_sizes {
    char name[64]; /* for people */
    size_t vocab, hidden, layers, heads, kv_heads, head_dim, ff;
    int tied;  /* the head uses the weights of the embedding */
    int usual; /* tuned when no model is named */
};

/* Reads the sizes of `path`: a folder with config.json (Hugging Face), a .gguf file, "builtin:NAME", or one of the
 * well-known names of cg_sizes_known. CG_ERR_USER or CG_ERR_IO with a message otherwise. */
enum cg_status cg_sizes_load(const char *path, struct cg_sizes *s);

/* The i-th set of sizes that are known by name (every built-in model, then well-known ones); 0 past the last. */
int cg_sizes_known(size_t i, struct cg_sizes *s);

/* The known sizes whose name is the first `len` characters of `name`, in any case; 0 when there are none. */
int cg_sizes_named(const char *name, size_t len, struct cg_sizes *s);

/* "tiny, smollm2-135m, ..." into buf; returns buf. */
const char *cg_sizes_names(char *buf, size_t size);

#endif

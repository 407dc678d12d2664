/* Writing GGUF files (version 3, little-endian). */
#ifndef CG_RUNTIME_MODEL_GGUF_WRITE_H
#define CG_RUNTIME_MODEL_GGUF_WRITE_H

#include <stdint.h>
#include <stdio.h>

#include "runtime/model/source.h"

/* What matrices are stored as; vectors are always F32. The numbers are ggml's. */
enum cg_gguf_dtype { CG_GGUF_TO_F32 = 0, CG_GGUF_TO_Q8_0 = 8, CG_GGUF_TO_BF16 = 30 };

/* Metadata being collected in memory. A failure to put something is told by cg_gguf_write. */
struct cg_gguf_meta {
    FILE *f;
    char *data;
    size_t size;
    uint64_t count;
};

enum cg_status cg_gguf_meta_open(struct cg_gguf_meta *m);
void cg_gguf_meta_close(struct cg_gguf_meta *m);

void cg_gguf_put_u32(struct cg_gguf_meta *m, const char *key, uint32_t v);
void cg_gguf_put_f32(struct cg_gguf_meta *m, const char *key, float v);
void cg_gguf_put_bool(struct cg_gguf_meta *m, const char *key, int v);
void cg_gguf_put_string(struct cg_gguf_meta *m, const char *key, const char *s, size_t n);
/* A list of n items; each is then put with one of the other two. */
void cg_gguf_put_strings(struct cg_gguf_meta *m, const char *key, size_t n);
void cg_gguf_put_ints(struct cg_gguf_meta *m, const char *key, size_t n);
void cg_gguf_item_string(struct cg_gguf_meta *m, const char *s, size_t n);
void cg_gguf_item_int(struct cg_gguf_meta *m, int32_t v);

/* Writes the model, its configuration and what is in `meta` (of the tokenizer) to `path`, whole or not at all. With
 * Q8_0, a matrix whose rows are no multiple of 32 is stored as F32. Needs about 2 MiB, and what the source needs. */
enum cg_status cg_gguf_write(const char *path, const struct cg_source *s, enum cg_gguf_dtype type,
                             struct cg_gguf_meta *meta);

#endif

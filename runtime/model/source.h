/* A model file that is open: its weights as f32 rows, piece by piece, without ever holding all of them. */
#ifndef CG_RUNTIME_MODEL_SOURCE_H
#define CG_RUNTIME_MODEL_SOURCE_H

#include "runtime/model/model.h"

struct cg_source {
    struct cg_model model; /* configuration and layout as cg_model_load would give them; w is NULL */
    /* n rows from `row` on of tensor t, one of cg_model_tensor (a vector is one row), into out. */
    enum cg_status (*rows)(const struct cg_source *s, const struct cg_tensor_ref *t, size_t row, size_t n, float *out);
    void (*close)(struct cg_source *s);
    void *file; /* of the reader */
};

/* Opens what cg_model_load loads and checks all but the values: sizes, shapes and types of every tensor. */
enum cg_status cg_source_open(const char *path, uint64_t seed, struct cg_source *s);

/* The weights of a model in memory as a source, for those who take one; `m` must outlive it. */
enum cg_status cg_source_of_model(const struct cg_model *m, struct cg_source *s);

void cg_source_close(struct cg_source *s);

/* What would stand at [offset, offset + n) of the model's flat block: whole rows of one or several tensors (q, k and v
 * at once, say). Needs no more memory than `out` and about a MiB; pages of the file are let go as soon as they are
 * read. CG_ERR_USER where a value is not finite, naming file and tensor. */
enum cg_status cg_source_read(const struct cg_source *s, size_t offset, size_t n, float *out);

/* Writes a Hugging Face folder as cg_model_save does, in f32 or, with `bf16`, in bfloat16. */
enum cg_status cg_source_save(const struct cg_source *s, const char *dir, int bf16);

#endif

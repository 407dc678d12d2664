/* safetensors files: an 8-byte length, a JSON header, the data. */
#ifndef CG_RUNTIME_MODEL_SAFETENSORS_H
#define CG_RUNTIME_MODEL_SAFETENSORS_H

#include <stddef.h>

#include "common/status.h"

#define CG_ST_MAX_DIMS 8

struct cg_st;

/* One tensor: row-major, dims[0] outermost. `data` lies in the mapped file, without alignment. */
struct cg_st_tensor {
    const char *name;
    const char *dtype; /* "F32", "BF16", "I64", ... as in the file */
    size_t n_dims, dims[CG_ST_MAX_DIMS];
    size_t count; /* product of dims */
    const unsigned char *data;
    size_t bytes;
};

/* Opens and checks the whole header: sizes against shapes, no overlap, no hole, nothing outside the file. CG_ERR_IO
 * when it cannot be read, CG_ERR_USER when it is not sound. The file stays mapped until cg_st_close. */
enum cg_status cg_st_open(const char *path, struct cg_st **out);
void cg_st_close(struct cg_st *st);

size_t cg_st_count(const struct cg_st *st);
const struct cg_st_tensor *cg_st_tensor(const struct cg_st *st, size_t i);       /* in order of their names */
const struct cg_st_tensor *cg_st_find(const struct cg_st *st, const char *name); /* NULL: none */
const char *cg_st_path(const struct cg_st *st);

/* Values [first, first + n) of an F32, F16 or BF16 tensor into out; CG_ERR_USER naming the tensor for other types. */
int cg_st_is_float(const struct cg_st_tensor *t);
enum cg_status cg_st_values(const struct cg_st *st, const struct cg_st_tensor *t, size_t first, size_t n, float *out);

/* Lets go of the memory that the file's own bytes of these values take until they are read again. */
void cg_st_release(const struct cg_st *st, const struct cg_st_tensor *t, size_t first, size_t n);

/* Bytes of a number of the format's types; 0 for those that this reader has not heard of. */
size_t cg_st_dtype_size(const char *dtype);

/* All bytes of a tensor of any type into out[t->bytes], a piece at a time: what has been read of the file is let go of,
 * so that a large tensor is not in memory twice. */
void cg_st_copy(const struct cg_st *st, const struct cg_st_tensor *t, void *out);

/* A tensor to be written, as F32 or as BF16. Its values are `data` or, where that is NULL, what `read` gives piece by
 * piece, whole rows in order. With a `dtype` it is written as it is, from `raw`. */
struct cg_st_item {
    const char *name;
    const char *dtype; /* "U8", ...; NULL: F32 or BF16 */
    const void *raw;
    size_t n_dims, dims[CG_ST_MAX_DIMS];
    int bf16;
    const float *data;
    enum cg_status (*read)(void *ctx, size_t first, size_t n, float *out);
    void *ctx;
};

/* Writes `path` whole or not at all (a file that was there stays until the new one is complete), data aligned to 8. */
enum cg_status cg_st_write(const char *path, const struct cg_st_item *items, size_t n);

#endif

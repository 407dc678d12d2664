/* GGUF files (versions 2 and 3, little-endian): metadata and tensors of a file mapped read-only. Every length and
 * offset is checked against the file when it is opened; what is handed out afterwards lies inside it. */
#ifndef CG_RUNTIME_MODEL_GGUF_H
#define CG_RUNTIME_MODEL_GGUF_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct cg_gguf;

/* CG_ERR_IO when it cannot be read, CG_ERR_USER when it is not a sound GGUF file. The file stays mapped until
 * cg_gguf_close; all pointers below are valid as long. */
enum cg_status cg_gguf_open(const char *path, struct cg_gguf **out);
void cg_gguf_close(struct cg_gguf *g);
const char *cg_gguf_path(const struct cg_gguf *g);

/* A string inside the file: `n` bytes, not 0-terminated, any bytes. */
struct cg_gguf_str {
    const char *s;
    size_t n;
};

/* Metadata by key. Each gives CG_ERR_USER, naming file and key, when the key is missing or of another kind. */
int cg_gguf_has(const struct cg_gguf *g, const char *key);
enum cg_status cg_gguf_uint(const struct cg_gguf *g, const char *key, uint64_t *v); /* any integer type, >= 0 */
enum cg_status cg_gguf_float(const struct cg_gguf *g, const char *key, double *v);  /* f32 or f64 */
enum cg_status cg_gguf_bool(const struct cg_gguf *g, const char *key, int *v);
enum cg_status cg_gguf_string(const struct cg_gguf *g, const char *key, struct cg_gguf_str *v);
/* Arrays, in fresh memory (free()); *items is NULL when *n is 0. */
enum cg_status cg_gguf_strings(const struct cg_gguf *g, const char *key, struct cg_gguf_str **items, size_t *n);
enum cg_status cg_gguf_ints(const struct cg_gguf *g, const char *key, int32_t **items, size_t *n); /* 32-bit or less */

/* A tensor; dims[0] is the contiguous one (the columns), unused dims are 1. */
struct cg_gguf_tensor {
    struct cg_gguf_str name;
    uint32_t type; /* ggml's number; cg_gguf_type_name */
    uint32_t n_dims;
    uint64_t dims[4];
    uint64_t offset; /* from the start of the tensor data, as stored */
    const unsigned char *data;
    size_t bytes; /* 0, and data NULL, when the type is not supported */
};
size_t cg_gguf_tensor_count(const struct cg_gguf *g);
const struct cg_gguf_tensor *cg_gguf_tensor(const struct cg_gguf *g, size_t i);
const struct cg_gguf_tensor *cg_gguf_find(const struct cg_gguf *g, const char *name); /* NULL: none */

/* "Q4_1"; "an unknown type" for numbers without a name here. */
const char *cg_gguf_type_name(uint32_t type);

/* Rows [row, row + n) of a tensor, each of dims[0] values, into out[n][dims[0]], for the types F32, F16, BF16, Q4_0,
 * Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K. CG_ERR_USER naming tensor and type for others. */
enum cg_status cg_gguf_rows(const struct cg_gguf *g, const struct cg_gguf_tensor *t, size_t row, size_t n, float *out);

/* Lets go of the memory that the file's own bytes of these rows take until they are read again. */
void cg_gguf_release(const struct cg_gguf *g, const struct cg_gguf_tensor *t, size_t row, size_t n);

#endif

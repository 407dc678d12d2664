/* Shared by the files of the GGUF reader only. */
#ifndef CG_RUNTIME_MODEL_GGUF_INTERNAL_H
#define CG_RUNTIME_MODEL_GGUF_INTERNAL_H

#include <stdint.h>

#include "common/file.h"
#include "runtime/model/gguf.h"

enum {
    CG_GGUF_U8,
    CG_GGUF_I8,
    CG_GGUF_U16,
    CG_GGUF_I16,
    CG_GGUF_U32,
    CG_GGUF_I32,
    CG_GGUF_F32,
    CG_GGUF_BOOL,
    CG_GGUF_STRING,
    CG_GGUF_ARRAY,
    CG_GGUF_U64,
    CG_GGUF_I64,
    CG_GGUF_F64,
};

/* Bytes of the file still to be read. */
struct cg_cursor {
    const unsigned char *p, *end;
};

/* Each gives 0, and leaves the cursor, when the file ends before. */
int cg_cursor_take(struct cg_cursor *c, void *out, size_t n);
int cg_cursor_string(struct cg_cursor *c, struct cg_gguf_str *s);

/* Bytes of a value of fixed size; 0 for strings, arrays and unknown types. */
size_t cg_gguf_value_size(uint32_t type);

int cg_gguf_str_cmp(struct cg_gguf_str a, struct cg_gguf_str b);

struct cg_gguf_kv {
    struct cg_gguf_str key;
    uint32_t type;
    struct cg_cursor value; /* checked to hold one sound value */
};

struct cg_gguf {
    char *path;
    struct cg_map map;
    struct cg_gguf_kv *kv; /* by key */
    size_t n_kv;
    struct cg_gguf_tensor *tensors; /* by name */
    size_t n_tensors;
};

#endif

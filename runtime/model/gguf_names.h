/* What GGUF calls the tensors of a model and how it orders their rows; for its reader and its writer. */
#ifndef CG_RUNTIME_MODEL_GGUF_NAMES_H
#define CG_RUNTIME_MODEL_GGUF_NAMES_H

#include <stdio.h>

#include "runtime/model/gguf.h"
#include "runtime/model/model.h"

#define CG_GGUF_NAME 64

/* "blk.3.attn_q.weight"; returns buf. */
static inline const char *cg_gguf_name(const struct cg_tensor_ref *t, char buf[CG_GGUF_NAME])
{
    switch (t->kind) {
#define TENSOR(kind, hf, gguf)             \
    case CG_TENSOR_##kind:                 \
        snprintf(buf, CG_GGUF_NAME, gguf); \
        break;
#define LAYER_TENSOR(kind, hf, gguf)                            \
    case CG_TENSOR_##kind:                                      \
        snprintf(buf, CG_GGUF_NAME, "blk.%zu." gguf, t->layer); \
        break;
#include "runtime/model/tensors.def"
    }
    return buf;
}

/* The rotary embedding of Hugging Face turns the pairs (j, j + half) of a head, that of ggml for llama the pairs
 * (2j, 2j + 1): GGUF files of that architecture have the rows of q and k moved accordingly. */
static inline int cg_gguf_interleaved(const struct cg_config *c, enum cg_tensor_kind kind)
{
    return cg_architecture(c->arch)->gguf_interleaved && (kind == CG_TENSOR_Q || kind == CG_TENSOR_K);
}

/* Where `row` of ours stands then. */
static inline size_t cg_gguf_row(size_t row, size_t head_dim)
{
    size_t half = head_dim / 2, within = row % head_dim;
    return row - within + within % half * 2 + within / half;
}

/* The row of ours that stands at `row`. */
static inline size_t cg_gguf_row_back(size_t row, size_t head_dim)
{
    size_t within = row % head_dim;
    return row - within + within % 2 * (head_dim / 2) + within / 2;
}

#endif

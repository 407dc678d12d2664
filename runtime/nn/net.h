/* A model made ready to run: weights packed for the kernels, rotary tables, plans. */
#ifndef CG_RUNTIME_NN_NET_H
#define CG_RUNTIME_NN_NET_H

#include <stddef.h>
#include <stdint.h>

#include "autotune/plan.h"
#include "common/status.h"
#include "runtime/model/model.h"

#define CG_ROWS_SHARED_FROM 65536 /* floats of a row operation above which threads share its rows */

struct cg_net {
    const struct cg_model *model; /* not owned */
    const struct cg_plans *plans; /* not owned */
    const struct cg_rowops *rows;
    int threads;
    size_t qkv_dim, att_dim, kv_dim;    /* (H + 2 KV) * hd, H * hd, KV * hd */
    float *packed;                      /* every linear layer's weights, packed for y = x W^T */
    struct cg_layer_offsets *packed_at; /* offsets into packed; the norms are unused */
    size_t packed_head;
    float *rope_cos, *rope_sin; /* [rope_len][head_dim / 2] */
    size_t rope_len;
};

/* Packs `model` for `plans`; positions up to `max_len` (at most max_position_embeddings). The model must outlive it. */
enum cg_status cg_net_create(const struct cg_model *model, const struct cg_plans *plans, size_t max_len,
                             struct cg_net *net);
void cg_net_free(struct cg_net *net);

/* Is the machine tuned, but for no layer of this model? */
int cg_net_untuned(struct cg_net *net);

/* Packs the weights again after they changed. */
void cg_net_repack(struct cg_net *net);

/* y[rows][n] = x[rows][k] W^T for a packed weight (row-major, no gaps). */
void cg_net_linear(const struct cg_net *net, size_t rows, size_t n, size_t k, const float *x, const float *packed,
                   float *y);

/* RMSNorm of every row; inv (or NULL) receives 1/rms of each row. */
void cg_net_norm(const struct cg_net *net, size_t rows, const float *x, const float *w, float *y, float *inv);

/* Embedding rows of `tokens` into x[n][hidden]. */
void cg_net_embed(const struct cg_net *net, size_t n, const int32_t *tokens, float *x);

/* Buffers of one layer for n rows. Training keeps one set a layer, generation reuses one. */
struct cg_layer_buf {
    float *x;    /* [n][hidden] input of the layer */
    float *inv1; /* [n] */
    float *qkv;  /* [n][qkv_dim], q and k rotated */
    float *att;  /* [n][att_dim] */
    float *x2;   /* [n][hidden] after attention */
    float *inv2; /* [n] */
    float *gu;   /* [n][2 * intermediate] */
};

/* The first part of a layer: norm, q k v, rotation by pos[n]. xn: scratch [n][hidden]. */
void cg_layer_qkv(const struct cg_net *net, size_t layer, size_t n, const int32_t *pos, const struct cg_layer_buf *b,
                  float *xn);

/* The second part, from b->att to `out` [n][hidden] (may be b->x): output projection, residual, norm, SwiGLU, residual.
 * xn: scratch [n][hidden]; h: scratch [n][intermediate]. */
void cg_layer_mlp(const struct cg_net *net, size_t layer, size_t n, const struct cg_layer_buf *b, float *xn, float *h,
                  float *out);

/* Rotates the q and k parts of qkv[n][qkv_dim] by pos[n]; sign -1 is the backward pass. */
void cg_net_rope(const struct cg_net *net, size_t n, const int32_t *pos, int sign, float *qkv);

#endif

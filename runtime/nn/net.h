/* A model made ready to run: weights packed for the kernels, rotary tables, plans. */
#ifndef CG_RUNTIME_NN_NET_H
#define CG_RUNTIME_NN_NET_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/model/model.h"
#include "runtime/nn/linear.h"
#include "runtime/nn/params.h"

struct cg_adapters;

#define CG_ROWS_SHARED_FROM 65536 /* floats of a row operation above which threads share its rows */

struct cg_net {
    const struct cg_model *model; /* not owned */
    const struct cg_plans *plans; /* not owned */
    const struct cg_rowops *rows;
    int threads;
    size_t qkv_dim, att_dim, kv_dim; /* (H + 2 KV) * hd, H * hd, KV * hd */
    enum cg_weight_type weights;
    struct cg_linear *linears;      /* [layers * CG_LINEARS + 1], the head last */
    size_t inputs;                  /* channels of the inputs of all of them */
    float *smooth;                  /* INT8: [inputs] what each channel is divided by (smooth.h) */
    float *folded;                  /* INT8: the norms and biases that do so */
    float *packed;                  /* f32: every matrix packed for y = x W^T */
    int lends;                      /* may the memory of `packed` be lent? */
    int unpacked;                   /* is there no `packed`? */
    const struct cg_net *base;      /* whose matrices these are; NULL: its own */
    struct cg_adapters *adapters;   /* NULL: none */
    const struct cg_params *params; /* what is trained */
    struct cg_params all;           /* by default: all of it */
    struct cg_linear_scratch *scratch;
    float *rope_cos, *rope_sin; /* [rope_len][head_dim / 2] */
    size_t rope_len;
};

struct cg_net_options {
    size_t max_len; /* most positions of a sequence; at most max_position_embeddings */
    enum cg_weight_type weights;
    const struct cg_params *params; /* what is trained, not owned; NULL: all of the model */
    struct cg_adapters *adapters;   /* LoRA, not owned; the model's own weights are frozen then */
    const struct cg_net *base;      /* a net that keeps the same matrices in the same way: they are shared with it, and
                                     * must not change while both live. NULL: matrices of its own */
    int lends;    /* f32: the memory of the packed weights holds a gradient while a trainer is at work (cg_net_lend) */
    int unpacked; /* f32: weights are packed on the way in every product, always: a block less, and slower */
    int empty;    /* the packed weights are not filled: to see what memory a net takes */
};

/* Packs `model` for `plans`. The model must outlive it. */
enum cg_status cg_net_open(const struct cg_model *model, const struct cg_plans *plans, const struct cg_net_options *o,
                           struct cg_net *net);
/* The same with f32 weights of its own. */
enum cg_status cg_net_create(const struct cg_model *model, const struct cg_plans *plans, size_t max_len,
                             struct cg_net *net);
void cg_net_free(struct cg_net *net);

static inline const struct cg_linear *cg_net_linear(const struct cg_net *net, size_t layer, enum cg_linear_kind kind)
{
    return &net->linears[layer * CG_LINEARS + kind];
}
static inline const struct cg_linear *cg_net_head(const struct cg_net *net)
{
    return &net->linears[net->model->cfg.num_hidden_layers * CG_LINEARS];
}

/* Is the machine tuned, but for no layer of this model? */
int cg_net_untuned(const struct cg_net *net);

/* The weights have changed: what was packed of them is out of date. Products with f32 weights pack on the way then,
 * those with INT8 weights refuse. Adapters, small as they are, are packed at once. */
void cg_net_outdated(struct cg_net *net);
/* Packs (or quantises) the weights where that is out of date; ends a loan. */
void cg_net_refresh(struct cg_net *net);

/* The memory of the packed weights, at least params->n floats, until cg_net_refresh: of a net that lends. Products go
 * on to work, more slowly. So training holds four blocks of the model's size instead of five. */
float *cg_net_lend(const struct cg_net *net);

/* RMSNorm of every row; inv (or NULL) receives 1/rms of each row. */
void cg_net_norm(const struct cg_net *net, size_t rows, const float *x, const float *w, float *y, float *inv);

/* Embedding rows of `tokens` into x[n][hidden]. */
void cg_net_embed(const struct cg_net *net, size_t n, const int32_t *tokens, float *x);

/* Buffers of one layer for n rows. Training keeps some of each layer, generation reuses one set. */
struct cg_layer_buf {
    float *x;    /* [n][hidden] input of the layer */
    float *inv1; /* [n] */
    float *qkv;  /* [n][qkv_dim], q and k rotated, or as `turned` says */
    float *att;  /* [n][att_dim] */
    float *x2;   /* [n][hidden] after attention */
    float *inv2; /* [n] */
    float *gu;   /* [n][2 * intermediate] */
    /* Where q and k have norms, whose backward pass needs what went in: [n][qkv_dim], what attention reads; qkv is then
     * what came out of the product. NULL: attention reads qkv. */
    float *turned;
    float *head_inv; /* then: [n][heads of q and k], 1/rms of each */
};

/* What attention reads. */
static inline float *cg_layer_turned(const struct cg_layer_buf *b)
{
    return b->turned ? b->turned : b->qkv;
}

/* The first part of a layer: norm, q k v, rotation by pos[n]. xn: scratch [n][hidden]. */
enum cg_status cg_layer_qkv(const struct cg_net *net, size_t layer, size_t n, const int32_t *pos,
                            const struct cg_layer_buf *b, float *xn);

/* The second part, from b->att to `out` [n][hidden] (may be b->x): output projection, residual, norm, SwiGLU, residual.
 * xn: scratch [n][hidden]; h: scratch [n][intermediate]. The two steps before its last product: from b->att to b->x2;
 * from b->x2 to its norm xn, b->gu and h. */
enum cg_status cg_layer_att_out(const struct cg_net *net, size_t layer, size_t n, const struct cg_layer_buf *b);
enum cg_status cg_layer_gate_up(const struct cg_net *net, size_t layer, size_t n, const struct cg_layer_buf *b,
                                float *xn, float *h);
enum cg_status cg_layer_mlp(const struct cg_net *net, size_t layer, size_t n, const struct cg_layer_buf *b, float *xn,
                            float *h, float *out);

/* From what came out of the product, in b->qkv, to what attention reads (cg_layer_turned): q and k normed where the
 * architecture does that, and rotated by pos[n]; v as it is. */
void cg_net_turn(const struct cg_net *net, size_t layer, size_t n, const int32_t *pos, const struct cg_layer_buf *b);

/* Rotates the q and k parts of qkv[n][qkv_dim] back by pos[n]: the backward pass of the rotation. */
void cg_net_rope_back(const struct cg_net *net, size_t n, const int32_t *pos, float *qkv);

#endif

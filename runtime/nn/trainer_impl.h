/* The inside of a trainer, shared by its files: trainer.c (memory, forward), head.c, backward.c, attend.c. */
#ifndef CG_RUNTIME_NN_TRAINER_IMPL_H
#define CG_RUNTIME_NN_TRAINER_IMPL_H

#include "kernels/gemm.h"
#include "runtime/nn/attend.h"
#include "runtime/nn/train.h"

#define CG_HEAD_MAX_CHUNK 256 /* rows whose logits exist at a time, at most */

struct cg_trainer {
    const struct cg_net *net;
    struct cg_trainer_options o;
    size_t first;              /* layers from here on take part in the backward pass; none without gradients */
    struct cg_layer_buf *bufs; /* one a layer; those below `first` are the same */
    float *acts;               /* what the bufs point into: what each layer keeps, then what all of them share */
    float *xn, *h, *final_x;   /* [tokens][hidden], [tokens][intermediate], [tokens][hidden] */

    /* Head: `chunk` rows at a time. */
    size_t chunk;
    float *hn, *logits;          /* [chunk][hidden], [chunk][ld_logits] */
    struct cg_logits_coef *coef; /* [max_rows] with gradients, else [chunk] */
    size_t ld_logits;

    /* Backward. */
    float *grad;
    float *dx, *dtmp;   /* [tokens][hidden]; dtmp: of the final norm's result, then scratch of the layers */
    float *dhn, *dpart; /* [chunk][hidden]; as much, or what cg_head_grad needs */
    float *final_inv;   /* [tokens] */
    struct cg_attend_scratch attend;

    /* Gradients of input embeddings waiting for cg_trainer_finish. */
    float *embed_dx;
    int32_t *embed_tokens;
    size_t n_embed, cap_embed;
};

/* Rows whose logits exist at a time in a trainer for max_rows, and the floats from one of them to the next. */
size_t cg_trainer_head_chunk(size_t max_rows);
size_t cg_trainer_ld_logits(size_t vocab);

/* Room for the gradients of the input embeddings of so many tokens. */
enum cg_status cg_trainer_reserve_embed(struct cg_trainer *t, size_t tokens);

/* Runs the layers; final_x holds the last hidden states. */
enum cg_status cg_trainer_run(struct cg_trainer *t, const struct cg_batch *b);

/* Rows through the head; with `loss`, gradients too: into dtmp and the head's weights. whole: the loss is told all
 * rows at once. */
enum cg_status cg_trainer_head(struct cg_trainer *t, const struct cg_batch *b, float temperature, int whole,
                               cg_loss_fn *loss, void *ctx, struct cg_row_stats *stats);

/* Where the gradient of the parameter at `offset` in the model's block goes; NULL: it is not trained. */
float *cg_trainer_grad_at(const struct cg_trainer *t, size_t offset);

/* dw[n][k] += dy^T x (dw NULL: not wanted), and gradients of the matrix's adapters; then dx[rows][k] = dy W (dx NULL:
 * not wanted), which may be x. */
enum cg_status cg_trainer_grad_linear(struct cg_trainer *t, const struct cg_linear *lin, size_t rows, const float *dy,
                                      const float *x, float *dw, float *dx);

/* RMSNorm backward of `rows` rows: dx += ..., dw (unless NULL) continues its chain over the rows in
 * order. */
void cg_trainer_grad_norm(struct cg_trainer *t, size_t rows, const float *x, const float *inv, const float *w,
                          const float *dy, float *dx, float *dw);

/* db[n] += dy[rows][n], a chain over the rows in order. */
void cg_trainer_grad_bias(struct cg_trainer *t, size_t rows, size_t n, const float *dy, float *db);

/* The norms of q's and k's heads backward: dqkv, the gradient of what they gave, becomes that of the layer's qkv, which
 * went in. The chains of their weights go over the rows in order, in each over the heads. */
void cg_trainer_grad_heads(struct cg_trainer *t, size_t layer, size_t rows, float *dqkv);

#endif

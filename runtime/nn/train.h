/* Forward and backward over a batch, and the language-model head fused with log-probabilities and their gradient. */
#ifndef CG_RUNTIME_NN_TRAIN_H
#define CG_RUNTIME_NN_TRAIN_H

#include "kernels/logits.h"
#include "runtime/nn/batch.h"
#include "runtime/nn/net.h"

struct cg_trainer; /* activations and gradients for one net */

/* What is computed again in the backward pass instead of being kept from the forward pass, in every layer: nothing;
 * the products gate and up (more than half of a layer's activations); all but the layer's input. From the same inputs
 * by the same kernels: the gradient has the same bits. */
enum cg_recompute { CG_RECOMPUTE_NONE, CG_RECOMPUTE_MLP, CG_RECOMPUTE_ALL };

struct cg_trainer_options {
    size_t max_tokens, max_rows; /* the largest batch of one call */
    size_t all_tokens;           /* of all batches between cg_trainer_zero_grad and cg_trainer_finish: what is ready
                                  * for; more are possible. 0: max_tokens */
    size_t longest;              /* tokens of a sequence, if known: what attention is ready for */
    int with_grad;               /* 0 keeps no activations (evaluation, reference) */
    enum cg_recompute recompute;
};

enum cg_status cg_trainer_open(const struct cg_net *net, const struct cg_trainer_options *o, struct cg_trainer **out);
/* The same, keeping all activations when with_grad. */
enum cg_status cg_trainer_create(const struct cg_net *net, size_t max_tokens, size_t max_rows, int with_grad,
                                 struct cg_trainer **out);
void cg_trainer_free(struct cg_trainer *t);

/* Gives the memory of activations back; the next batch takes it again. NULL is allowed. */
void cg_trainer_release(struct cg_trainer *t);

/* Gradients of the trained parameters (net->params) in their order; NULL without with_grad. Of a net that lends: in the
 * memory of its packed weights, from cg_trainer_zero_grad on until cg_net_refresh. */
float *cg_trainer_grad(struct cg_trainer *t);
void cg_trainer_zero_grad(struct cg_trainer *t);

/* What the head tells about each row of the batch. */
struct cg_row_stats {
    float logprob, entropy;
};

/* Called once all rows [first, first + n) of a chunk are known, in ascending order (of a cg_trainer_backward_whole:
 * once, with all rows); writes d loss / d logprob and d loss / d entropy of each row into coef. */
typedef void cg_loss_fn(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats,
                        struct cg_logits_coef *coef);

/* Log-probabilities (and entropies) of the batch's rows at `temperature`; no gradient. `stats`: n_rows entries. */
enum cg_status cg_trainer_forward(struct cg_trainer *t, const struct cg_batch *b, float temperature,
                                  struct cg_row_stats *stats);

/* Forward and backward: gradients are added to what is there. Weight gradients are chains over the tokens in order, so
 * splitting a batch between groups into several calls gives the same bits. cg_trainer_finish must follow the last. */
enum cg_status cg_trainer_backward(struct cg_trainer *t, const struct cg_batch *b, float temperature, cg_loss_fn *loss,
                                   void *ctx, struct cg_row_stats *stats);

/* As cg_trainer_backward, for a loss whose gradient by one row depends on others: the logits are made twice. */
enum cg_status cg_trainer_backward_whole(struct cg_trainer *t, const struct cg_batch *b, float temperature,
                                         cg_loss_fn *loss, void *ctx, struct cg_row_stats *stats);

/* Adds the gradient of the input embeddings, held back until here: in a tied model the head's part of every batch must
 * come first, or the order of the chain would depend on how the batch was split. */
enum cg_status cg_trainer_finish(struct cg_trainer *t);

/* Raw logits of every token of `b` into logits[n_tokens][vocab]; for tests and grpo-eval. */
enum cg_status cg_trainer_logits(struct cg_trainer *t, const struct cg_batch *b, float *logits);

#endif

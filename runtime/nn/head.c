/* The language-model head: final norm, logits, log-softmax and gather, a chunk of rows at a time, so that the logits of
 * a batch never exist in memory together. */
#include <string.h>

#include "kernels/head.h"
#include "kernels/logits.h"
#include "runtime/nn/trainer_impl.h"

/* Logits of rows [first, first + n) into t->logits, and their log-probabilities and entropies. */
static enum cg_status head_forward(struct cg_trainer *t, const struct cg_batch *b, size_t first, size_t n, float scale,
                                   struct cg_row_stats *stats, float *lse)
{
    const struct cg_net *net = t->net;
    size_t d = net->model->cfg.hidden_size, v = net->model->cfg.vocab_size, ld = t->ld_logits;
    for (size_t r = 0; r < n; r++) memcpy(t->hn + r * d, t->xn + b->rows[first + r].token * d, d * sizeof(float));
    CG_TRY(cg_linear_forward(net, cg_net_head(net), n, t->hn, t->logits, ld, NULL));
#pragma omp parallel for num_threads(net->threads) schedule(static) if (n * v > CG_ROWS_SHARED_FROM)
    for (size_t r = 0; r < n; r++) {
        const float *x = t->logits + r * ld;
        float max, entropy;
        cg_logits_stats(net->rows, v, scale, x, &max, &lse[r], &entropy);
        stats[r].logprob = cg_logits_logprob(x, b->rows[first + r].target, scale, lse[r]);
        stats[r].entropy = entropy;
    }
    return CG_OK;
}

/* dhn = dlogits W. The reduction runs over the vocabulary: in fixed chunks, each a chain of its own, added in order, as
 * the sums over vocabulary rows are; one chain of 50,000 terms would lose three more bits. */
static enum cg_status hidden_gradient(struct cg_trainer *t, size_t n)
{
    const struct cg_model *m = t->net->model;
    size_t d = m->cfg.hidden_size, v = m->cfg.vocab_size;
    if (n <= CG_HEAD_FEW_ROWS && d % 16 == 0) {
        cg_head_grad(t->net->rows, t->net->threads, n, v, d, t->logits, t->ld_logits, m->w + m->lm_head, t->dhn,
                     t->dpart);
        return CG_OK;
    }
    for (size_t j = 0; j < v; j += CG_LOGITS_CHUNK) {
        size_t k = v - j < CG_LOGITS_CHUNK ? v - j : CG_LOGITS_CHUNK;
        float *to = j ? t->dpart : t->dhn;
        CG_TRY(
            cg_net_gemm(t->net, CG_FORM_NN, n, d, k, t->logits + j, t->ld_logits, 1, m->w + m->lm_head + j * d, to, 0));
        if (j) t->net->rows->add_f32(n * d, t->dhn, t->dpart, t->dhn);
    }
    return CG_OK;
}

/* From coef (d loss / d logprob and d entropy) to the gradient of the hidden states (added to dtmp) and of the head's
 * weights. */
static enum cg_status head_backward(struct cg_trainer *t, const struct cg_batch *b, size_t first, size_t n, float scale,
                                    const struct cg_row_stats *stats, const float *lse,
                                    const struct cg_logits_coef *coef)
{
    const struct cg_net *net = t->net;
    const struct cg_model *m = net->model;
    size_t d = m->cfg.hidden_size, v = m->cfg.vocab_size, ld = t->ld_logits;
#pragma omp parallel for num_threads(net->threads) schedule(static) if (n * v > CG_ROWS_SHARED_FROM)
    for (size_t r = 0; r < n; r++)
        cg_logits_grad(net->rows, v, scale, t->logits + r * ld, lse[r], stats[r].entropy, coef[r],
                       b->rows[first + r].target, t->logits + r * ld);
    float *dw = cg_trainer_grad_at(t, m->lm_head);
    if (dw) CG_TRY(cg_net_gemm(net, CG_FORM_TN, v, d, n, t->logits, 1, ld, t->hn, dw, 1));
    if (t->first == m->cfg.num_hidden_layers && !cg_trainer_grad_at(t, m->final_norm)) return CG_OK;
    CG_TRY(hidden_gradient(t, n));
    /* Several rows may share a hidden state (a prompt's last token): their gradients add up in row order. */
    for (size_t r = 0; r < n; r++) {
        float *to = t->dtmp + b->rows[first + r].token * d;
        net->rows->add_f32(d, to, t->dhn + r * d, to);
    }
    return CG_OK;
}

enum cg_status cg_trainer_head(struct cg_trainer *t, const struct cg_batch *b, float temperature, int whole,
                               cg_loss_fn *loss, void *ctx, struct cg_row_stats *stats)
{
    const struct cg_net *net = t->net;
    size_t d = net->model->cfg.hidden_size;
    float scale = 1.0f / temperature, lse[CG_HEAD_MAX_CHUNK];
    cg_net_norm(net, b->n_tokens, t->final_x, cg_net_head(net)->norm, t->xn, t->final_inv);
    if (loss) memset(t->dtmp, 0, b->n_tokens * d * sizeof(float));
    for (size_t first = 0; loss && whole && first < b->n_rows; first += t->chunk) {
        size_t n = b->n_rows - first < t->chunk ? b->n_rows - first : t->chunk;
        CG_TRY(head_forward(t, b, first, n, scale, stats + first, lse));
    }
    if (loss && whole) loss(ctx, 0, b->n_rows, stats, t->coef);
    for (size_t first = 0; first < b->n_rows; first += t->chunk) {
        size_t n = b->n_rows - first < t->chunk ? b->n_rows - first : t->chunk;
        CG_TRY(head_forward(t, b, first, n, scale, stats + first, lse));
        if (!loss) continue;
        if (!whole) loss(ctx, first, n, stats + first, t->coef + first);
        CG_TRY(head_backward(t, b, first, n, scale, stats + first, lse, t->coef + first));
    }
    return CG_OK;
}

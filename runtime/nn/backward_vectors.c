/* Gradients of the weights that are vectors: norms and biases. Threads split columns there: each column's chain runs
 * over the rows in order. */
#include <string.h>

#include "runtime/nn/trainer_impl.h"

/* Columns of each thread, whole vectors of 16. */
static size_t columns(const struct cg_trainer *t, size_t n)
{
    size_t threads = (size_t)t->net->threads, each = (n + threads - 1) / threads;
    return (each + 15) / 16 * 16;
}

void cg_trainer_grad_norm(struct cg_trainer *t, size_t rows, const float *x, const float *inv, const float *w,
                          const float *dy, float *dx, float *dw)
{
    const struct cg_rowops *ops = t->net->rows;
    size_t d = t->net->model->cfg.hidden_size, cols = columns(t, d);
    int threads = t->net->threads;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (rows * d > CG_ROWS_SHARED_FROM)
    for (size_t j = 0; j < (dw ? d : 0); j += cols) {
        size_t n = d - j < cols ? d - j : cols;
        for (size_t r = 0; r < rows; r++) ops->rmsnorm_dw_f32(n, inv[r], x + r * d + j, dy + r * d + j, dw + j);
    }
#pragma omp parallel for num_threads(threads) if (rows * d > CG_ROWS_SHARED_FROM)
    for (size_t r = 0; r < rows; r++) ops->rmsnorm_bwd_f32(d, inv[r], x + r * d, w, dy + r * d, dx + r * d);
}

void cg_trainer_grad_bias(struct cg_trainer *t, size_t rows, size_t n, const float *dy, float *db)
{
    size_t cols = columns(t, n);
#pragma omp parallel for num_threads(t->net->threads) schedule(static, 1) if (rows * n > CG_ROWS_SHARED_FROM)
    for (size_t j = 0; j < n; j += cols) {
        size_t k = n - j < cols ? n - j : cols;
        for (size_t r = 0; r < rows; r++) t->net->rows->add_f32(k, db + j, dy + r * n + j, db + j);
    }
}

void cg_trainer_grad_heads(struct cg_trainer *t, size_t layer, size_t rows, float *dqkv)
{
    const struct cg_net *net = t->net;
    const struct cg_config *c = &net->model->cfg;
    const struct cg_layer_offsets *at = &net->model->layers[layer];
    const struct cg_rowops *ops = net->rows;
    const float *qkv = t->bufs[layer].qkv, *inv = t->bufs[layer].head_inv;
    size_t hd = c->head_dim, ld = net->qkv_dim, queries = c->num_attention_heads;
    size_t heads = queries + c->num_key_value_heads, cols = columns(t, hd);
    float *dq = cg_trainer_grad_at(t, at->q_norm), *dk = cg_trainer_grad_at(t, at->k_norm);
#pragma omp parallel for num_threads(net->threads) schedule(static, 1) if (rows * heads * hd > CG_ROWS_SHARED_FROM)
    for (size_t j = 0; j < (dq ? hd : 0); j += cols) { /* both are trained or none */
        size_t k = hd - j < cols ? hd - j : cols;
        for (size_t i = 0; i < rows * heads; i++) {
            size_t h = i % heads, x = i / heads * ld + h * hd + j;
            ops->rmsnorm_dw_f32(k, inv[i], qkv + x, dqkv + x, (h < queries ? dq : dk) + j);
        }
    }
#pragma omp parallel for num_threads(net->threads) if (rows * heads * hd > CG_ROWS_SHARED_FROM)
    for (size_t i = 0; i < rows * heads; i++) {
        size_t h = i % heads, x = i / heads * ld + h * hd;
        float dy[CG_MAX_HEAD_DIM];
        memcpy(dy, dqkv + x, hd * sizeof *dy);
        memset(dqkv + x, 0, hd * sizeof *dy);
        ops->rmsnorm_bwd_f32(hd, inv[i], qkv + x, net->model->w + (h < queries ? at->q_norm : at->k_norm), dy,
                             dqkv + x);
    }
}

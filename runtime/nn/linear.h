/* The weight matrices of a net, however they are kept, and the products with them: the one place that knows. */
#ifndef CG_RUNTIME_NN_LINEAR_H
#define CG_RUNTIME_NN_LINEAR_H

#include <stddef.h>

#include "autotune/plan.h"
#include "common/status.h"
#include "kernels/gemm.h"

struct cg_net;

/* What a forward product reads. INT8: weights per output channel, activations per token (docs/numerics.md). */
enum cg_weight_type { CG_WEIGHTS_F32, CG_WEIGHTS_S8 };

/* The matrices of a layer; the head comes after those of all layers. */
enum cg_linear_kind { CG_LINEAR_QKV, CG_LINEAR_O, CG_LINEAR_GATE_UP, CG_LINEAR_DOWN, CG_LINEARS };

/* One matrix W[n][k]. */
struct cg_linear {
    size_t n, k;
    const float *w;         /* row-major, in the model's block */
    const float *norm;      /* [k] weights of the norm that its input comes from, NULL: it comes from something else */
    const float *bias;      /* [n], NULL: it has none */
    size_t input;           /* where its input's channels are in a vector of those of all matrices (smooth.h) */
    size_t packed;          /* f32: where it lies in the net's packed weights */
    struct cg_packed_s8 s8; /* INT8 */
};

/* Rows of activations in INT8. */
struct cg_s8_rows {
    void *q;
    float *scale;
    size_t q_cap, scale_cap;            /* bytes, floats */
    const struct cg_linear *made_ready; /* whose input they hold already, NULL: nobody's */
};

/* What products change while the net stays as it is: memory for packing on the way and for quantised rows, which grows
 * to what is needed and stays. */
struct cg_linear_scratch {
    int outdated; /* the packed weights are of older ones, their memory is lent, or there are none */
    float *pack;
    size_t pack_cap;      /* floats */
    float *inner, *delta; /* of LoRA: between A and B, forward and backward; the adapters' part of a result */
    size_t inner_cap, delta_cap;
    struct cg_s8_rows rows[2]; /* a product reads one while its epilogue writes the other */
    int current;               /* the one that the next product reads */
    float *observed;           /* f32: largest magnitudes of all inputs' channels (smooth.h), NULL: nobody asks */
};

/* Makes *p hold `n` floats; what it held is lost. */
enum cg_status cg_reserve_floats(float **p, size_t *cap, size_t n);

/* Sizes and places of all matrices of net->model; allocates and, unless `empty`, fills what net->weights says. */
enum cg_status cg_linears_create(struct cg_net *net, int empty);
void cg_linears_free(struct cg_net *net);

/* Makes what forward products read from the model's weights again, after they changed. */
void cg_linears_refresh(struct cg_net *net);

/* y[rows][n] = x[rows][k] W^T, rows of y ldy apart, then `ep` (or NULL). Where the packed f32 weights are out of
 * date or their memory is lent (cg_net_lend), they are packed on the way: the same bits. Not for two threads at once on
 * one net. */
enum cg_status cg_linear_forward(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *x,
                                 float *y, size_t ldy, const struct cg_epilogue *ep);

/* Lets `ep`, of the product before, quantise its result for `lin`, whose product over `rows` rows comes next: for INT8
 * nets; does nothing for others. */
enum cg_status cg_linear_quantise_for(const struct cg_net *net, const struct cg_linear *lin, size_t rows,
                                      struct cg_epilogue *ep);

/* Room for packing on the way, for all products forward and backward over at most `rows` rows, `head_rows` through the
 * head. */
enum cg_status cg_linears_reserve(const struct cg_net *net, size_t rows, size_t head_rows);

/* dx[rows][k] = dy[rows][n] W. */
enum cg_status cg_linear_backward(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *dy,
                                  float *dx);

/* The weights [offset, offset + n) of the model's flat block, whole rows of one tensor, however the net keeps them. */
enum cg_status cg_net_weights(const struct cg_net *net, size_t offset, size_t n, float *out);

/* C[m][n] (+)= A B, B[k][n] row-major and packed on the way; A's element (i, p) at a[i*rs_a + p*cs_a], C without gaps.
 */
enum cg_status cg_net_gemm(const struct cg_net *net, enum cg_form form, size_t m, size_t n, size_t k, const float *a,
                           size_t rs_a, size_t cs_a, const float *b, float *c, int accumulate);

#endif

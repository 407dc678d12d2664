/* SmoothQuant (Xiao et al. 2023, arXiv:2211.10438): a few channels of activations are many times larger than the
 * others, and a row's one INT8 scale would leave little of the rest. So channel p of a matrix's input is divided by
 * s[p] and column p of the matrix multiplied by it before either is quantised. The division costs nothing: it is folded
 * into what makes the input (the norm's weights; the rows v of QKV; the rows up of gate and up, in which SwiGLU is
 * linear). */
#ifndef CG_RUNTIME_NN_SMOOTH_H
#define CG_RUNTIME_NN_SMOOTH_H

#include <stddef.h>

#include "common/status.h"

struct cg_net;
struct cg_linear;

/* An INT8 net's scales, all 1, and its own norms and biases. */
enum cg_status cg_smooth_create(struct cg_net *net);
void cg_smooth_free(struct cg_net *net);

/* From now on every product of an f32 net raises max[net->inputs] (zeros before) to the largest magnitude of each
 * channel of its input; NULL: no more. */
void cg_smooth_observe(const struct cg_net *net, float *max);
void cg_smooth_see(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *x);

/* Makes scales of the magnitudes that lie in net->smooth, and of the weights as they are. The INT8 weights are out of
 * date then. A channel whose scale would not be finite keeps 1. */
void cg_smooth_set(struct cg_net *net);

/* After the weights were quantised: divides what makes each input by its scales. */
void cg_smooth_fold(struct cg_net *net);

#endif

/* LoRA (Hu et al. 2021): beside a frozen matrix W stand two narrow ones, y = W x + (alpha / r) B A x, and only these
 * are trained. They are never merged into W while a run lasts: so the base may be INT8, the reference policy is the
 * same base without them, and generation computes what training does, to the bit. */
#ifndef CG_RUNTIME_NN_ADAPTERS_H
#define CG_RUNTIME_NN_ADAPTERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "runtime/model/model.h"
#include "runtime/nn/linear.h"

#define CG_ADAPTER_NAME 128 /* bytes of the name of a tensor in peft's file */

struct cg_net;
struct cg_source;

struct cg_adapter_options {
    size_t r;
    double alpha;
    const char *const *targets; /* peft's names ("q_proj", ..., "all-linear"); none: "q_proj" and "v_proj" */
    size_t n_targets;
    uint64_t seed; /* of A; B begins at 0 */
};

/* Adapters of the rows [row, row + rows) of one matrix, a tensor of the model: A[r][k] and B[rows][r] in `w`. */
struct cg_adapter {
    size_t tensor; /* its number (cg_model_tensor) */
    size_t row, rows, a, b;
    size_t packed_b;
};

/* All of one matrix. The As stand together, [n * r][k]. */
struct cg_adapted {
    size_t n, k;
    struct cg_adapter part[3];
    size_t packed_a;
};

struct cg_adapters {
    size_t r;
    double alpha;
    float scale; /* alpha / r */
    float *w;    /* [n] all A and B, layer by layer */
    size_t n;
    struct cg_adapted *of; /* as cg_net.linears */
    size_t n_of;
    float *packed;
    const char *targets[7]; /* those that there are */
    size_t n_targets;
};

/* As peft begins them: A uniform in +-1/sqrt(k), B 0. CG_ERR_USER names a target that is unknown. */
enum cg_status cg_adapters_create(const struct cg_model *model, const struct cg_plans *plans,
                                  const struct cg_adapter_options *o, struct cg_adapters *out);
void cg_adapters_free(struct cg_adapters *a);

/* Packs them for the products, after they changed. */
void cg_adapters_refresh(struct cg_adapters *a, const struct cg_plans *plans);

/* Those of a matrix of `net`; NULL: it has none. */
const struct cg_adapted *cg_adapters_of(const struct cg_net *net, const struct cg_linear *lin);

/* y[rows][lin->n] (+)= scale B A x, rows of y ldy apart; without accumulate 0 where the matrix has no adapters. */
enum cg_status cg_adapters_forward(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *x,
                                   float *y, size_t ldy, int accumulate);

/* From dy[rows][lin->n] and the input x[rows][lin->k]: adds the gradients to grad[n]. What cg_adapters_input_grad needs
 * stays in the net's scratch until the next product. */
enum cg_status cg_adapters_backward(const struct cg_net *net, const struct cg_linear *lin, size_t rows, const float *dy,
                                    const float *x, float *grad);
/* dx[rows][lin->k] += their part. */
enum cg_status cg_adapters_input_grad(const struct cg_net *net, const struct cg_linear *lin, size_t rows, float *dx);

/* The model with the adapters merged into it, as a source of weights (runtime/model/source.h): for export. `net` must
 * outlive it. */
enum cg_status cg_adapters_merged(const struct cg_net *net, struct cg_source *out);

/* Writes adapter_model.safetensors and adapter_config.json, which peft opens, into `dir`. base: the model's path. */
enum cg_status cg_adapters_save(const struct cg_adapters *a, const struct cg_model *model, const char *base,
                                const char *dir);

#endif

/* Which parameters are trained: all of a model, or chosen ones. Gradients, moments and all else that training keeps of
 * a parameter are vectors of the trained ones only, without gaps. */
#ifndef CG_RUNTIME_NN_PARAMS_H
#define CG_RUNTIME_NN_PARAMS_H

#include <stddef.h>

#include "common/status.h"
#include "runtime/model/model.h"

#define CG_NOT_TRAINED ((size_t)-1)

/* A run of trained parameters. */
struct cg_param_span {
    size_t from; /* in the block of the weights */
    size_t at;   /* in the vectors of the trained ones */
    size_t n;
    int decays; /* a matrix: weight decay spares vectors */
};

struct cg_params {
    float *w; /* the block that they are in; not owned */
    struct cg_param_span *spans;
    size_t n_spans;     /* ascending in `from` and `at`, which begins at 0 and has no gaps */
    size_t n;           /* trained parameters */
    size_t first_layer; /* the backward pass ends with it; 0 also where the embedding is trained, the number of layers
                         * where no layer is */
};

/* `layers`: empty for all parameters, else a list with commas: numbers of layers from 0 on, or from the last one
 * backwards (-1), ranges of them (0..3, -4..-1), "embed", "head", "norms" (all vectors of norms). A tied head and the
 * embedding are one matrix with two names. CG_ERR_USER names the word that is wrong. The model must outlive it. */
enum cg_status cg_params_create(const struct cg_model *model, const char *layers, struct cg_params *out);
/* All of w[n], which is apart from the model (adapters of every layer). */
enum cg_status cg_params_of(float *w, size_t n, struct cg_params *out);
void cg_params_free(struct cg_params *p);

/* Where the parameter at `from` in the block is in the vectors; CG_NOT_TRAINED. */
size_t cg_params_find(const struct cg_params *p, size_t from);

/* The span that entry `at` < n of the vectors is in. */
size_t cg_params_span(const struct cg_params *p, size_t at);

#endif

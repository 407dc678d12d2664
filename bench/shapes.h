/* Which layers grpo-bench times: those of a model family, or given one by one. */
#ifndef CG_BENCH_SHAPES_H
#define CG_BENCH_SHAPES_H

#include <stddef.h>

#include "bench/cases.h"
#include "common/status.h"

#define CG_MAX_LAYERS 1024

struct cg_layers {
    struct cg_layer l[CG_MAX_LAYERS];
    size_t n;
};

/* Appends "M,N,K;M,N,K..." to `all`. CG_ERR_USER. */
enum cg_status cg_layers_parse(struct cg_layers *all, const char *text);

/* Reads numbers of tokens, "1,4,64"; at most `cap` into out. CG_ERR_USER. */
enum cg_status cg_tokens_parse(const char *text, size_t *out, size_t cap, size_t *n);

/* Appends the linear layers of the models named in `models` ("smollm2-135m,qwen2.5-0.5b") for each of n numbers of
 * tokens, without those that are there already; with `few`, not the logits of more than 256 tokens, which nobody needs
 * at once. CG_ERR_USER for an unknown name or too many. */
enum cg_status cg_layers_of_models(struct cg_layers *all, const char *models, const size_t *tokens, size_t n, int few);

#endif

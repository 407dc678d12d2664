/* Shared by the files that list a step: step.c (layers, head, update), step_generate.c, step_attention.c. */
#ifndef CG_BENCH_STEP_IMPL_H
#define CG_BENCH_STEP_IMPL_H

#include "bench/step.h"
#include "kernels/attention.h"
#include "runtime/nn/generate.h"

struct cg_lister {
    const struct cg_sizes *s;
    const struct cg_workload *w;
    size_t threads;
    size_t qkv, att, kv; /* widths */
    struct cg_attention at;
    enum cg_step_phase phase;
    double calls; /* of whatever is put next */
    double saved; /* bytes of activations that a training pass keeps */
    struct cg_step_list *out;
    int failed; /* no memory */
};

/* Adds work; phase and calls are the lister's (w.calls of them, where that is not 0). Like work is counted together. */
void cg_step_put(struct cg_lister *l, struct cg_work w);

/* A row operation over m rows of n floats, `streams` of which it reads or writes; threads share the rows of more than
 * 65,536 floats, as the runtime does. */
void cg_step_rows(struct cg_lister *l, enum cg_step_part part, enum cg_op op, size_t m, size_t n, double streams,
                  double footprint);
/* The same inside a parallel region that is there already, its rows divided among all threads. */
void cg_step_rows_inside(struct cg_lister *l, enum cg_step_part part, enum cg_op op, size_t m, size_t n, double streams,
                         double footprint);
void cg_step_gemm(struct cg_lister *l, enum cg_step_part part, enum cg_form form, size_t m, size_t n, size_t k);
void cg_step_pass(struct cg_lister *l, enum cg_step_part part, enum cg_work_kind kind, double floats, double footprint,
                  size_t tasks);

/* All layers forward for n tokens, `keep` with what the backward pass needs; attention is left to the caller. */
void cg_step_layers(struct cg_lister *l, size_t n, int keep);

/* Attention of all layers: `groups` prompts of prompt_length tokens, each with its completions of `own` tokens (0:
 * only the prompt). */
void cg_step_attention(struct cg_lister *l, size_t groups, size_t own, double completions);
void cg_step_attention_backward(struct cg_lister *l, size_t groups, size_t own, double completions);
/* One new token each for `active` sequences, their `own`-th. */
void cg_step_attention_decode(struct cg_lister *l, size_t active, size_t own);

/* What generation holds. */
struct cg_gen_sizes cg_step_gen_sizes(const struct cg_lister *l);
void cg_step_generate(struct cg_lister *l);
/* Reference, forward and backward of a micro-batch of `groups` prompts, by a trainer for max_rows rows. */
void cg_step_train_pass(struct cg_lister *l, size_t groups, size_t max_rows);
void cg_step_update(struct cg_lister *l, double params);

/* Bytes of what one layer keeps for n tokens. */
double cg_step_layer_bytes(const struct cg_lister *l, size_t n);

#endif

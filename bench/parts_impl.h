/* Shared by the files of grpo-bench parts: parts.c (training, softmax), parts_layer.c (a layer in generation). */
#ifndef CG_BENCH_PARTS_IMPL_H
#define CG_BENCH_PARTS_IMPL_H

#include <stdint.h>

#include "bench/parts.h"
#include "runtime/nn/trainer_impl.h"

/* So that the weights do not stay in the caches, as in a model; times are for one of them. */
enum { CG_PART_LAYERS = 4 };

/* A model of SmolLM2-135M's sizes with random weights, and what runs it. */
struct cg_world {
    struct cg_model model;
    struct cg_net net;
    struct cg_batch batch;
    struct cg_trainer *trainer;
    struct cg_row_stats *stats;
};

/* Close it even when it failed. */
enum cg_status cg_world_open(struct cg_world *w, const struct cg_plans *plans, size_t layers, size_t vocab,
                             size_t longest);
void cg_world_close(struct cg_world *w);

/* Numbers of [-scale, scale) that depend on `seed` only. */
void cg_parts_fill(float *x, size_t n, float scale, uint32_t seed);

/* Multiplications and additions of a layer's products for so many tokens, without attention. */
double cg_parts_layer_work(const struct cg_net *net, double tokens);

enum cg_status cg_part_layer_open(const struct cg_plans *plans, const struct cg_part_case *c, struct cg_part *p);
enum cg_status cg_part_layer_call(void *state);
void cg_part_layer_close(void *state);

#endif

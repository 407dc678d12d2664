/* A small random model with odd sizes, and plans for a chosen ISA and number of threads. */
#ifndef CG_TESTS_RUNTIME_NET_FIXTURE_H
#define CG_TESTS_RUNTIME_NET_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/rng.h"
#include "runtime/nn/generate.h"
#include "runtime/nn/train.h"

struct net_fixture {
    struct cg_machine machine;
    struct cg_plans *plans;
    struct cg_model model;
    struct cg_net net;
};

static enum cg_model_arch fixture_arch; /* of the models that fixture_open makes */

/* isa NULL: the best that the machine has. Returns 0 when the machine does not have `isa`. */
static inline int fixture_open(struct net_fixture *f, const char *isa, int threads, int tied)
{
    memset(f, 0, sizeof *f);
    if (isa) setenv("CPU_GRPO_ISA", isa, 1);
    else unsetenv("CPU_GRPO_ISA");
    setenv("CPU_GRPO_CACHE", "/nonexistent", 1);
    if (cg_machine_detect(&f->machine) != CG_OK) return 0;
    if (cg_plans_open(&f->machine, threads, &f->plans) != CG_OK) return 0;
    struct cg_config c = {.arch = fixture_arch,
                          .vocab_size = 97,
                          .hidden_size = 36,
                          .intermediate_size = 52,
                          .num_hidden_layers = 2,
                          .num_attention_heads = 6,
                          .num_key_value_heads = 2,
                          .head_dim = 10,
                          .max_position_embeddings = 200,
                          .rms_norm_eps = 1e-5f,
                          .rope_theta = 10000,
                          .tie_word_embeddings = tied,
                          .bos_token_id = -1,
                          .eos_token_id = 1,
                          .pad_token_id = 1};
    if (cg_model_create(&c, &f->model) != CG_OK) return 0;
    cg_rng_normal(7, CG_RNG_TEST, 0, 0.2f, f->model.w, f->model.n_params);
    return cg_net_create(&f->model, f->plans, 160, &f->net) == CG_OK;
}

/* The same model in another net. */
static inline int fixture_reopen(struct net_fixture *f, const struct cg_net_options *o)
{
    cg_net_free(&f->net);
    return cg_net_open(&f->model, f->plans, o, &f->net) == CG_OK;
}

static inline void fixture_close(struct net_fixture *f)
{
    cg_net_free(&f->net);
    cg_model_free(&f->model);
    cg_plans_close(f->plans);
}

static inline void random_tokens(uint32_t stream, int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)cg_rng_below(11, CG_RNG_TEST, stream, (uint32_t)i, 0, 97);
}

#endif

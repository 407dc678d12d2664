/* Models of tests/goldens, and whether two are the same. Include after <cmocka.h>. */
#ifndef CG_TESTS_RUNTIME_MODEL_CHECK_H
#define CG_TESTS_RUNTIME_MODEL_CHECK_H

#include "runtime/model/source.h"

static const char *const kinds[] = {"llama-odd",      "llama-odd-tied", "qwen2-odd",
                                    "qwen2-odd-tied", "qwen3-odd",      "qwen3-odd-tied"};
enum { KINDS = sizeof kinds / sizeof *kinds };

static inline struct cg_model load(const char *path, uint64_t seed)
{
    struct cg_model m;
    if (cg_model_load(path, seed, &m) != CG_OK) fail_msg("%s", cg_error());
    return m;
}

static inline void check_same(const struct cg_model *a, const struct cg_model *b)
{
    const struct cg_config *x = &a->cfg, *y = &b->cfg;
    assert_int_equal(a->n_params, b->n_params);
    assert_memory_equal(a->w, b->w, a->n_params * sizeof *a->w);
    assert_int_equal(x->vocab_size, y->vocab_size);
    assert_int_equal(x->hidden_size, y->hidden_size);
    assert_int_equal(x->intermediate_size, y->intermediate_size);
    assert_int_equal(x->num_hidden_layers, y->num_hidden_layers);
    assert_int_equal(x->num_attention_heads, y->num_attention_heads);
    assert_int_equal(x->num_key_value_heads, y->num_key_value_heads);
    assert_int_equal(x->head_dim, y->head_dim);
    assert_int_equal(x->max_position_embeddings, y->max_position_embeddings);
    assert_int_equal(x->tie_word_embeddings, y->tie_word_embeddings);
    assert_int_equal(x->bos_token_id, y->bos_token_id);
    assert_int_equal(x->eos_token_id, y->eos_token_id);
    assert_int_equal(x->pad_token_id, y->pad_token_id);
    assert_true(x->rms_norm_eps == y->rms_norm_eps && x->rope_theta == y->rope_theta);
}

#endif

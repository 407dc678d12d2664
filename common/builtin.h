/* The models that come with the program (random weights): their sizes, for the model, its tokenizer and the tuner. */
#ifndef CG_COMMON_BUILTIN_H
#define CG_COMMON_BUILTIN_H

#include <stddef.h>

struct cg_builtin {
    const char *name; /* as in "builtin:NAME" */
    size_t vocab_size, hidden_size, intermediate_size, num_hidden_layers;
    size_t num_attention_heads, num_key_value_heads, head_dim;
    size_t max_position_embeddings;
    float rms_norm_eps;
    double rope_theta;
    int tie_word_embeddings;
    int bos_token_id, eos_token_id, pad_token_id; /* -1: none */
    const char *tokens;                           /* the characters that ids 0, 1, ... stand for */
};

extern const struct cg_builtin cg_builtins[];
extern const size_t cg_builtin_count;

/* The built-in model that `path` ("builtin:NAME") or a bare name stands for; NULL when there is none. */
const struct cg_builtin *cg_builtin_find(const char *path);

/* Whether `path` starts with "builtin:". */
int cg_is_builtin(const char *path);

#endif

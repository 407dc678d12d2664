#include "common/builtin.h"

#include <string.h>

#define PREFIX "builtin:"

const struct cg_builtin cg_builtins[] = {
    {
        .name = "tiny",
        .vocab_size = 16,
        .hidden_size = 128,
        .intermediate_size = 384,
        .num_hidden_layers = 3,
        .num_attention_heads = 4,
        .num_key_value_heads = 4,
        .head_dim = 32,
        .max_position_embeddings = 64,
        .rms_norm_eps = 1e-5f,
        .rope_theta = 10000.0,
        .tie_word_embeddings = 1,
        .bos_token_id = -1,
        .eos_token_id = 12,
        .pad_token_id = 12,
        .tokens = "0123456789+=",
    },
};
const size_t cg_builtin_count = sizeof cg_builtins / sizeof cg_builtins[0];

int cg_is_builtin(const char *path)
{
    return strncmp(path, PREFIX, strlen(PREFIX)) == 0;
}

const struct cg_builtin *cg_builtin_find(const char *path)
{
    const char *name = cg_is_builtin(path) ? path + strlen(PREFIX) : path;
    for (size_t i = 0; i < cg_builtin_count; i++)
        if (strcmp(cg_builtins[i].name, name) == 0) return &cg_builtins[i];
    return NULL;
}

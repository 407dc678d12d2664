/* A model of the Llama family: configuration and parameters in one flat f32 block, with the names that Hugging Face
 * gives. */
#ifndef CG_RUNTIME_MODEL_MODEL_H
#define CG_RUNTIME_MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* Largest head_dim accepted. */
#define CG_MAX_HEAD_DIM 1024

/* Architectures; what distinguishes them is in the table behind cg_architecture. */
enum cg_model_arch { CG_MODEL_LLAMA, CG_MODEL_QWEN2, CG_MODEL_QWEN3, CG_MODEL_COUNT };

struct cg_architecture {
    const char *name;        /* model_type of Hugging Face, general.architecture of GGUF */
    const char *causal_lm;   /* the class that config.json names */
    int qkv_bias;            /* q, k and v have biases */
    int qk_norm;             /* each head of q and k goes through an RMSNorm before it is rotated */
    int gguf_interleaved;    /* GGUF has the rows of q and k in another order (ggml's rotary pairs) */
    size_t default_head_dim; /* where config.json has none; 0: hidden_size / num_attention_heads */
};

struct cg_config {
    enum cg_model_arch arch;
    size_t vocab_size, hidden_size, intermediate_size, num_hidden_layers;
    size_t num_attention_heads, num_key_value_heads, head_dim;
    size_t max_position_embeddings;
    float rms_norm_eps;
    double rope_theta;
    int tie_word_embeddings;
    int bos_token_id, eos_token_id, pad_token_id; /* -1: none */
};

/* Offsets, in floats, into the flat block. Row-major, a linear layer as [out][in]. q, k, v stand one after the other,
 * so that they are one [(H + 2 KV) * head_dim][hidden] matrix, and their biases one vector; so do gate and up,
 * [2 * intermediate][hidden]. qkv_bias, q_norm and k_norm ([head_dim]) are 0 where the architecture has none: at 0
 * stands the embedding. */
struct cg_layer_offsets {
    size_t input_norm, qkv, o, post_norm, gate_up, down;
    size_t qkv_bias, q_norm, k_norm;
};

struct cg_model {
    struct cg_config cfg;
    float *w; /* n_params floats */
    size_t n_params;
    size_t embed, final_norm, lm_head; /* offsets; lm_head == embed when tied */
    struct cg_layer_offsets *layers;
    char *source; /* the path it was loaded from, or "builtin:tiny" */
};

enum cg_tensor_kind {
#define TENSOR(kind, hf, gguf) CG_TENSOR_##kind,
#define LAYER_TENSOR(kind, hf, gguf) CG_TENSOR_##kind,
#include "runtime/model/tensors.def"
};

/* One named tensor of the flat block: what readers, writers and tests walk over. cols == 0 for a vector. */
struct cg_tensor_ref {
    char name[96]; /* "model.layers.0.self_attn.q_proj.weight" */
    size_t offset, rows, cols;
    enum cg_tensor_kind kind;
    size_t layer; /* 0 for those of no layer */
};

const struct cg_architecture *cg_architecture(enum cg_model_arch arch);

/* Checks the configuration and sets offsets and n_params; `w` is allocated (zeros). */
enum cg_status cg_model_create(const struct cg_config *cfg, struct cg_model *m);
void cg_model_free(struct cg_model *m);

/* The tensors in the order of the flat block, which has no gaps. */
size_t cg_model_tensor_count(const struct cg_model *m);
struct cg_tensor_ref cg_model_tensor(const struct cg_model *m, size_t i);

/* Loads `path`: a Hugging Face folder (config.json, model.safetensors or the shards of its index), a .gguf file, or
 * "builtin:NAME" (random weights from `seed`). */
enum cg_status cg_model_load(const char *path, uint64_t seed, struct cg_model *m);

/* The weights of a Hugging Face folder into a model that is there, of the same layout: what cg_model_save has written
 * of it, bit for bit. */
enum cg_status cg_model_reload(const char *dir, struct cg_model *m);

/* Writes a Hugging Face folder (config.json, model.safetensors in f32, generation_config.json) into `dir`; each file is
 * replaced whole. The tokenizer's files are written by cg_tokenizer_save. */
enum cg_status cg_model_save(const struct cg_model *m, const char *dir);

/* XXH3 of the flat block, as 16 hex digits. */
void cg_model_hash(const struct cg_model *m, char out[17]);

#endif

/* config.json of a Hugging Face folder: what we compute is accepted, everything else is refused by name. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/model/internal.h"
#include "runtime/model/json.h"

#define MAX_CONFIG ((size_t)1 << 20)

/* A key's value; NULL when it is absent or null. */
static const json_t *get(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return v && !json_is_null(v) ? v : NULL;
}

static enum cg_status get_size(const json_t *j, const char *key, size_t *v)
{
    const json_t *x = get(j, key);
    if (!x) return cg_fail(CG_ERR_USER, "%s is missing", key);
    if (!json_is_integer(x) || json_integer_value(x) < 1)
        return cg_fail(CG_ERR_USER, "%s is not a whole number from 1 on", key);
    *v = (size_t)json_integer_value(x);
    return CG_OK;
}

/* `v` keeps its value when the key is absent. */
static enum cg_status get_number(const json_t *j, const char *key, double *v)
{
    const json_t *x = get(j, key);
    if (x && !json_is_number(x)) return cg_fail(CG_ERR_USER, "%s is not a number", key);
    if (x) *v = json_number_value(x);
    return CG_OK;
}

static enum cg_status get_bool(const json_t *j, const char *key, int *v)
{
    const json_t *x = get(j, key);
    *v = 0;
    if (x && !json_is_boolean(x)) return cg_fail(CG_ERR_USER, "%s is neither true nor false", key);
    if (x) *v = json_is_true(x);
    return CG_OK;
}

/* A token id, of a list the first; -1 where there is none. */
static enum cg_status get_token(const json_t *j, const char *key, int *v)
{
    const json_t *x = get(j, key);
    if (json_is_array(x)) x = json_array_get(x, 0);
    *v = -1;
    if (!x) return CG_OK;
    if (!json_is_integer(x) || json_integer_value(x) < -1 || json_integer_value(x) > INT32_MAX)
        return cg_fail(CG_ERR_USER, "%s is not a token id", key);
    *v = (int)json_integer_value(x);
    return CG_OK;
}

static enum cg_status read_architecture(const json_t *j, enum cg_model_arch *arch)
{
    const json_t *list = get(j, "architectures"), *type = get(j, "model_type");
    const char *causal_lm = json_string_value(json_array_get(list, 0)), *t = json_string_value(type);
    char buf[64], known[128];
    cg_model_arch_list(1, known);
    if (!causal_lm && !t) return cg_fail(CG_ERR_USER, "names no architecture; supported: %s", known);
    *arch = causal_lm ? cg_model_arch_of_class(causal_lm) : cg_model_arch_of_name(t, strlen(t));
    if (*arch != CG_MODEL_COUNT) return CG_OK;
    const char *name = causal_lm ? causal_lm : t;
    return cg_fail(CG_ERR_USER, "the architecture %s is not supported; supported: %s",
                   cg_printable(name, strlen(name), buf), known);
}

/* Layers that see only the last positions: Qwen's use_sliding_window; layer_types of transformers 5. */
static enum cg_status check_windows(const json_t *j)
{
    int on;
    size_t i;
    json_t *type;
    CG_TRY(get_bool(j, "use_sliding_window", &on));
    if (on) return cg_fail(CG_ERR_USER, "use_sliding_window is true; only attention to all positions is supported");
    json_array_foreach(get(j, "layer_types"), i, type)
    {
        const char *t = json_string_value(type);
        char buf[64];
        if (!t || strcmp(t, "full_attention") != 0)
            return cg_fail(CG_ERR_USER, "layer_types has %s; supported is full_attention",
                           t ? cg_printable(t, strlen(t), buf) : "something that is not a name");
    }
    return CG_OK;
}

/* What would change the computation. */
static enum cg_status check_features(const json_t *j, const struct cg_architecture *a)
{
    static const char *const off[] = {"attention_bias", "mlp_bias"};
    for (int i = 0; i < 2; i++) {
        int on;
        CG_TRY(get_bool(j, off[i], &on));
        if (i == 0 && a->qkv_bias) continue; /* it has them whatever the key says */
        if (on) return cg_fail(CG_ERR_USER, "%s is true; biases are supported only as Qwen2 has them", off[i]);
    }
    CG_TRY(check_windows(j));
    const char *act = json_string_value(get(j, "hidden_act"));
    char buf[64];
    if (get(j, "hidden_act") && (!act || strcmp(act, "silu") != 0))
        return cg_fail(CG_ERR_USER, "hidden_act is %s; supported is silu",
                       act ? cg_printable(act, strlen(act), buf) : "not a name");
    if (get(j, "quantization_config"))
        return cg_fail(CG_ERR_USER, "the weights are quantized (quantization_config); use the model's original "
                                    "folder, or a GGUF file");
    double part = 1.0;
    CG_TRY(get_number(j, "partial_rotary_factor", &part));
    if (part != 1.0) return cg_fail(CG_ERR_USER, "partial_rotary_factor is %g; supported is 1", part);
    return CG_OK;
}

static enum cg_status check_rope_type(const json_t *rope, const char *where)
{
    char buf[64];
    const json_t *v = get(rope, "rope_type") ? get(rope, "rope_type") : get(rope, "type");
    const char *type = json_string_value(v);
    if (!json_is_object(rope) || (v && !type)) return cg_fail(CG_ERR_USER, "%s is not understood", where);
    if (!type || strcmp(type, "default") == 0) return CG_OK;
    return cg_fail(CG_ERR_USER, "%s has the type %s; supported is default (no scaling of positions)", where,
                   cg_printable(type, strlen(type), buf));
}

/* transformers 4 writes rope_theta and rope_scaling, transformers 5 both into rope_parameters. */
static enum cg_status read_rope(const json_t *j, struct cg_config *c)
{
    const json_t *scaling = get(j, "rope_scaling"), *params = get(j, "rope_parameters");
    c->rope_theta = 10000.0;
    CG_TRY(get_number(j, "rope_theta", &c->rope_theta));
    if (scaling) {
        CG_TRY(check_rope_type(scaling, "rope_scaling"));
        CG_TRY(get_number(scaling, "rope_theta", &c->rope_theta));
    }
    if (params) {
        CG_TRY(check_rope_type(params, "rope_parameters"));
        CG_TRY(get_number(params, "rope_theta", &c->rope_theta));
        double part = 1.0;
        CG_TRY(get_number(params, "partial_rotary_factor", &part));
        if (part != 1.0) return cg_fail(CG_ERR_USER, "partial_rotary_factor is %g; supported is 1", part);
    }
    return CG_OK;
}

static enum cg_status read_head_dim(const json_t *j, struct cg_config *c)
{
    c->head_dim = cg_architecture(c->arch)->default_head_dim;
    if (get(j, "head_dim")) return get_size(j, "head_dim", &c->head_dim);
    if (c->head_dim) return CG_OK;
    if (c->hidden_size % c->num_attention_heads)
        return cg_fail(CG_ERR_USER, "head_dim is missing and hidden_size is no multiple of num_attention_heads");
    c->head_dim = c->hidden_size / c->num_attention_heads;
    return CG_OK;
}

static enum cg_status parse_config(const json_t *j, struct cg_config *c)
{
    CG_TRY(read_architecture(j, &c->arch));
    CG_TRY(check_features(j, cg_architecture(c->arch)));
    CG_TRY(get_size(j, "vocab_size", &c->vocab_size));
    CG_TRY(get_size(j, "hidden_size", &c->hidden_size));
    CG_TRY(get_size(j, "intermediate_size", &c->intermediate_size));
    CG_TRY(get_size(j, "num_hidden_layers", &c->num_hidden_layers));
    CG_TRY(get_size(j, "num_attention_heads", &c->num_attention_heads));
    c->num_key_value_heads = c->num_attention_heads;
    if (get(j, "num_key_value_heads")) CG_TRY(get_size(j, "num_key_value_heads", &c->num_key_value_heads));
    CG_TRY(read_head_dim(j, c));
    c->max_position_embeddings = 2048;
    if (get(j, "max_position_embeddings")) CG_TRY(get_size(j, "max_position_embeddings", &c->max_position_embeddings));
    double eps = 1e-6;
    CG_TRY(get_number(j, "rms_norm_eps", &eps));
    c->rms_norm_eps = (float)eps;
    CG_TRY(read_rope(j, c));
    CG_TRY(get_bool(j, "tie_word_embeddings", &c->tie_word_embeddings));
    CG_TRY(get_token(j, "bos_token_id", &c->bos_token_id));
    CG_TRY(get_token(j, "eos_token_id", &c->eos_token_id));
    return get_token(j, "pad_token_id", &c->pad_token_id);
}

static enum cg_status read_json(const char *dir, const char *name, json_t **j, char **path)
{
    *j = NULL;
    *path = cg_path_join(dir, name);
    if (!*path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    return cg_json_read(*path, MAX_CONFIG, j);
}

/* The end token of generation_config.json, where there is that file. */
static enum cg_status read_generation(const char *dir, struct cg_config *c)
{
    json_t *j = NULL;
    char *path = cg_path_join(dir, "generation_config.json");
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = CG_OK;
    if (access(path, F_OK) == 0) {
        s = cg_json_read(path, MAX_CONFIG, &j);
        if (s == CG_OK && (s = get_token(j, "eos_token_id", &c->eos_token_id)) != CG_OK) s = cg_fail_in(s, "%s", path);
    }
    json_decref(j);
    free(path);
    return s;
}

enum cg_status cg_hf_config(const char *dir, struct cg_config *cfg)
{
    json_t *j;
    char *path;
    memset(cfg, 0, sizeof *cfg);
    enum cg_status s = read_json(dir, "config.json", &j, &path);
    if (s == CG_OK && (s = parse_config(j, cfg)) != CG_OK) s = cg_fail_in(s, "%s", path);
    if (s == CG_OK && cfg->eos_token_id < 0) s = read_generation(dir, cfg);
    json_decref(j);
    free(path);
    return s;
}

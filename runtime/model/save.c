/* cg_model_save: a folder that transformers opens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/model/model.h"
#include "runtime/model/safetensors.h"

/* The shortest decimal that reads back as the same number, with a point or an exponent: readers with types ask for one.
 */
static void print_double(FILE *f, double x, int is_float)
{
    char buf[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, x);
        if (is_float ? strtof(buf, NULL) == (float)x : strtod(buf, NULL) == x) break;
    }
    fprintf(f, "%s%s", buf, strpbrk(buf, ".e") ? "" : ".0");
}

static void print_tokens(FILE *f, const struct cg_config *c)
{
    const int ids[3] = {c->bos_token_id, c->eos_token_id, c->pad_token_id};
    static const char *const names[3] = {"bos", "eos", "pad"};
    for (int i = 0; i < 3; i++) {
        fprintf(f, "  \"%s_token_id\": ", names[i]);
        if (ids[i] >= 0) fprintf(f, "%d,\n", ids[i]);
        else fputs("null,\n", f);
    }
}

static void print_config(FILE *f, const struct cg_config *c)
{
    fputs("{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  \"attention_bias\": false,\n"
          "  \"attention_dropout\": 0.0,\n",
          f);
    print_tokens(f, c);
    fprintf(f, "  \"head_dim\": %zu,\n  \"hidden_act\": \"silu\",\n  \"hidden_size\": %zu,\n", c->head_dim,
            c->hidden_size);
    fprintf(f, "  \"initializer_range\": 0.02,\n  \"intermediate_size\": %zu,\n", c->intermediate_size);
    fprintf(f, "  \"max_position_embeddings\": %zu,\n  \"mlp_bias\": false,\n  \"model_type\": \"llama\",\n",
            c->max_position_embeddings);
    fprintf(f, "  \"num_attention_heads\": %zu,\n  \"num_hidden_layers\": %zu,\n  \"num_key_value_heads\": %zu,\n",
            c->num_attention_heads, c->num_hidden_layers, c->num_key_value_heads);
    fputs("  \"rms_norm_eps\": ", f);
    print_double(f, (double)c->rms_norm_eps, 1);
    /* transformers 4 knows only this form of the rotary parameters, transformers 5 still reads it. */
    fputs(",\n  \"rope_scaling\": null,\n  \"rope_theta\": ", f);
    print_double(f, c->rope_theta, 0);
    fprintf(f,
            ",\n  \"tie_word_embeddings\": %s,\n  \"torch_dtype\": \"float32\",\n  \"use_cache\": true,\n"
            "  \"vocab_size\": %zu\n}\n",
            c->tie_word_embeddings ? "true" : "false", c->vocab_size);
}

static void print_generation(FILE *f, const struct cg_config *c)
{
    fputs("{\n", f);
    print_tokens(f, c);
    fputs("  \"_from_model_config\": true\n}\n", f);
}

static enum cg_status save_text(const char *dir, const char *name, void (*print)(FILE *, const struct cg_config *),
                                const struct cg_config *c)
{
    struct cg_out out;
    char *path = cg_path_join(dir, name);
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = cg_out_open(path, &out);
    if (s == CG_OK) {
        print(out.f, c);
        s = cg_out_commit(&out);
    }
    free(path);
    return s;
}

static enum cg_status save_weights(const struct cg_model *m, const char *dir)
{
    size_t n = cg_model_tensor_count(m);
    struct cg_tensor_ref *refs = calloc(n, sizeof *refs);
    struct cg_st_item *items = calloc(n, sizeof *items);
    char *path = cg_path_join(dir, "model.safetensors");
    enum cg_status s;
    if (!refs || !items || !path) {
        s = cg_fail(CG_ERR_MEMORY, "out of memory");
    } else {
        for (size_t i = 0; i < n; i++) {
            refs[i] = cg_model_tensor(m, i);
            items[i] = (struct cg_st_item){.name = refs[i].name,
                                           .n_dims = refs[i].cols ? 2 : 1,
                                           .dims = {refs[i].rows, refs[i].cols},
                                           .data = m->w + refs[i].offset};
        }
        s = cg_st_write(path, items, n);
    }
    free(refs);
    free(items);
    free(path);
    return s;
}

enum cg_status cg_model_save(const struct cg_model *m, const char *dir)
{
    CG_TRY(cg_mkdirs(dir));
    /* The weights first: they are what a full disk refuses. */
    CG_TRY(save_weights(m, dir));
    CG_TRY(save_text(dir, "config.json", print_config, &m->cfg));
    return save_text(dir, "generation_config.json", print_generation, &m->cfg);
}

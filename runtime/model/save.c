/* Writing a model as a folder that transformers opens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/model/safetensors.h"
#include "runtime/model/source.h"

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

/* What the architectures' configurations do not share. */
static void print_features(FILE *f, enum cg_model_arch arch)
{
    switch (arch) {
    case CG_MODEL_LLAMA: fputs("  \"attention_bias\": false,\n  \"mlp_bias\": false,\n", f); break;
    case CG_MODEL_QWEN2: fputs("  \"use_sliding_window\": false,\n", f); break;
    default: fputs("  \"attention_bias\": false,\n  \"use_sliding_window\": false,\n", f); break;
    }
}

static void print_config(FILE *f, const struct cg_config *c, int bf16)
{
    const struct cg_architecture *a = cg_architecture(c->arch);
    fprintf(f, "{\n  \"architectures\": [\n    \"%s\"\n  ],\n  \"attention_dropout\": 0.0,\n", a->causal_lm);
    print_features(f, c->arch);
    print_tokens(f, c);
    fprintf(f, "  \"head_dim\": %zu,\n  \"hidden_act\": \"silu\",\n  \"hidden_size\": %zu,\n", c->head_dim,
            c->hidden_size);
    fprintf(f, "  \"initializer_range\": 0.02,\n  \"intermediate_size\": %zu,\n", c->intermediate_size);
    fprintf(f, "  \"max_position_embeddings\": %zu,\n  \"model_type\": \"%s\",\n", c->max_position_embeddings, a->name);
    fprintf(f, "  \"num_attention_heads\": %zu,\n  \"num_hidden_layers\": %zu,\n  \"num_key_value_heads\": %zu,\n",
            c->num_attention_heads, c->num_hidden_layers, c->num_key_value_heads);
    fputs("  \"rms_norm_eps\": ", f);
    print_double(f, (double)c->rms_norm_eps, 1);
    /* transformers 4 knows only this form of the rotary parameters, transformers 5 still reads it. */
    fputs(",\n  \"rope_scaling\": null,\n  \"rope_theta\": ", f);
    print_double(f, c->rope_theta, 0);
    fprintf(f,
            ",\n  \"tie_word_embeddings\": %s,\n  \"torch_dtype\": \"%s\",\n  \"use_cache\": true,\n"
            "  \"vocab_size\": %zu\n}\n",
            c->tie_word_embeddings ? "true" : "false", bf16 ? "bfloat16" : "float32", c->vocab_size);
}

static void print_generation(FILE *f, const struct cg_config *c, int bf16)
{
    (void)bf16;
    fputs("{\n", f);
    print_tokens(f, c);
    fputs("  \"_from_model_config\": true\n}\n", f);
}

static enum cg_status save_text(const char *dir, const char *name, void (*print)(FILE *, const struct cg_config *, int),
                                const struct cg_config *c, int bf16)
{
    struct cg_out out;
    char *path = cg_path_join(dir, name);
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = cg_out_open(path, &out);
    if (s == CG_OK) {
        print(out.f, c, bf16);
        s = cg_out_commit(&out);
    }
    free(path);
    return s;
}

/* A tensor of a source that is being written. */
struct piece {
    const struct cg_source *src;
    struct cg_tensor_ref ref;
};

static enum cg_status read_piece(void *ctx, size_t first, size_t n, float *out)
{
    const struct piece *p = ctx;
    return cg_source_read(p->src, p->ref.offset + first, n, out);
}

static enum cg_status save_weights(const struct cg_source *src, const char *dir, int bf16)
{
    size_t n = cg_model_tensor_count(&src->model);
    struct piece *pieces = calloc(n, sizeof *pieces);
    struct cg_st_item *items = calloc(n, sizeof *items);
    char *path = cg_path_join(dir, "model.safetensors");
    enum cg_status s = pieces && items && path ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n && s == CG_OK; i++) {
        struct cg_tensor_ref r = cg_model_tensor(&src->model, i);
        pieces[i] = (struct piece){src, r};
        items[i] = (struct cg_st_item){.name = pieces[i].ref.name,
                                       .n_dims = r.cols ? 2 : 1,
                                       .dims = {r.rows, r.cols},
                                       .bf16 = bf16,
                                       .read = read_piece,
                                       .ctx = &pieces[i]};
    }
    if (s == CG_OK) s = cg_st_write(path, items, n);
    free(pieces);
    free(items);
    free(path);
    return s;
}

enum cg_status cg_source_save(const struct cg_source *s, const char *dir, int bf16)
{
    CG_TRY(cg_mkdirs(dir));
    /* The weights first: they are what a full disk refuses. */
    CG_TRY(save_weights(s, dir, bf16));
    CG_TRY(save_text(dir, "config.json", print_config, &s->model.cfg, bf16));
    return save_text(dir, "generation_config.json", print_generation, &s->model.cfg, bf16);
}

enum cg_status cg_model_save(const struct cg_model *m, const char *dir)
{
    struct cg_source s;
    CG_TRY(cg_source_of_model(m, &s));
    enum cg_status r = cg_source_save(&s, dir, 0);
    cg_source_close(&s);
    return r;
}

/* Adapters leave: merged into the weights, and as peft's two files. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/model/safetensors.h"
#include "runtime/model/source.h"
#include "runtime/nn/adapters.h"
#include "runtime/nn/net.h"

/* The adapter of tensor `name`; NULL: it has none. */
static const struct cg_adapter *adapter_of(const struct cg_adapters *a, const struct cg_model *m, const char *name)
{
    for (size_t i = 0; i < a->n_of; i++)
        for (size_t p = 0; p < a->of[i].n; p++) {
            struct cg_tensor_ref t = cg_model_tensor(m, a->of[i].part[p].tensor);
            if (strcmp(t.name, name) == 0) return &a->of[i].part[p];
        }
    return NULL;
}

/* W + scale B A, row by row, the products of a row added in the order of A's rows. */
static enum cg_status merged_rows(const struct cg_source *s, const struct cg_tensor_ref *t, size_t row, size_t n,
                                  float *out)
{
    const struct cg_net *net = s->file;
    const struct cg_adapters *a = net->adapters;
    size_t cols = t->cols ? t->cols : t->rows;
    CG_TRY(cg_net_weights(net, t->offset + row * cols, n * cols, out));
    const struct cg_adapter *ad = a ? adapter_of(a, net->model, t->name) : NULL;
    for (size_t i = 0; ad && i < n; i++)
        for (size_t j = 0; j < a->r; j++) {
            float f = a->scale * a->w[ad->b + (row + i) * a->r + j];
            net->rows->axpy_f32(cols, f, a->w + ad->a + j * cols, out + i * cols);
        }
    return CG_OK;
}

enum cg_status cg_adapters_merged(const struct cg_net *net, struct cg_source *out)
{
    CG_TRY(cg_source_of_model(net->model, out));
    out->rows = merged_rows;
    out->file = (void *)(uintptr_t)net;
    return CG_OK;
}

static enum cg_status save_config(const struct cg_adapters *a, const char *base, const char *path)
{
    json_t *targets = json_array();
    for (size_t i = 0; i < a->n_targets; i++) json_array_append_new(targets, json_string(a->targets[i]));
    int whole = a->alpha == floor(a->alpha); /* peft's own type is an integer */
    json_t *alpha = whole ? json_integer((json_int_t)a->alpha) : json_real(a->alpha);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:f, s:b, s:b, s:b, s:o}", "peft_type", "LORA", "task_type",
                          "CAUSAL_LM", "base_model_name_or_path", base, "bias", "none", "r", (json_int_t)a->r,
                          "lora_alpha", alpha, "lora_dropout", 0.0, "fan_in_fan_out", 0, "inference_mode", 1,
                          "use_rslora", 0, "target_modules", targets);
    struct cg_out out;
    enum cg_status s = j ? cg_out_open(path, &out) : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) {
        json_dumpf(j, out.f, JSON_INDENT(2));
        fputc('\n', out.f);
        s = cg_out_commit(&out);
    }
    json_decref(j);
    return s;
}

/* The two matrices of an adapter: items and names. */
static void add(const struct cg_adapters *a, const struct cg_model *m, const struct cg_adapted *of,
                const struct cg_adapter *ad, struct cg_st_item items[2], char names[2][CG_ADAPTER_NAME])
{
    struct cg_tensor_ref t = cg_model_tensor(m, ad->tensor);
    int len = (int)(strlen(t.name) - strlen(".weight"));
    for (int i = 0; i < 2; i++) {
        snprintf(names[i], CG_ADAPTER_NAME, "base_model.model.%.*s.lora_%c.weight", len, t.name, "AB"[i]);
        items[i] = (struct cg_st_item){.name = names[i],
                                       .n_dims = 2,
                                       .dims = {i ? ad->rows : a->r, i ? a->r : of->k},
                                       .data = a->w + (i ? ad->b : ad->a)};
    }
}

enum cg_status cg_adapters_save(const struct cg_adapters *a, const struct cg_model *model, const char *base,
                                const char *dir)
{
    size_t n = 0;
    struct cg_st_item *items = calloc(a->n_of * 6, sizeof *items);
    char(*names)[CG_ADAPTER_NAME] = calloc(a->n_of * 6, sizeof *names);
    char *weights = cg_path_join(dir, "adapter_model.safetensors"), *config = cg_path_join(dir, "adapter_config.json");
    enum cg_status s = items && names && weights && config ? cg_mkdirs(dir) : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) {
        for (size_t i = 0; i < a->n_of; i++)
            for (size_t p = 0; p < a->of[i].n; p++, n += 2)
                add(a, model, &a->of[i], &a->of[i].part[p], items + n, names + n);
        s = cg_st_write(weights, items, n);
    }
    if (s == CG_OK) s = save_config(a, base, config);
    free(items);
    free(names);
    free(weights);
    free(config);
    return s;
}

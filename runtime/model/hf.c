/* The weights of a Hugging Face folder: model.safetensors, or the shards that model.safetensors.index.json lists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "runtime/model/dtype.h"
#include "runtime/model/internal.h"
#include "runtime/model/json.h"
#include "runtime/model/safetensors.h"

#define MAX_INDEX ((size_t)64 << 20)
#define MAX_SHARDS 1000

struct shards {
    struct cg_st *st[MAX_SHARDS];
    char *file[MAX_SHARDS];
    size_t n;
};

static void close_shards(struct shards *s)
{
    for (size_t i = 0; i < s->n; i++) {
        cg_st_close(s->st[i]);
        free(s->file[i]);
    }
    s->n = 0;
}

static enum cg_status open_shard(const char *dir, const char *file, struct shards *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->file[i], file) == 0) return CG_OK;
    char buf[64];
    /* It goes into a path and into messages: cg_printable changes what has no place in either, or is too long. */
    if (file[0] == 0 || strchr(file, '/') || strcmp(cg_printable(file, strlen(file), buf), file) != 0)
        return cg_fail(CG_ERR_USER, "it names a shard \"%s\", which is no plain name of a file in its folder",
                       cg_printable(file, strlen(file), buf));
    if (s->n == MAX_SHARDS) return cg_fail(CG_ERR_USER, "it lists more than %d shards", MAX_SHARDS);
    char *path = cg_path_join(dir, file), *copy = strdup(file);
    struct cg_st *st = NULL;
    enum cg_status r = path && copy ? cg_st_open(path, &st) : cg_fail(CG_ERR_MEMORY, "out of memory");
    free(path);
    if (r != CG_OK) {
        free(copy);
        return r;
    }
    s->file[s->n] = copy;
    s->st[s->n++] = st;
    return CG_OK;
}

static enum cg_status open_index(const char *dir, const char *path, struct shards *s)
{
    json_t *j;
    CG_TRY(cg_json_read(path, MAX_INDEX, &j));
    json_t *map = json_object_get(j, "weight_map"), *file;
    const char *name;
    enum cg_status r = CG_OK;
    if (!json_is_object(map) || json_object_size(map) == 0) r = cg_fail(CG_ERR_USER, "it has no weight_map");
    json_object_foreach(map, name, file)
    {
        if (r != CG_OK) break;
        if (!json_is_string(file)) r = cg_fail(CG_ERR_USER, "its weight_map has a file that is not a name");
        else r = open_shard(dir, json_string_value(file), s);
    }
    json_decref(j);
    return r == CG_OK ? r : cg_fail_in(r, "%s", path);
}

static enum cg_status open_all(const char *dir, struct shards *s)
{
    char *one = cg_path_join(dir, "model.safetensors"), *index = cg_path_join(dir, "model.safetensors.index.json");
    enum cg_status r;
    if (!one || !index) r = cg_fail(CG_ERR_MEMORY, "out of memory");
    else if (access(one, F_OK) == 0) r = open_shard(dir, "model.safetensors", s);
    else if (access(index, F_OK) == 0) r = open_index(dir, index, s);
    else
        r = cg_fail(CG_ERR_IO,
                    "%s has neither model.safetensors nor model.safetensors.index.json; other formats "
                    "(pytorch_model.bin) are not read: convert the model to safetensors",
                    dir);
    free(one);
    free(index);
    return r;
}

static const struct cg_st_tensor *find(const struct shards *s, const char *name, const struct cg_st **in)
{
    const struct cg_st_tensor *t = NULL;
    *in = s->st[0];
    for (size_t i = 0; i < s->n && !t; i++) {
        *in = s->st[i];
        t = cg_st_find(s->st[i], name);
    }
    return t;
}

static enum cg_status wrong_shape(const struct cg_st *st, const struct cg_st_tensor *t, const struct cg_tensor_ref *r)
{
    char got[256] = "[", want[64];
    for (size_t i = 0; i < t->n_dims; i++) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%s%zu", i ? ", " : "", t->dims[i]);
    }
    if (r->cols) snprintf(want, sizeof want, "[%zu, %zu]", r->rows, r->cols);
    else snprintf(want, sizeof want, "[%zu]", r->rows);
    return cg_fail(CG_ERR_USER, "%s: tensor %s has the shape %s], config.json asks for %s", cg_st_path(st), r->name,
                   got, want);
}

static enum cg_status check_tensors(const char *dir, const struct shards *s, const struct cg_model *m)
{
    for (size_t i = 0; i < cg_model_tensor_count(m); i++) {
        struct cg_tensor_ref r = cg_model_tensor(m, i);
        const struct cg_st *st;
        const struct cg_st_tensor *t = find(s, r.name, &st);
        if (!t)
            return cg_fail(CG_ERR_USER, "%s: its weights lack the tensor %s, which config.json asks for", dir, r.name);
        if (t->n_dims != (r.cols ? 2 : 1) || t->dims[0] != r.rows || (r.cols && t->dims[1] != r.cols))
            return wrong_shape(st, t, &r);
        if (!cg_st_is_float(t)) {
            char buf[64];
            return cg_fail(CG_ERR_USER, "%s: tensor %s is %s; supported are F32, F16 and BF16", cg_st_path(st), r.name,
                           cg_printable(t->dtype, strlen(t->dtype), buf));
        }
    }
    return CG_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cg_tensor_ref *)a)->name, ((const struct cg_tensor_ref *)b)->name);
}

/* Tensors that some programs store without need. */
static int is_superfluous(const char *name)
{
    static const char rotary[] = ".rotary_emb.inv_freq";
    size_t n = strlen(name), k = sizeof rotary - 1;
    return strcmp(name, "lm_head.weight") == 0 || (n > k && strcmp(name + n - k, rotary) == 0);
}

/* A tensor that the architecture does not have (a bias, a norm of queries) means another computation than ours. */
static enum cg_status check_no_others(const struct shards *s, const struct cg_model *m)
{
    size_t n = cg_model_tensor_count(m);
    struct cg_tensor_ref *refs = calloc(n, sizeof *refs), key;
    if (!refs) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) refs[i] = cg_model_tensor(m, i);
    qsort(refs, n, sizeof *refs, by_name);
    enum cg_status r = CG_OK;
    for (size_t i = 0; i < s->n && r == CG_OK; i++)
        for (size_t k = 0; k < cg_st_count(s->st[i]) && r == CG_OK; k++) {
            const char *name = cg_st_tensor(s->st[i], k)->name;
            char buf[64];
            snprintf(key.name, sizeof key.name, "%s", name);
            if (is_superfluous(name)) continue;
            if (strlen(name) < sizeof key.name && bsearch(&key, refs, n, sizeof *refs, by_name)) continue;
            r = cg_fail(CG_ERR_USER, "%s: tensor %s is not part of the %s that config.json describes",
                        cg_st_path(s->st[i]), cg_printable(name, strlen(name), buf),
                        cg_architecture(m->cfg.arch)->causal_lm);
        }
    free(refs);
    return r;
}

static enum cg_status hf_rows(const struct cg_source *src, const struct cg_tensor_ref *r, size_t row, size_t n,
                              float *out)
{
    const struct cg_st *st;
    const struct cg_st_tensor *t = find(src->file, r->name, &st);
    size_t cols = r->cols ? r->cols : r->rows;
    CG_TRY(cg_st_values(st, t, row * cols, n * cols, out));
    cg_st_release(st, t, row * cols, n * cols);
    if (cg_all_finite(out, n * cols)) return CG_OK;
    return cg_fail(CG_ERR_USER, "%s: tensor %s has values that are infinite or not numbers", cg_st_path(st), r->name);
}

static void hf_close(struct cg_source *src)
{
    close_shards(src->file);
    free(src->file);
}

enum cg_status cg_hf_source(const char *dir, struct cg_source *src)
{
    struct cg_config cfg;
    CG_TRY(cg_hf_config(dir, &cfg));
    enum cg_status r = cg_model_layout(&cfg, &src->model);
    if (r != CG_OK) return cg_fail_in(r, "%s/config.json", dir);
    struct shards *s = calloc(1, sizeof *s);
    if (!s) return cg_fail(CG_ERR_MEMORY, "out of memory");
    src->file = s;
    src->rows = hf_rows;
    src->close = hf_close;
    CG_TRY(open_all(dir, s));
    CG_TRY(check_tensors(dir, s, &src->model));
    return check_no_others(s, &src->model);
}

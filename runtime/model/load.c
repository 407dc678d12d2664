/* Opening a model: which reader a path is for. Reading it, whole or in pieces. */
#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/builtin.h"
#include "runtime/model/internal.h"

#define PIECE ((size_t)1 << 18) /* values that are read at a time */

static enum cg_status open_path(const char *path, uint64_t seed, struct cg_source *s)
{
    struct stat st;
    if (cg_is_builtin(path)) return cg_builtin_source(path, seed, s);
    if (stat(path, &st) != 0)
        return cg_fail(CG_ERR_IO, "cannot open the model %s: %s (a Hugging Face folder, a .gguf file or builtin:NAME)",
                       path, strerror(errno));
    return S_ISDIR(st.st_mode) ? cg_hf_source(path, s) : cg_gguf_source(path, s);
}

enum cg_status cg_source_open(const char *path, uint64_t seed, struct cg_source *s)
{
    memset(s, 0, sizeof *s);
    enum cg_status r = open_path(path, seed, s);
    if (r == CG_OK && !(s->model.source = strdup(path))) r = cg_fail(CG_ERR_MEMORY, "out of memory");
    if (r != CG_OK) cg_source_close(s);
    return r;
}

void cg_source_close(struct cg_source *s)
{
    if (s->close) s->close(s);
    cg_model_free(&s->model);
    memset(s, 0, sizeof *s);
}

enum cg_status cg_flat_rows(const struct cg_source *s, const struct cg_tensor_ref *t, size_t row, size_t n, float *out)
{
    size_t cols = t->cols ? t->cols : t->rows;
    memcpy(out, (const float *)s->file + t->offset + row * cols, n * cols * sizeof *out);
    return CG_OK;
}

enum cg_status cg_source_of_model(const struct cg_model *m, struct cg_source *s)
{
    memset(s, 0, sizeof *s);
    enum cg_status r = cg_model_layout(&m->cfg, &s->model);
    if (r == CG_OK && m->source && !(s->model.source = strdup(m->source))) r = cg_fail(CG_ERR_MEMORY, "out of memory");
    if (r != CG_OK) cg_model_free(&s->model);
    s->file = m->w;
    s->rows = cg_flat_rows;
    return r;
}

/* Rows [row, row + n) of a tensor, a piece at a time. */
static enum cg_status read_rows(const struct cg_source *s, const struct cg_tensor_ref *t, size_t row, size_t n,
                                float *out)
{
    size_t cols = t->cols ? t->cols : t->rows, most = PIECE / cols ? PIECE / cols : 1;
    for (size_t end = row + n, k; row < end; row += k, out += k * cols) {
        k = end - row < most ? end - row : most;
        CG_TRY(s->rows(s, t, row, k, out));
    }
    return CG_OK;
}

/* The tensor whose values begin at `offset` or before, and go on to it. */
static struct cg_tensor_ref tensor_at(const struct cg_model *m, size_t offset)
{
    size_t lo = 0, hi = cg_model_tensor_count(m);
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (cg_model_tensor(m, mid).offset <= offset) lo = mid;
        else hi = mid;
    }
    return cg_model_tensor(m, lo);
}

enum cg_status cg_source_read(const struct cg_source *s, size_t offset, size_t n, float *out)
{
    if (offset > s->model.n_params || n > s->model.n_params - offset)
        return cg_fail(CG_ERR_INTERNAL, "weights behind the end of the model");
    for (size_t end = offset + n, k; offset < end; offset += k, out += k) {
        struct cg_tensor_ref t = tensor_at(&s->model, offset);
        size_t cols = t.cols ? t.cols : t.rows, at = offset - t.offset, left = t.rows * (t.cols ? t.cols : 1) - at;
        k = end - offset < left ? end - offset : left;
        if (at % cols || k % cols) return cg_fail(CG_ERR_INTERNAL, "weights that are not whole rows of %s", t.name);
        CG_TRY(read_rows(s, &t, at / cols, k / cols, out));
    }
    return CG_OK;
}

enum cg_status cg_model_load(const char *path, uint64_t seed, struct cg_model *m)
{
    struct cg_source s;
    memset(m, 0, sizeof *m);
    CG_TRY(cg_source_open(path, seed, &s));
    enum cg_status r = cg_model_alloc(&s.model);
    if (r == CG_OK) r = cg_source_read(&s, 0, s.model.n_params, s.model.w);
    if (r == CG_OK) {
        *m = s.model;
        memset(&s.model, 0, sizeof s.model); /* it has moved */
    }
    cg_source_close(&s);
    return r;
}

enum cg_status cg_model_reload(const char *dir, struct cg_model *m)
{
    struct cg_source s;
    CG_TRY(cg_source_open(dir, 0, &s));
    enum cg_status r = CG_OK;
    if (memcmp(&s.model.layers[0], &m->layers[0], sizeof *m->layers) != 0 || s.model.n_params != m->n_params)
        r = cg_fail(CG_ERR_USER, "%s: its model has %zu parameters or other sizes, not those of a model of %zu", dir,
                    s.model.n_params, m->n_params);
    if (r == CG_OK) r = cg_source_read(&s, 0, m->n_params, m->w);
    cg_source_close(&s);
    return r;
}

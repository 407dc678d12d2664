/* Opening a GGUF file: the walk over its header that checks all of it, and the tensors. */
#include "runtime/model/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/model/dtype.h"
#include "runtime/model/gguf_internal.h"
#include "runtime/model/json.h"

#define MAX_NESTING 4 /* arrays of arrays; nothing in use has any */

static const struct ggml_type {
    const char *name;
    size_t block, bytes; /* 0: not supported */
    void (*values)(const unsigned char *src, size_t n, float *out);
} types[] = {
    [0] = {"F32", 1, 4, cg_from_f32},
    [1] = {"F16", 1, 2, cg_from_f16},
    [2] = {"Q4_0", 32, 18, cg_from_q4_0},
    [3] = {"Q4_1", 32, 20, cg_from_q4_1},
    [6] = {"Q5_0", 32, 22, cg_from_q5_0},
    [7] = {"Q5_1", 32, 24, cg_from_q5_1},
    [8] = {"Q8_0", 32, 34, cg_from_q8_0},
    [9] = {.name = "Q8_1"},
    [10] = {.name = "Q2_K"},
    [11] = {.name = "Q3_K"},
    [12] = {"Q4_K", 256, 144, cg_from_q4_k},
    [13] = {"Q5_K", 256, 176, cg_from_q5_k},
    [14] = {"Q6_K", 256, 210, cg_from_q6_k},
    [15] = {.name = "Q8_K"},
    [16] = {.name = "IQ2_XXS"},
    [17] = {.name = "IQ2_XS"},
    [18] = {.name = "IQ3_XXS"},
    [19] = {.name = "IQ1_S"},
    [20] = {.name = "IQ4_NL"},
    [21] = {.name = "IQ3_S"},
    [22] = {.name = "IQ2_S"},
    [23] = {.name = "IQ4_XS"},
    [24] = {.name = "I8"},
    [25] = {.name = "I16"},
    [26] = {.name = "I32"},
    [27] = {.name = "I64"},
    [28] = {.name = "F64"},
    [29] = {.name = "IQ1_M"},
    [30] = {"BF16", 1, 2, cg_from_bf16},
    [34] = {.name = "TQ1_0"},
    [35] = {.name = "TQ2_0"},
    [39] = {.name = "MXFP4"},
};

static const struct ggml_type *find_type(uint32_t type)
{
    return type < sizeof types / sizeof types[0] && types[type].name ? &types[type] : NULL;
}

const char *cg_gguf_type_name(uint32_t type)
{
    const struct ggml_type *t = find_type(type);
    return t ? t->name : "an unknown type";
}

int cg_cursor_take(struct cg_cursor *c, void *out, size_t n)
{
    if (n > (size_t)(c->end - c->p)) return 0;
    memcpy(out, c->p, n);
    c->p += n;
    return 1;
}

int cg_cursor_string(struct cg_cursor *c, struct cg_gguf_str *s)
{
    uint64_t n;
    if (!cg_cursor_take(c, &n, 8) || n > (size_t)(c->end - c->p)) return 0;
    s->s = (const char *)c->p;
    s->n = (size_t)n;
    c->p += n;
    return 1;
}

size_t cg_gguf_value_size(uint32_t type)
{
    static const size_t size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof size / sizeof size[0] ? size[type] : 0;
}

/* Steps over a value; 0 when it does not lie in the file. */
static int skip_value(struct cg_cursor *c, uint32_t type, int nesting)
{
    struct cg_gguf_str s;
    uint32_t item;
    uint64_t n;
    if (type == CG_GGUF_STRING) return cg_cursor_string(c, &s);
    if (type != CG_GGUF_ARRAY) {
        size_t size = cg_gguf_value_size(type);
        if (size == 0 || size > (size_t)(c->end - c->p)) return 0;
        c->p += size;
        return 1;
    }
    if (nesting == MAX_NESTING || !cg_cursor_take(c, &item, 4) || !cg_cursor_take(c, &n, 8)) return 0;
    size_t size = cg_gguf_value_size(item);
    if (size) {
        if (n > (size_t)(c->end - c->p) / size) return 0;
        c->p += n * size;
        return 1;
    }
    for (uint64_t i = 0; i < n; i++)
        if (!skip_value(c, item, nesting + 1)) return 0;
    return 1;
}

static int by_key(const void *a, const void *b)
{
    return cg_gguf_str_cmp(((const struct cg_gguf_kv *)a)->key, ((const struct cg_gguf_kv *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return cg_gguf_str_cmp(((const struct cg_gguf_tensor *)a)->name, ((const struct cg_gguf_tensor *)b)->name);
}

int cg_gguf_str_cmp(struct cg_gguf_str a, struct cg_gguf_str b)
{
    int d = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);
    if (d) return d;
    return a.n < b.n ? -1 : a.n > b.n;
}

static enum cg_status cut_short(const char *where)
{
    return cg_fail(CG_ERR_USER, "the file is cut short or damaged (in its %s)", where);
}

static enum cg_status read_metadata(struct cg_gguf *g, struct cg_cursor *c, uint64_t n)
{
    /* The least a key takes: two lengths, a type, one byte. */
    if (n > (size_t)(c->end - c->p) / 13) return cut_short("metadata");
    g->kv = calloc(n ? n : 1, sizeof *g->kv);
    if (!g->kv) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (; g->n_kv < n; g->n_kv++) {
        struct cg_gguf_kv *kv = &g->kv[g->n_kv];
        if (!cg_cursor_string(c, &kv->key) || !cg_cursor_take(c, &kv->type, 4)) return cut_short("metadata");
        kv->value = *c;
        if (!skip_value(c, kv->type, 0)) return cut_short("metadata");
        kv->value.end = c->p;
    }
    qsort(g->kv, g->n_kv, sizeof *g->kv, by_key);
    for (size_t i = 1; i < g->n_kv; i++)
        if (by_key(&g->kv[i - 1], &g->kv[i]) == 0) {
            char buf[64];
            return cg_fail(CG_ERR_USER, "the key %s occurs twice; the file is damaged",
                           cg_printable(g->kv[i].key.s, g->kv[i].key.n, buf));
        }
    return CG_OK;
}

static enum cg_status bad(const struct cg_gguf_tensor *t, const char *what)
{
    char buf[64];
    return cg_fail(CG_ERR_USER, "tensor %s %s; the file is damaged", cg_printable(t->name.s, t->name.n, buf), what);
}

static enum cg_status read_tensor_info(struct cg_cursor *c, struct cg_gguf_tensor *t)
{
    if (!cg_cursor_string(c, &t->name) || !cg_cursor_take(c, &t->n_dims, 4)) return cut_short("list of tensors");
    if (t->n_dims > 4) return bad(t, "has more than 4 dimensions");
    for (uint32_t i = 0; i < 4; i++) {
        t->dims[i] = 1;
        if (i < t->n_dims && !cg_cursor_take(c, &t->dims[i], 8)) return cut_short("list of tensors");
    }
    if (!cg_cursor_take(c, &t->type, 4) || !cg_cursor_take(c, &t->offset, 8)) return cut_short("list of tensors");
    return CG_OK;
}

/* Finds the tensor's data, `size` bytes of tensor data being in the file. */
static enum cg_status place_tensor(struct cg_gguf_tensor *t, const unsigned char *data, size_t size, size_t alignment)
{
    const struct ggml_type *type = find_type(t->type);
    if (!type || !type->block) return CG_OK; /* refused when it is used, with its type's name */
    size_t bytes = type->bytes;
    if (t->dims[0] % type->block) return bad(t, "has rows that are not whole blocks");
    for (int i = 0; i < 4; i++)
        if (__builtin_mul_overflow(bytes, t->dims[i] / (i == 0 ? type->block : 1), &bytes))
            return bad(t, "has an impossible shape");
    if (t->offset % alignment) return bad(t, "is not aligned");
    if (t->offset > size || bytes > size - t->offset) return bad(t, "reaches past the end of the file");
    t->data = data + t->offset;
    t->bytes = bytes;
    return CG_OK;
}

static int by_data(const void *a, const void *b)
{
    const struct cg_gguf_tensor *x = *(const struct cg_gguf_tensor *const *)a;
    const struct cg_gguf_tensor *y = *(const struct cg_gguf_tensor *const *)b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Two tensors over the same bytes would let a small file ask for any amount of memory. */
static enum cg_status check_overlap(const struct cg_gguf *g)
{
    const struct cg_gguf_tensor **order = calloc(g->n_tensors ? g->n_tensors : 1, sizeof *order);
    if (!order) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < g->n_tensors; i++) order[i] = &g->tensors[i];
    qsort(order, g->n_tensors, sizeof *order, by_data);
    enum cg_status s = CG_OK;
    for (size_t i = 1; i < g->n_tensors && s == CG_OK; i++)
        if (order[i]->offset - order[i - 1]->offset < order[i - 1]->bytes) s = bad(order[i], "overlaps another");
    free(order);
    return s;
}

static enum cg_status read_tensors(struct cg_gguf *g, struct cg_cursor *c, uint64_t n)
{
    /* The least an entry takes: a length, the number of dimensions, a type, an offset. */
    if (n > (size_t)(c->end - c->p) / 24) return cut_short("list of tensors");
    g->tensors = calloc(n ? n : 1, sizeof *g->tensors);
    if (!g->tensors) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (; g->n_tensors < n; g->n_tensors++) CG_TRY(read_tensor_info(c, &g->tensors[g->n_tensors]));
    uint64_t alignment = 32;
    if (cg_gguf_has(g, "general.alignment")) CG_TRY(cg_gguf_uint(g, "general.alignment", &alignment));
    if (alignment == 0 || alignment > 1u << 20 || alignment % 8 != 0)
        return cg_fail(CG_ERR_USER, "general.alignment is %" PRIu64 ", must be a multiple of 8", alignment);
    size_t start = (size_t)(c->p - g->map.data);
    start = (start + alignment - 1) / alignment * alignment;
    size_t size = start < g->map.size ? g->map.size - start : 0;
    if (size == 0) start = g->map.size;
    for (size_t i = 0; i < n; i++) CG_TRY(place_tensor(&g->tensors[i], g->map.data + start, size, alignment));
    CG_TRY(check_overlap(g));
    qsort(g->tensors, g->n_tensors, sizeof *g->tensors, by_name);
    for (size_t i = 1; i < g->n_tensors; i++)
        if (by_name(&g->tensors[i - 1], &g->tensors[i]) == 0) return bad(&g->tensors[i], "occurs twice");
    return CG_OK;
}

static enum cg_status read_all(struct cg_gguf *g)
{
    char magic[4] = "";
    uint32_t version = 0;
    uint64_t n_tensors = 0, n_kv = 0;
    if (g->map.size < 24) return cg_fail(CG_ERR_USER, "not a GGUF file: it has only %zu bytes", g->map.size);
    struct cg_cursor c = {g->map.data, g->map.data + g->map.size};
    cg_cursor_take(&c, magic, 4);
    cg_cursor_take(&c, &version, 4);
    cg_cursor_take(&c, &n_tensors, 8);
    cg_cursor_take(&c, &n_kv, 8);
    if (memcmp(magic, "GGUF", 4) != 0) return cg_fail(CG_ERR_USER, "not a GGUF file: it does not begin with GGUF");
    if (version != 2 && version != 3)
        return cg_fail(CG_ERR_USER, "GGUF version %" PRIu32 "; supported are 2 and 3, little-endian: convert it anew",
                       version);
    CG_TRY(read_metadata(g, &c, n_kv));
    return read_tensors(g, &c, n_tensors);
}

enum cg_status cg_gguf_open(const char *path, struct cg_gguf **out)
{
    *out = NULL;
    struct cg_gguf *g = calloc(1, sizeof *g);
    if (!g || !(g->path = strdup(path))) {
        free(g);
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    enum cg_status s = cg_map_open(path, &g->map);
    if (s == CG_OK) {
        s = read_all(g);
        if (s != CG_OK) s = cg_fail_in(s, "%s", path);
    }
    if (s != CG_OK) {
        cg_gguf_close(g);
        return s;
    }
    *out = g;
    return CG_OK;
}

void cg_gguf_close(struct cg_gguf *g)
{
    if (!g) return;
    free(g->kv);
    free(g->tensors);
    cg_map_close(&g->map);
    free(g->path);
    free(g);
}

const char *cg_gguf_path(const struct cg_gguf *g)
{
    return g->path;
}

size_t cg_gguf_tensor_count(const struct cg_gguf *g)
{
    return g->n_tensors;
}

const struct cg_gguf_tensor *cg_gguf_tensor(const struct cg_gguf *g, size_t i)
{
    return &g->tensors[i];
}

const struct cg_gguf_tensor *cg_gguf_find(const struct cg_gguf *g, const char *name)
{
    struct cg_gguf_tensor key = {.name = {name, strlen(name)}};
    return bsearch(&key, g->tensors, g->n_tensors, sizeof *g->tensors, by_name);
}

static enum cg_status unsupported(const struct cg_gguf *g, const struct cg_gguf_tensor *t, const char *name)
{
    char list[128] = "";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t n = strlen(list);
        if (types[i].block) snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", types[i].name);
    }
    return cg_fail(CG_ERR_USER, "%s: tensor %s is stored as %s (type %" PRIu32 "); supported are %s", g->path, name,
                   cg_gguf_type_name(t->type), t->type, list);
}

enum cg_status cg_gguf_rows(const struct cg_gguf *g, const struct cg_gguf_tensor *t, size_t row, size_t n, float *out)
{
    const struct ggml_type *type = find_type(t->type);
    char buf[64];
    cg_printable(t->name.s, t->name.n, buf);
    if (!type || !type->block) return unsupported(g, t, buf);
    if (t->bytes == 0 || n == 0) return CG_OK;
    size_t row_bytes = t->dims[0] / type->block * type->bytes, rows = t->bytes / row_bytes;
    if (row > rows || n > rows - row)
        return cg_fail(CG_ERR_INTERNAL, "rows %zu to %zu of tensor %s, which has %zu", row, row + n, buf, rows);
    type->values(t->data + row * row_bytes, n * t->dims[0], out);
    return CG_OK;
}

void cg_gguf_release(const struct cg_gguf *g, const struct cg_gguf_tensor *t, size_t row, size_t n)
{
    const struct ggml_type *type = find_type(t->type);
    if (!type || t->bytes == 0) return;
    size_t row_bytes = t->dims[0] / type->block * type->bytes;
    cg_map_release(&g->map, t->data + row * row_bytes, n * row_bytes);
}

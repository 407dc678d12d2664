#include "runtime/model/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/model/dtype.h"
#include "runtime/model/json.h"

#define MAX_HEADER ((size_t)100 << 20) /* the format's own limit */

struct cg_st {
    char *path;
    struct cg_map map;
    json_t *header;         /* owns the names and dtypes */
    struct cg_st_tensor *t; /* by name */
    size_t n;
};

size_t cg_st_dtype_size(const char *dtype)
{
    static const struct {
        const char *name;
        size_t size;
    } known[] = {
        {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8},  {"U64", 8},     {"I32", 4}, {"U32", 4},
        {"I16", 2}, {"U16", 2}, {"I8", 1},   {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"C64", 8}, {"F8_E5M2", 1},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, dtype) == 0) return known[i].size;
    return 0;
}

static enum cg_status bad(const struct cg_st_tensor *t, const char *what)
{
    char buf[64];
    return cg_fail(CG_ERR_USER, "tensor %s %s; the file is damaged", cg_printable(t->name, strlen(t->name), buf), what);
}

static int get_size(const json_t *j, size_t *v)
{
    if (!json_is_integer(j) || json_integer_value(j) < 0) return 0;
    *v = (size_t)json_integer_value(j);
    return 1;
}

static enum cg_status parse_tensor(const json_t *j, const unsigned char *data, size_t size, struct cg_st_tensor *t)
{
    const json_t *shape = json_object_get(j, "shape"), *offsets = json_object_get(j, "data_offsets");
    t->dtype = json_string_value(json_object_get(j, "dtype"));
    if (!t->dtype) return bad(t, "has no dtype");
    if (!json_is_array(shape) || json_array_size(shape) > CG_ST_MAX_DIMS)
        return bad(t, "has no shape of 8 sizes or less");
    t->n_dims = json_array_size(shape);
    t->count = 1;
    for (size_t i = 0; i < t->n_dims; i++) {
        if (!get_size(json_array_get(shape, i), &t->dims[i])) return bad(t, "has a size that is not a whole number");
        if (__builtin_mul_overflow(t->count, t->dims[i], &t->count)) return bad(t, "has an impossible shape");
    }
    size_t begin, end, bytes, unit = cg_st_dtype_size(t->dtype);
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !get_size(json_array_get(offsets, 0), &begin) ||
        !get_size(json_array_get(offsets, 1), &end))
        return bad(t, "has no data_offsets of two whole numbers");
    if (begin > end || end > size) return bad(t, "reaches past the end of the file");
    if (__builtin_mul_overflow(t->count, unit, &bytes) || (unit && bytes != end - begin))
        return bad(t, "has a shape that does not fit its data");
    t->data = data + begin;
    t->bytes = end - begin;
    return CG_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cg_st_tensor *)a)->name, ((const struct cg_st_tensor *)b)->name);
}

static int by_data(const void *a, const void *b)
{
    const struct cg_st_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The format has each byte of the data belong to exactly one tensor. */
static enum cg_status check_cover(struct cg_st *st, const unsigned char *data, size_t size)
{
    qsort(st->t, st->n, sizeof *st->t, by_data);
    const unsigned char *at = data;
    for (size_t i = 0; i < st->n; i++) {
        if (st->t[i].data != at) return bad(&st->t[i], "overlaps another or leaves a hole");
        at += st->t[i].bytes;
    }
    if (at != data + size)
        return cg_fail(CG_ERR_USER, "%zu bytes at its end belong to no tensor; the file is damaged",
                       (size_t)(data + size - at));
    qsort(st->t, st->n, sizeof *st->t, by_name);
    return CG_OK;
}

static enum cg_status parse_header(struct cg_st *st)
{
    uint64_t n = 0;
    if (st->map.size < 8) return cg_fail(CG_ERR_USER, "not a safetensors file: it has only %zu bytes", st->map.size);
    memcpy(&n, st->map.data, 8);
    if (n > MAX_HEADER || n > st->map.size - 8)
        return cg_fail(CG_ERR_USER,
                       "not a safetensors file, or cut short: its header would take %" PRIu64 " bytes of %zu", n,
                       st->map.size);
    const unsigned char *data = st->map.data + 8 + n;
    size_t size = st->map.size - 8 - (size_t)n;
    CG_TRY(cg_json_parse("its header", (const char *)st->map.data + 8, (size_t)n, &st->header));
    size_t keys = json_object_size(st->header);
    st->t = calloc(keys ? keys : 1, sizeof *st->t);
    if (!st->t) return cg_fail(CG_ERR_MEMORY, "out of memory");
    const char *name;
    json_t *j;
    json_object_foreach(st->header, name, j)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        st->t[st->n].name = name;
        CG_TRY(parse_tensor(j, data, size, &st->t[st->n]));
        st->n++;
    }
    return check_cover(st, data, size);
}

enum cg_status cg_st_open(const char *path, struct cg_st **out)
{
    *out = NULL;
    struct cg_st *st = calloc(1, sizeof *st);
    if (!st || !(st->path = strdup(path))) {
        free(st);
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    enum cg_status s = cg_map_open(path, &st->map);
    if (s == CG_OK) {
        s = parse_header(st);
        if (s != CG_OK) s = cg_fail_in(s, "%s", path);
    }
    if (s != CG_OK) {
        cg_st_close(st);
        return s;
    }
    *out = st;
    return CG_OK;
}

void cg_st_close(struct cg_st *st)
{
    if (!st) return;
    free(st->t);
    json_decref(st->header);
    cg_map_close(&st->map);
    free(st->path);
    free(st);
}

size_t cg_st_count(const struct cg_st *st)
{
    return st->n;
}

const struct cg_st_tensor *cg_st_tensor(const struct cg_st *st, size_t i)
{
    return &st->t[i];
}

const struct cg_st_tensor *cg_st_find(const struct cg_st *st, const char *name)
{
    struct cg_st_tensor key = {.name = name};
    return bsearch(&key, st->t, st->n, sizeof *st->t, by_name);
}

const char *cg_st_path(const struct cg_st *st)
{
    return st->path;
}

int cg_st_is_float(const struct cg_st_tensor *t)
{
    return strcmp(t->dtype, "F32") == 0 || strcmp(t->dtype, "F16") == 0 || strcmp(t->dtype, "BF16") == 0;
}

enum cg_status cg_st_values(const struct cg_st *st, const struct cg_st_tensor *t, size_t first, size_t n, float *out)
{
    char a[64], b[64];
    if (!cg_st_is_float(t))
        return cg_fail(CG_ERR_USER, "%s: tensor %s is %s; supported are F32, F16 and BF16", st->path,
                       cg_printable(t->name, strlen(t->name), a), cg_printable(t->dtype, strlen(t->dtype), b));
    if (first > t->count || n > t->count - first)
        return cg_fail(CG_ERR_INTERNAL, "values %zu to %zu of tensor %s, which has %zu", first, first + n,
                       cg_printable(t->name, strlen(t->name), a), t->count);
    const unsigned char *data = t->data + first * cg_st_dtype_size(t->dtype);
    if (strcmp(t->dtype, "F32") == 0) cg_from_f32(data, n, out);
    else if (strcmp(t->dtype, "F16") == 0) cg_from_f16(data, n, out);
    else cg_from_bf16(data, n, out);
    return CG_OK;
}

void cg_st_release(const struct cg_st *st, const struct cg_st_tensor *t, size_t first, size_t n)
{
    size_t unit = cg_st_dtype_size(t->dtype);
    cg_map_release(&st->map, t->data + first * unit, n * unit);
}

void cg_st_copy(const struct cg_st *st, const struct cg_st_tensor *t, void *out)
{
    const size_t piece = (size_t)4 << 20;
    for (size_t at = 0; at < t->bytes; at += piece) {
        size_t n = t->bytes - at < piece ? t->bytes - at : piece;
        memcpy((char *)out + at, t->data + at, n);
        cg_map_release(&st->map, t->data + at, n);
    }
}

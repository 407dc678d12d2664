/* The metadata of an open GGUF file. */
#include <stdlib.h>
#include <string.h>

#include "runtime/model/gguf_internal.h"

static const struct cg_gguf_kv *find(const struct cg_gguf *g, const char *key)
{
    struct cg_gguf_str want = {key, strlen(key)};
    size_t lo = 0, hi = g->n_kv;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = cg_gguf_str_cmp(g->kv[mid].key, want);
        if (d == 0) return &g->kv[mid];
        if (d < 0) lo = mid + 1;
        else hi = mid;
    }
    return NULL;
}

static enum cg_status wrong(const struct cg_gguf *g, const char *key, const char *expected)
{
    if (!find(g, key)) return cg_fail(CG_ERR_USER, "%s: its metadata lacks %s", g->path, key);
    return cg_fail(CG_ERR_USER, "%s: its metadata %s is not %s", g->path, key, expected);
}

int cg_gguf_has(const struct cg_gguf *g, const char *key)
{
    return find(g, key) != NULL;
}

/* An integer at the cursor, moved past it; 0 when `type` is none or the number is above INT64_MAX. */
static int take_int(struct cg_cursor *c, uint32_t type, int64_t *v)
{
    unsigned char raw[8] = {0};
    size_t size = cg_gguf_value_size(type);
    if (type == CG_GGUF_F32 || type == CG_GGUF_F64 || type == CG_GGUF_BOOL || size == 0) return 0;
    if (!cg_cursor_take(c, raw, size)) return 0;
    uint64_t u;
    memcpy(&u, raw, 8);
    switch (type) {
    case CG_GGUF_I8: *v = (int8_t)u; break;
    case CG_GGUF_I16: *v = (int16_t)u; break;
    case CG_GGUF_I32: *v = (int32_t)u; break;
    default: *v = (int64_t)u; break;
    }
    return type != CG_GGUF_U64 || u <= INT64_MAX;
}

enum cg_status cg_gguf_uint(const struct cg_gguf *g, const char *key, uint64_t *v)
{
    const struct cg_gguf_kv *kv = find(g, key);
    int64_t i;
    struct cg_cursor c = kv ? kv->value : (struct cg_cursor){NULL, NULL};
    if (!kv || !take_int(&c, kv->type, &i) || i < 0) return wrong(g, key, "a whole number");
    *v = (uint64_t)i;
    return CG_OK;
}

enum cg_status cg_gguf_float(const struct cg_gguf *g, const char *key, double *v)
{
    const struct cg_gguf_kv *kv = find(g, key);
    struct cg_cursor c = kv ? kv->value : (struct cg_cursor){NULL, NULL};
    float f;
    if (kv && kv->type == CG_GGUF_F32 && cg_cursor_take(&c, &f, 4)) {
        *v = (double)f;
        return CG_OK;
    }
    if (kv && kv->type == CG_GGUF_F64 && cg_cursor_take(&c, v, 8)) return CG_OK;
    return wrong(g, key, "a number with a point");
}

enum cg_status cg_gguf_bool(const struct cg_gguf *g, const char *key, int *v)
{
    const struct cg_gguf_kv *kv = find(g, key);
    struct cg_cursor c = kv ? kv->value : (struct cg_cursor){NULL, NULL};
    unsigned char b;
    if (!kv || kv->type != CG_GGUF_BOOL || !cg_cursor_take(&c, &b, 1)) return wrong(g, key, "true or false");
    *v = b != 0;
    return CG_OK;
}

enum cg_status cg_gguf_string(const struct cg_gguf *g, const char *key, struct cg_gguf_str *v)
{
    const struct cg_gguf_kv *kv = find(g, key);
    struct cg_cursor c = kv ? kv->value : (struct cg_cursor){NULL, NULL};
    if (!kv || kv->type != CG_GGUF_STRING || !cg_cursor_string(&c, v)) return wrong(g, key, "a text");
    return CG_OK;
}

/* The head of an array; `c` then stands at its first item. */
static int open_array(const struct cg_gguf_kv *kv, struct cg_cursor *c, uint32_t *type, size_t *n)
{
    uint64_t count;
    if (!kv || kv->type != CG_GGUF_ARRAY) return 0;
    *c = kv->value;
    if (!cg_cursor_take(c, type, 4) || !cg_cursor_take(c, &count, 8)) return 0;
    *n = (size_t)count;
    return 1;
}

enum cg_status cg_gguf_strings(const struct cg_gguf *g, const char *key, struct cg_gguf_str **items, size_t *n)
{
    struct cg_cursor c;
    uint32_t type;
    *items = NULL;
    *n = 0;
    size_t count;
    if (!open_array(find(g, key), &c, &type, &count) || type != CG_GGUF_STRING) return wrong(g, key, "a list of texts");
    if (count == 0) return CG_OK;
    struct cg_gguf_str *out = calloc(count, sizeof *out);
    if (!out) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (cg_cursor_string(&c, &out[i])) continue;
        free(out);
        return wrong(g, key, "a list of texts");
    }
    *items = out;
    *n = count;
    return CG_OK;
}

enum cg_status cg_gguf_ints(const struct cg_gguf *g, const char *key, int32_t **items, size_t *n)
{
    struct cg_cursor c;
    uint32_t type;
    size_t count;
    *items = NULL;
    *n = 0;
    if (!open_array(find(g, key), &c, &type, &count) || type > CG_GGUF_I32)
        return wrong(g, key, "a list of whole numbers");
    if (count == 0) return CG_OK;
    int32_t *out = calloc(count, sizeof *out);
    if (!out) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        int64_t v;
        if (take_int(&c, type, &v) && v >= INT32_MIN && v <= INT32_MAX) {
            out[i] = (int32_t)v;
            continue;
        }
        free(out);
        return wrong(g, key, "a list of whole numbers of 32 bits");
    }
    *items = out;
    *n = count;
    return CG_OK;
}

#include "runtime/chat/value.h"

#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((size_t)16384)
#define MAX_DEPTH 100 /* of values in values */

struct cg_jblock {
    struct cg_jblock *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

void *cg_jalloc(struct cg_jarena *a, size_t n)
{
    n = (n + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (a->limit && (n > a->limit || a->used > a->limit - n)) {
        a->failed = cg_fail(CG_ERR_USER, "the template needs more than %zu MiB of memory", a->limit >> 20);
        return NULL;
    }
    struct cg_jblock *b = a->blocks;
    if (!b || b->size - b->used < n) {
        size_t size = n > BLOCK ? n : BLOCK;
        b = calloc(1, sizeof *b + size);
        if (!b) {
            a->failed = cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
            return NULL;
        }
        b->size = size;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += n;
    a->used += n;
    return p;
}

void cg_jarena_free(struct cg_jarena *a)
{
    for (struct cg_jblock *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    memset(a, 0, sizeof *a);
}

int cg_jis(struct cg_jstr s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.s, text, s.n) == 0;
}

struct cg_jstr cg_jjoin(struct cg_jarena *a, struct cg_jstr x, struct cg_jstr y)
{
    char *s = cg_jalloc(a, x.n + y.n + 1);
    if (!s) return (struct cg_jstr){NULL, 0};
    if (x.n) memcpy(s, x.s, x.n);
    if (y.n) memcpy(s + x.n, y.s, y.n);
    return (struct cg_jstr){s, x.n + y.n};
}

struct cg_jlist *cg_jlist_new(struct cg_jarena *a)
{
    return cg_jalloc(a, sizeof(struct cg_jlist));
}

struct cg_jdict *cg_jdict_new(struct cg_jarena *a)
{
    return cg_jalloc(a, sizeof(struct cg_jdict));
}

enum cg_status cg_jlist_add(struct cg_jarena *a, struct cg_jlist *l, struct cg_jv v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        struct cg_jv *more = cg_jalloc(a, cap * sizeof *more);
        if (!more) return a->failed;
        if (l->n) memcpy(more, l->v, l->n * sizeof *more);
        l->v = more;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return CG_OK;
}

struct cg_jv *cg_jdict_get(const struct cg_jdict *d, struct cg_jstr key)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->key[i].n == key.n && memcmp(d->key[i].s, key.s, key.n) == 0) return &d->v[i];
    return NULL;
}

enum cg_status cg_jdict_set(struct cg_jarena *a, struct cg_jdict *d, struct cg_jstr key, struct cg_jv v)
{
    struct cg_jv *old = cg_jdict_get(d, key);
    if (old) {
        *old = v;
        return CG_OK;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 8;
        struct cg_jstr *keys = cg_jalloc(a, cap * sizeof *keys);
        struct cg_jv *values = keys ? cg_jalloc(a, cap * sizeof *values) : NULL;
        if (!values) return a->failed;
        if (d->n) {
            memcpy(keys, d->key, d->n * sizeof *keys);
            memcpy(values, d->v, d->n * sizeof *values);
        }
        d->key = keys;
        d->v = values;
        d->cap = cap;
    }
    d->key[d->n] = key;
    d->v[d->n++] = v;
    return CG_OK;
}

static enum cg_status dict_from_json(struct cg_jarena *a, const json_t *j, int depth, struct cg_jv *out)
{
    const char *key;
    json_t *value;
    struct cg_jv v;
    *out = (struct cg_jv){.kind = CG_J_DICT, .dict = cg_jdict_new(a)};
    if (!out->dict) return a->failed;
    json_object_foreach((json_t *)(uintptr_t)j, key, value)
    {
        CG_TRY(cg_jfrom_json(a, value, depth + 1, &v));
        CG_TRY(cg_jdict_set(a, out->dict, (struct cg_jstr){key, strlen(key)}, v));
    }
    return CG_OK;
}

static enum cg_status list_from_json(struct cg_jarena *a, const json_t *j, int depth, struct cg_jv *out)
{
    size_t i;
    json_t *value;
    struct cg_jv v;
    *out = (struct cg_jv){.kind = CG_J_LIST, .list = cg_jlist_new(a)};
    if (!out->list) return a->failed;
    json_array_foreach(j, i, value)
    {
        CG_TRY(cg_jfrom_json(a, value, depth + 1, &v));
        CG_TRY(cg_jlist_add(a, out->list, v));
    }
    return CG_OK;
}

enum cg_status cg_jfrom_json(struct cg_jarena *a, const json_t *j, int depth, struct cg_jv *out)
{
    if (depth > MAX_DEPTH) return cg_fail(CG_ERR_USER, "a message has more than %d levels of values", MAX_DEPTH);
    *out = CG_JNONE;
    switch (json_typeof(j)) {
    case JSON_OBJECT: return dict_from_json(a, j, depth, out);
    case JSON_ARRAY: return list_from_json(a, j, depth, out);
    case JSON_STRING: *out = cg_jtext(json_string_value(j), json_string_length(j)); break;
    case JSON_INTEGER: *out = cg_jint(json_integer_value(j)); break;
    case JSON_REAL: *out = (struct cg_jv){.kind = CG_J_REAL, .d = json_real_value(j)}; break;
    case JSON_TRUE: *out = cg_jbool(1); break;
    case JSON_FALSE: *out = cg_jbool(0); break;
    case JSON_NULL: break;
    }
    return CG_OK;
}

const char *cg_jkind_name(struct cg_jv v)
{
    static const char *const names[] = {"undefined", "none",   "a boolean",   "an integer", "a number", "a string",
                                        "a list",    "a dict", "a namespace", "a function", "a macro",  "a method"};
    return names[v.kind];
}

int cg_jtrue(struct cg_jv v)
{
    switch (v.kind) {
    case CG_J_UNDEFINED:
    case CG_J_NONE: return 0;
    case CG_J_BOOL:
    case CG_J_INT: return v.i != 0;
    case CG_J_REAL: return v.d != 0;
    case CG_J_STR: return v.str.n > 0;
    case CG_J_LIST: return v.list->n > 0;
    case CG_J_DICT: return v.dict->n > 0;
    default: return 1;
    }
}

int cg_jis_number(struct cg_jv v)
{
    return v.kind == CG_J_BOOL || v.kind == CG_J_INT || v.kind == CG_J_REAL;
}

double cg_jnumber(struct cg_jv v)
{
    return v.kind == CG_J_REAL ? v.d : (double)v.i;
}

int cg_jequal(struct cg_jv a, struct cg_jv b, int depth, size_t *steps)
{
    if (*steps == 0) return 0;
    --*steps;
    if (cg_jis_number(a) && cg_jis_number(b))
        return a.kind == CG_J_REAL || b.kind == CG_J_REAL ? cg_jnumber(a) == cg_jnumber(b) : a.i == b.i;
    if (a.kind != b.kind || depth > MAX_DEPTH) return 0;
    switch (a.kind) {
    case CG_J_UNDEFINED:
    case CG_J_NONE: return 1;
    case CG_J_STR: return a.str.n == b.str.n && memcmp(a.str.s, b.str.s, a.str.n) == 0;
    case CG_J_LIST:
        if (a.list->n != b.list->n) return 0;
        for (size_t i = 0; i < a.list->n; i++)
            if (!cg_jequal(a.list->v[i], b.list->v[i], depth + 1, steps)) return 0;
        return 1;
    case CG_J_DICT:
        if (a.dict->n != b.dict->n) return 0;
        for (size_t i = 0; i < a.dict->n; i++) {
            const struct cg_jv *other = cg_jdict_get(b.dict, a.dict->key[i]);
            if (!other || !cg_jequal(a.dict->v[i], *other, depth + 1, steps)) return 0;
        }
        return 1;
    case CG_J_MACRO: return a.macro == b.macro;
    default: return 0;
    }
}

#include "autotune/gguf_sizes.h"

#include <stdint.h>
#include <string.h>

#include "common/file.h"

/* GGUF versions 2 and 3, little-endian: "GGUF", u32 version, u64 tensors, u64 pairs, then pairs of a key (u64 length,
 * bytes), a u32 type and a value, then the descriptions of the tensors. */
enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, TYPES };
static const unsigned char bytes_of[TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct reader {
    const unsigned char *p, *end;
    int bad; /* ran over the end, or met a value of no known kind */
};

static uint64_t get(struct reader *r, size_t n)
{
    uint64_t v = 0;
    if (r->bad || (size_t)(r->end - r->p) < n) {
        r->bad = 1;
        return 0;
    }
    for (size_t i = 0; i < n; i++) v |= (uint64_t)r->p[i] << (8 * i);
    r->p += n;
    return v;
}

static void skip(struct reader *r, uint64_t n)
{
    if (r->bad || n > (uint64_t)(r->end - r->p)) r->bad = 1;
    else r->p += n;
}

static const char *string(struct reader *r, uint64_t *len)
{
    *len = get(r, 8);
    const char *s = (const char *)r->p;
    skip(r, *len);
    return s;
}

/* Steps over an array; *count: its length. */
static void array(struct reader *r, uint64_t *count)
{
    uint64_t type = get(r, 4), len;
    *count = get(r, 8);
    if (r->bad || type >= TYPES || type == ARRAY) {
        r->bad = 1;
    } else if (type == STRING) {
        for (uint64_t i = 0; i < *count && !r->bad; i++) string(r, &len);
    } else if (*count > UINT64_MAX / 8) {
        r->bad = 1;
    } else {
        skip(r, *count * bytes_of[type]);
    }
}

static int is(const char *s, uint64_t len, const char *want)
{
    return len == strlen(want) && memcmp(s, want, len) == 0;
}

/* The field of `s` that "<architecture>.REST" gives; NULL for keys of no interest. */
static size_t *field(struct cg_sizes *s, const char *key, uint64_t len)
{
    const char *dot = memchr(key, '.', len);
    if (!dot) return NULL;
    uint64_t n = len - (uint64_t)(dot + 1 - key);
    const struct {
        const char *rest;
        size_t *to;
    } all[] = {{"embedding_length", &s->hidden},          {"block_count", &s->layers},
               {"feed_forward_length", &s->ff},           {"attention.head_count", &s->heads},
               {"attention.head_count_kv", &s->kv_heads}, {"attention.key_length", &s->head_dim}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (is(dot + 1, n, all[i].rest)) return all[i].to;
    return NULL;
}

static void pair(struct reader *r, struct cg_sizes *s)
{
    uint64_t len, count, value;
    const char *key = string(r, &len);
    uint64_t type = get(r, 4);
    if (r->bad) return;
    if (type >= TYPES) {
        r->bad = 1;
    } else if (type == STRING) {
        string(r, &count);
    } else if (type == ARRAY) {
        array(r, &count);
        if (!r->bad && is(key, len, "tokenizer.ggml.tokens")) s->vocab = (size_t)count;
    } else {
        value = get(r, bytes_of[type]);
        int whole = type == U32 || type == I32 || type == U64 || type == I64;
        size_t *to = whole ? field(s, key, len) : NULL;
        if (to && !r->bad) *to = (size_t)value; /* a negative number becomes one that cg_sizes_load refuses */
    }
}

/* Steps over what describes a tensor: its name, u32 dimensions, u64 each of them, u32 type, u64 offset. */
static void tensor(struct reader *r, struct cg_sizes *s)
{
    uint64_t len;
    const char *name = string(r, &len);
    if (!r->bad && is(name, len, "output.weight")) s->tied = 0;
    uint64_t dimensions = get(r, 4);
    skip(r, 8 * dimensions + 4 + 8);
}

enum cg_status cg_gguf_sizes(const char *path, struct cg_sizes *s)
{
    struct cg_map map;
    CG_TRY(cg_map_open(path, &map));
    struct reader r = {map.data, map.data + map.size, 0};
    enum cg_status st = CG_OK;
    if (map.size < 24 || memcmp(map.data, "GGUF", 4) != 0) {
        st = cg_fail(CG_ERR_USER, "%s is no GGUF file; give a folder with config.json, a .gguf file or builtin:NAME",
                     path);
    } else {
        r.p += 4;
        uint64_t version = get(&r, 4);
        uint64_t tensors = get(&r, 8), pairs = get(&r, 8);
        if (version != 2 && version != 3)
            st = cg_fail(CG_ERR_USER, "%s: GGUF version %llu, this program reads 2 and 3", path,
                         (unsigned long long)version);
        for (uint64_t i = 0; st == CG_OK && i < pairs && !r.bad; i++) pair(&r, s);
        s->tied = 1;
        for (uint64_t i = 0; st == CG_OK && i < tensors && !r.bad; i++) tensor(&r, s);
        if (st == CG_OK && r.bad) st = cg_fail(CG_ERR_USER, "%s is damaged or cut short in its metadata", path);
    }
    cg_map_close(&map);
    return st;
}

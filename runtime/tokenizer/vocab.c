#include "runtime/tokenizer/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/tokenizer/utf8.h"

static enum cg_status no_memory(void)
{
    return cg_fail(CG_ERR_MEMORY, "out of memory for the tokenizer's vocabulary");
}

static uint64_t string_hash(const char *s, size_t n)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001B3);
    return h ^ h >> 32;
}

/* Room for `n` more bytes; offsets stay valid when the blob moves. */
static enum cg_status blob_reserve(struct cg_vocab *v, size_t n)
{
    if (v->blob_cap - v->blob_n >= n) return CG_OK;
    size_t cap = v->blob_cap ? v->blob_cap : 4096;
    while (cap - v->blob_n < n) {
        if (cap > SIZE_MAX / 2) return no_memory();
        cap *= 2;
    }
    char *p = realloc(v->blob, cap);
    if (!p) return no_memory();
    v->blob = p;
    v->blob_cap = cap;
    return CG_OK;
}

static enum cg_status ids_reserve(struct cg_vocab *v, uint32_t id)
{
    if (id >= CG_MAX_IDS) {
        return cg_fail(CG_ERR_USER, "token id %lu is too large (at most %u)", (unsigned long)id, CG_MAX_IDS - 1);
    }
    if (id >= v->cap) {
        size_t cap = v->cap ? v->cap : 256;
        while (cap <= id) cap *= 2;
        struct cg_token *p = realloc(v->tokens, cap * sizeof *p);
        if (!p) return no_memory();
        memset(p + v->cap, 0, (cap - v->cap) * sizeof *p);
        v->tokens = p;
        v->cap = cap;
    }
    if (id >= v->n) v->n = (size_t)id + 1;
    return CG_OK;
}

static enum cg_status slots_grow(struct cg_vocab *v)
{
    size_t size = v->slots ? (v->slot_mask + 1) * 2 : 1024;
    uint32_t *slots = malloc(size * sizeof *slots);
    if (!slots) return no_memory();
    memset(slots, 0xFF, size * sizeof *slots);
    for (size_t s = 0; v->slots && s <= v->slot_mask; s++) {
        if (v->slots[s] == CG_NO_ID) continue;
        const struct cg_token *t = &v->tokens[v->slots[s]];
        size_t i = string_hash(v->blob + t->raw, t->raw_n) & (size - 1);
        while (slots[i] != CG_NO_ID) i = (i + 1) & (size - 1);
        slots[i] = v->slots[s];
    }
    free(v->slots);
    v->slots = slots;
    v->slot_mask = size - 1;
    return CG_OK;
}

/* The slot that holds the string, or the empty one where it belongs. */
static size_t slot_of(const struct cg_vocab *v, const char *raw, size_t n)
{
    size_t i = string_hash(raw, n) & v->slot_mask;
    for (; v->slots[i] != CG_NO_ID; i = (i + 1) & v->slot_mask) {
        const struct cg_token *t = &v->tokens[v->slots[i]];
        if (t->raw_n == n && memcmp(v->blob + t->raw, raw, n) == 0) break;
    }
    return i;
}

static enum cg_status check_string(const char *raw, size_t n, uint32_t id)
{
    if (n > CG_MAX_TOKEN_BYTES) {
        return cg_fail(CG_ERR_USER, "token %lu is %zu bytes long (at most %u)", (unsigned long)id, n,
                       CG_MAX_TOKEN_BYTES);
    }
    if (cg_utf8_valid(raw, n) != n || (n && memchr(raw, 0, n))) {
        return cg_fail(CG_ERR_USER, "token %lu is not valid UTF-8, or holds a 0 byte", (unsigned long)id);
    }
    return CG_OK;
}

/* Appends raw, and makes it the token's string and text. */
static enum cg_status store(struct cg_vocab *v, struct cg_token *t, const char *raw, size_t n)
{
    CG_TRY(blob_reserve(v, n));
    if (n) memcpy(v->blob + v->blob_n, raw, n);
    t->raw = t->text = v->blob_n;
    t->raw_n = t->text_n = n;
    v->blob_n += n;
    return CG_OK;
}

enum cg_status cg_vocab_put(struct cg_vocab *v, uint32_t id, const char *raw, size_t n, int byte_level)
{
    CG_TRY(check_string(raw, n, id));
    CG_TRY(ids_reserve(v, id));
    struct cg_token *t = &v->tokens[id];
    if (t->flags) {
        char old[64], new[64];
        return cg_fail(CG_ERR_USER, "two tokens have id %lu: '%s' and '%s'", (unsigned long)id,
                       cg_shown(v->blob + t->raw, t->raw_n, old), cg_shown(raw, n, new));
    }
    if (!v->slots || v->n_model * 2 >= v->slot_mask) CG_TRY(slots_grow(v));
    size_t slot = slot_of(v, raw, n);
    if (v->slots[slot] != CG_NO_ID) {
        char buf[64];
        return cg_fail(CG_ERR_USER, "ids %lu and %lu are the same token '%s'", (unsigned long)v->slots[slot],
                       (unsigned long)id, cg_shown(raw, n, buf));
    }
    CG_TRY(store(v, t, raw, n));
    if (byte_level) {
        CG_TRY(blob_reserve(v, n));
        size_t text_n;
        if (cg_chars_to_bytes(raw, n, v->blob + v->blob_n, &text_n)) {
            t->text = v->blob_n;
            t->text_n = text_n;
            v->blob_n += text_n;
        }
    }
    t->flags = CG_TOKEN_MODEL;
    v->slots[slot] = id;
    v->n_model++;
    return CG_OK;
}

enum cg_status cg_vocab_add(struct cg_vocab *v, uint32_t id, const char *raw, size_t n, unsigned flags)
{
    CG_TRY(check_string(raw, n, id));
    CG_TRY(ids_reserve(v, id));
    struct cg_token *t = &v->tokens[id];
    if (t->flags && (t->raw_n != n || memcmp(v->blob + t->raw, raw, n) != 0)) {
        char old[64], new[64];
        return cg_fail(CG_ERR_USER, "added token '%s' has id %lu, which is '%s'", cg_shown(raw, n, new),
                       (unsigned long)id, cg_shown(v->blob + t->raw, t->raw_n, old));
    }
    if (!t->flags) CG_TRY(store(v, t, raw, n));
    t->text = t->raw;
    t->text_n = t->raw_n;
    t->flags |= CG_TOKEN_ADDED | flags;
    return CG_OK;
}

uint32_t cg_vocab_find(const struct cg_vocab *v, const char *raw, size_t n)
{
    return v->slots ? v->slots[slot_of(v, raw, n)] : CG_NO_ID;
}

uint32_t cg_vocab_find_any(const struct cg_vocab *v, const char *raw, size_t n)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct cg_token *t = &v->tokens[i];
        if ((t->flags & CG_TOKEN_ADDED) && t->raw_n == n && memcmp(v->blob + t->raw, raw, n) == 0) return (uint32_t)i;
    }
    return cg_vocab_find(v, raw, n);
}

static size_t merge_place(const struct cg_merge *m, size_t mask, uint32_t a, uint32_t b)
{
    size_t i = cg_merge_hash(a, b) & mask;
    while (m[i].a != CG_NO_ID && (m[i].a != a || m[i].b != b)) i = (i + 1) & mask;
    return i;
}

static enum cg_status merges_grow(struct cg_vocab *v)
{
    size_t size = v->merges ? (v->merge_mask + 1) * 2 : 1024;
    struct cg_merge *m = malloc(size * sizeof *m);
    if (!m) return no_memory();
    memset(m, 0xFF, size * sizeof *m);
    for (size_t i = 0; v->merges && i <= v->merge_mask; i++) {
        const struct cg_merge *old = &v->merges[i];
        if (old->a != CG_NO_ID) m[merge_place(m, size - 1, old->a, old->b)] = *old;
    }
    free(v->merges);
    v->merges = m;
    v->merge_mask = size - 1;
    return CG_OK;
}

static enum cg_status need(const struct cg_vocab *v, const char *raw, size_t n, uint32_t *id)
{
    *id = cg_vocab_find(v, raw, n);
    if (*id != CG_NO_ID) return CG_OK;
    char buf[64];
    return cg_fail(CG_ERR_USER, "merge %zu names '%s', which is not in the vocabulary", v->n_merges,
                   cg_shown(raw, n, buf));
}

enum cg_status cg_vocab_merge(struct cg_vocab *v, const char *a, size_t an, const char *b, size_t bn)
{
    uint32_t ia, ib, iab;
    CG_TRY(need(v, a, an, &ia));
    CG_TRY(need(v, b, bn, &ib));
    CG_TRY(blob_reserve(v, an + bn)); /* the joined string stands at the end of the blob for a moment */
    char *ab = v->blob + v->blob_n;
    memcpy(ab, a, an);
    memcpy(ab + an, b, bn);
    CG_TRY(need(v, ab, an + bn, &iab));
    if (v->n_merges >= UINT32_MAX - 1) return cg_fail(CG_ERR_USER, "too many merges");
    if (!v->merges || v->n_merges * 2 >= v->merge_mask) CG_TRY(merges_grow(v));
    struct cg_merge *m = &v->merges[merge_place(v->merges, v->merge_mask, ia, ib)];
    *m = (struct cg_merge){.a = ia, .b = ib, .rank = (uint32_t)v->n_merges, .id = iab};
    v->n_merges++; /* a pair given twice has the later rank, as in the reference */
    return CG_OK;
}

static int by_rank(const void *a, const void *b)
{
    const struct cg_merge *x = a, *y = b;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

struct cg_merge *cg_vocab_merges(const struct cg_vocab *v, size_t *n)
{
    *n = 0;
    struct cg_merge *m = malloc((v->n_merges + 1) * sizeof *m);
    for (size_t i = 0; m && v->merges && i <= v->merge_mask; i++)
        if (v->merges[i].a != CG_NO_ID) m[(*n)++] = v->merges[i];
    if (*n) qsort(m, *n, sizeof *m, by_rank);
    return m;
}

void cg_vocab_free(struct cg_vocab *v)
{
    free(v->tokens);
    free(v->blob);
    free(v->slots);
    free(v->merges);
    memset(v, 0, sizeof *v);
}

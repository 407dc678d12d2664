/* Byte-pair merges of one word: always the pair of lowest rank, the leftmost of these first. */
#include <stdlib.h>
#include <string.h>

#include "runtime/tokenizer/internal.h"
#include "runtime/tokenizer/utf8.h"

#define SHORT_WORD 48 /* up to this length a scan for the lowest rank is faster than a heap */
#define NO_RANK UINT32_MAX
#define NO_POS UINT32_MAX

/* A symbol and its merge with the next one. */
struct cg_bpe_symbol {
    uint32_t id, rank, merged; /* rank NO_RANK: does not merge with the next, or is gone */
    uint32_t prev, next;       /* long words only */
};

void cg_bpe_work_free(struct cg_bpe_work *w)
{
    free(w->symbols);
    free(w->heap);
    free(w->chars);
    memset(w, 0, sizeof *w);
}

static void *at_least(void *p, size_t *cap, size_t n, size_t size)
{
    size_t c = *cap ? *cap : 64;
    while (c < n) c *= 2;
    void *q = realloc(p, c * size);
    if (q) *cap = c;
    return q;
}

static enum cg_status no_memory(void)
{
    return cg_fail(CG_ERR_MEMORY, "out of memory while encoding text");
}

enum cg_status cg_ids_push(struct cg_ids *ids, uint32_t id)
{
    if (ids->n == ids->cap) {
        void *p = at_least(ids->p, &ids->cap, ids->n + 1, sizeof *ids->p);
        if (!p) return no_memory();
        ids->p = p;
    }
    ids->p[ids->n++] = (int32_t)id;
    return CG_OK;
}

/* The symbols of the bytes, unknown ones as unk (runs of them as one with fuse_unk) or left out. */
static size_t first_symbols(const struct cg_tokenizer *t, const char *s, size_t n, struct cg_bpe_symbol *sym)
{
    size_t k = 0;
    int in_unk = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = t->byte_id[(unsigned char)s[i]];
        int unknown = id == CG_NO_ID;
        if (unknown && (t->unk == CG_NO_ID || (in_unk && t->fuse_unk))) continue;
        sym[k++].id = unknown ? t->unk : id;
        in_unk = unknown;
    }
    return k;
}

static void set_pair(const struct cg_tokenizer *t, struct cg_bpe_symbol *left, const struct cg_bpe_symbol *right)
{
    const struct cg_merge *m = cg_vocab_pair(&t->vocab, left->id, right->id);
    left->rank = m ? m->rank : NO_RANK;
    left->merged = m ? m->id : CG_NO_ID;
}

/* Merges sym[0..n), n <= SHORT_WORD; returns the symbols left. */
static size_t merge_short(const struct cg_tokenizer *t, struct cg_bpe_symbol *sym, size_t n)
{
    if (n == 0) return 0;
    for (size_t i = 0; i + 1 < n; i++) set_pair(t, &sym[i], &sym[i + 1]);
    sym[n - 1].rank = NO_RANK;
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++) {
            if (sym[i].rank < sym[best].rank) best = i;
        }
        if (sym[best].rank == NO_RANK) return n;
        sym[best].id = sym[best].merged;
        n--;
        memmove(&sym[best + 1], &sym[best + 2], (n - best - 1) * sizeof *sym);
        if (best + 1 < n) set_pair(t, &sym[best], &sym[best + 1]);
        else sym[best].rank = NO_RANK;
        if (best > 0) set_pair(t, &sym[best - 1], &sym[best]);
    }
}

static enum cg_status heap_push(struct cg_bpe_work *w, uint64_t key)
{
    if (w->heap_n == w->heap_cap) {
        void *p = at_least(w->heap, &w->heap_cap, w->heap_n + 1, sizeof *w->heap);
        if (!p) return no_memory();
        w->heap = p;
    }
    size_t i = w->heap_n++;
    for (; i > 0 && w->heap[(i - 1) / 2] > key; i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = key;
    return CG_OK;
}

static uint64_t heap_pop(struct cg_bpe_work *w)
{
    uint64_t top = w->heap[0], last = w->heap[--w->heap_n];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= w->heap_n) break;
        if (c + 1 < w->heap_n && w->heap[c + 1] < w->heap[c]) c++;
        if (w->heap[c] >= last) break;
        w->heap[i] = w->heap[c];
        i = c;
    }
    w->heap[i] = last;
    return top;
}

static enum cg_status push_pair(const struct cg_tokenizer *t, struct cg_bpe_work *w, uint32_t pos)
{
    struct cg_bpe_symbol *s = &w->symbols[pos];
    s->rank = NO_RANK;
    if (s->next == NO_POS) return CG_OK;
    set_pair(t, s, &w->symbols[s->next]);
    return s->rank == NO_RANK ? CG_OK : heap_push(w, (uint64_t)s->rank << 32 | pos);
}

/* Merges w->symbols[0..n) by a heap of pairs, of which stale ones are known by their rank: O(n log n). */
static enum cg_status merge_long(const struct cg_tokenizer *t, struct cg_bpe_work *w, size_t n)
{
    struct cg_bpe_symbol *sym = w->symbols;
    w->heap_n = 0;
    for (size_t i = 0; i < n; i++) {
        sym[i].prev = i ? (uint32_t)(i - 1) : NO_POS;
        sym[i].next = i + 1 < n ? (uint32_t)(i + 1) : NO_POS;
    }
    for (size_t i = 0; i < n; i++) CG_TRY(push_pair(t, w, (uint32_t)i));
    while (w->heap_n) {
        uint64_t key = heap_pop(w);
        uint32_t pos = (uint32_t)key, gone;
        if (sym[pos].rank != key >> 32) continue;
        gone = sym[pos].next;
        sym[pos].id = sym[pos].merged;
        sym[pos].next = sym[gone].next;
        sym[gone].rank = NO_RANK;
        if (sym[pos].next != NO_POS) sym[sym[pos].next].prev = pos;
        CG_TRY(push_pair(t, w, pos));
        if (sym[pos].prev != NO_POS) CG_TRY(push_pair(t, w, sym[pos].prev));
    }
    return CG_OK;
}

/* Whether the vocabulary has the whole word (ignore_merges). */
static enum cg_status whole_word(const struct cg_tokenizer *t, struct cg_bpe_work *w, const char *s, size_t n,
                                 uint32_t *id)
{
    *id = CG_NO_ID;
    if (n > CG_MAX_TOKEN_BYTES) return CG_OK;
    if (w->chars_cap < 2 * n) {
        void *p = at_least(w->chars, &w->chars_cap, 2 * n, 1);
        if (!p) return no_memory();
        w->chars = p;
    }
    *id = cg_vocab_find(&t->vocab, w->chars, cg_bytes_to_chars(s, n, w->chars));
    return CG_OK;
}

enum cg_status cg_bpe_word(const struct cg_tokenizer *t, struct cg_bpe_work *w, const char *s, size_t n,
                           struct cg_ids *out)
{
    if (t->ignore_merges) {
        uint32_t id;
        CG_TRY(whole_word(t, w, s, n, &id));
        if (id != CG_NO_ID) return cg_ids_push(out, id);
    }
    if (n <= SHORT_WORD) {
        struct cg_bpe_symbol sym[SHORT_WORD];
        size_t k = merge_short(t, sym, first_symbols(t, s, n, sym));
        for (size_t i = 0; i < k; i++) CG_TRY(cg_ids_push(out, sym[i].id));
        return CG_OK;
    }
    if (w->symbols_cap < n) {
        void *p = at_least(w->symbols, &w->symbols_cap, n, sizeof *w->symbols);
        if (!p) return no_memory();
        w->symbols = p;
    }
    size_t k = first_symbols(t, s, n, w->symbols);
    if (k == 0) return CG_OK;
    CG_TRY(merge_long(t, w, k));
    for (uint32_t i = 0; i != NO_POS; i = w->symbols[i].next) CG_TRY(cg_ids_push(out, w->symbols[i].id));
    return CG_OK;
}

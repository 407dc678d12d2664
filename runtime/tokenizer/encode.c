/* Text to ids: added tokens, normalization, pre-splitting, then the words. */
#include <stdlib.h>
#include <string.h>

#include "runtime/tokenizer/internal.h"
#include "runtime/tokenizer/nfc.h"
#include "runtime/tokenizer/utf8.h"

struct encoder {
    const struct cg_tokenizer *t;
    struct cg_ids ids;
    struct cg_bpe_work work;
};

/* Every character of a text is a token, or a mistake of the caller. */
static enum cg_status encode_chars(struct encoder *e, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        int len = cg_utf8_next(s + i, n - i, &cp);
        if (len == 0) {
            return cg_fail(CG_ERR_USER, "the tokenizer of %s has no token for the byte 0x%02X", e->t->source,
                           (unsigned char)s[i]);
        }
        uint32_t id = cg_vocab_find(&e->t->vocab, s + i, (size_t)len);
        if (id == CG_NO_ID) {
            char buf[64];
            return cg_fail(CG_ERR_USER, "the tokenizer of %s has no token for the character '%s' (U+%04lX)",
                           e->t->source, cg_shown(s + i, (size_t)len, buf), (unsigned long)cp);
        }
        CG_TRY(cg_ids_push(&e->ids, id));
        i += (size_t)len;
    }
    return CG_OK;
}

static enum cg_status encode_word(void *ctx, const char *s, size_t n)
{
    struct encoder *e = ctx;
    return cg_bpe_word(e->t, &e->work, s, n, &e->ids);
}

static enum cg_status encode_plain(struct encoder *e, const char *s, size_t n)
{
    if (e->t->chars) return encode_chars(e, s, n);
    return cg_pattern_split(e->t->patterns, e->t->n_patterns, s, n, encode_word, e);
}

/* White space before s[at], not before s[from]: where it starts. */
static size_t space_before(const char *s, size_t from, size_t at)
{
    while (at > from) {
        size_t b = at - 1;
        uint32_t cp;
        while (b > from && (s[b] & 0xC0) == 0x80) b--;
        if (!cg_utf8_next(s + b, at - b, &cp) || !cg_is_space(cp)) break;
        at = b;
    }
    return at;
}

static size_t space_after(const char *s, size_t at, size_t n)
{
    uint32_t cp;
    int len;
    while (at < n && (len = cg_utf8_next(s + at, n - at, &cp)) && cg_is_space(cp)) at += (size_t)len;
    return at;
}

typedef enum cg_status (*plain_fn)(struct encoder *e, const char *s, size_t n);

/* The leftmost, longest added tokens of one set become their ids; what lies between goes to `plain`. */
static enum cg_status cut_added(struct encoder *e, const struct cg_trie *set, const char *s, size_t n, plain_fn plain)
{
    size_t from = 0;
    for (size_t i = 0; set->n_edges && i < n;) {
        uint32_t id = 0;
        size_t len = cg_trie_longest(set, s + i, n - i, &id);
        if (len == 0) {
            i++;
            continue;
        }
        unsigned flags = e->t->vocab.tokens[id].flags;
        size_t start = flags & CG_TOKEN_LSTRIP ? space_before(s, from, i) : i;
        i += len;
        if (flags & CG_TOKEN_RSTRIP) i = space_after(s, i, n);
        if (start > from) CG_TRY(plain(e, s + from, start - from));
        CG_TRY(cg_ids_push(&e->ids, id));
        from = i;
    }
    return n > from ? plain(e, s + from, n - from) : CG_OK;
}

static enum cg_status encode_normalized(struct encoder *e, const char *s, size_t n)
{
    char *text = NULL;
    size_t text_n = n;
    if (e->t->nfc) CG_TRY(cg_nfc(s, n, &text, &text_n));
    enum cg_status st = cut_added(e, &e->t->normalized_added, text ? text : s, text_n, encode_plain);
    free(text);
    return st;
}

/* Valid UTF-8 goes the way of the reference; each run of other bytes is a word of its own. */
static enum cg_status encode_all(struct encoder *e, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t good = cg_utf8_valid(s + i, n - i), bad = 0;
        if (good) CG_TRY(cut_added(e, &e->t->raw_added, s + i, good, encode_normalized));
        i += good;
        uint32_t cp;
        while (i + bad < n && !cg_utf8_next(s + i + bad, n - i - bad, &cp)) bad++;
        if (bad) CG_TRY(e->t->chars ? encode_chars(e, s + i, bad) : encode_word(e, s + i, bad));
        i += bad;
    }
    return CG_OK;
}

enum cg_status cg_tokenizer_encode(const struct cg_tokenizer *t, const char *text, size_t n, int32_t **ids,
                                   size_t *count)
{
    *ids = NULL;
    *count = 0;
    if (n > CG_MAX_TEXT) {
        return cg_fail(CG_ERR_USER, "a text of %zu bytes is too long to encode at once (at most %zu)", n, CG_MAX_TEXT);
    }
    struct encoder e = {.t = t};
    e.ids.cap = n / 3 + 16; /* English is about four bytes a token */
    e.ids.p = malloc(e.ids.cap * sizeof *e.ids.p);
    if (!e.ids.p) return cg_fail(CG_ERR_MEMORY, "out of memory while encoding text");
    enum cg_status s = encode_all(&e, text, n);
    cg_bpe_work_free(&e.work);
    if (s != CG_OK) {
        free(e.ids.p);
        return s;
    }
    *ids = e.ids.p;
    *count = e.ids.n;
    return CG_OK;
}

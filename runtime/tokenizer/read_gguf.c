/* The tokenizer in a GGUF file's metadata. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/internal.h"
#include "runtime/tokenizer/utf8.h"

#define KEY "tokenizer.ggml."

static int equals(struct cg_gguf_str s, const char *what)
{
    return s.n == strlen(what) && memcmp(s.s, what, s.n) == 0;
}

static enum cg_status find_pre(struct cg_tokenizer *t, const struct cg_gguf *g)
{
    struct cg_gguf_str s = {"default", 7};
    char buf[64];
    if (cg_gguf_has(g, KEY "pre")) CG_TRY(cg_gguf_string(g, KEY "pre", &s));
    if (equals(s, "default")) cg_warn("%s does not say how its tokenizer cuts text: GPT-2's way is taken", t->source);
    t->pre = cg_pre_named(s.s, s.n);
    if (t->pre) return CG_OK;
    return cg_fail(CG_ERR_USER, "tokenizer.ggml.pre '%s' is not supported", cg_shown(s.s, s.n, buf));
}

static enum cg_status apply_pre(struct cg_tokenizer *t)
{
    const struct cg_pre *p = t->pre;
    t->nfc = p->nfc;
    t->ignore_merges = p->ignore_merges;
    if (p->digits) CG_TRY(cg_tokenizer_add_pattern(t, cg_digit_pattern, strlen(cg_digit_pattern)));
    const char *pattern = p->pattern ? p->pattern : cg_gpt2_pattern;
    return cg_tokenizer_add_pattern(t, pattern, strlen(pattern));
}

/* Control and user-defined tokens are found in text; unused ones have an id and a name only. */
static enum cg_status put_tokens(struct cg_tokenizer *t, const struct cg_gguf_str *tokens, const int32_t *types,
                                 size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t type = types ? types[i] : CG_GGUF_NORMAL;
        struct cg_gguf_str s = tokens[i];
        if (i >= CG_MAX_IDS) return cg_fail(CG_ERR_USER, "the vocabulary has more than %u tokens", CG_MAX_IDS);
        if (type == CG_GGUF_UNUSED) continue;
        if (type < CG_GGUF_NORMAL || type > CG_GGUF_USER_DEFINED) {
            return cg_fail(CG_ERR_USER, "token %zu has type %ld, which is not supported", i, (long)type);
        }
        CG_TRY(cg_vocab_put(&t->vocab, (uint32_t)i, s.s, s.n, 1));
        if (type == CG_GGUF_NORMAL) continue;
        if (s.n == 0) return cg_fail(CG_ERR_USER, "the special token %zu is empty", i);
        CG_TRY(cg_vocab_add(&t->vocab, (uint32_t)i, s.s, s.n, type == CG_GGUF_USER_DEFINED ? 0 : CG_TOKEN_SPECIAL));
    }
    return CG_OK;
}

static enum cg_status read_tokens(struct cg_tokenizer *t, const struct cg_gguf *g)
{
    struct cg_gguf_str *tokens = NULL;
    int32_t *types = NULL;
    size_t n = 0, n_types = 0;
    enum cg_status s = cg_gguf_strings(g, KEY "tokens", &tokens, &n);
    if (s == CG_OK && cg_gguf_has(g, KEY "token_type")) s = cg_gguf_ints(g, KEY "token_type", &types, &n_types);
    if (s == CG_OK && types && n_types != n) {
        s = cg_fail(CG_ERR_USER, "there are %zu tokens but %zu token types", n, n_types);
    }
    if (s == CG_OK) s = put_tokens(t, tokens, types, n);
    free(tokens);
    free(types);
    return s;
}

static enum cg_status put_merges(struct cg_tokenizer *t, const struct cg_gguf_str *merges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct cg_gguf_str m = merges[i];
        const char *space = m.n > 2 ? memchr(m.s + 1, ' ', m.n - 2) : NULL;
        if (!space) return cg_fail(CG_ERR_USER, "tokenizer.ggml.merges: merge %zu is not \"a b\"", i);
        size_t an = (size_t)(space - m.s);
        CG_TRY(cg_vocab_merge(&t->vocab, m.s, an, space + 1, m.n - an - 1));
    }
    return CG_OK;
}

static enum cg_status read_merges(struct cg_tokenizer *t, const struct cg_gguf *g)
{
    struct cg_gguf_str *merges = NULL;
    size_t n = 0;
    CG_TRY(cg_gguf_strings(g, KEY "merges", &merges, &n));
    enum cg_status s = put_merges(t, merges, n);
    free(merges);
    return s;
}

/* An optional id; one that is special for the model becomes an added token. */
static enum cg_status read_id(struct cg_tokenizer *t, const struct cg_gguf *g, const char *key, uint32_t *id)
{
    uint64_t v;
    if (!cg_gguf_has(g, key)) return CG_OK;
    CG_TRY(cg_gguf_uint(g, key, &v));
    if (v >= t->vocab.n || !t->vocab.tokens[v].flags || t->vocab.tokens[v].raw_n == 0) {
        return cg_fail(CG_ERR_USER, "%s is %llu, which is not a token", key, (unsigned long long)v);
    }
    *id = (uint32_t)v;
    struct cg_token *tok = &t->vocab.tokens[v];
    return cg_vocab_add(&t->vocab, *id, t->vocab.blob + tok->raw, tok->raw_n, CG_TOKEN_SPECIAL);
}

static enum cg_status read_rest(struct cg_tokenizer *t, const struct cg_gguf *g)
{
    struct cg_gguf_str s;
    CG_TRY(read_id(t, g, KEY "bos_token_id", &t->bos));
    CG_TRY(read_id(t, g, KEY "eos_token_id", &t->eos));
    CG_TRY(read_id(t, g, KEY "unknown_token_id", &t->unk_name));
    CG_TRY(read_id(t, g, KEY "padding_token_id", &t->pad));
    t->add_bos = t->pre->ignore_merges; /* as Llama 3, unless the file says */
    if (cg_gguf_has(g, KEY "add_bos_token")) CG_TRY(cg_gguf_bool(g, KEY "add_bos_token", &t->add_bos));
    if (!cg_gguf_has(g, "tokenizer.chat_template")) return CG_OK;
    CG_TRY(cg_gguf_string(g, "tokenizer.chat_template", &s));
    if (cg_utf8_valid(s.s, s.n) != s.n) return cg_fail(CG_ERR_USER, "tokenizer.chat_template is not valid UTF-8");
    t->chat_template = strndup(s.s, s.n);
    return t->chat_template ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
}

static enum cg_status read_all(struct cg_tokenizer *t, const struct cg_gguf *g)
{
    struct cg_gguf_str model;
    char buf[64];
    CG_TRY(cg_gguf_string(g, KEY "model", &model));
    if (!equals(model, "gpt2")) {
        return cg_fail(CG_ERR_USER, "tokenizer.ggml.model '%s' is not supported: only gpt2 (byte-level BPE) is",
                       cg_shown(model.s, model.n, buf));
    }
    CG_TRY(find_pre(t, g));
    CG_TRY(apply_pre(t));
    CG_TRY(read_tokens(t, g));
    CG_TRY(read_merges(t, g));
    return read_rest(t, g);
}

enum cg_status cg_tokenizer_read_gguf(struct cg_tokenizer *t, const char *path)
{
    struct cg_gguf *g;
    CG_TRY(cg_gguf_open(path, &g));
    enum cg_status s = read_all(t, g);
    cg_gguf_close(g);
    return s;
}

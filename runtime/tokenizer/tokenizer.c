#include "runtime/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/tokenizer/internal.h"
#include "runtime/tokenizer/nfc.h"
#include "runtime/tokenizer/utf8.h"

enum cg_status cg_tokenizer_add_pattern(struct cg_tokenizer *t, const char *pattern, size_t n)
{
    if (t->n_patterns == CG_MAX_PATTERNS) {
        return cg_fail(CG_ERR_USER, "more than %d splitting patterns are not supported", CG_MAX_PATTERNS);
    }
    CG_TRY(cg_pattern_compile(pattern, n, &t->patterns[t->n_patterns]));
    t->n_patterns++;
    return CG_OK;
}

/* The tokens of single bytes, by their characters in the vocabulary. */
static void find_bytes(struct cg_tokenizer *t)
{
    for (int b = 0; b < 256; b++) {
        char raw[4];
        size_t n = (size_t)cg_utf8_put(cg_byte_to_char((unsigned char)b), raw);
        t->byte_id[b] = cg_vocab_find(&t->vocab, raw, n);
    }
}

/* Puts added token `id` into the set in which it is looked for; one that is normalized, normalized. */
static enum cg_status put_added(struct cg_tokenizer *t, uint32_t id)
{
    const struct cg_token *tok = &t->vocab.tokens[id];
    const char *s = t->vocab.blob + tok->raw;
    size_t n = tok->raw_n;
    if (!(tok->flags & CG_TOKEN_ADDED) || n == 0) return CG_OK;
    if (!(tok->flags & CG_TOKEN_NORMALIZED)) return cg_trie_put(&t->raw_added, s, n, id);
    char *text = NULL;
    if (t->nfc) CG_TRY(cg_nfc(s, n, &text, &n));
    enum cg_status st = cg_trie_put(&t->normalized_added, text ? text : s, n, id);
    free(text);
    return st;
}

enum cg_status cg_tokenizer_finish(struct cg_tokenizer *t)
{
    if (t->vocab.n_model == 0) return cg_fail(CG_ERR_USER, "the tokenizer's vocabulary is empty");
    find_bytes(t);
    for (size_t i = 0; i < t->vocab.n; i++) CG_TRY(put_added(t, (uint32_t)i));
    if (t->pad == CG_NO_ID) t->pad = t->eos;
    return CG_OK;
}

static enum cg_status read_source(struct cg_tokenizer *t, const char *path)
{
    size_t n = strlen(path);
    if (strncmp(path, "builtin:", 8) == 0) CG_TRY(cg_tokenizer_read_builtin(t, path + 8));
    else if (cg_is_dir(path)) CG_TRY(cg_tokenizer_read_folder(t, path));
    else if (n >= 5 && strcmp(path + n - 5, ".gguf") == 0) CG_TRY(cg_tokenizer_read_gguf(t, path));
    else {
        return cg_fail(CG_ERR_USER, "not a model: give a folder with tokenizer.json, a .gguf file, or builtin:tiny");
    }
    return cg_tokenizer_finish(t);
}

enum cg_status cg_tokenizer_load(const char *path, struct cg_tokenizer **out)
{
    *out = NULL;
    struct cg_tokenizer *t = calloc(1, sizeof *t);
    if (t) t->source = strdup(path);
    if (!t || !t->source) {
        cg_tokenizer_free(t);
        return cg_fail(CG_ERR_MEMORY, "out of memory for the tokenizer of %s", path);
    }
    t->unk = t->bos = t->eos = t->pad = t->unk_name = CG_NO_ID;
    enum cg_status s = read_source(t, path);
    if (s != CG_OK) {
        cg_tokenizer_free(t);
        return cg_fail_in(s, "%s", path);
    }
    *out = t;
    return CG_OK;
}

void cg_tokenizer_free(struct cg_tokenizer *t)
{
    if (!t) return;
    cg_vocab_free(&t->vocab);
    for (size_t i = 0; i < t->n_patterns; i++) cg_pattern_free(t->patterns[i]);
    cg_trie_free(&t->raw_added);
    cg_trie_free(&t->normalized_added);
    for (size_t i = 0; i < t->n_files; i++) free(t->files[i].data);
    free(t->chat_template);
    free(t->source);
    free(t);
}

size_t cg_tokenizer_vocab(const struct cg_tokenizer *t)
{
    return t->vocab.n;
}

int cg_tokenizer_eos(const struct cg_tokenizer *t)
{
    return t->eos == CG_NO_ID ? -1 : (int)t->eos;
}

int cg_tokenizer_pad(const struct cg_tokenizer *t)
{
    return t->pad == CG_NO_ID ? -1 : (int)t->pad;
}

/* The token of an id, NULL when it has no text (a model may have more ids than its tokenizer). */
static const struct cg_token *shown(const struct cg_tokenizer *t, int32_t id, int skip_special)
{
    if (id < 0 || (size_t)id >= t->vocab.n) return NULL;
    const struct cg_token *tok = &t->vocab.tokens[id];
    return tok->flags && !(skip_special && (tok->flags & CG_TOKEN_SPECIAL)) ? tok : NULL;
}

enum cg_status cg_tokenizer_decode(const struct cg_tokenizer *t, const int32_t *ids, size_t count, int skip_special,
                                   char **text, size_t *n)
{
    *text = NULL;
    *n = 0;
    size_t total = 0, k = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cg_token *tok = shown(t, ids[i], skip_special);
        if (tok) total += tok->text_n; /* below count * CG_MAX_TOKEN_BYTES */
    }
    char *s = malloc(total + 1);
    if (!s) return cg_fail(CG_ERR_MEMORY, "out of memory while decoding %zu tokens", count);
    for (size_t i = 0; i < count; i++) {
        const struct cg_token *tok = shown(t, ids[i], skip_special);
        if (!tok) continue;
        memcpy(s + k, t->vocab.blob + tok->text, tok->text_n);
        k += tok->text_n;
    }
    s[k] = 0;
    *text = s;
    *n = k;
    return CG_OK;
}

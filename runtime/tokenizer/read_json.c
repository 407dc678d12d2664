/* tokenizer.json: what is understood is taken, and anything else is refused by its name. */
#include <string.h>

#include "runtime/tokenizer/internal.h"
#include "runtime/tokenizer/utf8.h"

/* The names of `keys` are separated by spaces. */
static enum cg_status only_keys(json_t *o, const char *what, const char *keys)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o)) return cg_fail(CG_ERR_USER, "%s is not an object", what);
    json_object_foreach(o, key, v)
    {
        size_t n = strlen(key);
        const char *p = n && !strchr(key, ' ') ? keys : NULL;
        while (p && (p = strstr(p, key)) && !((p == keys || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))) p++;
        char buf[64];
        if (!p) return cg_fail(CG_ERR_USER, "%s: '%s' is not supported", what, cg_shown(key, n, buf));
    }
    return CG_OK;
}

static int is_type(json_t *o, const char *name)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type && strcmp(type, name) == 0;
}

static enum cg_status wrong_type(json_t *o, const char *what)
{
    char buf[64];
    const char *type = json_string_value(json_object_get(o, "type"));
    if (!type) return cg_fail(CG_ERR_USER, "%s has no type", what);
    return cg_fail(CG_ERR_USER, "%s of type '%s' is not supported", what, cg_shown(type, strlen(type), buf));
}

/* An optional true or false. */
static enum cg_status get_bool(json_t *o, const char *what, const char *key, int *v)
{
    json_t *j = json_object_get(o, key);
    if (!j || json_is_null(j)) return CG_OK;
    if (!json_is_boolean(j)) return cg_fail(CG_ERR_USER, "%s: '%s' is neither true nor false", what, key);
    *v = json_is_true(j);
    return CG_OK;
}

static enum cg_status get_id(json_t *j, const char *what, uint32_t *id)
{
    if (!json_is_integer(j) || json_integer_value(j) < 0 || json_integer_value(j) >= (json_int_t)CG_MAX_IDS) {
        return cg_fail(CG_ERR_USER, "%s: an id is not a whole number from 0 to %u", what, CG_MAX_IDS - 1);
    }
    *id = (uint32_t)json_integer_value(j);
    return CG_OK;
}

static enum cg_status read_normalizer(struct cg_tokenizer *t, json_t *o)
{
    if (!o || json_is_null(o)) return CG_OK;
    if (!is_type(o, "NFC")) return wrong_type(o, "normalizer");
    t->nfc = 1;
    return only_keys(o, "normalizer", "type");
}

static enum cg_status read_byte_level(struct cg_tokenizer *t, json_t *o)
{
    int prefix = 1, regex = 1, trim;
    const char *what = "pre_tokenizer ByteLevel";
    CG_TRY(only_keys(o, what, "type add_prefix_space trim_offsets use_regex"));
    CG_TRY(get_bool(o, what, "add_prefix_space", &prefix));
    CG_TRY(get_bool(o, what, "trim_offsets", &trim));
    CG_TRY(get_bool(o, what, "use_regex", &regex));
    if (prefix) return cg_fail(CG_ERR_USER, "%s: 'add_prefix_space' true is not supported", what);
    return regex ? cg_tokenizer_add_pattern(t, cg_gpt2_pattern, strlen(cg_gpt2_pattern)) : CG_OK;
}

static enum cg_status read_digits(struct cg_tokenizer *t, json_t *o)
{
    int individual = 0;
    CG_TRY(only_keys(o, "pre_tokenizer Digits", "type individual_digits"));
    CG_TRY(get_bool(o, "pre_tokenizer Digits", "individual_digits", &individual));
    const char *pattern = individual ? cg_digit_pattern : cg_digits_pattern;
    return cg_tokenizer_add_pattern(t, pattern, strlen(pattern));
}

static enum cg_status read_split(struct cg_tokenizer *t, json_t *o)
{
    const char *what = "pre_tokenizer Split";
    int invert = 0;
    CG_TRY(only_keys(o, what, "type pattern behavior invert"));
    CG_TRY(get_bool(o, what, "invert", &invert));
    if (invert) return cg_fail(CG_ERR_USER, "%s: 'invert' true is not supported", what);
    const char *behavior = json_string_value(json_object_get(o, "behavior"));
    if (!behavior || strcmp(behavior, "Isolated") != 0) {
        return cg_fail(CG_ERR_USER, "%s: only the behavior 'Isolated' is supported", what);
    }
    json_t *pattern = json_object_get(o, "pattern");
    json_t *regex = json_object_get(pattern, "Regex");
    if (!json_is_string(regex) || json_object_size(pattern) != 1) {
        return cg_fail(CG_ERR_USER, "%s: only a pattern of the kind 'Regex' is supported", what);
    }
    return cg_tokenizer_add_pattern(t, json_string_value(regex), json_string_length(regex));
}

/* Whether this is the pre-tokenizer of the built-in models (see write.c): every character is a piece. */
static int is_every_char(json_t *o)
{
    const char *regex = json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    return is_type(o, "Split") && regex && strcmp(regex, "[\\s\\S]") == 0;
}

/* One pre-tokenizer that is not a sequence; *bytes is set by ByteLevel, after which there can be nothing. */
static enum cg_status read_step(struct cg_tokenizer *t, json_t *o, int *bytes)
{
    if (*bytes) return cg_fail(CG_ERR_USER, "a pre_tokenizer after ByteLevel is not supported");
    if (is_type(o, "Digits")) return read_digits(t, o);
    if (is_type(o, "Split")) return read_split(t, o);
    if (!is_type(o, "ByteLevel")) return wrong_type(o, "pre_tokenizer");
    *bytes = 1;
    return read_byte_level(t, o);
}

static enum cg_status read_pre_tokenizer(struct cg_tokenizer *t, json_t *o)
{
    int bytes = 0;
    size_t i;
    json_t *step;
    if (!o || json_is_null(o)) return cg_fail(CG_ERR_USER, "there is no pre_tokenizer: only ByteLevel is supported");
    if (!is_type(o, "Sequence")) {
        CG_TRY(read_step(t, o, &bytes));
    } else {
        json_t *steps = json_object_get(o, "pretokenizers");
        CG_TRY(only_keys(o, "pre_tokenizer Sequence", "type pretokenizers"));
        if (!json_is_array(steps)) return cg_fail(CG_ERR_USER, "pre_tokenizer: 'pretokenizers' is not a list");
        json_array_foreach(steps, i, step) CG_TRY(read_step(t, step, &bytes));
    }
    return bytes ? CG_OK : cg_fail(CG_ERR_USER, "the pre_tokenizer has no ByteLevel: no other kind is supported");
}

static enum cg_status read_decoder(json_t *o, const char *type)
{
    if (is_type(o, "Sequence") && json_array_size(json_object_get(o, "decoders")) == 1) {
        o = json_array_get(json_object_get(o, "decoders"), 0);
    }
    if (is_type(o, type)) return CG_OK;
    if (!o || json_is_null(o)) return cg_fail(CG_ERR_USER, "there is no decoder: only %s is supported", type);
    return wrong_type(o, "decoder");
}

static enum cg_status read_vocab(struct cg_tokenizer *t, json_t *vocab, int byte_level)
{
    const char *key;
    json_t *j;
    if (!json_is_object(vocab)) return cg_fail(CG_ERR_USER, "model: 'vocab' is not an object");
    json_object_foreach(vocab, key, j)
    {
        uint32_t id = 0;
        CG_TRY(get_id(j, "model: vocab", &id));
        CG_TRY(cg_vocab_put(&t->vocab, id, key, strlen(key), byte_level));
    }
    return CG_OK;
}

/* "a b" or ["a", "b"]. */
static enum cg_status read_merge(struct cg_tokenizer *t, json_t *m, size_t i)
{
    if (json_is_string(m)) {
        const char *s = json_string_value(m), *space = strchr(s, ' ');
        size_t n = json_string_length(m);
        if (i == 0 && strncmp(s, "#version", 8) == 0) return CG_OK;
        if (space && space > s && space[1] && !strchr(space + 1, ' ')) {
            size_t an = (size_t)(space - s);
            return cg_vocab_merge(&t->vocab, s, an, space + 1, n - an - 1);
        }
    } else if (json_array_size(m) == 2) {
        json_t *a = json_array_get(m, 0), *b = json_array_get(m, 1);
        if (json_string_length(a) && json_string_length(b)) {
            return cg_vocab_merge(&t->vocab, json_string_value(a), json_string_length(a), json_string_value(b),
                                  json_string_length(b));
        }
    }
    return cg_fail(CG_ERR_USER, "model: merge %zu is neither \"a b\" nor [\"a\", \"b\"]", i);
}

/* A string that must be absent, null or empty. */
static enum cg_status want_no_string(json_t *o, const char *key)
{
    json_t *j = json_object_get(o, key);
    if (!j || json_is_null(j) || (json_is_string(j) && json_string_length(j) == 0)) return CG_OK;
    return cg_fail(CG_ERR_USER, "model: '%s' is not supported", key);
}

static enum cg_status read_bpe(struct cg_tokenizer *t, json_t *o)
{
    int byte_fallback = 0;
    CG_TRY(only_keys(o, "model",
                     "type dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback "
                     "ignore_merges vocab merges"));
    json_t *dropout = json_object_get(o, "dropout"), *unk = json_object_get(o, "unk_token");
    if (dropout && !json_is_null(dropout) && json_number_value(dropout) != 0) {
        return cg_fail(CG_ERR_USER, "model: 'dropout' is not supported");
    }
    CG_TRY(want_no_string(o, "continuing_subword_prefix"));
    CG_TRY(want_no_string(o, "end_of_word_suffix"));
    CG_TRY(get_bool(o, "model", "byte_fallback", &byte_fallback));
    if (byte_fallback) return cg_fail(CG_ERR_USER, "model: 'byte_fallback' true is not supported");
    CG_TRY(get_bool(o, "model", "fuse_unk", &t->fuse_unk));
    CG_TRY(get_bool(o, "model", "ignore_merges", &t->ignore_merges));
    CG_TRY(read_vocab(t, json_object_get(o, "vocab"), 1));
    if (unk && !json_is_null(unk)) {
        if (json_is_string(unk)) t->unk = cg_vocab_find(&t->vocab, json_string_value(unk), json_string_length(unk));
        if (t->unk == CG_NO_ID) return cg_fail(CG_ERR_USER, "model: 'unk_token' is not in the vocabulary");
    }
    json_t *merges = json_object_get(o, "merges"), *m;
    size_t i;
    if (!json_is_array(merges)) return cg_fail(CG_ERR_USER, "model: 'merges' is not a list");
    json_array_foreach(merges, i, m) CG_TRY(read_merge(t, m, i));
    return CG_OK;
}

/* What write.c writes for the built-in models. */
static enum cg_status read_chars(struct cg_tokenizer *t, json_t *root, json_t *model)
{
    t->chars = 1;
    CG_TRY(only_keys(model, "model", "type vocab unk_token"));
    CG_TRY(read_decoder(json_object_get(root, "decoder"), "Fuse"));
    return read_vocab(t, json_object_get(model, "vocab"), 0);
}

/* The id that the reference gives an added token, whatever the file says. */
static uint32_t expected_id(const struct cg_tokenizer *t, const char *s, size_t n, uint32_t highest)
{
    uint32_t id = cg_vocab_find(&t->vocab, s, n), next = (uint32_t)t->vocab.n_model;
    if (id != CG_NO_ID) return id;
    return highest != CG_NO_ID && highest >= next ? highest + 1 : next;
}

static enum cg_status read_added_token(struct cg_tokenizer *t, json_t *o, uint32_t *highest)
{
    static const struct {
        const char *key;
        unsigned flag;
    } flags[] = {{"special", CG_TOKEN_SPECIAL},
                 {"normalized", CG_TOKEN_NORMALIZED},
                 {"lstrip", CG_TOKEN_LSTRIP},
                 {"rstrip", CG_TOKEN_RSTRIP}};
    uint32_t id = 0, expected;
    unsigned set = 0;
    int single = 0;
    char buf[64];
    CG_TRY(only_keys(o, "added_tokens", "id content single_word lstrip rstrip normalized special"));
    CG_TRY(get_id(json_object_get(o, "id"), "added_tokens", &id));
    const char *s = json_string_value(json_object_get(o, "content"));
    if (!s || !*s) return cg_fail(CG_ERR_USER, "added_tokens: id %lu has no content", (unsigned long)id);
    size_t n = json_string_length(json_object_get(o, "content"));
    CG_TRY(get_bool(o, "added_tokens", "single_word", &single));
    if (single) {
        return cg_fail(CG_ERR_USER, "added_tokens: '%s': 'single_word' true is not supported", cg_shown(s, n, buf));
    }
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
        int v = 0;
        CG_TRY(get_bool(o, "added_tokens", flags[k].key, &v));
        if (v) set |= flags[k].flag;
    }
    expected = expected_id(t, s, n, *highest);
    if (expected != id) {
        return cg_fail(CG_ERR_USER, "added_tokens: '%s' has id %lu where %lu was expected", cg_shown(s, n, buf),
                       (unsigned long)id, (unsigned long)expected);
    }
    if (*highest == CG_NO_ID || id > *highest) *highest = id;
    return cg_vocab_add(&t->vocab, id, s, n, set);
}

static enum cg_status read_model(struct cg_tokenizer *t, json_t *root)
{
    json_t *model = json_object_get(root, "model"), *pre = json_object_get(root, "pre_tokenizer");
    if (!json_is_object(model)) return cg_fail(CG_ERR_USER, "there is no model");
    CG_TRY(read_normalizer(t, json_object_get(root, "normalizer")));
    if (is_type(model, "WordLevel") && is_every_char(pre)) return read_chars(t, root, model);
    /* Files from before 2020 leave the type out */
    if (json_object_get(model, "type") && !is_type(model, "BPE")) return wrong_type(model, "model");
    CG_TRY(read_pre_tokenizer(t, pre));
    CG_TRY(read_decoder(json_object_get(root, "decoder"), "ByteLevel"));
    return read_bpe(t, model);
}

enum cg_status cg_tokenizer_read_json(struct cg_tokenizer *t, json_t *root)
{
    json_t *added = json_object_get(root, "added_tokens"), *token;
    uint32_t highest = CG_NO_ID;
    size_t i;
    /* post_processor, truncation and padding act on what is put around a text, of which we put nothing */
    CG_TRY(only_keys(root, "the file",
                     "version truncation padding added_tokens normalizer pre_tokenizer post_processor decoder model"));
    CG_TRY(read_model(t, root));
    if (!added || json_is_null(added)) return CG_OK;
    if (!json_is_array(added)) return cg_fail(CG_ERR_USER, "'added_tokens' is not a list");
    json_array_foreach(added, i, token) CG_TRY(read_added_token(t, token, &highest));
    return CG_OK;
}

/* tokenizer.json and tokenizer_config.json: those of the source folder as they were, or new ones from what is known. */
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/tokenizer/internal.h"

/* Keeps the first failure to build a piece of JSON, so that it is looked at once. */
static void set(json_t *o, const char *key, json_t *v, int *bad)
{
    if (json_object_set_new(o, key, v) != 0) *bad = 1;
}

static void append(json_t *a, json_t *v, int *bad)
{
    if (json_array_append_new(a, v) != 0) *bad = 1;
}

static json_t *raw_string(const struct cg_tokenizer *t, uint32_t id)
{
    const struct cg_token *tok = &t->vocab.tokens[id];
    return json_stringn(t->vocab.blob + tok->raw, tok->raw_n);
}

static json_t *byte_level(int regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex",
                     regex);
}

static json_t *split(const char *pattern)
{
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pattern, "behavior", "Isolated",
                     "invert", 0);
}

static json_t *pre_tokenizer(const struct cg_tokenizer *t, int *bad)
{
    if (t->chars) return split("[\\s\\S]");
    json_t *steps = json_array();
    if (t->pre->digits) append(steps, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1), bad);
    if (t->pre->pattern) append(steps, split(t->pre->pattern), bad);
    append(steps, byte_level(t->pre->pattern == NULL), bad);
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
}

/* The token that others put before a text: TemplateProcessing with <bos> $A. */
static json_t *post_processor(const struct cg_tokenizer *t, int *bad)
{
    if (!t->add_bos || t->bos == CG_NO_ID) return t->chars ? json_null() : byte_level(1);
    json_t *name = raw_string(t, t->bos), *special = json_object();
    const char *s = json_string_value(name);
    if (!s) *bad = 1;
    else {
        set(special, s, json_pack("{s:s, s:[i], s:[s]}", "id", s, "ids", (int)t->bos, "tokens", s), bad);
    }
    json_t *o = json_pack(
        "{s:s, s:[{s:{s:O, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:O, s:i}}, {s:{s:s, s:i}}, {s:{s:O, s:i}}, {s:{s:s, s:i}}], "
        "s:o}",
        "type", "TemplateProcessing",                                                            //
        "single", "SpecialToken", "id", name, "type_id", 0, "Sequence", "id", "A", "type_id", 0, //
        "pair", "SpecialToken", "id", name, "type_id", 0, "Sequence", "id", "A", "type_id", 0,   //
        "SpecialToken", "id", name, "type_id", 1, "Sequence", "id", "B", "type_id", 1, "special_tokens", special);
    json_decref(name);
    return o;
}

static json_t *added_tokens(const struct cg_tokenizer *t, int *bad)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->vocab.n; i++) {
        unsigned f = t->vocab.tokens[i].flags;
        if (!(f & CG_TOKEN_ADDED)) continue;
        append(list,
               json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (int)i, "content", raw_string(t, (uint32_t)i),
                         "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special",
                         (f & CG_TOKEN_SPECIAL) != 0),
               bad);
    }
    return list;
}

static json_t *vocab(const struct cg_tokenizer *t, int *bad)
{
    json_t *o = json_object();
    for (size_t i = 0; i < t->vocab.n; i++) {
        if (!(t->vocab.tokens[i].flags & CG_TOKEN_MODEL)) continue;
        json_t *name = raw_string(t, (uint32_t)i);
        set(o, name ? json_string_value(name) : NULL, json_integer((json_int_t)i), bad);
        json_decref(name);
    }
    return o;
}

/* "a b" in order of rank, as every release of tokenizers reads it. */
static json_t *merges(const struct cg_tokenizer *t, int *bad)
{
    const struct cg_vocab *v = &t->vocab;
    json_t *list = json_array();
    size_t n;
    struct cg_merge *m = cg_vocab_merges(v, &n);
    if (!m) *bad = 1;
    for (size_t i = 0; i < n; i++) {
        const struct cg_token *a = &v->tokens[m[i].a], *b = &v->tokens[m[i].b];
        append(list, json_pack("s%++%", v->blob + a->raw, a->raw_n, " ", v->blob + b->raw, b->raw_n), bad);
    }
    free(m);
    return list;
}

static json_t *model(const struct cg_tokenizer *t, int *bad)
{
    json_t *o = json_pack("{s:s}", "type", t->chars ? "WordLevel" : "BPE");
    if (t->chars) {
        /* the name of no token, so that a character that is not in the vocabulary is an error */
        set(o, "unk_token", json_string("<unk>"), bad);
        set(o, "vocab", vocab(t, bad), bad);
        return o;
    }
    static const char *const null_keys[] = {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof null_keys / sizeof *null_keys; i++) set(o, null_keys[i], json_null(), bad);
    set(o, "fuse_unk", json_false(), bad);
    set(o, "byte_fallback", json_false(), bad);
    set(o, "ignore_merges", json_boolean(t->ignore_merges), bad);
    set(o, "vocab", vocab(t, bad), bad);
    set(o, "merges", merges(t, bad), bad);
    return o;
}

static json_t *tokenizer_json(const struct cg_tokenizer *t, int *bad)
{
    json_t *o = json_pack("{s:s, s:n, s:n}", "version", "1.0", "truncation", "padding");
    set(o, "added_tokens", added_tokens(t, bad), bad);
    set(o, "normalizer", t->nfc ? json_pack("{s:s}", "type", "NFC") : json_null(), bad);
    set(o, "pre_tokenizer", pre_tokenizer(t, bad), bad);
    set(o, "post_processor", post_processor(t, bad), bad);
    set(o, "decoder", t->chars ? json_pack("{s:s}", "type", "Fuse") : byte_level(1), bad);
    set(o, "model", model(t, bad), bad);
    return o;
}

static json_t *config_json(const struct cg_tokenizer *t, int *bad)
{
    const struct {
        const char *key;
        uint32_t id;
    } names[] = {{"bos_token", t->bos}, {"eos_token", t->eos}, {"pad_token", t->pad}, {"unk_token", t->unk_name}};
    json_t *o =
        json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces", 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].id != CG_NO_ID) set(o, names[i].key, raw_string(t, names[i].id), bad);
    }
    if (t->chat_template) set(o, "chat_template", json_string(t->chat_template), bad);
    return o;
}

static enum cg_status write_file(const char *dir, const char *name, const char *data, size_t n)
{
    char *path = cg_path_join(dir, name);
    struct cg_out out;
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory while writing the tokenizer");
    enum cg_status s = cg_out_open(path, &out);
    free(path);
    CG_TRY(s);
    fwrite(data, 1, n, out.f); /* the commit reports what goes wrong here */
    return cg_out_commit(&out);
}

/* Takes `root`. */
static enum cg_status write_json(const char *dir, const char *name, json_t *root, int bad)
{
    char *text = bad ? NULL : json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory while writing the tokenizer");
    enum cg_status s = write_file(dir, name, text, strlen(text));
    free(text);
    return s;
}

enum cg_status cg_tokenizer_save(const struct cg_tokenizer *t, const char *dir)
{
    int bad = 0, has_config = 0;
    CG_TRY(cg_mkdirs(dir));
    for (size_t i = 0; i < t->n_files; i++) {
        const struct cg_kept_file *f = &t->files[i];
        has_config |= strcmp(f->name, "tokenizer_config.json") == 0;
        CG_TRY(write_file(dir, f->name, f->data, f->n));
    }
    if (t->n_files == 0) {
        json_t *root = tokenizer_json(t, &bad);
        CG_TRY(write_json(dir, "tokenizer.json", root, bad));
    }
    if (has_config) return CG_OK;
    json_t *root = config_json(t, &bad);
    return write_json(dir, "tokenizer_config.json", root, bad);
}

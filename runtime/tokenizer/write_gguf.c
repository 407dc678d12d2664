/* The tokenizer as metadata of a GGUF file. */
#include <stdlib.h>
#include <string.h>

#include "runtime/model/gguf_write.h"
#include "runtime/tokenizer/internal.h"
#include "runtime/tokenizer/utf8.h"

#define KEY "tokenizer.ggml."

/* What a source folder says beside the vocabulary. */
struct facts {
    const struct cg_pre *pre;
    int add_bos;
    char *chat_template; /* NULL: none; free() */
};

static const struct cg_kept_file *kept(const struct cg_tokenizer *t, const char *name)
{
    for (size_t i = 0; i < t->n_files; i++)
        if (strcmp(t->files[i].name, name) == 0) return &t->files[i];
    return NULL;
}

/* A kept file, which was sound when it was read; NULL where there is none, or no memory. */
static json_t *kept_json(const struct cg_tokenizer *t, const char *name, size_t flags)
{
    const struct cg_kept_file *f = kept(t, name);
    return f ? json_loadb(f->data, f->n, flags, NULL) : NULL;
}

/* Does a post_processor, alone or in a sequence, put the token `bos` before a text? */
static int puts_first(json_t *post, const char *bos)
{
    json_t *list = json_object_get(post, "processors"), *one;
    size_t i;
    json_array_foreach(list, i, one) if (puts_first(one, bos)) return 1;
    json_t *first = json_object_get(json_array_get(json_object_get(post, "single"), 0), "SpecialToken");
    const char *id = json_string_value(json_object_get(first, "id"));
    return id && bos && strcmp(id, bos) == 0;
}

static enum cg_status folder_facts(const struct cg_tokenizer *t, struct facts *f)
{
    json_t *root = kept_json(t, "tokenizer.json", 0);
    json_t *config = kept_json(t, "tokenizer_config.json", JSON_DECODE_INT_AS_REAL);
    const struct cg_token *bos = t->bos == CG_NO_ID ? NULL : &t->vocab.tokens[t->bos];
    char *name = bos ? strndup(t->vocab.blob + bos->raw, bos->raw_n) : NULL;
    enum cg_status s = root && (name || !bos) ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory for the tokenizer");
    if (s == CG_OK) {
        json_t *add = json_object_get(config, "add_bos_token");
        f->pre = cg_pre_of_json(root);
        f->add_bos =
            json_is_boolean(add) ? json_is_true(add) : puts_first(json_object_get(root, "post_processor"), name);
    }
    free(name);
    json_decref(root);
    json_decref(config);
    return s;
}

static enum cg_status find_facts(const struct cg_tokenizer *t, struct facts *f)
{
    *f = (struct facts){.pre = t->pre, .add_bos = t->add_bos};
    if (t->chars)
        return cg_fail(CG_ERR_USER,
                       "%s: GGUF has no tokenizer for the characters of a built-in model; write a Hugging Face folder "
                       "instead",
                       t->source);
    if (t->n_files) CG_TRY(folder_facts(t, f));
    if (!f->pre)
        return cg_fail(CG_ERR_USER, "%s: GGUF has no name that is known here for the way its tokenizer cuts text",
                       t->source);
    return cg_tokenizer_chat_template(t, &f->chat_template);
}

static void put_tokens(const struct cg_tokenizer *t, size_t n, struct cg_gguf_meta *meta)
{
    const struct cg_vocab *v = &t->vocab;
    cg_gguf_put_strings(meta, KEY "tokens", n);
    for (size_t i = 0; i < n; i++) {
        char pad[32];
        if (i < v->n && v->tokens[i].flags) cg_gguf_item_string(meta, v->blob + v->tokens[i].raw, v->tokens[i].raw_n);
        else cg_gguf_item_string(meta, pad, (size_t)snprintf(pad, sizeof pad, "[PAD%zu]", i));
    }
    cg_gguf_put_ints(meta, KEY "token_type", n);
    for (size_t i = 0; i < n; i++) {
        unsigned flags = i < v->n ? v->tokens[i].flags : 0;
        cg_gguf_item_int(meta, !flags                     ? CG_GGUF_UNUSED
                               : flags & CG_TOKEN_SPECIAL ? CG_GGUF_CONTROL
                               : flags & CG_TOKEN_ADDED   ? CG_GGUF_USER_DEFINED
                                                          : CG_GGUF_NORMAL);
    }
}

static enum cg_status put_merges(const struct cg_tokenizer *t, struct cg_gguf_meta *meta)
{
    const struct cg_vocab *v = &t->vocab;
    size_t n;
    struct cg_merge *m = cg_vocab_merges(v, &n);
    char *both = malloc(2 * CG_MAX_TOKEN_BYTES + 1);
    if (m && both) {
        cg_gguf_put_strings(meta, KEY "merges", n);
        for (size_t i = 0; i < n; i++) {
            const struct cg_token *a = &v->tokens[m[i].a], *b = &v->tokens[m[i].b];
            memcpy(both, v->blob + a->raw, a->raw_n);
            both[a->raw_n] = ' ';
            memcpy(both + a->raw_n + 1, v->blob + b->raw, b->raw_n);
            cg_gguf_item_string(meta, both, a->raw_n + 1 + b->raw_n);
        }
    }
    enum cg_status s = m && both ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory for the merges");
    free(m);
    free(both);
    return s;
}

static void put_id(struct cg_gguf_meta *meta, const char *key, uint32_t id, int other)
{
    if (id != CG_NO_ID) cg_gguf_put_u32(meta, key, id);
    else if (other >= 0) cg_gguf_put_u32(meta, key, (uint32_t)other);
}

enum cg_status cg_tokenizer_put_gguf(const struct cg_tokenizer *t, const struct cg_config *c, struct cg_gguf_meta *meta)
{
    struct facts f;
    if (t->vocab.n > c->vocab_size)
        return cg_fail(CG_ERR_USER, "%s: the tokenizer has %zu tokens, the model only %zu", t->source, t->vocab.n,
                       c->vocab_size);
    enum cg_status s = find_facts(t, &f);
    if (s == CG_OK) {
        cg_gguf_put_string(meta, KEY "model", "gpt2", 4);
        cg_gguf_put_string(meta, KEY "pre", f.pre->name, strlen(f.pre->name));
        put_tokens(t, c->vocab_size, meta);
        s = put_merges(t, meta);
        put_id(meta, KEY "bos_token_id", t->bos, c->bos_token_id);
        put_id(meta, KEY "eos_token_id", t->eos, c->eos_token_id);
        put_id(meta, KEY "padding_token_id", t->pad, c->pad_token_id);
        put_id(meta, KEY "unknown_token_id", t->unk_name, -1);
        cg_gguf_put_bool(meta, KEY "add_bos_token", f.add_bos);
        if (f.chat_template)
            cg_gguf_put_string(meta, "tokenizer.chat_template", f.chat_template, strlen(f.chat_template));
    }
    free(f.chat_template);
    return s;
}

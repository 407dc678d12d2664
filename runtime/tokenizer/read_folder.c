/* A Hugging Face folder: tokenizer.json, and what tokenizer_config.json says about it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "runtime/tokenizer/internal.h"
#include "runtime/tokenizer/utf8.h"

#define MAX_JSON ((size_t)128 << 20)

/* Files of the folder that make up a tokenizer for others; all are kept, the first must be there. */
static const char *const kept[CG_MAX_FILES] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                                               "chat_template.jinja"};

static enum cg_status keep_file(struct cg_tokenizer *t, const char *dir, const char *name)
{
    char *path = cg_path_join(dir, name);
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory for the tokenizer");
    enum cg_status s = CG_OK;
    if (access(path, F_OK) == 0 || name == kept[0]) {
        struct cg_kept_file *f = &t->files[t->n_files];
        f->name = name;
        s = cg_file_read(path, MAX_JSON, &f->data, &f->n);
        if (s == CG_OK) t->n_files++;
    }
    free(path);
    return s;
}

static const struct cg_kept_file *kept_file(const struct cg_tokenizer *t, const char *name)
{
    for (size_t i = 0; i < t->n_files; i++) {
        if (strcmp(t->files[i].name, name) == 0) return &t->files[i];
    }
    return NULL;
}

/* "eos_token": a string, an added token as an object, or null. A token that the model has and that is not among the
 * added tokens becomes one, as it does in transformers. `needed`: it must have an id. */
static enum cg_status special_name(struct cg_tokenizer *t, json_t *config, const char *key, int needed, uint32_t *id)
{
    json_t *j = json_object_get(config, key);
    char buf[64];
    if (!j || json_is_null(j)) return CG_OK;
    if (json_is_object(j)) j = json_object_get(j, "content");
    const char *s = json_string_value(j);
    if (!s) return cg_fail(CG_ERR_USER, "'%s' is not a string", key);
    *id = cg_vocab_find_any(&t->vocab, s, json_string_length(j));
    if (*id != CG_NO_ID) return cg_vocab_add(&t->vocab, *id, s, json_string_length(j), CG_TOKEN_SPECIAL);
    if (!needed) return CG_OK;
    return cg_fail(CG_ERR_USER, "'%s' is '%s', which is not in tokenizer.json", key, cg_shown(s, strlen(s), buf));
}

/* "added_tokens_decoder": {"0": {"content": ..}, ..} must say what tokenizer.json says. */
static enum cg_status check_decoder(struct cg_tokenizer *t, json_t *o)
{
    const char *key;
    json_t *j;
    json_object_foreach(o, key, j)
    {
        char *end, buf[64];
        unsigned long id = strtoul(key, &end, 10);
        json_t *content = json_object_get(j, "content");
        const char *s = json_string_value(content);
        if (!s || *end || end == key) return cg_fail(CG_ERR_USER, "'added_tokens_decoder' is not sound");
        if (id >= CG_MAX_IDS || cg_vocab_find_any(&t->vocab, s, json_string_length(content)) != id) {
            return cg_fail(CG_ERR_USER, "'added_tokens_decoder' says that '%s' is %s, but tokenizer.json does not",
                           cg_shown(s, strlen(s), buf), key);
        }
    }
    return CG_OK;
}

static enum cg_status read_config(struct cg_tokenizer *t, json_t *config)
{
    if (json_is_true(json_object_get(config, "add_prefix_space"))) {
        return cg_fail(CG_ERR_USER, "'add_prefix_space' true is not supported");
    }
    CG_TRY(check_decoder(t, json_object_get(config, "added_tokens_decoder")));
    CG_TRY(special_name(t, config, "bos_token", 0, &t->bos));
    CG_TRY(special_name(t, config, "eos_token", 1, &t->eos));
    CG_TRY(special_name(t, config, "unk_token", 0, &t->unk_name));
    return special_name(t, config, "pad_token", 1, &t->pad);
}

typedef enum cg_status (*read_fn)(struct cg_tokenizer *t, json_t *root);

static enum cg_status read_kept(struct cg_tokenizer *t, const char *name, size_t flags, read_fn read)
{
    const struct cg_kept_file *f = kept_file(t, name);
    json_error_t e;
    char buf[64];
    if (!f) return CG_OK;
    json_t *root = json_loadb(f->data, f->n, JSON_REJECT_DUPLICATES | flags, &e);
    if (!root && json_error_code(&e) == json_error_out_of_memory) {
        return cg_fail(CG_ERR_MEMORY, "out of memory while reading %s", name);
    }
    if (!root) {
        return cg_fail(CG_ERR_USER, "%s is not sound JSON: line %d, column %d: %s", name, e.line, e.column,
                       cg_shown(e.text, strlen(e.text), buf));
    }
    enum cg_status s = json_is_object(root) ? read(t, root) : cg_fail(CG_ERR_USER, "not a JSON object");
    json_decref(root);
    return s == CG_OK ? s : cg_fail_in(s, "%s", name);
}

enum cg_status cg_tokenizer_read_folder(struct cg_tokenizer *t, const char *dir)
{
    for (size_t i = 0; i < CG_MAX_FILES; i++) CG_TRY(keep_file(t, dir, kept[i]));
    CG_TRY(read_kept(t, "tokenizer.json", 0, cg_tokenizer_read_json));
    /* model_max_length is 1e30 written as an integer when there is no limit */
    return read_kept(t, "tokenizer_config.json", JSON_DECODE_INT_AS_REAL, read_config);
}

/* The chat template that comes with a tokenizer, and the texts of its special tokens. */
#include <stdlib.h>
#include <string.h>

#include "runtime/model/json.h"
#include "runtime/tokenizer/internal.h"

static enum cg_status copy(const char *s, size_t n, char **out)
{
    *out = malloc(n + 1);
    if (!*out) return cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
    memcpy(*out, s, n);
    (*out)[n] = 0;
    return CG_OK;
}

/* "chat_template": a string, or a list of {"name", "template"} of which "default" is meant. */
static const json_t *in_config(const json_t *config)
{
    json_t *j = json_object_get(config, "chat_template"), *one;
    size_t i;
    if (!json_is_array(j)) return j;
    json_array_foreach(j, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && strcmp(name, "default") == 0) return json_object_get(one, "template");
    }
    return NULL;
}

static enum cg_status from_config(const struct cg_kept_file *f, char **out)
{
    /* It was read before: it is a JSON object. */
    json_t *config = json_loadb(f->data, f->n, JSON_DECODE_INT_AS_REAL, NULL);
    if (!config) return cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
    const json_t *t = in_config(config);
    enum cg_status s = CG_OK;
    if (json_is_string(t)) s = copy(json_string_value(t), json_string_length(t), out);
    else if (t && !json_is_null(t))
        s = cg_fail(CG_ERR_USER, "tokenizer_config.json: 'chat_template' is neither a string nor a list of templates");
    json_decref(config);
    return s;
}

enum cg_status cg_tokenizer_chat_template(const struct cg_tokenizer *t, char **out)
{
    const struct cg_kept_file *config = NULL;
    *out = NULL;
    if (t->chat_template) return copy(t->chat_template, strlen(t->chat_template), out);
    for (size_t i = 0; i < t->n_files; i++) {
        const struct cg_kept_file *f = &t->files[i];
        if (strcmp(f->name, "chat_template.jinja") == 0) return copy(f->data, f->n, out);
        if (strcmp(f->name, "tokenizer_config.json") == 0) config = f;
    }
    return config ? from_config(config, out) : CG_OK;
}

enum cg_status cg_tokenizer_set_chat_template(struct cg_tokenizer *t, const char *text)
{
    char *own;
    size_t i = 0;
    CG_TRY(copy(text, strlen(text), &own));
    if (t->n_files == 0) { /* not from a folder: tokenizer_config.json is written anew */
        free(t->chat_template);
        t->chat_template = own;
        return CG_OK;
    }
    while (i < t->n_files && strcmp(t->files[i].name, "chat_template.jinja") != 0) i++;
    if (i == t->n_files) t->n_files++; /* there is a place for each of the four names */
    else free(t->files[i].data);
    t->files[i] = (struct cg_kept_file){.name = "chat_template.jinja", .data = own, .n = strlen(text)};
    return CG_OK;
}

enum cg_status cg_tokenizer_special_texts(const struct cg_tokenizer *t, json_t *vars)
{
    const struct {
        const char *key;
        uint32_t id;
    } names[] = {{"bos_token", t->bos}, {"eos_token", t->eos}, {"pad_token", t->pad}, {"unk_token", t->unk_name}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].id == CG_NO_ID) continue;
        const struct cg_token *tok = &t->vocab.tokens[names[i].id];
        if (json_object_set_new(vars, names[i].key, json_stringn(t->vocab.blob + tok->raw, tok->raw_n)) != 0)
            return cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
    }
    return CG_OK;
}

#include "runtime/data/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/model/json.h"

#define MAX_TEMPLATE ((size_t)4 << 20)

static enum cg_status no_memory(void)
{
    return cg_fail(CG_ERR_MEMORY, "out of memory for the prompts");
}

/* What transformers gives to a template: the special tokens, no tools, no documents, and the user's own. */
static enum cg_status make_vars(struct cg_prompter *p)
{
    const char *kwargs = p->cfg->chat_template_kwargs;
    p->vars = json_object();
    if (!p->vars || json_object_set_new(p->vars, "tools", json_null()) != 0 ||
        json_object_set_new(p->vars, "documents", json_null()) != 0 ||
        json_object_set_new(p->vars, "add_generation_prompt", json_true()) != 0)
        return no_memory();
    CG_TRY(cg_tokenizer_special_texts(p->tok, p->vars));
    if (!*kwargs) return CG_OK;
    json_t *more;
    CG_TRY(cg_json_parse("chat_template_kwargs", kwargs, strlen(kwargs), &more));
    int bad = json_object_update(p->vars, more);
    json_decref(more);
    return bad ? no_memory() : CG_OK;
}

enum cg_status cg_prompter_open(const struct cg_run_config *cfg, const struct cg_tokenizer *tok, struct cg_prompter *p)
{
    *p = (struct cg_prompter){.cfg = cfg, .tok = tok};
    enum cg_status s = make_vars(p);
    if (s != CG_OK) cg_prompter_close(p);
    return s;
}

void cg_prompter_close(struct cg_prompter *p)
{
    cg_chat_free(p->chat);
    json_decref(p->vars);
    memset(p, 0, sizeof *p);
}

/* The option is the template's text, or the name of a file with it: a template has a brace, and a file's name none. */
enum cg_status cg_prompt_template(const struct cg_run_config *cfg, const struct cg_tokenizer *tok, char **text,
                                  const char **name)
{
    const char *option = cfg->chat_template;
    char *file;
    size_t n;
    *name = "the model's chat template";
    if (!*option) {
        CG_TRY(cg_tokenizer_chat_template(tok, text));
        if (*text) return CG_OK;
        return cg_fail(CG_ERR_USER, "%s has no chat template, which a conversation needs; give one as chat_template",
                       cfg->model);
    }
    int is_text = strchr(option, '{') != NULL;
    *name = is_text ? "chat_template" : option;
    if (!is_text) CG_TRY(cg_file_read(option, MAX_TEMPLATE, &file, &n));
    *text = strdup(is_text ? option : file);
    if (!is_text) cg_free(file);
    return *text ? CG_OK : no_memory();
}

static enum cg_status compile(struct cg_prompter *p)
{
    char *text;
    const char *name;
    CG_TRY(cg_prompt_template(p->cfg, p->tok, &text, &name));
    enum cg_status s = cg_chat_compile(text, strlen(text), name, &p->chat);
    free(text);
    return s;
}

static enum cg_status encode(struct cg_prompter *p, struct cg_item *it)
{
    CG_TRY(cg_tokenizer_encode(p->tok, it->prompt, strlen(it->prompt), &it->prompt_ids, &it->prompt_len));
    if (it->prompt_len > 0) return CG_OK;
    return cg_fail(CG_ERR_USER, "the prompt has no tokens: there is nothing to continue");
}

enum cg_status cg_prompt_text(struct cg_prompter *p, const char *text, struct cg_item *it)
{
    if (strcmp(p->cfg->prompt_format, "chat") == 0) {
        json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", text);
        if (!messages) return cg_fail(CG_ERR_USER, "the prompt is not valid UTF-8");
        enum cg_status s = cg_prompt_messages(p, messages, it);
        json_decref(messages);
        return s;
    }
    if (*p->cfg->system_prompt)
        return cg_fail(CG_ERR_USER,
                       "system_prompt needs conversations, and the prompt is plain text; set prompt_format "
                       "to chat, or give prompts as lists of messages");
    it->prompt = strdup(text);
    return it->prompt ? encode(p, it) : no_memory();
}

static enum cg_status check_messages(const json_t *messages)
{
    size_t i;
    json_t *m;
    if (json_array_size(messages) == 0) return cg_fail(CG_ERR_USER, "'prompt' is an empty list: there are no messages");
    json_array_foreach(messages, i, m)
    {
        if (!json_is_object(m)) return cg_fail(CG_ERR_USER, "message %zu of 'prompt' is not an object", i + 1);
        if (!json_is_string(json_object_get(m, "role")))
            return cg_fail(CG_ERR_USER, "message %zu of 'prompt' has no 'role' that is a string", i + 1);
        if (!json_object_get(m, "content"))
            return cg_fail(CG_ERR_USER, "message %zu of 'prompt' has no 'content'", i + 1);
    }
    return CG_OK;
}

/* The messages with the system prompt before them: a new reference, NULL without memory. */
static json_t *with_system(const struct cg_prompter *p, const json_t *messages)
{
    const char *role = json_string_value(json_object_get(json_array_get(messages, 0), "role"));
    json_t *all = json_array();
    if (*p->cfg->system_prompt && strcmp(role, "system") != 0) {
        json_t *m = json_pack("{s:s, s:s}", "role", "system", "content", p->cfg->system_prompt);
        if (json_array_append_new(all, m) != 0) goto failed;
    }
    if (json_array_extend(all, (json_t *)(uintptr_t)messages) == 0) return all;
failed:
    json_decref(all);
    return NULL;
}

enum cg_status cg_prompt_messages(struct cg_prompter *p, const json_t *messages, struct cg_item *it)
{
    CG_TRY(check_messages(messages));
    if (!p->chat) CG_TRY(compile(p));
    json_t *all = with_system(p, messages);
    if (!all || json_object_set_new(p->vars, "messages", all) != 0) return no_memory();
    size_t n;
    CG_TRY(cg_chat_render(p->chat, p->vars, &it->prompt, &n));
    return encode(p, it);
}

enum cg_status cg_prompt_answer(struct cg_prompter *p, const char *answer, const char *learned, struct cg_item *it)
{
    if (!learned) learned = answer;
    it->answer = strdup(answer);
    if (!it->answer) return no_memory();
    CG_TRY(cg_tokenizer_encode(p->tok, learned, strlen(learned), &it->answer_ids, &it->answer_len));
    int eos = cg_tokenizer_eos(p->tok);
    if (eos < 0) return CG_OK;
    int32_t *more = realloc(it->answer_ids, (it->answer_len + 1) * sizeof *more);
    if (!more) return no_memory();
    more[it->answer_len++] = eos;
    it->answer_ids = more;
    return CG_OK;
}

/* Renders chat templates for scripts/make-chat-goldens: lines {"template": .., "vars": {..}} come in, lines {"text":
 * ..} or {"error": ..} go out. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/chat/chat.h"

static json_t *answer(const json_t *in)
{
    struct cg_chat *chat = NULL;
    const json_t *source = json_object_get(in, "template");
    char *text = NULL;
    size_t n = 0;
    enum cg_status s = cg_chat_compile(json_string_value(source), json_string_length(source), "template", &chat);
    if (s == CG_OK) s = cg_chat_render(chat, json_object_get(in, "vars"), &text, &n);
    cg_chat_free(chat);
    json_t *out = s == CG_OK ? json_pack("{s:s%}", "text", text, n) : json_pack("{s:s}", "error", cg_error());
    free(text);
    return out;
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        json_t *in = json_loads(line, JSON_ALLOW_NUL, NULL);
        if (!in || !json_is_string(json_object_get(in, "template"))) return 2;
        json_t *out = answer(in);
        json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(out);
        json_decref(in);
    }
    free(line);
    return 0;
}

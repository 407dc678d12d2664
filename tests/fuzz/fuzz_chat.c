/* Chat templates: compiled, and run over a conversation.
 *
 * instrument: runtime/chat/?*.c runtime/tokenizer/utf8.c
 * seeds: tests/fuzz/seeds/chat/tools.jinja tests/fuzz/seeds/chat/thinking.jinja tests/fuzz/seeds/chat/constructs.jinja
 */
#include "fuzz.h"

#include "runtime/chat/chat.h"
#include "runtime/tokenizer/utf8.h"

static json_t *variables(void)
{
    static const char text[] =
        "{\"messages\": [{\"role\": \"system\", \"content\": \" s\\u00e9 \"}, {\"role\": \"user\", \"content\": "
        "\"a,b\"},"
        " {\"role\": \"assistant\", \"content\": \"<think>x</think>y\", \"tool_calls\": [{\"function\": {\"name\": "
        "\"f\","
        " \"arguments\": {\"n\": 1.5}}}]}, {\"role\": \"tool\", \"content\": \"5\"}], \"tools\": null, \"n\": -7,"
        " \"add_generation_prompt\": true, \"l\": [3, 1, 2], \"d\": {\"k\": \"v\"}, \"s\": \"aXb\", \"yes\": true}";
    json_t *j = json_loads(text, 0, NULL);
    if (!j) exit(1);
    return j;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *vars;
    struct cg_chat *chat;
    char *text;
    size_t n;
    if (!vars) vars = variables();
    enum cg_status st = cg_chat_compile((const char *)data, size, "template", &chat);
    expect_one_line(st);
    if (st != CG_OK) return 0;
    st = cg_chat_render(chat, vars, &text, &n);
    expect_one_line(st);
    if (st == CG_OK && (strlen(text) > n || cg_utf8_valid(text, n) != n)) finding("the text is not valid UTF-8");
    free(text);
    cg_chat_free(chat);
    return 0;
}

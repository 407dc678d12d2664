#include "runtime/data/jsonl.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/model/json.h"

#define MAX_FILE ((size_t)1 << 31) /* of text for training; keeps an endless stream from taking all memory */
#define MAX_LINE ((size_t)64 << 20)
#define MARK "####" /* GSM8K: the answer follows it */

/* A number as text: integers as they are, others as the shortest that reads back. */
static char *number_text(const json_t *j)
{
    char buf[64];
    if (json_is_integer(j)) snprintf(buf, sizeof buf, "%lld", (long long)json_integer_value(j));
    else
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(buf, sizeof buf, "%.*g", digits, json_real_value(j));
            if (strtod(buf, NULL) == json_real_value(j)) break;
        }
    return strdup(buf);
}

static char *trimmed(const char *s)
{
    static const char space[] = " \t\r\n\v\f";
    s += strspn(s, space);
    size_t n = strlen(s);
    while (n && strchr(space, s[n - 1])) n--;
    return strndup(s, n);
}

static const char *type_name(const json_t *j)
{
    static const char *const names[] = {"an object", "a list", "a string", "a number",
                                        "a number",  "true",   "false",    "null"};
    return j ? names[json_typeof(j)] : "missing";
}

/* What stands after the last mark of a GSM8K solution. */
static enum cg_status gsm8k(const json_t *o, struct cg_prompter *p, struct cg_item *it)
{
    const char *question = json_string_value(json_object_get(o, "question"));
    const char *solution = json_string_value(json_object_get(o, "answer"));
    if (!question)
        return cg_fail(CG_ERR_USER, "'question' is %s, not a string", type_name(json_object_get(o, "question")));
    if (!solution) return cg_fail(CG_ERR_USER, "'answer' is %s, not a string", type_name(json_object_get(o, "answer")));
    const char *mark = NULL;
    for (const char *s = solution; (s = strstr(s, MARK)); s += strlen(MARK)) mark = s + strlen(MARK);
    if (!mark)
        return cg_fail(CG_ERR_USER,
                       "'answer' has no " MARK ", which comes before the answer where there is a 'question'; "
                       "for other data give 'prompt' and 'answer'");
    char *answer = trimmed(mark);
    if (!answer) return cg_fail(CG_ERR_MEMORY, "out of memory for the problems");
    enum cg_status s = *answer ? cg_prompt_text(p, question, it) : cg_fail(CG_ERR_USER, "there is nothing after " MARK);
    if (s == CG_OK) s = cg_prompt_answer(p, answer, solution, it);
    free(answer);
    return s;
}

static enum cg_status prompt_and_answer(const json_t *o, const struct cg_jsonl_options *need, struct cg_prompter *p,
                                        struct cg_item *it)
{
    const json_t *prompt = json_object_get(o, "prompt"), *answer = json_object_get(o, "answer");
    const json_t *completion = json_object_get(o, "completion");
    if (!json_is_string(prompt) && !json_is_array(prompt))
        return cg_fail(CG_ERR_USER, "'prompt' is %s; it must be a string or a list of messages", type_name(prompt));
    int none = !answer || json_is_null(answer);
    if (none && need->need_answer)
        return cg_fail(CG_ERR_USER, "'answer' is %s, and reward_funcs compare with it", type_name(answer));
    if (need->learn && completion && !json_is_string(completion))
        return cg_fail(CG_ERR_USER, "'completion' is %s; supervised steps (sft_steps) learn a string",
                       type_name(completion));
    if (need->learn && none && !completion)
        return cg_fail(CG_ERR_USER, "there is neither 'answer' nor 'completion', and sft_steps learn one of them");
    if (!none && !json_is_string(answer) && !json_is_number(answer))
        return cg_fail(CG_ERR_USER, "'answer' is %s; it must be a string or a number", type_name(answer));
    char *text = none ? strdup("") : json_is_string(answer) ? strdup(json_string_value(answer)) : number_text(answer);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory for the problems");
    enum cg_status s =
        json_is_array(prompt) ? cg_prompt_messages(p, prompt, it) : cg_prompt_text(p, json_string_value(prompt), it);
    if (s == CG_OK) s = cg_prompt_answer(p, text, json_string_value(completion), it);
    free(text);
    return s;
}

/* A line's JSON, with the fault's column where it has one. */
static enum cg_status parse(const char *line, size_t n, json_t **out)
{
    json_error_t e;
    char buf[64];
    *out = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!*out && json_error_code(&e) == json_error_out_of_memory)
        return cg_fail(CG_ERR_MEMORY, "out of memory for the problems");
    if (!*out)
        return cg_fail(CG_ERR_USER, "not sound JSON: column %d: %s", e.column,
                       cg_printable(e.text, strlen(e.text), buf));
    if (json_is_object(*out)) return CG_OK;
    const char *what = type_name(*out);
    json_decref(*out);
    *out = NULL;
    return cg_fail(CG_ERR_USER, "the line is %s; each line must be an object with a prompt and an answer", what);
}

static enum cg_status read_line(const char *line, size_t n, const struct cg_jsonl_options *o, struct cg_prompter *p,
                                struct cg_item *it)
{
    json_t *j;
    CG_TRY(parse(line, n, &j));
    int as_gsm8k = !json_object_get(j, "prompt") && json_object_get(j, "question");
    enum cg_status s = as_gsm8k ? gsm8k(j, p, it) : prompt_and_answer(j, o, p, it);
    if (s == CG_OK && o->keep_fields) {
        it->fields = json_dumps(j, JSON_COMPACT);
        if (!it->fields) s = cg_fail(CG_ERR_MEMORY, "out of memory for the problems");
    }
    json_decref(j);
    return s;
}

static enum cg_status put(const char *line, size_t n, size_t number, const struct cg_jsonl_options *o,
                          struct cg_prompter *p, struct cg_dataset *out, size_t *left_out)
{
    struct cg_item it = {.line = number};
    enum cg_status s = CG_OK;
    if (n > MAX_LINE) s = cg_fail(CG_ERR_USER, "the line has %zu bytes, and at most %zu are read", n, MAX_LINE);
    if (s == CG_OK) s = read_line(line, n, o, p, &it);
    int drop = s == CG_OK && o->max_prompt && it.prompt_len > o->max_prompt;
    if (s == CG_OK && !drop && it.prompt_len + o->completion > o->max_sequence)
        s = cg_fail(CG_ERR_USER,
                    "the prompt has %zu tokens, and with max_completion_length %zu that is more than the model's "
                    "context of %zu; %s",
                    it.prompt_len, o->completion, o->max_sequence,
                    o->completion < o->max_sequence ? "set max_prompt_length to leave long prompts out"
                                                    : "make max_completion_length smaller");
    *left_out += (size_t)drop;
    if (s == CG_OK && !drop) return cg_dataset_add(out, &it);
    cg_item_free(&it);
    return s;
}

static int is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\v\f", s[i]) || !s[i]) return 0;
    return 1;
}

/* What a file is that cannot be JSON Lines; NULL: nothing known. */
static const char *other_format(const char *s, size_t n)
{
    if (n >= 2 && (memcmp(s, "\xFF\xFE", 2) == 0 || memcmp(s, "\xFE\xFF", 2) == 0)) return "UTF-16; save it as UTF-8";
    if (n >= 2 && memcmp(s, "\x1F\x8B", 2) == 0) return "compressed; unpack it with gunzip first";
    if (n >= 4 && memcmp(s, "PAR1", 4) == 0) return "a Parquet file; write it as JSON Lines first";
    if (n >= 1 && s[0] == '[') return "one JSON array; write its objects on lines of their own";
    return NULL;
}

static enum cg_status read_all(const char *path, const char *data, size_t n, const struct cg_jsonl_options *o,
                               struct cg_prompter *p, struct cg_dataset *out, size_t *left_out)
{
    size_t number = 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(data + at, '\n', n - at);
        size_t len = end ? (size_t)(end - (data + at)) : n - at;
        number++;
        if (!is_blank(data + at, len)) {
            enum cg_status s = put(data + at, len, number, o, p, out, left_out);
            if (s != CG_OK) return cg_fail_in(s, "%s:%zu", path, number);
        }
        at += len + 1;
    }
    return CG_OK;
}

enum cg_status cg_jsonl_read(const char *path, const struct cg_jsonl_options *o, struct cg_prompter *p,
                             struct cg_dataset *out, size_t *left_out)
{
    char *data;
    size_t n;
    *left_out = 0;
    CG_TRY(cg_file_read(path, MAX_FILE, &data, &n));
    size_t bom = n >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    const char *what = other_format(data + bom, n - bom);
    enum cg_status s = what ? cg_fail(CG_ERR_USER, "%s: the file is %s", path, what)
                            : read_all(path, data + bom, n - bom, o, p, out, left_out);
    cg_free(data);
    if (s == CG_OK && out->n == 0 && *left_out)
        s = cg_fail(CG_ERR_USER, "%s: all %zu prompts are longer than max_prompt_length", path, *left_out);
    else if (s == CG_OK && out->n == 0) s = cg_fail(CG_ERR_USER, "%s: the file is empty: there are no problems", path);
    if (s != CG_OK) cg_dataset_free(out);
    return s;
}

/* JSON Lines: what is read, and the one line that everything else gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/data/data.h"
#include "runtime/data/jsonl.h"
#include "tests/runtime/scratch.h"

static struct cg_tokenizer *tok; /* tests/goldens/tokenizer-small: byte-level, any text */

static int setup(void **state)
{
    char path[512];
    if (scratch_setup(state) != 0) return -1;
    return cg_tokenizer_load(golden_path("tokenizer-small", path), &tok) == CG_OK ? 0 : -1;
}

static int teardown(void **state)
{
    cg_tokenizer_free(tok);
    return scratch_teardown(state);
}

static int answers = 1; /* whether a reward function compares with them */

static enum cg_status load_n(const char *text, size_t n, const char *const *sets, struct cg_run_config *c,
                             struct cg_data *d)
{
    char path[512], set[600];
    scratch_write("data.jsonl", text, n);
    assert_int_equal(cg_config_defaults(c), CG_OK);
    snprintf(set, sizeof set, "train_file=%s", scratch_path("data.jsonl", path));
    assert_int_equal(cg_config_set(c, set), CG_OK);
    for (; sets && *sets; sets++)
        if (cg_config_set(c, *sets) != CG_OK) fail_msg("%s", cg_error());
    const struct cg_data_needs needs = {.context = 2048, .answers = answers, .fields = 1};
    return cg_data_open(c, tok, &needs, d);
}

static void loaded(const char *text, size_t n, const char *const *sets, struct cg_run_config *c, struct cg_data *d)
{
    if (load_n(text, n, sets, c, d) != CG_OK) fail_msg("%s", cg_error());
}

/* The file must be refused with exactly this message, its folder left out; one that ends in "..." goes on in the words
 * of the JSON library. */
static void refused_n(const char *text, size_t n, const char *const *sets, const char *message)
{
    struct cg_run_config c;
    struct cg_data d;
    assert_int_equal(load_n(text, n, sets, &c, &d), CG_ERR_USER);
    const char *got = strstr(cg_error(), "data.jsonl");
    size_t len = strlen(message);
    int open = len > 3 && strcmp(message + len - 3, "...") == 0;
    if (!got || (open ? strncmp(got, message, len - 3) : strcmp(got, message)) != 0)
        fail_msg("the message is\n  %s\nand not\n  %s", cg_error(), message);
    assert_null(strchr(cg_error(), '\n'));
    assert_null(d.stages);
    cg_config_free(&c);
}

static void refused(const char *text, const char *message)
{
    refused_n(text, strlen(text), NULL, message);
}

static void test_lines(void **state)
{
    (void)state;
    /* A mark at the start, CRLF, blank lines, no newline at the end, numbers, other fields. */
    static const char text[] = "\xEF\xBB\xBF{\"prompt\": \"1+1=\", \"answer\": 2, \"level\": 3}\r\n"
                               "\r\n   \n"
                               "{\"prompt\": \"caf\\u00e9?\", \"answer\": \"oui\", \"completion\": \"oui, oui\"}\n"
                               "{\"answer\": 0.5, \"prompt\": \"1/2=\"}";
    struct cg_run_config c;
    struct cg_data d;
    loaded(text, sizeof text - 1, NULL, &c, &d);
    assert_int_equal(d.n_stages, 1);
    assert_string_equal(d.stages[0].name, "data.jsonl");
    assert_null(d.task);
    const struct cg_dataset *t = &d.stages[0].train;
    assert_int_equal(t->n, 3);
    assert_int_equal(d.stages[0].eval.n, 0);
    assert_string_equal(t->items[0].prompt, "1+1=");
    assert_string_equal(t->items[0].answer, "2");
    assert_string_equal(t->items[0].fields, "{\"prompt\":\"1+1=\",\"answer\":2,\"level\":3}");
    assert_int_equal(t->items[1].line, 4);
    assert_string_equal(t->items[1].prompt, "caf\xC3\xA9?");
    assert_string_equal(t->items[2].answer, "0.5");
    /* Ids are those of the text; what supervised steps learn ends with eos. */
    int32_t *ids;
    size_t n;
    assert_int_equal(cg_tokenizer_encode(tok, "oui, oui", 8, &ids, &n), CG_OK);
    assert_int_equal(t->items[1].answer_len, n + 1);
    assert_memory_equal(t->items[1].answer_ids, ids, n * sizeof *ids);
    assert_int_equal(t->items[1].answer_ids[n], cg_tokenizer_eos(tok));
    free(ids);
    assert_int_equal(d.longest_answer, n + 1);
    cg_data_close(&d);
    cg_config_free(&c);
}

static void test_gsm8k(void **state)
{
    (void)state;
    static const char text[] =
        "{\"question\": \"Two and two?\", \"answer\": \"2+2=<<2+2=4>>4 #### no\\n####  1,234 \"}\n";
    struct cg_run_config c;
    struct cg_data d;
    loaded(text, sizeof text - 1, NULL, &c, &d);
    const struct cg_item *it = &d.stages[0].train.items[0];
    assert_string_equal(it->prompt, "Two and two?");
    assert_string_equal(it->answer, "1,234");
    assert_true(it->answer_len > 10); /* the whole solution is learned */
    cg_data_close(&d);
    cg_config_free(&c);
    refused("{\"question\": \"q\", \"answer\": \"4\"}",
            "data.jsonl:1: 'answer' has no ####, which comes before the answer where there is a 'question'; for other "
            "data give 'prompt' and 'answer'");
    refused("{\"question\": \"q\", \"answer\": \"4 ####  \"}", "data.jsonl:1: there is nothing after ####");
    refused("{\"question\": 5, \"answer\": \"#### 4\"}", "data.jsonl:1: 'question' is a number, not a string");
}

static void test_refused(void **state)
{
    (void)state;
    static const char good[] = "{\"prompt\": \"a\", \"answer\": \"b\"}\n";
    char text[512];
    snprintf(text, sizeof text, "%s\n%s{\"prompt\": \"a\", \"answer\": }\n%s", good, good, good);
    refused(text, "data.jsonl:4: not sound JSON: ...");
    refused("{\"prompt\": \"a\"}", "data.jsonl:1: 'answer' is missing, and reward_funcs compare with it");
    static const char list[] = "{\"prompt\": \"a\", \"answer\": \"b\", \"completion\": []}",
                      bare[] = "{\"prompt\": \"a\"}";
    const char *learn[] = {"sft_steps=[2]", NULL};
    refused_n(list, sizeof list - 1, learn,
              "data.jsonl:1: 'completion' is a list; supervised steps (sft_steps) learn a string");
    answers = 0;
    refused_n(bare, sizeof bare - 1, learn,
              "data.jsonl:1: there is neither 'answer' nor 'completion', and sft_steps learn one of them");
    answers = 1;
    refused("{\"prompt\": \"a\", \"answer\": null}",
            "data.jsonl:1: 'answer' is null, and reward_funcs compare with it");
    refused("{\"prompt\": \"a\", \"answer\": [1]}",
            "data.jsonl:1: 'answer' is a list; it must be a string or a number");
    refused("{\"answer\": \"a\"}", "data.jsonl:1: 'prompt' is missing; it must be a string or a list of messages");
    refused("{\"prompt\": \"\", \"answer\": \"a\"}",
            "data.jsonl:1: the prompt has no tokens: there is nothing to continue");
    refused("\"prompt\"",
            "data.jsonl:1: the line is a string; each line must be an object with a prompt and an answer");
    refused("", "data.jsonl: the file is empty: there are no problems");
    refused("\n \r\n\t\n", "data.jsonl: the file is empty: there are no problems");
    refused("[{\"prompt\": \"a\", \"answer\": \"b\"}]",
            "data.jsonl: the file is one JSON array; write its objects on lines of their own");
    refused("\xFF\xFE{\"", "data.jsonl: the file is UTF-16; save it as UTF-8");
    refused("\x1F\x8B\x08", "data.jsonl: the file is compressed; unpack it with gunzip first");
    refused("PAR1....", "data.jsonl: the file is a Parquet file; write it as JSON Lines first");
    refused("{\"prompt\": \"a\", \"prompt\": \"a\", \"answer\": \"b\"}", "data.jsonl:1: not sound JSON: ...");
    refused("{\"prompt\": \"\xC3\x28\", \"answer\": \"b\"}", "data.jsonl:1: not sound JSON: ...");
    refused("{\"prompt\": \"a\", \"answer\": 99999999999999999999}", "data.jsonl:1: not sound JSON: ...");
    static const char nul[] = "{\"prompt\": \"a\", \0\"answer\": \"b\"}\n";
    refused_n(nul, sizeof nul - 1, NULL, "data.jsonl:1: not sound JSON: ...");
}

static void test_long_lines(void **state)
{
    (void)state;
    size_t n = 3 << 20, at = 0;
    char *text = malloc(n + 200);
    at += (size_t)sprintf(text, "{\"prompt\": \"short\", \"answer\": \"b\"}\n{\"prompt\": \"");
    memset(text + at, 'x', n);
    at += n;
    at += (size_t)sprintf(text + at, "\", \"answer\": \"b\"}\n");
    struct cg_run_config c;
    struct cg_data d;
    assert_int_equal(load_n(text, at, NULL, &c, &d), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "data.jsonl:2: the prompt has "));
    assert_non_null(strstr(cg_error(), "that is more than the model's context of 2048; set max_prompt_length to leave "
                                       "long prompts out"));
    cg_config_free(&c);
    static const char *const shorter[] = {"max_prompt_length=100", NULL};
    loaded(text, at, shorter, &c, &d);
    assert_int_equal(d.stages[0].train.n, 1);
    cg_data_close(&d);
    cg_config_free(&c);
    refused_n(strchr(text, '\n') + 1, (size_t)(text + at - strchr(text, '\n') - 1), shorter,
              "data.jsonl: all 1 prompts are longer than max_prompt_length");
    /* Deeper than a parser should follow. */
    memset(text, '[', 100000);
    memcpy(text, "{\"a\":", 5);
    assert_int_equal(load_n(text, 100000, NULL, &c, &d), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "data.jsonl:1: not sound JSON: "));
    cg_config_free(&c);
    free(text);
}

/* Every line is in exactly one of the two sets, the same lines for the same seed. */
static void test_hold_out(void **state)
{
    (void)state;
    enum { LINES = 57 };
    char text[LINES * 40 + 1], *at = text;
    for (int i = 0; i < LINES; i++) at += sprintf(at, "{\"prompt\": \"p%d\", \"answer\": %d}\n", i, i);
    static const char *const cases[][3] = {{"eval_size=10", NULL}, {"eval_size=0.2", "seed=7", NULL}, {"seed=7", NULL}};
    static const size_t held[] = {10, 11, 0};
    for (size_t k = 0; k < 3; k++) {
        struct cg_run_config c;
        struct cg_data d, again;
        loaded(text, (size_t)(at - text), cases[k], &c, &d);
        int seen[LINES] = {0};
        const struct cg_dataset *sets[] = {&d.stages[0].train, &d.stages[0].eval};
        for (int s = 0; s < 2; s++)
            for (size_t i = 0; i < sets[s]->n; i++) seen[sets[s]->items[i].line - 1]++;
        for (int i = 0; i < LINES; i++) assert_int_equal(seen[i], 1);
        assert_int_equal(sets[1]->n, held[k]);
        cg_config_free(&c);
        loaded(text, (size_t)(at - text), cases[k], &c, &again);
        for (size_t i = 0; i < sets[1]->n; i++)
            assert_int_equal(again.stages[0].eval.items[i].line, sets[1]->items[i].line);
        cg_data_close(&again);
        /* An epoch goes through all lines, another one in another order. */
        size_t n = sets[0]->n, differ = 0;
        memset(seen, 0, sizeof seen);
        for (size_t i = 0; i < n; i++) {
            const struct cg_item *it = cg_data_item(&d, 3, 0, i);
            seen[it->line - 1]++;
            differ += it != cg_data_item(&d, 3, 0, i + n);
        }
        for (size_t i = 0; i < n; i++) assert_int_equal(seen[sets[0]->items[i].line - 1], 1);
        assert_true(differ > n / 2);
        cg_data_close(&d);
        cg_config_free(&c);
    }
    static const char *const all[] = {"eval_size=57", NULL};
    struct cg_run_config c;
    struct cg_data d;
    assert_int_equal(load_n(text, (size_t)(at - text), all, &c, &d), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "eval_size: 57 lines are to be held out, and "));
    cg_config_free(&c);
}

#define TEMPLATE "chat_template={% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}{{ extra }}{{ tools }}"

static void prompt_is(const char *line, const char *const *sets, const char *want)
{
    struct cg_run_config c;
    struct cg_data d;
    loaded(line, strlen(line), sets, &c, &d);
    const struct cg_item *it = &d.stages[0].train.items[0];
    assert_string_equal(it->prompt, want);
    /* The ids are those of the rendered text, special tokens among them. */
    int32_t *ids;
    size_t n;
    assert_int_equal(cg_tokenizer_encode(tok, want, strlen(want), &ids, &n), CG_OK);
    assert_int_equal(it->prompt_len, n);
    assert_memory_equal(it->prompt_ids, ids, n * sizeof *ids);
    free(ids);
    cg_data_close(&d);
    cg_config_free(&c);
}

static void test_conversations(void **state)
{
    (void)state;
    static const char talk[] = "{\"prompt\": [{\"role\": \"user\", \"content\": \"hi\"}], \"answer\": 1}";
    static const char text[] = "{\"prompt\": \"hi\", \"answer\": 1}";
    static const char *const plain[] = {TEMPLATE, NULL};
    static const char *const chat[] = {TEMPLATE, "prompt_format=chat", NULL};
    static const char *const system[] = {TEMPLATE, "prompt_format=chat", "system_prompt=be kind", NULL};
    static const char *const more[] = {TEMPLATE, "chat_template_kwargs={\"extra\": \"!\"}", NULL};
    prompt_is(talk, plain, "[user:hi]None");
    prompt_is(text, plain, "hi");
    prompt_is(text, chat, "[user:hi]None");
    prompt_is(text, system, "[system:be kind][user:hi]None");
    prompt_is(talk, system, "[system:be kind][user:hi]None");
    prompt_is("{\"prompt\": [{\"role\": \"system\", \"content\": \"own\"}], \"answer\": 1}", system,
              "[system:own]None");
    prompt_is(talk, more, "[user:hi]!None");
    /* The template in a file of its own. */
    char path[512], set[600];
    scratch_write("t.jinja", "{{ messages[0].content }}\n{{ eos_token }}\n", 41);
    snprintf(set, sizeof set, "chat_template=%s", scratch_path("t.jinja", path));
    const char *const file[] = {set, NULL};
    char want[64];
    char *eos;
    size_t n;
    const int32_t id = cg_tokenizer_eos(tok);
    assert_int_equal(cg_tokenizer_decode(tok, &id, 1, 0, &eos, &n), CG_OK);
    snprintf(want, sizeof want, "hi\n%s", eos);
    prompt_is(talk, file, want);
    free(eos);
}

static void test_conversations_refused(void **state)
{
    (void)state;
    static const char talk[] = "\n{\"prompt\": [{\"role\": \"user\", \"content\": \"hi\"}], \"answer\": 1}";
    static const struct {
        const char *line, *set, *message;
    } x[] = {
        {"{\"prompt\": [], \"answer\": 1}", TEMPLATE, "data.jsonl:1: 'prompt' is an empty list: there are no messages"},
        {"{\"prompt\": [1], \"answer\": 1}", TEMPLATE, "data.jsonl:1: message 1 of 'prompt' is not an object"},
        {"{\"prompt\": [{\"content\": \"a\"}], \"answer\": 1}", TEMPLATE,
         "data.jsonl:1: message 1 of 'prompt' has no 'role' that is a string"},
        {"{\"prompt\": [{\"role\": \"user\"}], \"answer\": 1}", TEMPLATE,
         "data.jsonl:1: message 1 of 'prompt' has no 'content'"},
        {"{\"prompt\": [{\"role\": \"user\", \"content\": [1]}], \"answer\": 1}", TEMPLATE,
         "data.jsonl:1: chat_template: line 1: a list is used as text; a message's content must be a string here"},
        {talk, "chat_template={% if %}", "data.jsonl:2: chat_template: line 1: an expression is expected before '%}'"},
        {talk, "chat_template={{ raise_exception('no system') }}",
         "data.jsonl:2: chat_template: line 1: the template refuses the conversation: no system"},
        {talk, "chat_template={% if false %}{% endif %}",
         "data.jsonl:2: the prompt has no tokens: there is nothing to continue"},
        {talk, "chat_template=/nowhere.jinja", "data.jsonl:2: cannot open /nowhere.jinja: No such file or directory"},
        {talk, "chat_template=",
         "data.jsonl:2: builtin:tiny has no chat template, which a conversation needs; give one as chat_template"},
        {"{\"prompt\": \"hi\", \"answer\": 1}", "system_prompt=x",
         "data.jsonl:1: system_prompt needs conversations, and the prompt is plain text; set prompt_format to chat, or "
         "give prompts as lists of messages"},
    };
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        struct cg_run_config c;
        struct cg_data d;
        const char *const sets[] = {x[i].set, NULL};
        enum cg_status s = load_n(x[i].line, strlen(x[i].line), sets, &c, &d);
        assert_true(s == CG_ERR_USER || s == CG_ERR_IO);
        const char *got = strstr(cg_error(), "data.jsonl");
        if (!got || strcmp(got, x[i].message) != 0)
            fail_msg("the message is\n  %s\nand not\n  %s", cg_error(), x[i].message);
        cg_config_free(&c);
    }
    struct cg_run_config c;
    struct cg_data d;
    static const char *const kwargs[] = {"chat_template_kwargs=[1]", NULL};
    assert_int_equal(load_n(talk, sizeof talk - 1, kwargs, &c, &d), CG_ERR_USER);
    assert_string_equal(cg_error(), "chat_template_kwargs is not a JSON object");
    cg_config_free(&c);
}

/* A built-in task can ask in the template as well. */
static void test_task_in_chat(void **state)
{
    (void)state;
    static const char *const sets[] = {
        TEMPLATE, "prompt_format=chat", "task_prompt={a} and {b}?", "task_train_size=3", "task_eval_size=2", NULL};
    struct cg_run_config c;
    struct cg_data d;
    assert_int_equal(cg_config_defaults(&c), CG_OK);
    for (size_t i = 0; sets[i]; i++) assert_int_equal(cg_config_set(&c, sets[i]), CG_OK);
    const struct cg_data_needs needs = {.context = 2048};
    if (cg_data_open(&c, tok, &needs, &d) != CG_OK) fail_msg("%s", cg_error());
    unsigned a, b;
    assert_int_equal(sscanf(d.stages[0].train.items[0].prompt, "[user:%u and %u?]None", &a, &b), 2);
    assert_int_equal(d.stages[0].eval.n, 2);
    assert_string_equal(d.source, "addition");
    cg_data_close(&d);
    cg_config_free(&c);
}

/* What is given as chat_template is saved with the tokenizer, of a folder and of another source. */
static void test_template_saved(void **state)
{
    (void)state;
    char path[512], small[512];
    const char *const sources[] = {golden_path("tokenizer-small", small), "builtin:tiny"};
    for (size_t i = 0; i < 2; i++) {
        struct cg_tokenizer *t;
        char *text, *old;
        assert_int_equal(cg_tokenizer_load(sources[i], &t), CG_OK);
        assert_int_equal(cg_tokenizer_set_chat_template(t, "first"), CG_OK);
        assert_int_equal(cg_tokenizer_set_chat_template(t, "{{ 'sec\\n' }}ond"), CG_OK);
        assert_int_equal(cg_tokenizer_chat_template(t, &old), CG_OK);
        assert_string_equal(old, "{{ 'sec\\n' }}ond");
        if (cg_tokenizer_save(t, scratch_path(i ? "b" : "a", path)) != CG_OK) fail_msg("%s", cg_error());
        cg_tokenizer_free(t);
        assert_int_equal(cg_tokenizer_load(path, &t), CG_OK);
        assert_int_equal(cg_tokenizer_chat_template(t, &text), CG_OK);
        assert_non_null(text);
        assert_string_equal(text, old);
        free(text);
        free(old);
        cg_tokenizer_free(t);
    }
}

static void test_no_file(void **state)
{
    (void)state;
    static const char good[] = "{\"prompt\": \"a\", \"answer\": \"b\"}\n";
    static const char *const sets[] = {"eval_file=/nowhere/x.jsonl", NULL};
    struct cg_run_config c;
    struct cg_data d;
    assert_int_equal(load_n(good, sizeof good - 1, sets, &c, &d), CG_ERR_IO);
    assert_string_equal(cg_error(), "cannot open /nowhere/x.jsonl: No such file or directory");
    cg_config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_gsm8k),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_hold_out),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_template_saved),
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_conversations_refused),
        cmocka_unit_test(test_task_in_chat),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

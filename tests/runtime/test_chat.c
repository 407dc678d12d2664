/* Chat templates against the reference's renderings (scripts/make-chat-goldens), and what hostile ones get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/chat/chat.h"
#include "tests/runtime/scratch.h"

static enum cg_status render(const char *template, size_t n, const json_t *vars, char **text, size_t *len)
{
    struct cg_chat *chat;
    *text = NULL;
    enum cg_status s = cg_chat_compile(template, n, "template", &chat);
    if (s == CG_OK) s = cg_chat_render(chat, vars, text, len);
    cg_chat_free(chat); /* NULL when it was not compiled */
    return s;
}

static void test_goldens(void **state)
{
    (void)state;
    size_t n, cases = 0;
    char *all = golden_read("chat/cases.jsonl", &n), *save = NULL;
    json_t *template = NULL, *vars = NULL;
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save), cases++) {
        json_t *j = json_loads(line, 0, NULL), *want = json_object_get(j, "text");
        assert_non_null(j);
        /* What is as in the line before is left out. */
        if (json_object_get(j, "template")) {
            json_decref(template);
            template = json_incref(json_object_get(j, "template"));
        }
        if (json_object_get(j, "vars")) {
            json_decref(vars);
            vars = json_incref(json_object_get(j, "vars"));
        }
        char *got;
        size_t len = 0;
        enum cg_status s = render(json_string_value(template), json_string_length(template), vars, &got, &len);
        if (!want && s != CG_ERR_USER) fail_msg("%s\nis an error in the reference", json_string_value(template));
        if (want && s != CG_OK) fail_msg("%s\n%s", json_string_value(template), cg_error());
        if (want && (len != json_string_length(want) || memcmp(got, json_string_value(want), len) != 0))
            fail_msg("%s\nshould be\n'%s'\nand is\n'%s'", json_string_value(template), json_string_value(want), got);
        free(got);
        json_decref(j);
    }
    assert_true(cases > 300);
    json_decref(template);
    json_decref(vars);
    cg_free(all);
}

static void refused(const char *template, const char *message)
{
    char *text;
    size_t n;
    json_t *vars = json_pack("{s:s, s:[i, i], s:{s:s}}", "s", "text", "l", 1, 2, "d", "k", "v");
    assert_int_equal(render(template, strlen(template), vars, &text, &n), CG_ERR_USER);
    if (strcmp(cg_error(), message) != 0)
        fail_msg("%s: the message is\n  %s\nand not\n  %s", template, cg_error(), message);
    json_decref(vars);
}

/* Every message names the construct and its line. */
static void test_messages(void **state)
{
    (void)state;
    refused("a\n{{ s | sort }}", "template: line 2: the filter 'sort' is not supported");
    refused("{{ s | trim(1, 2) }}", "template: line 1: trim has more than 1 argument");
    refused("{{ d | tojson(sort_keys=true) }}",
            "template: line 1: the argument 'sort_keys' of tojson is not supported");
    refused("{{ s.format(1) }}", "template: line 1: the method 'format' of strings is not supported");
    refused("{{ l.append(1) }}", "template: line 1: the method 'append' of a list is not supported");
    refused("{{ s is lower }}", "template: line 1: the test 'is lower' is not supported");
    refused("{% include 'x' %}",
            "template: line 1: a statement that is not supported, or not expected here, at 'include'");
    refused("{% call f() %}{% endcall %}",
            "template: line 1: a statement that is not supported, or not expected here, at 'call'");
    refused("\n{% endif %}", "template: line 2: a statement that is not expected here, at 'endif'");
    refused("{% if s %}\n", "template: line 1: 'endif' is expected, for what began in line 1,, and the template ends");
    refused("{% for x in l recursive %}{% endfor %}",
            "template: line 1: recursive loops are not supported at 'recursive'");
    refused("{{ 2 ** 3 }}", "template: line 1: the operator '**' is not supported at '**'");
    refused("{{ '%s' % s }}", "template: line 1: formatting with '%' is not supported; use '~'");
    refused("{{ missing.x }}", "template: line 1: 'missing' is undefined");
    refused("{{ strftime_now('%Y') }}", "template: line 1: 'strftime_now' is undefined");
    refused("{{ s + 1 }}", "template: line 1: '+' cannot join a string and an integer");
    refused("{{ l }}", "template: line 1: a list is used as text; a message's content must be a string here");
    refused("{{ raise_exception('no\nway') }}", "template: line 1: the template refuses the conversation: no way");
    refused("{{ 'a }}", "template: line 1: a string is not closed");
    refused("{# a", "template: line 1: the comment '{#' is not closed");
    refused("{% raw %} a", "template: line 1: 'raw' has no 'endraw'");
    refused("{{ a", "template: line 1: the tag '{{' is not closed");
    refused("{{ 0x10 }}", "template: line 1: a number is not written in plain decimal");
    refused("{{ 99999999999999999999 }}", "template: line 1: the number is too large at '99999999999999999999'");
    refused("{{ 9223372036854775807 + 1 }}", "template: line 1: an integer is beyond 64 bits");
    refused("{{ '\xC3\xA9' | upper }}",
            "template: line 1: upper and lower case of letters beyond ASCII are not supported");
    refused("{{ '\\ud800' }}", "template: line 1: a string has an escape \\x, \\u or \\U that is no character");
    refused("{% set d.k = 1 %}", "template: line 1: 'd' is no namespace: its attributes cannot be set");
    refused("{% break %}", "template: line 1: 'break' or 'continue' is in no loop before '%}'");
    refused("\xFF", "template: the template is not valid UTF-8");
    refused("{{ loop.cycle(1) }}", "template: line 1: 'loop' is undefined");
    refused("{% for x in l %}{{ loop.cycle(1) }}{% endfor %}", "template: line 1: loop.cycle is not supported");
}

/* Templates that would take for ever, or all memory, or the stack. */
static void test_hostile(void **state)
{
    (void)state;
    refused("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "template: line 1: the template needs more than 256 MiB of memory");
    refused("{% for a in range(999) %}{% set x = 'y' * 1000000 %}{% endfor %}",
            "template: line 1: the template needs more than 256 MiB of memory");
    refused("{% for a in range(999) %}{{ 'y' * 100000 }}{% endfor %}",
            "template: line 1: the template makes more than 64 MiB of text");
    refused("{{ 'yyyy' * 9223372036854775807 }}", "template: line 1: a string is repeated too often");
    refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "template: line 1: the template is nested too deep");
    refused("{{ range(1, 9223372036854775807) }}", "template: line 1: range has more than 100000 numbers");
    refused("{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
            "{{ ns.x | tojson }}",
            "template: line 1: the template runs too long");
    refused("{% set a = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set a.x = [a.x, a.x] %}"
            "{% set a.y = [a.y, a.y] %}{% endfor %}{{ a.x == a.y }}{{ 1 }}",
            "template: line 1: the template runs too long");
    static char deep[200001];
    memset(deep, '-', 200000);
    memcpy(deep, "{{", 2);
    memcpy(deep + 199997, "1}}", 3);
    char *text;
    size_t n;
    assert_int_equal(render(deep, 200000, NULL, &text, &n), CG_ERR_USER);
    assert_string_equal(cg_error(), "template: line 1: the template is nested too deep at '-'");
    /* Not deep to the parser, but deep to run. */
    for (size_t i = 2; i + 2 < 200000; i += 2) memcpy(deep + i, "1+", 2);
    memcpy(deep + 199997, "1}}", 3);
    json_t *vars = json_object();
    assert_int_equal(render(deep, 200000, vars, &text, &n), CG_ERR_USER);
    assert_string_equal(cg_error(), "template: line 1: the template is nested too deep");
    json_decref(vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

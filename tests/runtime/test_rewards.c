/* Reward functions: what each finds right, and their weighted sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/rewards/rewards.h"

static struct cg_run_config config;

static struct cg_rewards *opened(const char *const *sets)
{
    struct cg_rewards *r;
    assert_int_equal(cg_config_defaults(&config), CG_OK);
    for (; *sets; sets++)
        if (cg_config_set(&config, *sets) != CG_OK) fail_msg("%s", cg_error());
    if (cg_rewards_open(&config, NULL, &r) != CG_OK) fail_msg("%s", cg_error());
    return r;
}

static void closed(struct cg_rewards *r)
{
    cg_rewards_close(r);
    cg_config_free(&config);
}

static void not_opened(const char *const *sets, const char *message)
{
    struct cg_rewards *r;
    assert_int_equal(cg_config_defaults(&config), CG_OK);
    for (; *sets; sets++)
        if (cg_config_set(&config, *sets) != CG_OK) fail_msg("%s", cg_error());
    assert_int_equal(cg_rewards_open(&config, NULL, &r), CG_ERR_USER);
    assert_string_equal(cg_error(), message);
    assert_null(r);
    cg_config_free(&config);
}

static float score(struct cg_rewards *r, const char *text, const char *answer, size_t n_ids)
{
    char copy[2048];
    float value = -5;
    snprintf(copy, sizeof copy, "%s", answer);
    const struct cg_item it = {.answer = copy};
    const struct cg_reward_case c = {&it, text, NULL, n_ids};
    if (cg_rewards_one(r, 0, 0, 1, &c, &value) != CG_OK) fail_msg("%s", cg_error());
    return value;
}

struct example {
    const char *text, *answer;
    float want;
};

static void check(const char *const *sets, const struct example *x, size_t n)
{
    struct cg_rewards *r = opened(sets);
    for (size_t i = 0; i < n; i++)
        if (score(r, x[i].text, x[i].answer, 0) != x[i].want)
            fail_msg("'%s' with the answer '%s' should get %g", x[i].text, x[i].answer, (double)x[i].want);
    closed(r);
}

#define CHECK(sets, examples) check(sets, examples, sizeof examples / sizeof *examples)

static void test_exact(void **state)
{
    (void)state;
    static const char *const sets[] = {"reward_funcs=exact", NULL};
    static const struct example x[] = {{"Paris", "Paris", 1}, {" Paris\n", "Paris ", 1},
                                       {"paris", "Paris", 0}, {"Paris.", "Paris", 0},
                                       {"", "", 1},           {"Par", "Paris", 0}};
    CHECK(sets, x);
}

static void test_last_number(void **state)
{
    (void)state;
    static const char *const sets[] = {"reward_funcs=last_number", NULL};
    static const struct example x[] = {
        {"It is 72.", "72", 1},
        {"first 72 then 71", "72", 0},
        {"$1,234.50 in all", "1234.5", 1},
        {"1,234,567", "1234567", 1},
        {"The total is 18.00 dollars", "18", 1},
        {"-5", "-5", 1},
        {"it is \xE2\x88\x92"
         "5",
         "-5", 1},
        {"a loss of -$5", "-5", 1},
        {"a loss of $-5", "-5", 1},
        {"8-3 = 5", "5", 1},
        {"8-5", "5", 1},  /* a subtraction */
        {"x-5", "-5", 0}, /* a hyphen */
        {"007", "7", 1},
        {".5", "0.50", 1},
        {"-0", "0", 1},
        {"50%", "50", 1},
        {"#### 42", "#### 42", 1},
        {"1,2", "2", 1}, /* no thousands: two numbers */
        {"1,2345", "2345", 1},
        {"12,345", "12345", 1},
        {"1234,567", "567", 1},
        {"no number", "3", 0},
        {"", "3", 0},
        {"3", "none", 0},
        {"12345678901234567890123", "12345678901234567890124", 0},
        {"12345678901234567890123", "12345678901234567890123.0", 1},
        {"1.5.", "1.5", 1},
        {"\xE2\x82\xAC"
         "7",
         "7", 1},
        {"3e", "3", 1},
    };
    CHECK(sets, x);
    char huge[400];
    memset(huge, '7', sizeof huge);
    huge[399] = 0;
    const struct example too_long[] = {{huge, huge, 0}, {huge, "7", 0}};
    CHECK(sets, too_long);
}

static void test_boxed(void **state)
{
    (void)state;
    static const char *const sets[] = {"reward_funcs=boxed", NULL};
    static const struct example x[] = {
        {"so \\boxed{72}.", "72", 1},
        {"\\boxed{1} or \\boxed{2}", "2", 1},
        {"\\boxed{1} or \\boxed{2}", "1", 0},
        {"\\boxed{\\frac{1}{2}}", "0.5", 1},
        {"\\boxed{\\dfrac12}", "\\frac{1}{2}", 1},
        {"\\boxed{\\frac{1}{2}}", "2/4", 1},
        {"\\boxed{1/2}", "1/3", 0},
        {"\\boxed{x^{2}+\\left( y \\right)}", "x^{2}+(y)", 1},
        {"\\boxed{f\\{1\\}}", "f\\{1\\}", 1},
        {"\\boxed{1,234}", "1234", 1},
        {"\\boxed{5\\text{ cm}}", "5", 1},
        {"\\boxed{\\text{east}}", "east", 1},
        {"\\boxed{30^\\circ}", "30", 1},
        {"\\boxed{50\\%}", "50", 1},
        {"\\boxed{$7$}", "7", 1},
        {"\\boxed {7}", "7", 1},
        {"\\boxed{7", "7", 0},
        {"\\boxed{}", "7", 0},
        {"\\boxed{{7}", "7", 0},
        {"\\boxed{\\boxed{7}}", "\\boxed{7}", 1},
        {"the answer is 7", "7", 0},
        {"\\fbox{-3}", "-3", 1},
        {"\\boxed{3}", "we get \\boxed{3}", 1},
        {"\\boxed{1/0}", "1/0", 1},
        {"\\boxed{1/0}", "2/0", 0},
        {"\\boxed{\\frac}", "1", 0},
        {"\\boxed{99999999999999999999}", "99999999999999999999", 1},
        {"\\boxed{99999999999999999999}", "99999999999999999998", 0},
        {"\\", "1", 0},
    };
    CHECK(sets, x);
}

static void test_regex(void **state)
{
    (void)state;
    static const char *const with_answer[] = {"reward_funcs=regex", "reward_regex=^Answer: {answer}$", NULL};
    static const struct example a[] = {{"Answer: 5", "5", 1},
                                       {"Answer: 55", "5", 0},
                                       {"Answer: a.b", "a.b", 1},
                                       {"Answer: axb", "a.b", 0},
                                       {"Answer: \\E", "\\E", 1},
                                       {"Answer: (", "(", 1},
                                       {"Answer: \xC3\xA9", "\xC3\xA9", 1},
                                       {"Answer: 5 \xFF", "5", 0}};
    CHECK(with_answer, a);
    static const char *const with_group[] = {"reward_funcs=regex", "reward_regex=#### *(.*)", NULL};
    static const struct example g[] = {
        {"#### 5", "5", 1}, {"#### 1\n#### 5", "5", 1}, {"#### 5\n#### 1", "5", 0}, {"#### $5.00", "5", 1},
        {"5", "5", 0},      {"#### five", "five ", 1}};
    CHECK(with_group, g);
    static const char *const format[] = {"reward_funcs=regex", "reward_regex=(?s)^<a>.*</a>$", NULL};
    static const struct example f[] = {{"<a>\n</a>", "5", 1}, {"<a>", "5", 0}};
    CHECK(format, f);
    static const char *const empty_match[] = {"reward_funcs=regex", "reward_regex=(x*)", NULL};
    static const struct example e[] = {{"xxa", "xx", 0}, {"axx", "", 1}};
    CHECK(empty_match, e);

    static const char *const bad[] = {"reward_funcs=regex", "reward_regex=a(b", NULL};
    not_opened(bad, "reward_regex: character 4: missing closing parenthesis");
    static const char *const none[] = {"reward_funcs=regex", NULL};
    not_opened(none, "reward_funcs has regex, and reward_regex is empty; give the pattern there");

    static const char *const slow[] = {"reward_funcs=regex", "reward_regex=^(a|aa)+$", NULL};
    struct cg_rewards *r = opened(slow);
    char answer[] = "1";
    const struct cg_item it = {.answer = answer};
    const struct cg_reward_case c = {&it, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", NULL, 0};
    float value;
    assert_int_equal(cg_rewards_one(r, 0, 0, 1, &c, &value), CG_ERR_USER);
    assert_string_equal(cg_error(), "reward_regex takes too long on the completion "
                                    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'; make the pattern simpler");
    closed(r);
}

static void test_formats(void **state)
{
    (void)state;
    static const char *const has[] = {"reward_funcs=has_boxed", NULL};
    static const struct example b[] = {{"\\boxed{}", "", 1}, {"\\boxed{1", "", 0}, {"", "", 0}};
    CHECK(has, b);
    static const char *const think[] = {"reward_funcs=think_format", NULL};
    static const struct example t[] = {{"<think>\na\n</think>\nb", "", 1},
                                       {"<think>a", "", 0},
                                       {" <think>a</think>", "", 0},
                                       {"<think><think>a</think>", "", 0},
                                       {"a", "", 0}};
    CHECK(think, t);
    static const char *const overlong[] = {"reward_funcs=overlong", "max_completion_length=100",
                                           "reward_length_cache=20", NULL};
    struct cg_rewards *r = opened(overlong);
    assert_true(score(r, "", "", 10) == 0.0f && score(r, "", "", 80) == 0.0f);
    assert_true(score(r, "", "", 85) == -0.25f && score(r, "", "", 100) == -1.0f);
    closed(r);
}

static void test_sums(void **state)
{
    (void)state;
    static const char *const sets[] = {"reward_funcs=task,has_boxed", "reward_weights=1,0.5", NULL};
    struct cg_rewards *r = opened(sets);
    char answer[] = "7";
    const struct cg_item it = {.answer = answer};
    const struct cg_reward_case c[] = {
        {&it, "7", NULL, 0}, {&it, "8 \\boxed{}", NULL, 0}, {&it, "7 \\boxed{}", NULL, 0}};
    float each[2 * 3], total[3];
    assert_int_equal(cg_rewards_all(r, 0, 3, c, each, total), CG_OK);
    assert_true(total[0] == 1.0f && total[1] == 0.5f && total[2] == 1.5f);
    assert_string_equal(cg_rewards_name(r, 0), "addition");
    assert_string_equal(cg_rewards_name(r, 1), "has_boxed");
    assert_true(cg_rewards_need_answers(r));
    assert_false(cg_rewards_need_fields(r));
    closed(r);
    /* Means and deviations leave out what does not apply. */
    const float some[] = {1, NAN, 0, 1, NAN}, none[] = {NAN, NAN};
    double mean, std;
    cg_reward_mean_std(5, some, &mean, &std);
    assert_true(fabs(mean - 2.0 / 3) < 1e-12 && fabs(std - sqrt(1.0 / 3)) < 1e-12);
    cg_reward_mean_std(2, none, &mean, &std);
    assert_true(isnan(mean) && isnan(std));
}

static void test_mistakes(void **state)
{
    (void)state;
    static const char *const unknown[] = {"reward_funcs=exakt", NULL};
    not_opened(unknown,
               "reward_funcs: 'exakt' is unknown; use some of: task, exact, last_number, boxed, regex, has_boxed, "
               "think_format, overlong, program");
    static const char *const twice[] = {"reward_funcs=exact,exact", NULL};
    not_opened(twice, "reward_funcs has 'exact' twice; give it a weight instead");
    static const char *const weights[] = {"reward_funcs=exact", "reward_weights=1,2", NULL};
    not_opened(weights, "reward_weights has 2 numbers for 1 reward function; give one for each, or none");
    static const char *const no_command[] = {"reward_funcs=program", NULL};
    not_opened(no_command, "reward_funcs has program, and reward_program is empty; give its command there");
    static const char *const nothing[] = {"train_file=x.jsonl", NULL};
    const char *unasked[] = {"reward_program=./score", NULL}, *unused[] = {"reward_regex=a", NULL};
    not_opened(unasked, "reward_program is given, and reward_funcs has no 'program' that would ask it");
    not_opened(unused, "reward_regex is given, and reward_funcs has no 'regex' that would use it");
    not_opened(nothing, "train_file needs reward_funcs, such as [last_number]: what is a completion worth?");
    static const char *const no_task[] = {"train_file=x.jsonl", "reward_funcs=task", NULL};
    not_opened(no_task, "reward_funcs has 'task', and the data comes from train_file: no built-in task is there; use "
                        "another function");
    static const char *const numbers[] = {"train_file=x.jsonl", "reward_funcs=last_number", NULL};
    struct cg_rewards *r = opened(numbers);
    char seven[] = "7", none[] = "seven";
    struct cg_item items[] = {{.answer = seven, .line = 3}, {.answer = none, .line = 5}};
    const struct cg_dataset d = {.items = items, .n = 2};
    assert_int_equal(cg_rewards_check(r, "x.jsonl", &d), CG_ERR_USER);
    assert_string_equal(cg_error(),
                        "x.jsonl:5: the answer has no number, and reward function last_number compares numbers");
    closed(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),    cmocka_unit_test(test_last_number), cmocka_unit_test(test_boxed),
        cmocka_unit_test(test_regex),    cmocka_unit_test(test_formats),     cmocka_unit_test(test_sums),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

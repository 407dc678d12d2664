/* Reward programs: good ones, and all that a program can do wrong. None may hang the run, kill it or outlive it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "runtime/rewards/rewards.h"
#include "tests/runtime/scratch.h"

enum { N = 3 };

static struct cg_run_config config;
static volatile sig_atomic_t stop;

/* Opens rewards with `script` as the program; more: further options. */
static struct cg_rewards *opened(const char *script, const char *const *more)
{
    struct cg_rewards *r;
    char set[4096];
    assert_int_equal(cg_config_defaults(&config), CG_OK);
    assert_int_equal(cg_config_set(&config, "reward_funcs=program"), CG_OK);
    assert_int_equal(cg_config_set(&config, "reward_timeout=30"), CG_OK);
    snprintf(set, sizeof set, "reward_program=%s", script);
    assert_int_equal(cg_config_set(&config, set), CG_OK);
    for (; more && *more; more++) assert_int_equal(cg_config_set(&config, *more), CG_OK);
    if (cg_rewards_open(&config, &stop, &r) != CG_OK) fail_msg("%s", cg_error());
    return r;
}

/* Nothing of the program may be left: no child, not even a dead one. */
static void closed(struct cg_rewards *r)
{
    cg_rewards_close(r);
    cg_config_free(&config);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static enum cg_status score(struct cg_rewards *r, float *value)
{
    static char prompt[] = "p\xFFq", answer[] = "7", fields[] = "{\"level\":3}";
    static const struct cg_item it = {.prompt = prompt, .answer = answer, .fields = fields};
    static const int32_t ids[] = {5, 6};
    const struct cg_reward_case c[N] = {{&it, "one \xC3", ids, 2}, {&it, "two\n\"", ids, 2}, {&it, "", ids, 0}};
    for (int i = 0; i < N; i++) value[i] = -9;
    return cg_rewards_one(r, 0, 4, N, c, value);
}

static void test_good(void **state)
{
    (void)state;
    /* Line by line; a whole batch at once; objects, null and white space. */
    static const char *const scripts[] = {
        "while read -r l; do echo 0.5; done",
        "while read -r a && read -r b && read -r c; do printf '0.5\\n0.5\\n0.5\\n'; done",
        "while read -r l; do echo ' {\"reward\": 0.5, \"why\": \"x\"} '; done"};
    for (size_t k = 0; k < 3; k++) {
        struct cg_rewards *r = opened(scripts[k], NULL);
        float value[N];
        for (int batch = 0; batch < 3; batch++) {
            if (score(r, value) != CG_OK) fail_msg("%s", cg_error());
            for (int i = 0; i < N; i++) assert_true(value[i] == 0.5f);
        }
        closed(r);
    }
    struct cg_rewards *r =
        opened("while read -r l; do echo null; read -r l; echo nan; read -r l; echo -2e0; done", NULL);
    float value[N];
    assert_int_equal(score(r, value), CG_OK);
    assert_true(isnan(value[0]) && isnan(value[1]) && value[2] == -2.0f);
    closed(r);
}

/* What the program gets is one line of sound JSON for each completion. */
static void test_input(void **state)
{
    (void)state;
    char path[512], script[1024];
    snprintf(script, sizeof script, "while read -r l; do printf '%%s\\n' \"$l\" >>%s; echo 1; done",
             scratch_path("seen", path));
    struct cg_rewards *r = opened(script, NULL);
    float value[N];
    if (score(r, value) != CG_OK) fail_msg("%s", cg_error());
    closed(r);
    size_t n;
    char *seen;
    assert_int_equal(cg_file_read(path, 65536, &seen, &n), CG_OK);
    static const char want[] =
        "{\"step\":4,\"index\":0,\"count\":3,\"prompt\":\"p\xEF\xBF\xBDq\",\"completion\":\"one \xEF\xBF\xBD\","
        "\"answer\":\"7\",\"completion_ids\":[5,6],\"fields\":{\"level\":3}}\n"
        "{\"step\":4,\"index\":1,\"count\":3,\"prompt\":\"p\xEF\xBF\xBDq\",\"completion\":\"two\\n\\\"\","
        "\"answer\":\"7\",\"completion_ids\":[5,6],\"fields\":{\"level\":3}}\n"
        "{\"step\":4,\"index\":2,\"count\":3,\"prompt\":\"p\xEF\xBF\xBDq\",\"completion\":\"\",\"answer\":\"7\","
        "\"completion_ids\":[],\"fields\":{\"level\":3}}\n";
    assert_string_equal(seen, want);
    cg_free(seen);
}

/* The first batch must fail with exactly this message, and nothing of the program stay. */
static void fails(const char *script, const char *const *more, const char *message)
{
    struct cg_rewards *r = opened(script, more);
    float value[N];
    enum cg_status s = score(r, value);
    if (s == CG_OK) s = score(r, value); /* some faults show when the next batch begins */
    if (s != CG_ERR_USER || strcmp(cg_error(), message) != 0)
        fail_msg("%s: the message is\n  %s\nand not\n  %s", script, cg_error(), message);
    closed(r);
}

static void test_faults(void **state)
{
    (void)state;
    static const char *const soon[] = {"reward_timeout=0.2", NULL};
    fails("exit 3", NULL, "reward_program: completion 1 of 3: the program ended before it answered (exit code 3)");
    fails("/no/such/program 2>/dev/null", NULL,
          "reward_program: completion 1 of 3: the program ended before it answered (exit code 127)");
    fails("read -r l; echo 1; kill -9 $$", NULL,
          "reward_program: completion 2 of 3: the program ended before it answered (signal 9 (Killed))");
    fails("read -r l; echo 1; read -r l; echo hello; sleep 100", NULL,
          "reward_program: completion 2 of 3: it printed 'hello', which is neither a number nor null nor {\"reward\": "
          "number}");
    fails("read -r l; echo; sleep 100", NULL,
          "reward_program: completion 1 of 3: it printed '', which is neither a number nor null nor {\"reward\": "
          "number}");
    fails("read -r l; echo '{\"score\": 1}'; sleep 100", NULL,
          "reward_program: completion 1 of 3: it printed '{\"score\": 1}', which is neither a number nor null nor "
          "{\"reward\": number}");
    fails("read -r l; echo 1e999; sleep 100", NULL,
          "reward_program: completion 1 of 3: it printed '1e999', which is neither a number nor null nor {\"reward\": "
          "number}");
    fails("sleep 100", soon, "reward_program: completion 1 of 3: no answer within 0.2 s (reward_timeout)");
    fails("read -r l; printf 0.5; sleep 100", soon,
          "reward_program: completion 1 of 3: no answer within 0.2 s (reward_timeout), only '0.5' without the end of a "
          "line");
    fails("exec <&-; sleep 100", soon, "reward_program: completion 1 of 3: no answer within 0.2 s (reward_timeout)");
    fails("exec >&-; cat >/dev/null", NULL,
          "reward_program: completion 1 of 3: the program ended before it answered (exit code 0)");
    fails("printf '1\\n1\\n1\\n1\\n'; sleep 100", NULL,
          "reward_program: completion 3 of 3: after its answer came one line more, '1'; print one line for each "
          "completion");
    fails("printf '1\\n1\\n1\\n1'; sleep 100", NULL,
          "reward_program: completion 3 of 3: after its answer came more text; print one line for each completion");
    fails("tr '\\n' x </dev/zero | head -c 100000; sleep 100", NULL,
          "reward_program: completion 1 of 3: its answer is longer than 65536 bytes");
    /* Leaves between two batches. */
    fails("for i in 1 2 3; do read -r l; echo 1; done; sleep 0.05", (const char *const[]){NULL},
          "reward_program: completion 1 of 3: the program ended before it answered (exit code 0)");
}

/* With reward_on_error=zero the run goes on, up to three bad batches in a row. */
static void test_zero(void **state)
{
    (void)state;
    static const char *const zero[] = {"reward_on_error=zero", "reward_timeout=5", NULL};
    float value[N];
    struct cg_rewards *r = opened("read -r l; echo 1; exit 1", zero);
    assert_int_equal(score(r, value), CG_OK);
    assert_true(value[0] == 1.0f && value[1] == 0.0f && value[2] == 0.0f);
    assert_int_equal(score(r, value), CG_OK); /* it was started again */
    assert_true(value[0] == 1.0f && value[1] == 0.0f);
    assert_int_equal(score(r, value), CG_ERR_USER);
    assert_string_equal(cg_error(),
                        "failed in 3 batches in a row, the last time: reward_program: completion 2 of 3: the "
                        "program ended before it answered (exit code 1)");
    closed(r);
    r = opened("while read -r l; do echo x; read -r l; echo 1; read -r l; echo 1; done", zero);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(score(r, value), CG_OK);
        assert_true(value[0] == 0.0f && value[1] == 1.0f && value[2] == 1.0f);
    }
    closed(r);
    r = opened("while read -r l; do echo x; done", zero);
    assert_int_equal(score(r, value), CG_OK);
    assert_int_equal(score(r, value), CG_OK);
    assert_int_equal(score(r, value), CG_ERR_USER);
    assert_string_equal(cg_error(), "reward_program has given no sound answer in 3 batches in a row");
    closed(r);
}

/* More text than both pipes hold, in either direction. */
static void test_large(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static char text[2001], answer[] = "";
    memset(text, 'x', 2000);
    const struct cg_item it = {.prompt = text, .answer = answer};
    struct cg_reward_case *c = calloc(MANY, sizeof *c);
    float *value = calloc(MANY, sizeof *value);
    assert_true(c && value);
    for (int i = 0; i < MANY; i++) c[i] = (struct cg_reward_case){&it, text, NULL, 0};
    struct cg_rewards *r =
        opened("sed -u 's/.*/{\"reward\": 1, \"filler\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}/'", NULL);
    if (cg_rewards_one(r, 0, 0, MANY, c, value) != CG_OK) fail_msg("%s", cg_error());
    for (int i = 0; i < MANY; i++) assert_true(value[i] == 1.0f);
    closed(r);
    /* It answers without reading, and leaves while it is written to. */
    r = opened("head -c 1 >/dev/null; exit 0", NULL);
    assert_int_equal(cg_rewards_one(r, 0, 0, MANY, c, value), CG_ERR_USER);
    assert_string_equal(cg_error(),
                        "reward_program: completion 1 of 3000: the program ended before it answered (exit code 0)");
    closed(r);
    free(c);
    free(value);
}

/* A program that stays after the end of its input, with a child of its own, is ended. */
static void test_stubborn(void **state)
{
    (void)state;
    struct cg_rewards *r = opened("trap '' TERM; sleep 1000 & while read -r l; do echo 1; done; sleep 1000", NULL);
    float value[N];
    assert_int_equal(score(r, value), CG_OK);
    closed(r);
    /* Ctrl-C does not wait for the time limit. */
    r = opened("sleep 1000", NULL);
    stop = 1;
    double start = cg_now();
    assert_int_equal(score(r, value), CG_ERR_INTERRUPTED);
    assert_true(cg_now() - start < 25); /* and not the limit of 30 */
    stop = 0;
    closed(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_input), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_zero), cmocka_unit_test(test_large), cmocka_unit_test(test_stubborn),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}

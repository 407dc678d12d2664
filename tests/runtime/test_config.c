/* Run files and --set: what is accepted, and the one line that everything else gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rng.h"
#include "runtime/config/config.h"

static char dir[] = "/tmp/cg-config-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/run.yaml", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

/* Writes n bytes as the run file and loads it over the defaults; the caller frees *c. */
static enum cg_status load_bytes(const char *text, size_t n, struct cg_run_config *c)
{
    unlink(path); /* some file systems flush a file that is truncated and written anew */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(cg_config_defaults(c), CG_OK);
    return cg_config_load(path, c);
}

/* The file must be refused with exactly this message (the path without its folder); a message that ends in "..." goes
 * on in the words of libyaml, which may change. */
static void refused(const char *text, const char *message)
{
    struct cg_run_config c;
    assert_int_equal(load_bytes(text, strlen(text), &c), CG_ERR_USER);
    const char *got = cg_error() + strlen(dir) + 1;
    size_t n = strlen(message);
    int open = n > 3 && strcmp(message + n - 3, "...") == 0;
    if (open ? strncmp(got, message, n - 3) != 0 : strcmp(got, message) != 0)
        fail_msg("for\n%s\nthe message is\n  %s\nand not\n  %s", text, got, message);
    cg_config_free(&c);
}

static void test_defaults(void **state)
{
    (void)state;
    struct cg_run_config c;
    assert_int_equal(cg_config_defaults(&c), CG_OK);
    assert_int_equal(cg_config_check(&c), CG_OK);
    assert_string_equal(c.model, "builtin:tiny");
    assert_int_equal(c.seed, 42);
    assert_true(c.learning_rate == 1e-6 && c.epsilon_high == -1 && c.adam_epsilon == 1e-8);
    assert_string_equal(c.loss_type, "dapo");
    assert_int_equal(c.task_stages.n, 0);
    cg_config_free(&c);
}

static void test_every_kind(void **state)
{
    (void)state;
    static const char text[] = "# a comment\n"
                               "seed: 7\n"
                               "learning_rate: 5e-6\n"
                               "temperature: 1\n"
                               "task_stages: [1, 2, 3]\n"
                               "stage_steps:\n  - 10\n  - 0\n  - 30\n"
                               "sft_steps: []\n"
                               "mask_truncated_completions: yes\n"
                               "task_prompt: \"1+1=2\\n{a}+{b}=\"\n"
                               "scale_rewards: false\n"
                               "epsilon_high: null\n"
                               "output_dir: 2026\n";
    struct cg_run_config c;
    assert_int_equal(load_bytes(text, sizeof text - 1, &c), CG_OK);
    assert_int_equal(cg_config_check(&c), CG_OK);
    assert_int_equal(c.seed, 7);
    assert_true(c.learning_rate == 5e-6 && c.temperature == 1 && c.epsilon_high == -1);
    assert_int_equal(c.task_stages.n, 3);
    assert_int_equal(c.task_stages.v[2], 3);
    assert_int_equal(c.stage_steps.n, 3);
    assert_int_equal(c.stage_steps.v[1], 0);
    assert_int_equal(c.sft_steps.n, 0);
    assert_int_equal(c.mask_truncated_completions, 1);
    assert_string_equal(c.task_prompt, "1+1=2\n{a}+{b}=");
    assert_string_equal(c.scale_rewards, "none");
    assert_string_equal(c.output_dir, "2026");
    cg_config_free(&c);
}

static void test_keys(void **state)
{
    (void)state;
    refused("seed: 1\n\n# so\nlearning_rte: 1e-3\n",
            "run.yaml:4: unknown key 'learning_rte'; did you mean 'learning_rate'?");
    refused("max_step: 1\n", "run.yaml:1: unknown key 'max_step'; did you mean 'max_steps'?");
    refused("num_generatoins: 8\n", "run.yaml:1: unknown key 'num_generatoins'; did you mean 'num_generations'?");
    refused("Seed: 1\n", "run.yaml:1: unknown key 'Seed'; did you mean 'seed'?");
    refused("use_vllm: true\n",
            "run.yaml:1: unknown key 'use_vllm'; 'man grpo-train' and docs/options.md list the keys");
    refused("seed: 1\nbeta: 0\nseed: 2\n", "run.yaml:3: 'seed' is given a second time; line 1 gives it first");
    refused("? [a]\n: 1\n", "run.yaml:1: a key is a list");
    refused("\"se\\x07ed\": 1\n", "run.yaml:1: unknown key 'se?ed'; did you mean 'seed'?");
}

static void test_values(void **state)
{
    (void)state;
    refused("max_steps: ten\n", "run.yaml:1: 'max_steps' needs an integer, not 'ten'");
    refused("max_steps: 1.5\n", "run.yaml:1: 'max_steps' needs an integer, not '1.5'");
    refused("max_steps: \"10\"\n", "run.yaml:1: 'max_steps' needs an integer, not \"10\"");
    refused("max_steps: -1\n", "run.yaml:1: 'max_steps' must be at least 0, not -1");
    refused("max_steps: 99999999999999999999\n",
            "run.yaml:1: 'max_steps' must be at most 1000000000, not 99999999999999999999");
    refused("seed: 1\nmax_steps:\n", "run.yaml:2: 'max_steps' has no value");
    refused("max_steps: [1]\n", "run.yaml:1: 'max_steps' needs an integer, not a list");
    refused("max_steps: {a: 1}\n", "run.yaml:1: 'max_steps' is a mapping");
    refused("seed: &x 1\nmax_steps: *x\n", "run.yaml:2: 'max_steps' is an alias (*name)");
    refused("seed: !!int 1\n", "run.yaml:1: 'seed' has a tag ('!'); run files have none");
    refused("learning_rate: fast\n", "run.yaml:1: 'learning_rate' needs a number, not 'fast'");
    refused("learning_rate: nan\n", "run.yaml:1: 'learning_rate' needs a number, not 'nan'");
    refused("learning_rate: 0x10\n", "run.yaml:1: 'learning_rate' needs a number, not '0x10'");
    refused("learning_rate: 1e999\n", "run.yaml:1: 'learning_rate' must be at most 1000000000, not 1e999");
    refused("temperature: 0\n", "run.yaml:1: 'temperature' must be above 0, not 0");
    refused("adam_beta1: 1\n", "run.yaml:1: 'adam_beta1' must be below 1, not 1");
    refused("mask_truncated_completions: ture\n",
            "run.yaml:1: 'mask_truncated_completions' needs true or false, not 'ture'");
    refused("loss_type: gpro\n", "run.yaml:1: 'loss_type' must be one of grpo, bnpo, dr_grpo, dapo, cispo, not 'gpro'");
    refused("scale_rewards: groups\n", "run.yaml:1: 'scale_rewards' must be one of group, batch, none, not 'groups'");
    refused("model: \"\"\n", "run.yaml:1: 'model' must not be empty");
    refused("model: \"a\\0b\"\n", "run.yaml:1: 'model' contains a zero byte");
    refused("task_stages: 3\n", "run.yaml:1: 'task_stages' needs a list of integers such as [1, 2, 3], not '3'");
    refused("task_stages: [1, two]\n", "run.yaml:1: 'task_stages' needs integers in its list, not 'two'");
    refused("task_stages: [1, 0]\n", "run.yaml:1: 'task_stages' must be at least 1, not 0");
    refused("task_stages: [[1], 2]\n", "run.yaml:1: an item of 'task_stages' is a list");
}

static void test_yaml(void **state)
{
    (void)state;
    refused("", "run.yaml is empty; it needs lines such as 'max_steps: 100'");
    refused("# nothing but a comment\n", "run.yaml is empty; it needs lines such as 'max_steps: 100'");
    refused("---\n", "run.yaml is empty; it needs lines such as 'max_steps: 100'");
    refused("- a\n- b\n", "run.yaml:1: not a mapping; a run file has lines such as 'max_steps: 100'");
    refused("just text\n", "run.yaml:1: not a mapping; a run file has lines such as 'max_steps: 100'");
    refused("seed: 1\n---\nseed: 2\n", "run.yaml:2: a second document; a run file holds one");
    refused("seed: 1\ntask_stages: [1, 2\nbeta: 0\n", "run.yaml:3: not valid YAML: ...");
    refused("seed: 1\n\tbeta: 0\n", "run.yaml:2: not valid YAML: ...");
    refused("seed: 1\nmodel: \"\xff\xfe\"\n", "run.yaml:2: not valid YAML: ...");
}

static void test_missing_file(void **state)
{
    (void)state;
    struct cg_run_config c;
    assert_int_equal(cg_config_defaults(&c), CG_OK);
    assert_int_equal(cg_config_load("/nowhere/run.yaml", &c), CG_ERR_IO);
    assert_string_equal(cg_error(), "cannot open /nowhere/run.yaml: No such file or directory");
    assert_int_equal(cg_config_load(dir, &c), CG_ERR_IO);
    cg_config_free(&c);
}

/* Neither depth, nor length, nor damage anywhere may do more than be refused. */
static void test_hostile(void **state)
{
    (void)state;
    struct cg_run_config c;
    size_t n = 1000000;
    char *text = malloc(n + 1);
    assert_non_null(text);
    static const char *const openers[] = {"[", "{", "- ", "? ", "a: ", "seed: [", "\n"};
    for (size_t k = 0; k < sizeof openers / sizeof *openers; k++) {
        size_t len = strlen(openers[k]);
        for (size_t i = 0; i < n; i++) text[i] = openers[k][i % len];
        assert_int_equal(load_bytes(text, n, &c), CG_ERR_USER);
        assert_null(strchr(cg_error(), '\n'));
        cg_config_free(&c);
    }
    memset(text, '1', n);
    memcpy(text, "model: ", 7);
    assert_int_equal(load_bytes(text, n, &c), CG_OK); /* long, and a name like any other */
    cg_config_free(&c);
    free(text);
    text = calloc(1, 2000000);
    assert_non_null(text);
    assert_int_equal(load_bytes(text, 2000000, &c), CG_ERR_USER); /* longer than a run file may be */
    cg_config_free(&c);
    free(text);
}

static void test_damage(void **state)
{
    (void)state;
    static const char good[] = "model: \"x\"\nseed: 3\ntask_stages: [1, 2]\nlearning_rate: 1.0e-4\n"
                               "stage_steps:\n  - 1\n  - 2\nloss_type: grpo\n";
    struct cg_run_config c;
    int ok = 0, bad = 0;
    for (uint32_t round = 0; round < 3000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        uint32_t n = sizeof good - 1, edits = 1 + round % 3;
        for (uint32_t e = 0; e < edits; e++) {
            uint32_t at = cg_rng_below(1, CG_RNG_TEST, round, e, 0, n);
            text[at] = (char)cg_rng_below(1, CG_RNG_TEST, round, e, 1, 256);
        }
        if (round % 5 == 0) n = cg_rng_below(1, CG_RNG_TEST, round, 9, 0, n); /* cut short */
        enum cg_status s = load_bytes(text, n, &c);
        assert_true(s == CG_OK || s == CG_ERR_USER);
        if (s == CG_OK) ok++;
        else bad++;
        cg_config_free(&c);
    }
    assert_true(ok > 0 && bad > 0);
}

static void test_set(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"seed", "--set needs key=value, not 'seed'"},
        {"=1", "--set needs key=value, not '=1'"},
        {"sede=1", "--set: unknown key 'sede'; did you mean 'seed'?"},
        {"seed=", "--set: 'seed' needs an integer, not ''"},
        {"task_stages=1,x", "--set: 'task_stages' needs integers in its list, not 'x'"},
    };
    struct cg_run_config c;
    assert_int_equal(cg_config_defaults(&c), CG_OK);
    assert_int_equal(cg_config_set(&c, "seed=9"), CG_OK);
    assert_int_equal(cg_config_set(&c, "task_prompt=a=b {a} {b}"), CG_OK);
    assert_int_equal(cg_config_set(&c, "task_stages=1,2"), CG_OK);
    assert_int_equal(cg_config_set(&c, "stage_steps=[3, 4]"), CG_OK);
    assert_int_equal(c.seed, 9);
    assert_string_equal(c.task_prompt, "a=b {a} {b}");
    assert_int_equal(c.task_stages.n, 2);
    assert_int_equal(c.stage_steps.v[1], 4);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(cg_config_set(&c, bad[i][0]), CG_ERR_USER);
        assert_string_equal(cg_error(), bad[i][1]);
    }
    char long_key[300];
    memset(long_key, 'k', sizeof long_key);
    memcpy(long_key + 290, "=1", 3);
    assert_int_equal(cg_config_set(&c, long_key), CG_ERR_USER);
    cg_config_free(&c);
}

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *set[2], *message;
    } bad[] = {
        {{"num_generations=3"},
         "num_generations is 3, which does not divide per_device_train_batch_size * gradient_accumulation_steps = 8; a "
         "step takes whole groups"},
        {{"task_stages=1,2", "sft_steps=5"}, "sft_steps has 1 number for 2 stages; give one for each, or none"},
        {{"stage_steps=1,2,3"}, "stage_steps has 3 numbers for 1 stage; give one for each, or none"},
        {{"task_max=5", "task_min=5"}, "task_max is 5 and task_min 5; task_max must be larger"},
        {{"epsilon_high=-0.5"}, "epsilon_high is -0.5; it must be 0 or more, or -1 for the same as epsilon"},
        {{"load_best_model_at_end=true"}, "load_best_model_at_end needs eval_steps, which measures what is best"},
        {{"task_prompt={a}+b="}, "task_prompt must contain {a} and {b}, where the operands of a problem go"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cg_run_config c;
        assert_int_equal(cg_config_defaults(&c), CG_OK);
        for (int k = 0; k < 2; k++)
            if (bad[i].set[k]) assert_int_equal(cg_config_set(&c, bad[i].set[k]), CG_OK);
        assert_int_equal(cg_config_check(&c), CG_ERR_USER);
        assert_string_equal(cg_error(), bad[i].message);
        cg_config_free(&c);
    }
}

/* What cg_config_dump writes loads to the same values, and so to the same dump. */
static void test_dump(void **state)
{
    (void)state;
    struct cg_run_config c, d;
    char *a = NULL, *b = NULL;
    size_t na, nb;
    assert_int_equal(cg_config_defaults(&c), CG_OK);
    assert_int_equal(
        cg_config_set(&c, "task_prompt=\"q\" \\ \n\t\x01 \xc3\xa9 \xc2\x85\xc2\x81\xe2\x80\xa8\xef\xbb\xbf {a} {b}"),
        CG_OK);
    assert_int_equal(cg_config_set(&c, "learning_rate=0.12345678901234567"), CG_OK);
    assert_int_equal(cg_config_set(&c, "ewc_lambda=1000000"), CG_OK);
    assert_int_equal(cg_config_set(&c, "task_stages=1,2,3"), CG_OK);
    FILE *f = open_memstream(&a, &na);
    assert_non_null(f);
    cg_config_dump(&c, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(load_bytes(a, na, &d), CG_OK);
    assert_true(c.learning_rate == d.learning_rate);
    assert_string_equal(c.task_prompt, d.task_prompt);
    f = open_memstream(&b, &nb);
    assert_non_null(f);
    cg_config_dump(&d, f);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(a, b);
    free(a);
    free(b);
    cg_config_free(&c);
    cg_config_free(&d);
}

static void test_examples(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-addition.yaml", "smollm2-addition.yaml"};
    const char *root = getenv("CG_SOURCE_ROOT");
    if (!root) root = ".";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[4096];
        struct cg_run_config c;
        snprintf(file, sizeof file, "%s/examples/%s", root, names[i]);
        assert_int_equal(cg_config_defaults(&c), CG_OK);
        if (cg_config_load(file, &c) != CG_OK || cg_config_check(&c) != CG_OK) fail_msg("%s", cg_error());
        cg_config_free(&c);
    }
}

/* What a resumed run may change, and what it is told of. */
static void test_differences(void **state)
{
    (void)state;
    static const char *const harmless[] = {"threads=7",
                                           "micro_batch_tokens=99",
                                           "output_dir=x",
                                           "eval_steps=3",
                                           "save_steps=3",
                                           "save_total_limit=7",
                                           "logging_steps=2",
                                           "max_steps=1000",
                                           "load_best_model_at_end=true",
                                           "report_to=tensorboard"};
    struct cg_run_config a, b;
    assert_int_equal(cg_config_defaults(&a), CG_OK);
    assert_int_equal(cg_config_defaults(&b), CG_OK);
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        assert_int_equal(cg_config_set(&a, harmless[i]), CG_OK);
    char *text = cg_config_differences(&a, &b);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(cg_config_set(&a, "seed=2"), CG_OK);
    assert_int_equal(cg_config_set(&a, "learning_rate=0.5"), CG_OK);
    assert_int_equal(cg_config_set(&a, "max_steps=99"), CG_OK);
    text = cg_config_differences(&a, &b);
    assert_string_equal(text, "seed 2 (was 42), max_steps 99 (was 100), learning_rate 0.5 (was 1.0e-06)");
    free(text);
    cg_config_free(&a);
    cg_config_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),  cmocka_unit_test(test_defaults), cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_keys),         cmocka_unit_test(test_values),   cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_missing_file), cmocka_unit_test(test_hostile),  cmocka_unit_test(test_damage),
        cmocka_unit_test(test_set),          cmocka_unit_test(test_check),    cmocka_unit_test(test_dump),
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* grpo-tune as a user meets it: CG_GRPO_TUNE is the program. */
#include "cli.h"

#include "autotune/rates.h"
#include "detect/record.h"

static void mistakes(void **state)
{
    (void)state;
    mistake("--frobnicate", "unknown option --frobnicate");
    mistake("--budgte 3", "unknown option --budgte; did you mean --budget?");
    mistake("-x", "unknown option -x");
    mistake("-qx", "unknown option -x");
    mistake("--budget", "--budget needs a value");
    mistake("-b", "-b needs a value");
    mistake("--quiet=1", "--quiet takes no value");
    mistake("frob", "unknown command \"frob\"");
    mistake("vrify", "unknown command \"vrify\"; did you mean verify?");
    mistake("''", "unknown command \"\"");
    mistake("-- --budget", "unknown command \"--budget\"");
    mistake("$(printf '\\033[2J')", "unknown command \"?[2J\"");
    mistake("show verify", "unexpected argument \"verify\"");
    mistake("verify --budget 3", "--budget is an option of tune, not of verify");
    mistake("show --ops f32", "--ops is an option of tune, not of show");
    mistake("show --replay x", "--replay is an option of detect, not of show");
    mistake("--quick --thorough", "--quick and --thorough cannot be given together");
    mistake("-qv", "--quiet and --verbose cannot be given together");
    mistake("detect --record x --replay y", "cannot be given together");
    mistake("detect --replay ''", "needs a file");
    mistake("detect --replay /nowhere/x", "cannot open /nowhere/x");
    mistake("detect --rates", "--rates goes with --record");
    mistake("detect --replay /dev/null", "is no machine record");
    mistake("detect --replay /dev/zero", "longer than");
    mistake("detect --replay /", "cannot read /");
    mistake("detect --record /nowhere/x", "/nowhere/x");
}

static void wrong_values(void **state)
{
    (void)state;
    static const char *const budgets[] = {"0", "nan", "inf", "1e999", "-5", "10s", "86401"};
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        char args[64], why[64];
        snprintf(args, sizeof args, "--budget %s", budgets[i]);
        snprintf(why, sizeof why, "--budget %s: give a number from 0.1 to 86400", budgets[i]);
        mistake(args, why);
    }
    mistake("--budget=", "--budget : give a number");
    static const char *const threads[] = {"-1", "1.5", "1e2", "1,", ",1", "4097", "99999999999999999999"};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        char args[64], why[64];
        snprintf(args, sizeof args, "--threads %s", threads[i]);
        snprintf(why, sizeof why, "--threads %s: give a number from 0 to 4096", threads[i]);
        mistake(args, why);
    }
    mistake("--threads 4096", "this machine runs");
    mistake("--threads 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "at most 16");
    mistake("--ops f32,", "--ops f32,: give some of");
    mistake("--ops bf17", "--ops bf17: give some of");
    mistake("--ops ''", "--ops : give some of");
}

static void wrong_models(void **state)
{
    (void)state;
    char args[256], path[96];
    mistake("--model ''", "needs a path");
    mistake("--model builtin:none", "no built-in model");
    mistake("--model /nowhere/model.gguf", "cannot open the model /nowhere/model.gguf");
    mistake("--model smolm2-135m", "did you mean smollm2-135m?");
    mistake("--model /dev/zero", "is not a regular file");
    snprintf(args, sizeof args, "--model %s", dir);
    mistake(args, "config.json: No such file");
    snprintf(path, sizeof path, "%s/cut.gguf", dir);
    write_file(path, "GGUF\3\0\0\0\0", 9);
    snprintf(args, sizeof args, "--model %s", path);
    mistake(args, "cut.gguf is no GGUF file");
    mistake("-m tiny -m tiny -m tiny -m tiny -m tiny -m tiny -m tiny -m tiny -m tiny -m tiny -m tiny -m tiny -m tiny "
            "-m tiny -m tiny -m tiny -m tiny",
            "at most 16");
}

static void wrong_shapes(void **state)
{
    (void)state;
    static const char *const shapes[] = {"x",         "1x2",        "0x1x1",  "1x2x3x4", "99999999x1x1", "-1x2x3",
                                         "f33:1x2x3", "f32:1x2x3:", "1x2x3x", "1 x2x3",  "nt:f32:1x2x3", "1X2X3"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char args[64];
        snprintf(args, sizeof args, "--shapes '%s'", shapes[i]);
        mistake(args, "is no shape; write MxNxK");
    }
    mistake("--shapes ''", "no shape is given");
    mistake("--shapes ,", "no shape is given");
    mistake("--shapes s8:nn:1x2x3", "only f32 has the forms");
    mistake("--shapes 1024x16777216x16777216", "give fewer rows");
    mistake("--shapes 1x2x3 --ops bf16", "--ops is for the shapes of models");
    mistake("--shapes @", "--shapes @ needs a file");
    mistake("--shapes @/nowhere/x", "cannot open /nowhere/x");
    mistake("--shapes @/", "cannot read /");
    mistake("--shapes @/dev/null", "no shape is given");
    mistake("--shapes @/dev/zero", "is longer than");
}

/* Where nothing can be stored, that is said before the time is spent. */
static void places(void **state)
{
    (void)state;
    char path[96];
    snprintf(path, sizeof path, "%s/file", dir);
    write_file(path, "x", 1);
    setenv("CPU_GRPO_CACHE", path, 1);
    mistake("", "cannot store the plans");
    strcat(path, "/sub");
    setenv("CPU_GRPO_CACHE", path, 1);
    mistake("", "cannot store the plans");
    setenv("CPU_GRPO_CACHE", "/proc/nowhere", 1);
    mistake("", "cannot store the plans");
    unsetenv("CPU_GRPO_CACHE");
    unsetenv("XDG_CACHE_HOME");
    char *home = strdup(getenv("HOME") ? getenv("HOME") : "/");
    unsetenv("HOME");
    mistake("", "no place for tuned plans");
    mistake("show", "no place for tuned plans");
    setenv("HOME", home, 1);
    free(home);
}

static void help(void **state)
{
    (void)state;
    char out[16384];
    assert_int_equal(run("--help", 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "usage: grpo-tune [OPTIONS]"));
    assert_non_null(strstr(out, "--budget SECONDS"));
    assert_non_null(strstr(out, "--record FILE"));
    assert_int_equal(run("verify --help", 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "usage: grpo-tune verify"));
    assert_non_null(strstr(out, "--json"));
    assert_null(strstr(out, "--budget"));
    assert_int_equal(run("--version", 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "grpo-tune "));
}

static void detect(void **state)
{
    (void)state;
    json_t *root = json("detect --json", 0);
    static const char *const keys[] = {"cpu",          "isa",         "isa_unusable", "caches",
                                       "cores_usable", "fingerprint", "counters",     "counters_why"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) assert_non_null(json_object_get(root, keys[i]));
    assert_true(json_integer_value(json_object_get(root, "cores_usable")) >= 1);
    /* What can be counted, or why nothing can. */
    assert_true(json_is_object(json_object_get(root, "counters")) ==
                json_is_null(json_object_get(root, "counters_why")));
    json_decref(root);
    char out[256];
    assert_int_equal(run("detect", 1, out, sizeof out), 0);
    assert_string_equal(out, "");
}

/* This machine, recorded and replayed: the same in every word, but for what can only be asked of a machine at hand. */
static void detect_record(void **state)
{
    (void)state;
    char args[256];
    snprintf(args, sizeof args, "detect --json --record %s/this.record", dir);
    json_t *live = json(args, 0);
    snprintf(args, sizeof args, "detect --json --replay %s/this.record", dir);
    json_t *replayed = json(args, 0);
    assert_int_equal(json_object_del(live, "counters") + json_object_del(live, "counters_why"), 0);
    assert_true(json_equal(live, replayed));
    json_decref(live);
    json_decref(replayed);
}

/* With what the machine reaches, for predictions elsewhere. */
static void detect_rates(void **state)
{
    (void)state;
    char args[256];
    snprintf(args, sizeof args, "detect --json --record %s/rated.record --rates", dir);
    json_decref(json(args, 0));
    struct cg_record *record;
    struct cg_machine m;
    static struct cg_rates r;
    snprintf(args, sizeof args, "%s/rated.record", dir);
    assert_int_equal(cg_record_load(args, &record), CG_OK);
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    assert_int_equal(cg_rates_parse(cg_record_rates(record), m.arch, &r), CG_OK);
    assert_int_equal(r.threads, m.cores_usable);
    cg_record_free(record);
}

static void verify(void **state)
{
    (void)state;
    json_t *root = json("verify --json", 0), *skipped = json_object_get(root, "skipped");
    assert_true(json_integer_value(json_object_get(root, "variants")) >= 18);
    assert_true(json_integer_value(json_object_get(root, "checked")) >= 1000);
    assert_true(json_is_integer(json_object_get(root, "mismatches")));
    assert_int_equal(json_integer_value(json_object_get(root, "mismatches")), 0);
    assert_true(json_is_array(skipped));
    size_t i;
    json_t *s;
    json_array_foreach(skipped, i, s)
    {
        assert_true(json_string_length(json_object_get(s, "name")) > 0);
        assert_true(json_string_length(json_object_get(s, "reason")) > 0);
    }
    json_decref(root);
}

static void show_nothing(void **state)
{
    (void)state;
    char out[4096];
    assert_int_equal(run("show", 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "no tuning stored"));
}

static void bad_isa(void **state)
{
    (void)state;
    setenv("CPU_GRPO_ISA", "avx9000", 1);
    mistake("show", "avx9000");
    unsetenv("CPU_GRPO_ISA");
}

int main(void)
{
    if (!find_program()) return 77;
    const struct CMUnitTest tests[] = {
        CLI_TEST(mistakes),     CLI_TEST(wrong_values), CLI_TEST(wrong_models), CLI_TEST(wrong_shapes),
        CLI_TEST(places),       CLI_TEST(help),         CLI_TEST(detect),       CLI_TEST(detect_record),
        CLI_TEST(detect_rates), CLI_TEST(verify),       CLI_TEST(show_nothing), CLI_TEST(bad_isa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

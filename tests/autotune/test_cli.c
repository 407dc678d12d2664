/* grpo-tune as a user meets it: CG_GRPO_TUNE is the program. */
#include "fixture.h"

#include <jansson.h>
#include <signal.h>
#include <sys/wait.h>

#include "autotune/rates.h"
#include "detect/record.h"

static char dir[64];
static const char *program;
static const char *emulator; /* what runs it in a cross build, else NULL */

static int setup(void **state)
{
    (void)state;
    make_dir(dir);
    setenv("CPU_GRPO_CACHE", dir, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_dir(dir);
    return 0;
}

/* Runs the program; its standard output (or, with `err`, standard error) in out; returns the exit code. */
static int run(const char *args, int err, char *out, size_t size)
{
    char command[512];
    snprintf(command, sizeof command, "%s '%s' %s %s", emulator ? emulator : "", program,
             err ? "2>&1 >/dev/null" : "2>/dev/null", args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, size - 1, p);
    out[n] = 0;
    while (fgetc(p) != EOF) continue;
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* One line on standard error that says `why`, and exit code 2. */
static void mistake(const char *args, const char *why)
{
    char out[4096];
    int code = run(args, 1, out, sizeof out);
    char *nl = strchr(out, '\n');
    if (code != 2 || !strstr(out, why) || !nl || nl[1]) fail_msg("grpo-tune %s: exit %d, says: %s", args, code, out);
}

static void mistakes(void **state)
{
    (void)state;
    mistake("--frobnicate", "unknown option --frobnicate");
    mistake("-x", "unknown option -x");
    mistake("--budget", "--budget needs a value");
    mistake("--budget 0", "--budget 0: give a number");
    mistake("--budget nan", "--budget nan: give a number");
    mistake("--budget 10s", "--budget 10s: give a number");
    mistake("--threads -1", "--threads -1: give a number");
    mistake("--threads 1.5", "no whole number");
    mistake("--model /nowhere/model.gguf", "cannot open the model /nowhere/model.gguf");
    mistake("--model builtin:none", "no built-in model");
    mistake("--model ''", "needs a path");
    mistake("frob", "unknown command \"frob\"");
    mistake("show verify", "unexpected argument \"verify\"");
    mistake("verify --budget 3", "--budget is an option of tune, not of verify");
    mistake("show --ops f32", "--ops is an option of tune, not of show");
    mistake("show --replay x", "--replay is an option of detect, not of show");
    mistake("--budgte 3", "unknown option --budgte; did you mean --budget?");
    mistake("-qx", "unknown option -x");
    mistake("-b", "-b needs a value");
    mistake("--quiet=1", "--quiet takes no value");
    mistake("vrify", "unknown command \"vrify\"; did you mean verify?");
    mistake("''", "unknown command \"\"");
    mistake("-- --budget", "unknown command \"--budget\"");
    mistake("$(printf '\\033[2J')", "unknown command \"?[2J\"");
    mistake("detect --record x --replay y", "cannot be given together");
    mistake("detect --replay ''", "needs a file");
    mistake("detect --replay /nowhere/x", "cannot open /nowhere/x");
    mistake("detect --rates", "--rates goes with --record");
    mistake("detect --replay /dev/null", "is no machine record");
    mistake("detect --replay /dev/zero", "longer than");
    mistake("detect --replay /", "cannot read /");
    mistake("detect --record /nowhere/x", "/nowhere/x");
    mistake("--ops f32,", "--ops f32,: give some of");
    mistake("--ops bf17", "--ops bf17: give some of");
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

static json_t *json(const char *args, int want)
{
    static char out[1 << 20];
    int code = run(args, 0, out, sizeof out);
    if (code != want) fail_msg("grpo-tune %s: exit %d, says: %.500s", args, code, out);
    json_t *root = json_loads(out, 0, NULL);
    assert_non_null(root);
    return root;
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

static void tune_and_show(void **state)
{
    (void)state;
    json_t *root = json("--model builtin:tiny --budget 2 --threads 1 --json", 0);
    json_int_t tuned = json_integer_value(json_object_get(root, "tuned"));
    assert_int_equal(json_array_size(json_object_get(root, "shapes")), tuned);
    assert_true(json_real_value(json_object_get(root, "seconds")) < 6);
    json_t *stored = json_object_get(root, "stored");
    if (tuned) assert_memory_equal(json_string_value(stored), dir, strlen(dir));
    json_decref(root);
    root = json("show --json", 0);
    assert_int_equal(json_array_size(json_object_get(root, "plans")), tuned);
    json_decref(root);
}

/* Ctrl-C ends a long run at once and in good order. */
static void interrupt(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
        const char *words[] = {emulator, program, "--model", "builtin:tiny", "--budget", "600", "--threads", "1", NULL};
        int first = emulator ? 0 : 1;
        execv(words[first], (char *const *)(words + first));
        _exit(99);
    }
    assert_true(pid > 0);
    sleep(1);
    assert_int_equal(kill(pid, SIGINT), 0);
    int status = 0;
    for (int i = 0; i < 100 && waitpid(pid, &status, WNOHANG) == 0; i++) usleep(100 * 1000);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
}

static void show_nothing(void **state)
{
    (void)state;
    char out[4096];
    assert_int_equal(run("show", 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "no tuning stored"));
}

/* The results are shown although they cannot be kept. */
static void unwritable(void **state)
{
    (void)state;
    char file[96], out[16384];
    snprintf(file, sizeof file, "%s/file", dir);
    write_file(file, "x", 1);
    strcat(file, "/sub");
    setenv("CPU_GRPO_CACHE", file, 1);
    int code = run("--model builtin:tiny --budget 2 --threads 1 2>&1", 0, out, sizeof out);
    assert_non_null(strstr(out, "shapes timed in"));
    if (strstr(out, "\n0 of ")) { /* a machine too busy to time anything has nothing to store */
        assert_int_equal(code, 0);
        return;
    }
    assert_int_equal(code, 2);
    assert_non_null(strstr(out, "cannot store the plans"));
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
    program = getenv("CG_GRPO_TUNE");
    emulator = getenv("MESON_EXE_WRAPPER");
    if (!program) {
        printf("SKIP cli: CG_GRPO_TUNE does not name the program\n");
        return 77;
    }
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(mistakes),      TEST(help),      TEST(detect),       TEST(detect_record), TEST(detect_rates), TEST(verify),
        TEST(tune_and_show), TEST(interrupt), TEST(show_nothing), TEST(unwritable),    TEST(bad_isa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

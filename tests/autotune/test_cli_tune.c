/* grpo-tune at work: what it shows, what it stores, and that nothing finished is ever lost. */
#include "cli.h"

#include <pty.h>
#include <sys/ioctl.h>

#include "common/clock.h"

#define FEW "--shapes 64x96x64,32x96x64,f32:nn:64x64x96,s8:32x96x64 --threads 1 "

static size_t stored(void)
{
    json_t *root = json("show --json", 0);
    size_t n = json_array_size(json_object_get(root, "plans"));
    json_decref(root);
    return n;
}

static void tune_and_show(void **state)
{
    (void)state;
    json_t *root = json("--model builtin:tiny --budget 2 --threads 1 --json", 0);
    json_int_t tuned = json_integer_value(json_object_get(root, "tuned"));
    assert_int_equal(json_array_size(json_object_get(root, "shapes")), tuned);
    assert_true(json_real_value(json_object_get(root, "seconds")) < 6);
    json_t *path = json_object_get(root, "stored");
    if (tuned) assert_memory_equal(json_string_value(path), dir, strlen(dir));
    json_decref(root);
    assert_int_equal(stored(), tuned);
}

/* The keys that docs/file-formats.md promises. */
static void json_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {"program",   "fingerprint", "shapes",      "tuned",   "changed",
                                       "left_out",  "gain",        "seconds",     "threads", "interrupted",
                                       "disturbed", "stored",      "stored_total"};
    static const char *const of_shape[] = {"shape",      "op",
                                           "form",       "m",
                                           "n",          "k",
                                           "chosen",     "default",
                                           "gain",       "samples",
                                           "gain_low",   "gain_high",
                                           "candidates", "tuned_for_threads",
                                           "gflops",     "gflops_default",
                                           "tried"};
    json_t *root = json(FEW "--budget 3 --json --verbose", 0), *s;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!json_object_get(root, keys[i])) fail_msg("no key %s", keys[i]);
    size_t i;
    json_array_foreach(json_object_get(root, "shapes"), i, s)
    {
        for (size_t j = 0; j < sizeof of_shape / sizeof *of_shape; j++)
            if (!json_object_get(s, of_shape[j])) fail_msg("no key %s", of_shape[j]);
        assert_true(json_array_size(json_object_get(s, "tried")) >= 1);
    }
    json_decref(root);
}

/* Nothing is timed or written, not even the folder. */
static void dry_run(void **state)
{
    (void)state;
    char path[96];
    snprintf(path, sizeof path, "%s/new", dir);
    setenv("CPU_GRPO_CACHE", path, 1);
    double start = cg_now();
    json_t *root = json("--dry-run --json", 0), *shapes = json_object_get(root, "shapes"), *s;
    assert_true(cg_now() - start < 20);
    assert_true(json_array_size(shapes) > 20);
    assert_true(json_real_value(json_object_get(root, "seconds")) == 60);
    double sum = 0;
    size_t i;
    json_array_foreach(shapes, i, s)
    {
        sum += json_real_value(json_object_get(s, "seconds"));
        assert_true(json_integer_value(json_object_get(s, "plans")) >= 1);
        assert_true(json_integer_value(json_object_get(s, "plans")) <= 20);
    }
    assert_true(sum > 59.9 && sum < 60.1);
    json_decref(root);
    root = json("--dry-run --json --quick", 0);
    assert_true(json_real_value(json_object_get(root, "seconds")) == 15);
    json_decref(root);
    root = json("--dry-run --json --thorough --budget 100", 0);
    assert_true(json_real_value(json_object_get(root, "seconds")) == 100);
    s = json_array_get(json_object_get(root, "shapes"), 0);
    assert_true(json_integer_value(json_object_get(s, "plans")) > 20);
    json_decref(root);
    assert_int_equal(access(path, F_OK), -1);
}

/* From a file, with comments; rows as the store keeps them. */
static void shapes_from_file(void **state)
{
    (void)state;
    static const char text[] = "# of a model\n100x96x64\n\ns8:nt:1x96x64 # INT8\nf32:tn:96x64x3000\n";
    char args[160];
    snprintf(args, sizeof args, "%s/shapes", dir);
    write_file(args, text, sizeof text - 1);
    snprintf(args, sizeof args, "--dry-run --json --threads 1 --shapes @%s/shapes", dir);
    json_t *root = json(args, 0), *shapes = json_object_get(root, "shapes"), *s;
    assert_int_equal(json_array_size(shapes), 3);
    size_t i, seen = 0;
    json_array_foreach(shapes, i, s)
    {
        json_int_t m = json_integer_value(json_object_get(s, "m")), k = json_integer_value(json_object_get(s, "k"));
        const char *form = json_string_value(json_object_get(s, "form"));
        if (m == 128) seen |= strcmp(form, "NT") == 0 ? 1 : 0;
        if (m == 1) seen |= strcmp(json_string_value(json_object_get(s, "op")), "gemm_s8") == 0 ? 2 : 0;
        if (k == 1024) seen |= strcmp(form, "TN") == 0 && m == 96 ? 4 : 0;
    }
    assert_int_equal(seen, 7);
    json_decref(root);
}

static void threads_list(void **state)
{
    (void)state;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) skip();
    json_t *root = json("--shapes 64x96x64 --threads 1,2,1 --dry-run --json", 0);
    json_t *shapes = json_object_get(root, "shapes");
    assert_int_equal(json_array_size(shapes), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *s = json_array_get(shapes, i);
        assert_int_equal(json_integer_value(json_object_get(s, "tuned_for_threads")), i + 1);
        assert_true(json_real_value(json_object_get(s, "seconds")) == 30);
    }
    json_decref(root);
    root = json("--shapes 64x96x64 --threads 1,2 --budget 4 --json", 0);
    json_int_t tuned = json_integer_value(json_object_get(root, "tuned"));
    assert_int_equal(json_array_size(json_object_get(root, "threads")), 2);
    json_decref(root);
    assert_int_equal(stored(), tuned);
}

/* ---- Ends -------------------------------------------------------------------------------------------------------- */

static pid_t start(const char *shapes, const char *budget)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGHUP, SIG_DFL); /* the tests may run under nohup, or behind a shell, where these are ignored */
        signal(SIGINT, SIG_DFL);
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
        const char *words[] = {emulator, program, "--shapes", shapes, "--budget", budget, "--threads", "1", NULL};
        int first = emulator ? 0 : 1;
        execvp(words[first], (char *const *)(words + first));
        _exit(99);
    }
    assert_true(pid > 0);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    for (int i = 0; i < 200 && waitpid(pid, &status, WNOHANG) == 0; i++) usleep(100 * 1000);
    return status;
}

/* Shapes of many weights: more than are tuned before a test ends the program. */
static char *many_shapes(void)
{
    static char text[4096];
    size_t at = 0;
    for (int i = 1; i <= 200; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s64x%dx256", i > 1 ? "," : "", 16 * i);
    return text;
}

/* A signal ends a long run soon and in good order. */
static void signals(void **state)
{
    (void)state;
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        pid_t pid = start(many_shapes(), "3600");
        sleep(1);
        assert_int_equal(kill(pid, ends[i]), 0);
        int status = wait_for(pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 130);
    }
}

/* What was finished is there even when the program had no chance to say goodbye. */
static void killed(void **state)
{
    (void)state;
    pid_t pid = start(many_shapes(), "600");
    size_t before = 0;
    for (double began = cg_now(); before < 2 && cg_now() - began < 30;) {
        usleep(100 * 1000);
        before = stored();
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status = wait_for(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        printf("SKIP killed: it was finished before it could be killed\n");
        return;
    }
    assert_true(WIFSIGNALED(status));
    if (before < 2) {
        printf("SKIP killed: nothing could be timed on a machine this busy\n");
        return;
    }
    assert_true(stored() >= before);
}

/* A reader that has seen enough ends nothing. */
static void closed_pipe(void **state)
{
    (void)state;
    char command[512];
    snprintf(command, sizeof command, "%s '%s' " FEW "--budget 3 2>&1 | true", emulator ? emulator : "", program);
    assert_int_equal(system(command), 0);
    if (stored() == 0) printf("SKIP closed_pipe: nothing could be timed on a machine this busy\n");
    else assert_true(stored() <= 4);
    char out[4096];
    assert_int_equal(run("show >&-", 1, out, sizeof out), 2);
    assert_non_null(strstr(out, "cannot write to standard output"));
}

/* ---- What a terminal sees ---------------------------------------------------------------------------------------- */

/* Runs on a terminal of so many columns; what it was sent. */
static int on_terminal(const char *term, int columns, const char *args, char *out, size_t size)
{
    struct winsize w = {.ws_row = 24, .ws_col = (unsigned short)columns};
    int fd, status;
    pid_t pid = forkpty(&fd, NULL, NULL, &w);
    if (pid == 0) {
        char command[512];
        setenv("TERM", term, 1);
        snprintf(command, sizeof command, "exec %s '%s' %s", emulator ? emulator : "", program, args);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(99);
    }
    assert_true(pid > 0);
    size_t n = 0;
    for (ssize_t got; n + 1 < size && (got = read(fd, out + n, size - 1 - n)) > 0;) n += (size_t)got;
    out[n] = 0;
    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Of lines that are replaced, or part of a table; a warning may be longer. */
static size_t longest(const char *text)
{
    size_t most = 0, n = 0;
    for (; *text; text++) {
        if (n == 0 && strncmp(text, "warning: ", strlen("warning: ")) == 0) text += strcspn(text, "\n");
        if (!*text) break;
        if (*text == '\r' || *text == '\n') n = 0;
        else if (strncmp(text, "\033[K", 3) == 0) text += 2;
        else if (++n > most) most = n;
    }
    return most;
}

static void terminal(void **state)
{
    (void)state;
    static char out[1 << 18];
    static const int columns[] = {20, 60, 120};
    for (size_t i = 0; i < 3; i++) {
        double start = cg_now();
        assert_int_equal(on_terminal("xterm", columns[i], FEW "--budget 2 2>&1 >/dev/null", out, sizeof out), 0);
        size_t updates = 0;
        for (const char *p = out; (p = strstr(p, "\r\033[K")); p++) updates++;
        assert_true(updates >= 1);
        assert_true((double)updates < 12 * (cg_now() - start) + 2);
        assert_true(longest(out) <= (size_t)columns[i]);
        if (emulator) continue; /* too slow to get to the first shape */
        assert_non_null(strchr(out, '['));
        if (columns[i] > 60) assert_non_null(strstr(out, " left, "));
    }
    /* One that cannot replace a line gets a line now and then. */
    assert_int_equal(on_terminal("dumb", 80, FEW "--budget 2 2>&1 >/dev/null", out, sizeof out), 0);
    assert_null(strchr(out, '\033'));
    size_t lines = 0;
    for (const char *p = out; (p = strchr(p, '\n')); p++)
        lines += strncmp(p + 1, "warning: ", strlen("warning: ")) != 0;
    assert_true(lines <= 3);
    /* Tables leave out columns. */
    assert_int_equal(on_terminal("xterm", 60, FEW "--dry-run", out, sizeof out), 0);
    assert_non_null(strstr(out, "MxNxK"));
    char *end = strstr(out, "shapes would be tuned");
    assert_non_null(end);
    *end = 0;
    assert_true(longest(out) <= 60);
}

int main(void)
{
    if (!find_program()) return 77;
    const struct CMUnitTest tests[] = {
        CLI_TEST(tune_and_show),    CLI_TEST(json_keys),    CLI_TEST(dry_run),
        CLI_TEST(shapes_from_file), CLI_TEST(threads_list), CLI_TEST(signals),
        CLI_TEST(killed),           CLI_TEST(closed_pipe),  CLI_TEST(terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

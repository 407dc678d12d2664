/* grpo-tune as a user meets it: CG_GRPO_TUNE is the program. */
#ifndef CG_TESTS_AUTOTUNE_CLI_H
#define CG_TESTS_AUTOTUNE_CLI_H

#include "fixture.h"

#include <jansson.h>
#include <signal.h>
#include <sys/wait.h>

static char dir[64];
static const char *program;
static const char *emulator; /* what runs it in a cross build, else NULL */

static inline int setup(void **state)
{
    (void)state;
    make_dir(dir);
    setenv("CPU_GRPO_CACHE", dir, 1);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    remove_dir(dir);
    return 0;
}

/* Runs the program; its standard output (or, with `err`, standard error) in out; returns the exit code. */
static inline int run(const char *args, int err, char *out, size_t size)
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
static inline void mistake(const char *args, const char *why)
{
    char out[4096];
    int code = run(args, 1, out, sizeof out);
    char *nl = strchr(out, '\n');
    if (code != 2 || !strstr(out, why) || !nl || nl[1]) fail_msg("grpo-tune %s: exit %d, says: %s", args, code, out);
}

static inline json_t *json(const char *args, int want)
{
    static char out[1 << 20];
    int code = run(args, 0, out, sizeof out);
    if (code != want) fail_msg("grpo-tune %s: exit %d, says: %.500s", args, code, out);
    json_t *root = json_loads(out, 0, NULL);
    assert_non_null(root);
    return root;
}

/* 0, having said so, when the tests cannot run. */
static inline int find_program(void)
{
    program = getenv("CG_GRPO_TUNE");
    emulator = getenv("MESON_EXE_WRAPPER");
    if (!program) printf("SKIP cli: CG_GRPO_TUNE does not name the program\n");
    return program != NULL;
}

#define CLI_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif

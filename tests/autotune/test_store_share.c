/* Stores that go to other places and come back, and the folder that several machines share. */
#include "store_fixture.h"

#include <sys/wait.h>

#include "autotune/store_share.h"

static char file[96];

static int setup_share(void **state)
{
    int bad = setup(state);
    snprintf(file, sizeof file, "%s/exported", dir);
    return bad;
}

static void export_some(void)
{
    size_t n, want = write_some();
    if (cg_store_export(path, &machine, file, &n) != CG_OK) fail_msg("%s", cg_error());
    assert_int_equal(n, want);
}

static size_t import(void)
{
    size_t n, total;
    if (cg_store_import(file, path, &machine, &n, &total) != CG_OK) fail_msg("%s", cg_error());
    return total;
}

/* An export has every plan and every rate, to the byte, and can be used at once. */
static void there_and_back(void **state)
{
    (void)state;
    char *a, *b;
    size_t na, nb;
    export_some();
    assert_int_equal(cg_file_read(path, 1 << 20, &a, &na), CG_OK);
    assert_int_equal(remove(path), 0);
    expect_defaults("no tuning stored");
    import();
    assert_int_equal(cg_file_read(path, 1 << 20, &b, &nb), CG_OK);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    cg_free(a);
    cg_free(b);
    struct cg_tuned e[16];
    some(e);
    struct cg_plans *p = open_plans();
    struct cg_plan got = cg_plan_gemm_f32(p, e[0].form, e[0].m, e[0].n, e[0].k);
    assert_true(cg_plan_same(&got, &e[0].plan));
    cg_plans_close(p);
}

/* Imported plans replace those of the same shapes and what contradicts them; others stay. */
static void imported_wins(void **state)
{
    (void)state;
    size_t total;
    export_some();
    struct cg_tuned same = entry(CG_FORM_TN, 960, 576, 1024, variant_of_other_width()),
                    other = entry(CG_FORM_TN, 64, 576, 1024, variant_of_other_width());
    assert_int_equal(merge_one(&same, &total), CG_OK);
    assert_int_equal(merge_one(&other, &total), CG_OK);
    assert_int_equal(import(), total);
    struct cg_plans *p = open_plans();
    assert_ptr_equal(cg_plan_gemm_f32(p, CG_FORM_TN, 960, 576, 1024).variant, variant_of(CG_OP_gemm_f32, 0));
    assert_ptr_equal(cg_plan_gemm_f32(p, CG_FORM_TN, 64, 576, 1024).variant, other.plan.variant);
    cg_plans_close(p);
}

/* Refused with one line that says `why`; what is stored stays as it was. */
static void expect_refusal(const char *from, const char *why)
{
    size_t n = 7, total = 7;
    struct cg_store s;
    enum cg_status st = cg_store_import(from, path, &machine, &n, &total);
    if ((st != CG_ERR_USER && st != CG_ERR_IO) || !strstr(cg_error(), why) || strchr(cg_error(), '\n'))
        fail_msg("expected \"%s\", got: %s", why, cg_error());
    assert_int_equal(n + total, 0);
    assert_int_equal(cg_store_read(path, &machine, &s), CG_OK);
    assert_int_equal(s.n, 1);
    cg_store_free(&s);
}

/* The exported text with the first `from` replaced, signed again, as the file to import. */
static void change(const char *from, const char *to)
{
    static char text[8192], out[8192], all[8300];
    if (!*text) {
        size_t size;
        sound_store(text, sizeof text, &size);
        cut_checksum(text);
        assert_int_equal(remove(path), 0);
    }
    const char *at = strstr(text, from);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    snprintf(all, sizeof all, "%schecksum %016" PRIx64 "\n", out, (uint64_t)XXH3_64bits(out, strlen(out)));
    write_file(file, all, strlen(all));
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *why;
    } changes[] = {
        {"fingerprint 1", "fingerprint 2", "another machine or with another CPU_GRPO_ISA (Testing CPU, 2 of 2 cores)"},
        {"variants ", "variants 0", "other kernels"},
        {"compiler ", "compiler of ", "another compiler"},
        {"plans 2", "plans 1", "version \"1\""},
        {" mc nc ", " nc mc ", "other fields"},
        {"gemm_s8 NT", "gemm_s8 TN", "NT only"},
        {" 96 480 ", " 96 x ", "nc is"},
    };
    size_t total;
    change("#", "#");
    struct cg_tuned mine = entry(CG_FORM_NT, 8, 64, 64, variant_of(CG_OP_gemm_f32, 0));
    assert_int_equal(merge_one(&mine, &total), CG_OK);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        change(changes[i].from, changes[i].to);
        expect_refusal(file, changes[i].why);
        assert_non_null(strstr(cg_error(), "nothing is imported"));
    }
    assert_int_equal(truncate(file, 300), 0);
    expect_refusal(file, "cut short");
    write_file(file, "", 0);
    expect_refusal(file, "not a store");
    expect_refusal("/nowhere/plans", "No such file");
    expect_refusal(dir, "Is a directory");
    expect_refusal("/dev/zero", "longer than");
}

static void nothing_to_export(void **state)
{
    (void)state;
    size_t n;
    assert_int_equal(cg_store_export(path, &machine, file, &n), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "no plans are stored"));
    assert_int_not_equal(access(file, F_OK), 0);
    write_file(path, "rubbish", 7);
    assert_int_equal(cg_store_export(path, &machine, file, &n), CG_ERR_USER);
    assert_int_not_equal(access(file, F_OK), 0);
    write_some();
    assert_int_equal(cg_store_export(path, &machine, dir, &n), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "is a folder"));
    assert_int_equal(cg_store_export(path, &machine, "/proc/nowhere", &n), CG_ERR_IO);
}

/* Two machines in one folder: each has its own file, and each sees the other's for what it is. */
static void shared_folder(void **state)
{
    (void)state;
    struct cg_machine mine = machine, other = machine;
    other.fingerprint ^= 1;
    snprintf(other.model_name, sizeof other.model_name, "Other CPU");
    size_t n = write_some(), total;
    char *here = path;
    machine = other;
    path = cg_store_path(&machine);
    assert_string_not_equal(path, here);
    expect_defaults("no tuning stored");
    struct cg_tuned add = entry(CG_FORM_NT, 8, 64, 64, variant_of(CG_OP_gemm_f32, 0));
    assert_int_equal(merge_one(&add, &total), CG_OK);
    cg_free(path);
    path = here;
    machine = mine;
    struct cg_plans *p = open_plans();
    char text[32];
    snprintf(text, sizeof text, "%zu tuned shapes", n);
    assert_non_null(strstr(cg_plans_source(p), text));
    cg_plans_close(p);

    char broken[128];
    snprintf(broken, sizeof broken, "%s/plans-0.txt", dir);
    write_file(broken, "rubbish", 7);
    struct cg_store_listed *all;
    size_t found;
    assert_int_equal(cg_store_list(dir, &machine, &all, &found), CG_OK);
    assert_int_equal(found, 3);
    assert_string_equal(all[0].name, "plans-0.txt");
    assert_string_equal(all[0].machine, "");
    assert_non_null(strstr(all[0].why, "not a store"));
    for (size_t i = 1; i < 3; i++) {
        int is_mine = strstr(path, all[i].name) != NULL;
        assert_int_equal(all[i].usable, is_mine);
        assert_int_equal(all[i].plans, is_mine ? n : 1);
        assert_string_equal(all[i].machine, is_mine ? "Testing CPU, 2 of 2 cores" : "Other CPU, 2 of 2 cores");
        if (!is_mine) assert_non_null(strstr(all[i].why, "another machine"));
    }
    cg_free(all);
    assert_int_equal(cg_store_list("/nowhere", &machine, &all, &found), CG_OK);
    assert_int_equal(found, 0);
}

/* ---- As a user meets it: CG_GRPO_TUNE is the program ----------------------------------------------------------------
 */

/* The exit code; what it prints, both streams together, in out. */
static int run(const char *args, char *out, size_t size)
{
    char command[512];
    snprintf(command, sizeof command, "cd '%s' && '%s' 2>&1 %s", dir, getenv("CG_GRPO_TUNE"), args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, size - 1, p);
    out[n] = 0;
    while (fgetc(p) != EOF) continue;
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const char *args, int want, const char *says)
{
    static char out[65536];
    int code = run(args, out, sizeof out);
    if (code != want || !strstr(out, says)) fail_msg("grpo-tune %s: exit %d, says: %s", args, code, out);
}

static void program(void **state)
{
    (void)state;
    if (!getenv("CG_GRPO_TUNE")) {
        print_message("SKIP program: CG_GRPO_TUNE does not name it\n");
        skip();
    }
    assert_int_equal(cg_machine_detect(&machine), CG_OK);
    cg_free(path);
    path = cg_store_path(&machine);
    expect("export x", 2, "no plans are stored for this machine");
    expect("show --all", 0, ": 0 stores");
    expect("--check", 2, "run grpo-tune");
    size_t n = write_some();
    char says[64];
    snprintf(says, sizeof says, "%zu plans of this machine exported to x", n);
    expect("export x", 0, says);
    expect("export x --quiet", 0, "");
    expect("export x --json", 0, "\"file\": \"x\"");
    expect("export -", 0, "checksum ");
    expect("export - --json", 2, "--json needs a FILE");
    expect("export - >/dev/full", 2, "cannot write to standard output");
    expect("show --all", 0, ", of this machine");
    expect("show --all --json", 0, "\"usable\": true");
    assert_int_equal(remove(path), 0);
    expect("import x --json", 0, "\"total\": ");
    expect("import - <x", 0, "imported into");
    expect("import - </dev/null", 2, "standard input: not a store of tuned plans; nothing is imported");
    expect("import nowhere", 2, "cannot open nowhere");
    expect("import .", 2, "Is a directory");
    snprintf(says, sizeof says, "(%zu in all)", n);
    expect("import x", 0, says);
    expect("--check --budget 3", 2, "--check goes with");
    expect("--check --threads 1,2", 2, "one number of threads");
    expect("--check --threads 1", 2, "for 1 thread");
    /* Whatever the machine does now: it says one of these. */
    static char out[65536];
    int code = run("--check --threads 2 --json", out, sizeof out);
    assert_true(code == 0 || code == 1);
    assert_non_null(strstr(out, "\"verdict\": \""));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_share, teardown)
    const struct CMUnitTest tests[] = {
        TEST(there_and_back),    TEST(imported_wins), TEST(refused),
        TEST(nothing_to_export), TEST(shared_folder), TEST(program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* grpo-bench as a user meets it (CG_GRPO_BENCH is the program, CG_PEER a library of tests/bench/peer.c), and that what
 * it times is what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <math.h>

#include "bench/cases.h"
#include "bench/peers.h"

static const char *program, *peer;
static char cache[64] = "/tmp/cpu-grpo-bench-XXXXXX"; /* an empty store: plans are the defaults */

/* Runs the program; its standard output (or, with `err`, standard error) in out; returns the exit code. */
static int run(const char *args, int err, char *out, size_t size)
{
    char command[2048];
    snprintf(command, sizeof command, "'%s' %s %s", program, err ? "2>&1 >/dev/null" : "2>/dev/null", args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, size - 1, p);
    out[n] = 0;
    while (fgetc(p) != EOF) continue;
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A last line on standard error that says `why`, and exit code 2. */
static void mistake(const char *args, const char *why)
{
    char out[4096];
    int code = run(args, 1, out, sizeof out);
    size_t n = strlen(out);
    if (n && out[n - 1] == '\n') out[n - 1] = 0;
    char *last = strrchr(out, '\n');
    if (code != 2 || !strstr(last ? last : out, why)) fail_msg("grpo-bench %s: exit %d, says: %s", args, code, out);
}

static void mistakes(void **state)
{
    (void)state;
    mistake("", "say what to time");
    mistake("frob", "unknown command \"frob\"");
    mistake("kernels more", "unexpected argument \"more\"");
    mistake("kernels --frob", "unknown option --frob");
    mistake("kernels -x", "unknown option -x");
    mistake("kernels --op", "--op needs a value");
    mistake("kernels --op gemm", "--op: there is no \"gemm\"");
    mistake("kernels --op ''", "--op: there is no \"\"");
    mistake("kernels --op add_f32,", "--op: there is no \"\"");
    static const char *const shapes[] = {"",       "1",     "1,2",     "1,2,",         "1,2,3,4", "0,2,3",
                                         "1,-2,3", "1 2 3", "1,2,3;;", "1,2,99999999", "a,b,c",   "1,2,3;4,5"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char args[128];
        snprintf(args, sizeof args, "kernels --shapes '%s'", shapes[i]);
        mistake(args, "is no shape");
    }
    mistake("kernels --threads 0", "--threads 0: give a number");
    mistake("kernels --threads 1.5", "whole number");
    mistake("kernels --json --seconds never", "--seconds never: give a number");
    mistake("kernels --seconds 1", "--seconds goes with");
    mistake("kernels --json --benchmark_filter=x", "--benchmark_filter=x: the flags of Google Benchmark");
    mistake("kernels --benchmark_format=xml", "the formats are");
    mistake("kernels --benchmark_frob=1", "does not know --benchmark_frob=1");
    mistake("kernels --benchmark_filter=nothing_like_it", "no row matches");
    mistake("kernels --json --op gemm_s8 --shapes 1,1,200000", "131071");
    mistake("kernels --json --op gemm_f32 --shapes 4000000,4000000,4000000", "of memory");
}

static void peer_mistakes(void **state)
{
    (void)state;
    char args[1024];
    mistake("kernels --peer blas", "write NAME=LIBRARY:SYMBOL");
    mistake("kernels --peer =lib.so", "write NAME=LIBRARY:SYMBOL");
    mistake("kernels --peer x=", "write NAME=LIBRARY:SYMBOL");
    mistake("kernels --peer x=lib.so:", "write NAME=LIBRARY:SYMBOL");
    mistake("kernels --peer a-name-that-is-longer-than-a-column=lib.so", "the name may have");
    mistake("kernels --peer x=libnowhere.so.7:f", "--peer x: cannot open the library: libnowhere.so.7");
    mistake("kernels --op gemm_s8 --peer x=lib.so", "--peer compares f32 GEMM");
    mistake("kernels --peer x=a.so --peer x=b.so", "two peers are called x");
    snprintf(args, sizeof args, "kernels --peer 'x=%s:frob'", peer);
    mistake(args, "has no function frob");
    snprintf(args, sizeof args, "kernels --peer 'x=%s:wrong_sgemm'", peer);
    mistake(args, "a small product came out wrong");
}

static void help(void **state)
{
    (void)state;
    char out[8192];
    assert_int_equal(run("--help", 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "usage: grpo-bench"));
    assert_int_equal(run("--version", 0, out, sizeof out), 0);
    assert_int_equal(strncmp(out, "grpo-bench ", 11), 0);
}

static json_t *json(const char *args)
{
    size_t size = 1 << 20;
    char *out = malloc(size);
    assert_non_null(out);
    int code = run(args, 0, out, size);
    json_error_t e;
    json_t *root = code == 0 ? json_loads(out, 0, &e) : NULL;
    if (!root) fail_msg("grpo-bench %s: exit %d, %s", args, code, out);
    free(out);
    return root;
}

/* A row for every operation; rates and times agree. */
static void rows_as_json(void **state)
{
    (void)state;
    json_t *root = json("kernels --json --seconds 0.001 --shapes '3,40,24'"), *rows = json_object_get(root, "rows"),
           *row;
    size_t i, ops = 0;
    unsigned long long seen = 0;
    assert_int_equal(strlen(json_string_value(json_object_get(root, "fingerprint"))), 16);
    json_array_foreach(rows, i, row)
    {
        for (int op = 0; op < CG_OP_COUNT; op++)
            if (strcmp(json_string_value(json_object_get(row, "op")), cg_op_name((enum cg_op)op)) == 0)
                seen |= 1ull << op;
        double seconds = json_number_value(json_object_get(row, "seconds_min"));
        assert_true(seconds > 0 && json_number_value(json_object_get(row, "seconds_median")) >= seconds);
        double m = json_number_value(json_object_get(row, "m")), n = json_number_value(json_object_get(row, "n"));
        json_t *k = json_object_get(row, "k");
        double rate = m * n * (k ? 2 * json_number_value(k) : 1) / seconds * 1e-9;
        assert_true(fabs(rate / json_number_value(json_object_get(row, "rate")) - 1) < 1e-3);
    }
    for (int op = 0; op < CG_OP_COUNT; op++) ops += seen >> op & 1;
    assert_int_equal(ops, CG_OP_COUNT);
    assert_int_equal(json_array_size(rows), CG_OP_COUNT + 2); /* gemm_f32 has three forms */
    json_decref(root);
}

static void peers(void **state)
{
    (void)state;
    char args[1024], out[4096];
    snprintf(args, sizeof args, "kernels --json --seconds 0.002 --shapes '20,30,10' --peer 'mine=%s:right_sgemm'",
             peer);
    json_t *root = json(args), *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 3);
    json_t *row = json_array_get(rows, 0), *mine = json_object_get(json_object_get(row, "peers"), "mine");
    double ours = json_number_value(json_object_get(row, "seconds_min"));
    double theirs = json_number_value(json_object_get(mine, "seconds_min"));
    assert_true(fabs(theirs / ours / json_number_value(json_object_get(row, "ratio")) - 1) < 1e-3);
    assert_string_equal(json_string_value(json_object_get(row, "best_peer")), "mine");
    json_decref(root);
    snprintf(args, sizeof args,
             "kernels --seconds 0.002 --shapes '20,30,10' --op gemm_f32_tn --peer 'mine=%s:right_sgemm'", peer);
    assert_int_equal(run(args, 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "gemm_f32_tn/30x10x20/"));
    assert_non_null(strstr(out, "geometric mean"));
}

static void google_benchmark(void **state)
{
    (void)state;
    size_t size = 1 << 20, names = 0;
    char *out = malloc(size);
    assert_non_null(out);
    assert_int_equal(run("kernels --benchmark_list_tests", 0, out, size), 0);
    for (char *p = out; (p = strchr(p, '\n')); p++) names++;
    assert_true(names > 34 * 2 + 15 * 4); /* NT and INT8 of every layer, row operations of four widths, and more */
    assert_non_null(strstr(out, "gemm_f32_nt/256x49152x576/"));
    free(out);
    json_t *root = json("kernels --shapes 5,48,16 --op gemm_f32_nt,add_f32 --benchmark_min_time=0.001 "
                        "--benchmark_format=json"),
           *b = json_object_get(root, "benchmarks");
    assert_int_equal(json_array_size(b), 2);
    assert_true(json_number_value(json_object_get(json_array_get(b, 0), "FLOP/s")) > 0);
    assert_true(json_number_value(json_object_get(json_array_get(b, 1), "elem/s")) > 0);
    json_decref(root);
}

static void all_variants(void **state)
{
    (void)state;
    static struct cg_machine m;
    size_t count, want = 0;
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    const struct cg_variant *all = cg_variants(&count);
    for (size_t i = 0; i < count; i++)
        want += (all[i].op == CG_OP_gemm_f32 || all[i].op == CG_OP_max_f32) && cg_variant_runs(&all[i], m.isa);
    json_t *root = json("kernels --json --seconds 0.001 --all-variants --op gemm_f32_nt,max_f32 --shapes 2,50,20");
    assert_int_equal(json_array_size(json_object_get(root, "rows")), want);
    json_decref(root);
}

/* What is timed for the forms is the product that peers compute. */
static void computes_the_same(void **state)
{
    (void)state;
    static struct cg_machine m;
    struct cg_plans *plans;
    struct cg_bench_cases cases;
    struct cg_peer p;
    char text[1024];
    const struct cg_layer layer = {7, 30, 19};
    float want[30 * 30];
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    assert_int_equal(cg_plans_open(&m, 1, &plans), CG_OK);
    assert_int_equal(cg_bench_cases_make(plans, CG_BENCH_GEMM_F32, &layer, 1, 0, 1, &cases), CG_OK);
    snprintf(text, sizeof text, "p=%s:right_sgemm", peer);
    assert_int_equal(cg_peer_parse(text, &p), CG_OK);
    if (cg_peer_open(&p, 1) != CG_OK) fail_msg("%s", cg_error());
    for (size_t i = 0; i < cases.n; i++) {
        const struct cg_bench_case *c = &cases.c[i];
        struct cg_operands *o;
        const float *a, *b;
        float *got;
        assert_int_equal(cg_operands_open(plans, c, &o), CG_OK);
        cg_operands_call(o);
        cg_operands_plain(o, &a, &b, &got);
        assert_true(c->m * c->n <= sizeof want / sizeof *want);
        cg_peer_call(&p, c, a, b, want);
        for (size_t e = 0; e < c->m * c->n; e++)
            if (!(fabsf(got[e] - want[e]) < 1e-4f))
                fail_msg("%s: element %zu is %g, not %g", c->name, e, got[e], want[e]);
        cg_operands_close(o);
    }
    free(cases.c);
    cg_plans_close(plans);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(cache)) return -1;
    return setenv("CPU_GRPO_CACHE", cache, 1);
}

static int teardown(void **state)
{
    (void)state;
    return remove(cache);
}

int main(void)
{
    program = getenv("CG_GRPO_BENCH");
    peer = getenv("CG_PEER");
    if (!program || !peer) {
        fprintf(stderr, "set CG_GRPO_BENCH to the program and CG_PEER to the library of tests/bench/peer.c\n");
        return 2;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes),     cmocka_unit_test(peer_mistakes),
        cmocka_unit_test(help),         cmocka_unit_test(rows_as_json),
        cmocka_unit_test(peers),        cmocka_unit_test(google_benchmark),
        cmocka_unit_test(all_variants), cmocka_unit_test(computes_the_same),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

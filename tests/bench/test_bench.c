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
#include "bench/limits.h"
#include "bench/parts.h"
#include "bench/peers.h"
#include "bench/shapes.h"

static const char *program, *peer, *fake_dnnl[3];     /* of versions 2, 3 and 4 */
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
    mistake("tuned --pairs 1", "--pairs");
    mistake("tuned --pairs", "needs a value");
    mistake("tuned --frob", "unknown option");
    mistake("tuned --store /dev/null/none --against x", "");
    mistake("tuned more", "unexpected argument \"more\"");
    mistake("accuracy --plans 1000", "--plans");
    mistake("accuracy --shapes 1.5", "whole number");
    mistake("accuracy --seed", "needs a value");
    mistake("accuracy --frob", "unknown option");
    mistake("accuracy more", "unexpected argument \"more\"");
    mistake("accuracy --rates /dev/null", "/dev/null: there are no rates");
    mistake("frob", "unknown command \"frob\"");
    mistake("kernels more", "unexpected argument \"more\"");
    mistake("kernels --frob", "unknown option --frob");
    mistake("kernels -x", "unknown option -x");
    mistake("kernels --op", "--op needs a value");
    mistake("kernels --op gem", "--op: there is no \"gem\"");
    mistake("kernels --op ''", "--op: there is no \"\"");
    mistake("kernels --op add_f32,", "--op: there is no \"\"");
    static const char *const shapes[] = {"",       "1",     "1,2",     "1,2,",         "1,2,3,4", "0,2,3",
                                         "1,-2,3", "1 2 3", "1,2,3;;", "1,2,99999999", "a,b,c",   "1,2,3;4,5"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char args[128];
        snprintf(args, sizeof args, "kernels --shapes '%s'", shapes[i]);
        mistake(args, "is no shape");
    }
    mistake("kernels --tokens 1,,2", "--tokens 1,,2: write numbers");
    mistake("kernels --tokens 1,2,", "--tokens 1,2,: write numbers");
    mistake("kernels --tokens 0", "--tokens 0: write numbers");
    mistake("kernels --model smollm2", "there is no \"smollm2\"");
    mistake("kernels --model smollm2-135m,", "there is no \"\"");
    mistake("kernels --model smollm2-135m --shapes 1,2,3", "--shapes takes the place");
    mistake("kernels --form nt,xx", "--form: there is no \"xx\"");
    mistake("kernels --form nn --op gemm_s8", "--form goes with gemm_f32");
    mistake("kernels --scaling", "--scaling goes with --threads of 2 or more");
    mistake("kernels --scaling --threads 2 --op add_f32", "--scaling is for GEMMs");
    mistake("kernels --cold --op rows", "--cold goes with GEMMs");
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

static void parts_mistakes(void **state)
{
    (void)state;
    mistake("parts more", "unexpected argument \"more\"");
    mistake("parts --frob", "unknown option --frob");
    mistake("parts --part", "--part needs a value");
    mistake("parts --part layers", "--part: there is no \"layers\"");
    mistake("parts --part layer,", "--part: there is no \"\"");
    mistake("parts --tokens 0", "--tokens 0: write numbers");
    mistake("parts --past -1", "--past -1: give a number");
    mistake("parts --length 1.5", "--length 1.5: give a whole number");
    mistake("parts --threads 0", "--threads 0: give a number");
    mistake("parts --seconds 0", "--seconds 0: give a number");
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
    mistake("kernels --op rows --peer x=lib.so", "--peer compares GEMMs");
    snprintf(args, sizeof args, "kernels --peer 'x=%s:dnnl'", peer);
    mistake(args, "it is no oneDNN");
    snprintf(args, sizeof args, "kernels --peer 'x=%s:dnnl'", fake_dnnl[2]);
    mistake(args, "versions 2 and 3 are known");
    mistake("kernels --peer x=a.so --peer x=b.so", "two peers are called x");
    snprintf(args, sizeof args, "kernels --peer 'x=%s:frob'", peer);
    mistake(args, "has no function frob");
    snprintf(args, sizeof args, "kernels --peer 'x=%s:wrong_sgemm'", peer);
    mistake(args, "a small product came out wrong");
}

/* Steps of a session and passes over unshared sequences, with the work that they need and what it reached. */
static void train(void **state)
{
    (void)state;
    char out[8192];
    const char *const runs[] = {"", " --unshared 3,10,5", " --set generation_weights=int8"};
    for (size_t i = 0; i < 3; i++) {
        char args[512];
        snprintf(args, sizeof args,
                 "train %s/examples/tiny-addition.yaml --set threads=1 --set sft_steps=[] --set task_stages=[] --set "
                 "stage_steps=[] --set per_device_train_batch_size=8 --steps 2 --json%s",
                 getenv("CG_SOURCE_ROOT"), runs[i]);
        assert_int_equal(run(args, 0, out, sizeof out), 0);
        json_t *j = json_loads(out, 0, NULL), *step = json_array_get(json_object_get(j, "steps"), 1);
        if (!step) fail_msg("no JSON with two steps: %s", out);
        double generate = json_number_value(json_object_get(step, "generate_flop"));
        double trained = json_number_value(json_object_get(step, "train_flop"));
        double share = json_number_value(json_object_get(step, "share"));
        assert_true(i == 1 ? generate == 0 && trained > 0 : generate > 0);
        assert_true(share > 0 && share < 1);
        assert_true((json_number_value(json_object_get(step, "peak_int8")) > 0) == (i == 2));
        /* By hand: 3 sequences, forward and backward, every parameter but the norms twice a token, the head's a row. */
        double layers = 3 * (4 * 128 * 128 + 3 * 128 * 384), head = 128, words = trained / 3 / 3 - 2 * layers * 10;
        if (i == 1) assert_true(words > 2 * 5 * head && words < 0.2 * trained);
        json_decref(j);
    }
    mistake("train", "give one run file");
    mistake("train x.yaml --steps 1", "--steps");
    mistake("train x.yaml --unshared 3,5,5", "give sequences");
    char args[512];
    snprintf(args, sizeof args, "train %s/examples/tiny-addition.yaml --unshared 3,2000,5", getenv("CG_SOURCE_ROOT"));
    mistake(args, "raise max_completion_length");
}

static void help(void **state)
{
    (void)state;
    char out[8192];
    assert_int_equal(run("--help", 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "usage: grpo-bench"));
    static const char *const commands[] = {"kernels", "parts", "tuned", "accuracy", "predict", "generate", "train"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char usage[64], args[64], own[8192];
        snprintf(usage, sizeof usage, "grpo-bench %s", commands[i]);
        snprintf(args, sizeof args, "%s --help", commands[i]);
        if (!strstr(out, usage)) fail_msg("grpo-bench --help does not name %s", commands[i]);
        assert_int_equal(run(args, 0, own, sizeof own), 0);
        assert_non_null(strstr(own, usage));
    }
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

/* Operations of which this machine runs a variant. */
static size_t operations(void)
{
    static struct cg_machine m;
    size_t count, n = 0;
    unsigned long long seen = 0;
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    const struct cg_variant *all = cg_variants(&count);
    for (size_t i = 0; i < count; i++)
        if (cg_variant_runs(&all[i], m.isa)) seen |= 1ull << all[i].op;
    for (int op = 0; op < CG_OP_COUNT; op++) n += seen >> op & 1;
    return n;
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* A row for every operation; rates and times agree; the limit that binds is the one with the larger share. */
static void rows_as_json(void **state)
{
    (void)state;
    json_t *root = json("kernels --json --seconds 0.001 --form all --shapes '3,40,24'"), *row,
           *rows = json_object_get(root, "rows");
    size_t i, ops = 0;
    unsigned long long seen = 0;
    assert_int_equal(strlen(text(root, "fingerprint")), 16);
    json_array_foreach(rows, i, row)
    {
        int gemm = json_object_get(row, "k") != NULL;
        for (int op = 0; op < CG_OP_COUNT; op++)
            if (strcmp(text(row, "op"), cg_op_name((enum cg_op)op)) == 0) seen |= 1ull << op;
        double seconds = number(row, "seconds_min");
        assert_true(seconds > 0 && number(row, "seconds_median") >= seconds);
        double rate = number(row, "m") * number(row, "n") * (gemm ? 2 * number(row, "k") : 1) / seconds * 1e-9;
        assert_true(fabs(rate / number(row, "rate") - 1) < 1e-3);
        assert_true(number(row, "bandwidth") > 1e6 && number(row, "memory_share") > 0);
        if (!gemm) assert_null(json_object_get(row, "fma_share"));
        int by_fma = number(row, "fma_share") >= number(row, "memory_share");
        assert_string_equal(text(row, "bound"), by_fma ? "fma" : text(row, "level"));
    }
    for (int op = 0; op < CG_OP_COUNT; op++) ops += seen >> op & 1;
    assert_int_equal(ops, operations());
    assert_int_equal(json_array_size(rows), ops + 2); /* gemm_f32 has three forms */
    json_decref(root);
}

static void peers(void **state)
{
    (void)state;
    char args[1024], out[4096];
    snprintf(args, sizeof args,
             "kernels --json --seconds 0.002 --form all --shapes '20,30,10' --peer 'mine=%s:right_sgemm'", peer);
    json_t *root = json(args), *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 3);
    assert_int_equal(json_array_size(json_object_get(root, "totals")), 3);
    json_t *total = json_array_get(json_object_get(root, "totals"), 0);
    assert_true(number(json_object_get(total, "at_limit"), "all") >= number(json_object_get(total, "best"), "all"));
    json_t *row = json_array_get(rows, 0), *mine = json_object_get(json_object_get(row, "peers"), "mine");
    assert_true(fabs(number(mine, "seconds_min") / number(row, "seconds_min") / number(row, "ratio") - 1) < 1e-3);
    assert_string_equal(text(row, "best_peer"), "mine");
    json_decref(root);
    snprintf(args, sizeof args,
             "kernels --seconds 0.002 --shapes '20,30,10' --op gemm_f32_tn --peer 'mine=%s:right_sgemm'", peer);
    assert_int_equal(run(args, 0, out, sizeof out), 0);
    assert_non_null(strstr(out, "gemm_f32_tn/30x10x20/"));
    assert_non_null(strstr(out, "geometric mean"));
    assert_non_null(strstr(out, "at the limits it would be"));
}

/* Both versions of oneDNN's interface: f32 in all forms, INT8 in both kinds, and no bf16 where it has none. */
static void onednn(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        char args[1024];
        snprintf(args, sizeof args,
                 "kernels --json --seconds 0.001 --form all --op gemm --shapes '2,30,10;20,30,10' "
                 "--peer 'd=%s:dnnl'",
                 fake_dnnl[v]);
        json_t *root = json(args), *row;
        size_t i;
        assert_true(json_is_false(json_object_get(root, "cold")));
        json_array_foreach(json_object_get(root, "rows"), i, row)
        {
            json_t *others = json_object_get(row, "peers");
            const char *op = text(row, "op");
            if (strcmp(op, "gemm_f32") == 0) assert_non_null(json_object_get(others, "d"));
            else if (strcmp(op, "gemm_s8") == 0)
                assert_true(json_object_get(others, "d s8s8") && json_object_get(others, "d u8s8"));
            else assert_null(others);
        }
        json_decref(root);
    }
    json_t *scaling = json("kernels --json --scaling --threads 2 --seconds 0.001 --shapes 64,96,200");
    json_t *first = json_array_get(json_object_get(scaling, "rows"), 0);
    assert_string_equal(text(first, "best_peer"), "1 thread");
    json_decref(scaling);
    json_t *root = json("kernels --json --cold --seconds 0.001 --op gemm --shapes 3,600,700");
    assert_true(json_is_true(json_object_get(root, "cold")));
    json_decref(root);
}

/* Every part runs, with sizes that divide nothing, and says what it was. */
static void parts(void **state)
{
    (void)state;
    json_t *root = json("parts --json --tokens 7 --past 5 --length 4 --threads 2 --seconds 0.001"), *row,
           *rows = json_object_get(root, "rows");
    size_t i;
    assert_int_equal(json_array_size(rows), CG_PART_COUNT);
    json_array_foreach(rows, i, row)
    {
        assert_string_equal(text(row, "part"), cg_part_name((enum cg_part_kind)i));
        assert_int_equal(number(row, "tokens"), 7);
        assert_int_equal(number(row, "threads"), i == CG_PART_SOFTMAX ? 1 : 2);
        assert_true(number(row, "seconds_min") > 0 && number(row, "seconds_median") >= number(row, "seconds_min"));
        assert_true(number(row, "samples") >= 3 && number(row, "rate") > 0);
        assert_true((i == CG_PART_SOFTMAX) == (number(row, "copy_share") > 0));
    }
    json_decref(root);
}

static void google_benchmark(void **state)
{
    (void)state;
    size_t size = 1 << 20, names = 0;
    char *out = malloc(size);
    assert_non_null(out);
    assert_int_equal(run("kernels --benchmark_list_tests", 0, out, size), 0);
    for (char *p = out; (p = strchr(p, '\n')); p++) names++;
    assert_true(names >= 34 * 2 + 15 * 4); /* NT and INT8 of every layer, row operations of four widths */
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

/* What is timed for the forms is the product that rivals compute, with each copy of the weights. */
static void computes_the_same(void **state)
{
    (void)state;
    static struct cg_machine m;
    struct cg_plans *plans;
    struct cg_bench_cases cases;
    struct cg_peer p[2];
    struct cg_rival rivals[CG_MAX_RIVALS];
    char name[1024];
    const struct cg_layer layer = {7, 30, 19};
    float want[30 * 30];
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    assert_int_equal(cg_plans_open(&m, 1, &plans), CG_OK);
    assert_int_equal(cg_bench_cases_make(plans, CG_BENCH_GEMM_F32, &layer, 1, 0, 1, &cases), CG_OK);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, i ? "d=%s:dnnl" : "p=%s:right_sgemm", i ? fake_dnnl[0] : peer);
        assert_int_equal(cg_peer_parse(name, &p[i]), CG_OK);
        if (cg_peer_open(&p[i], 1) != CG_OK) fail_msg("%s", cg_error());
    }
    assert_int_equal(cg_rivals(p, 2, CG_OP_gemm_f32, rivals), 2);
    for (size_t i = 0; i < cases.n; i++) {
        const struct cg_bench_case *c = &cases.c[i];
        size_t mn = c->m * c->n, cold = 3 * c->n * c->k * sizeof(float);
        struct cg_operands *o;
        struct cg_plain plain;
        assert_int_equal(cg_operands_open(plans, c, cold, 1, &o), CG_OK);
        cg_operands_plain(o, &plain);
        assert_int_equal(plain.copies, 5);
        assert_true(mn <= sizeof want / sizeof *want);
        assert_true(cg_operands_footprint(o) >= cg_operands_traffic(o) + 4 * c->n * c->k * sizeof(float));
        cg_operands_call(o);
        memcpy(want, plain.c, mn * sizeof *want);
        for (int call = 0; call < 18; call++) {
            struct cg_rival_run run;
            memset(plain.c, -1, mn * sizeof *want);
            if (call < 6) {
                cg_operands_call(o);
            } else {
                if (cg_rival_open(&rivals[call % 2], c, &plain, cold, &run) != CG_OK) fail_msg("%s", cg_error());
                for (int again = 0; again < call - 5; again++) cg_rival_call(&run);
                cg_rival_close(&run);
            }
            for (size_t e = 0; e < mn; e++)
                if (!(fabsf(plain.c[e] - want[e]) < 1e-4f))
                    fail_msg("%s: call %d: element %zu is %g, not %g", c->name, call, e, plain.c[e], want[e]);
        }
        cg_operands_close(o);
    }
    cg_onednn_close(p[1].onednn);
    free(cases.c);
    cg_plans_close(plans);
}

/* Two shapes, two plans each, all of them in the totals; the same again with the seed. */
static void accuracy(void **state)
{
    (void)state;
    char out[8192], *total;
    assert_int_equal(run("accuracy --shapes 2 --plans 3 --measure 0.1 --threads 1 --seed 7 --list", 0, out, sizeof out),
                     0);
    assert_non_null(total = strstr(out, "all plans"));
    assert_int_equal(atoi(total + strlen("all plans")), 6);
    assert_non_null(strstr(out, "rank correlation"));
    assert_non_null(strstr(out, "the model's first choice of all plans"));
    size_t lines = 0;
    for (const char *p = out; (p = strstr(p, " us ")); p++) lines++;
    assert_int_equal(lines, 6);
}

/* Every case once, in both kinds of weights; the fastest is no slower than the median. */
static void generate(void **state)
{
    (void)state;
    json_t *all = json("generate --model builtin:tiny --batch 1,3 --prompt 5 --new 4 --shared 2 --prefill 9 --rounds 2 "
                       "--threads 1 --kv bf16 --json"),
           *row;
    static const int sizes[] = {1, 3, 9, 1, 3, 9};
    size_t i;
    assert_int_equal(json_array_size(json_object_get(all, "results")), 6);
    json_array_foreach(json_object_get(all, "results"), i, row)
    {
        double best = json_number_value(json_object_get(row, "tokens_per_second"));
        assert_int_equal(json_integer_value(json_object_get(row, "size")), sizes[i]);
        assert_string_equal(json_string_value(json_object_get(row, "weights")), i < 3 ? "f32" : "int8");
        assert_true(best > 0 && best >= json_number_value(json_object_get(row, "median")));
    }
    json_decref(all);
    static const char *const wrong[] = {"--weights f16", "--kv f16",        "--batch 0",
                                        "--prompt 1.5",  "--model nothing", "x"};
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char args[64], out[1024];
        snprintf(args, sizeof args, "generate %s", wrong[i]);
        assert_int_equal(run(args, 1, out, sizeof out), 2);
        assert_int_equal(strncmp(out, "grpo-bench: ", 12), 0);
    }
}

/* The limits are of this world, and steady enough to mean something. */
static void limits(void **state)
{
    (void)state;
    static struct cg_machine m;
    size_t count;
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    const struct cg_variant *all = cg_variants(&count);
    for (size_t i = 0; i < count; i++) {
        if (!cg_variant_runs(&all[i], m.isa)) continue;
        double fma = cg_limit_fma(&m, &all[i], 1);
        int none = !cg_op_is_gemm(all[i].op) || all[i].isa == 0;
        if (none ? fma != 0 : !(fma > 1e8 && fma < 1e14)) fail_msg("%s: %g operations a second", all[i].name, fma);
    }
    for (size_t bytes = 0; bytes <= (size_t)8 << 20; bytes = bytes ? 8 * bytes : 1024)
        for (int copy = 0; copy < 2; copy++)
            for (int threads = 1; threads <= 2; threads++) {
                double b = cg_limit_bandwidth(&m, bytes, copy, threads);
                if (!(b > 1e6 && b < 1e14)) fail_msg("%zu bytes, copy %d: %g bytes a second", bytes, copy, b);
            }
    cg_limits_release();
    m.n_caches = 2;
    m.caches[0] = (struct cg_cache){.level = 1, .type = 'd', .size = 32768};
    m.caches[1] = (struct cg_cache){.level = 2, .type = 'u', .size = 1 << 20};
    assert_string_equal(cg_limit_level(&m, 32768, 1), "L1");
    assert_string_equal(cg_limit_level(&m, 32769, 1), "L2");
    assert_string_equal(cg_limit_level(&m, 32769, 2), "L1");
    assert_string_equal(cg_limit_level(&m, (1 << 20) + 1, 1), "DRAM");
    assert_int_equal(cg_cold_copies(0, 100), 1);
    assert_int_equal(cg_cold_copies(1000, 100), 12);
}

static void models(void **state)
{
    (void)state;
    static struct cg_layers all;
    const size_t tokens[] = {1, 1024};
    assert_int_equal(cg_layers_of_models(&all, "smollm2-135m,qwen2.5-0.5b", tokens, 2, 1), CG_OK);
    assert_int_equal(all.n, 2 * (5 * 2 - 1)); /* no logits of 1024 tokens */
    assert_int_equal(all.l[0].m, 1);
    assert_int_equal(all.l[0].n, 576);
    assert_int_equal(all.l[all.n - 1].n, 151936);
    assert_int_equal(all.l[all.n - 1].k, 896);
    assert_int_equal(cg_layers_of_models(&all, "smollm2-135m", tokens, 2, 1), CG_OK);
    assert_int_equal(all.n, 2 * (5 * 2 - 1));
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
    fake_dnnl[0] = getenv("CG_FAKE_DNNL_2");
    fake_dnnl[1] = getenv("CG_FAKE_DNNL_3");
    fake_dnnl[2] = getenv("CG_FAKE_DNNL_4");
    if (!program || !peer || !fake_dnnl[0] || !fake_dnnl[1] || !fake_dnnl[2]) {
        fprintf(stderr, "run it as meson test does: it takes the program and libraries from the environment\n");
        return 2;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes),     cmocka_unit_test(peer_mistakes),
        cmocka_unit_test(help),         cmocka_unit_test(rows_as_json),
        cmocka_unit_test(peers),        cmocka_unit_test(google_benchmark),
        cmocka_unit_test(all_variants), cmocka_unit_test(computes_the_same),
        cmocka_unit_test(onednn),       cmocka_unit_test(limits),
        cmocka_unit_test(accuracy),     cmocka_unit_test(models),
        cmocka_unit_test(parts),        cmocka_unit_test(parts_mistakes),
        cmocka_unit_test(generate),     cmocka_unit_test(train),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

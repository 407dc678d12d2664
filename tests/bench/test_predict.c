/* grpo-bench predict as a user meets it (CG_GRPO_BENCH is the program), for machines made up here: records of both
 * architectures with rates that a calculation gives. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autotune/rates.h"
#include "bench/predict.h"
#include "detect/record.h"

static const char *program;
static char dir[64] = "/tmp/cpu-grpo-predict-XXXXXX";

/* ---- Machines ---------------------------------------------------------------------------------------------------- */

static const char arm[] = "cpu-grpo machine record 1\n"
                          "arch AArch64\n"
                          "cpus 4\n"
                          "hwcap 0x3\n" /* fp, asimd */
                          "midr 0x414fd0b1\n";
static const char x86[] = "cpu-grpo machine record 1\n"
                          "arch x86-64\n"
                          "cpus 4\n"
                          "cpuid 00000000 00 00000007 756e6547 6c65746e 49656e69\n"
                          "cpuid 00000001 00 000306c3 00000000 7ffafbff bfebfbff\n" /* AVX, FMA, OSXSAVE... */
                          "cpuid 00000007 00 00000000 000027ab 00000000 00000000\n" /* AVX2, BMI2 */
                          "xcr0 0x7\n";

/* A machine whose every thread multiplies `speed` times 16 numbers a nanosecond and reads 10 bytes. */
static void make_rates(const struct cg_machine *m, int threads, double speed, struct cg_rates *r)
{
    memset(r, 0, sizeof *r);
    r->threads = threads;
    r->call = 1e-8;
    r->region = threads > 1 ? 2e-6 : 0;
    r->pack_a = r->pack_odd = r->pack_b = r->pack_w = r->pack_far = 8e9;
    for (int t = 0; t < 2; t++) {
        struct cg_curve *all[] = {&r->read[t][0],  &r->read[t][1], &r->strided[t], &r->tiles[t][0],
                                  &r->tiles[t][1], &r->write[t],   &r->copy[t]};
        for (size_t c = 0; c < sizeof all / sizeof *all; c++)
            for (size_t i = 0; i < CG_RATE_SIZES; i++) {
                size_t size = cg_rate_size(i);
                all[c]->v[all[c]->n++] = size < 256 << 10 ? 1e11 : size < 2 << 20 ? 5e10 : 1e10;
            }
    }
    size_t count;
    const struct cg_variant *v = cg_variants_for(m->arch, &count);
    for (size_t i = 0; i < count; i++) {
        if (v[i].op != CG_OP_gemm_f32 || !cg_variant_runs(&v[i], m->isa)) continue;
        struct cg_rate_variant *to = &r->variants[r->n_variants++];
        *to = (struct cg_rate_variant){.variant = &v[i]};
        for (uint16_t rows = 1;; rows = v[i].mr) {
            to->rows[to->n] = rows;
            to->step[to->n] = 1e-9 / 16 / speed * (rows * v[i].nr + 8);
            to->tile[to->n++] = 1e-8;
            if (rows == v[i].mr) break;
        }
    }
    for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++) r->rows[i] = (struct cg_rate_row){5e-9, 2e-10 / speed};
    r->rows[CG_RATED_ROW_COUNT - 1].call = 1e-10; /* of kv_f32: a number of B */
}

static char *path_of(const char *name)
{
    static char path[4][128];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", dir, name);
    return path[at];
}

static FILE *out(const char *name)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    return f;
}

/* Writes the record `text` under `name`, with rates for so many threads (0: none). */
static void machine(const char *name, const char *text, int threads, double speed)
{
    static struct cg_machine m;
    static struct cg_rates r;
    FILE *f = out(name);
    fprintf(f, "%send\n", text);
    fclose(f);
    if (cg_machine_replay(path_of(name), &m) != CG_OK) fail_msg("%s", cg_error());
    if (!threads) return;
    make_rates(&m, threads, speed, &r);
    f = out(name);
    fputs(text, f);
    assert_int_equal(cg_rates_print(f, &r), CG_OK);
    fputs("end\n", f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    program = getenv("CG_GRPO_BENCH");
    if (!program || !mkdtemp(dir) || setenv("CPU_GRPO_CACHE", dir, 1) != 0) return -1;
    unsetenv("CPU_GRPO_ISA");
    machine("arm", arm, 4, 1);
    machine("x86", x86, 4, 1);
    machine("fast", arm, 4, 1.5);
    machine("single", arm, 1, 1);
    machine("unmeasured", arm, 0, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command);
}

/* ---- Running it -------------------------------------------------------------------------------------------------- */

static int run(const char *args, int err, char *text, size_t size)
{
    char command[2048];
    snprintf(command, sizeof command, "cd '%s' && '%s' predict %s %s", dir, program, args,
             err ? "2>&1 >/dev/null" : "2>/dev/null");
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(text, 1, size - 1, p);
    text[n] = 0;
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void mistake(const char *args, const char *why)
{
    char text[4096];
    int code = run(args, 1, text, sizeof text);
    if (code != 2 || !strstr(text, why)) fail_msg("predict %s: exit %d, says: %s", args, code, text);
}

static json_t *predict(const char *args)
{
    static char text[1 << 16];
    char all[1024];
    json_error_t err;
    snprintf(all, sizeof all, "%s --json", args);
    int code = run(all, 0, text, sizeof text);
    json_t *j = json_loads(text, 0, &err);
    if (code != 0 || !j) fail_msg("predict %s: exit %d, %s: %s", args, code, err.text, text);
    return j;
}

static double number(const json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    if (!json_is_number(v)) fail_msg("no number %s", key);
    return json_number_value(v);
}

static double seconds(const char *args)
{
    json_t *j = predict(args);
    double s = number(j, "step_seconds");
    json_decref(j);
    return s;
}

#define MODEL "--model smollm2-135m --machine arm "

static void mistakes(void **state)
{
    (void)state;
    mistake("", "--model PATH or --config RUN.yaml");
    mistake("--model nothing --machine arm", "cannot open the model nothing");
    mistake("--model builtin:nothing --machine arm", "no built-in model");
    mistake(MODEL "more", "unexpected argument \"more\"");
    mistake(MODEL "--frob", "unknown option --frob");
    mistake(MODEL "-f", "unknown option -f");
    mistake(MODEL "--prompts", "--prompts needs a value");
    mistake(MODEL "--prompts 0", "--prompts 0: give a number");
    mistake(MODEL "--prompts 1.5", "give a whole number");
    mistake(MODEL "--prompts x", "--prompts x: give a number");
    mistake(MODEL "--num-generations -1", "give a number");
    mistake(MODEL "--prompts 1000000", "is more than this program predicts");
    mistake(MODEL "--completion-length 7", "not from 1 to the longest allowed, 6");
    mistake(MODEL "--workload short", "--workload: there is no \"short\"; there are addition and long");
    mistake(MODEL "--set max_steps=1", "--set goes with --config");
    mistake(MODEL "--threads 5", "was measured with 4 threads: --threads 5 cannot be predicted");
    mistake(MODEL "--metrics nowhere", "cannot open nowhere");
    mistake("--model smollm2-135m --machine nowhere", "nowhere");
    mistake("--model smollm2-135m --machine unmeasured", "unmeasured has no measured rates; record it again");
    mistake("--config nowhere", "nowhere");
    FILE *f = out("broken");
    fputs("no record\n", f);
    fclose(f);
    mistake("--model smollm2-135m --machine broken", "broken");
}

/* The object that --json prints; the parts are the whole. */
static void schema(void **state)
{
    (void)state;
    static const char *const machines[] = {"arm", "x86"};
    for (int i = 0; i < 2; i++) {
        char args[128];
        snprintf(args, sizeof args, "--model smollm2-135m --machine %s --workload long", machines[i]);
        json_t *j = predict(args), *rows = json_object_get(j, "rows"), *row, *w = json_object_get(j, "workload");
        double sum = 0, flop = 0, generate = 0, calls = 0;
        size_t at;
        int phases = 0;
        json_array_foreach(rows, at, row)
        {
            const char *phase = json_string_value(json_object_get(row, "phase"));
            json_t *bounds = json_object_get(row, "bound_seconds"), *b;
            const char *name;
            double of_bounds = 0;
            assert_non_null(phase);
            assert_true(json_is_string(json_object_get(row, "part")));
            json_object_foreach(bounds, name, b) of_bounds += json_number_value(b);
            assert_true(number(bounds, json_string_value(json_object_get(row, "bound"))) > 0);
            assert_true(fabs(of_bounds - number(row, "seconds")) <= 1e-6 * of_bounds);
            sum += number(row, "seconds");
            flop += number(row, "gflop");
            calls += number(row, "calls");
            if (strcmp(phase, "prefill") == 0 || strcmp(phase, "decode") == 0) generate += number(row, "seconds");
            phases |= strcmp(phase, "update") == 0 ? 1 : strcmp(phase, "backward") == 0 ? 2 : 0;
        }
        assert_true(phases == 3 && calls > 5000);
        assert_true(fabs(sum - number(j, "step_seconds")) <= 1e-6 * sum);
        assert_true(fabs(generate - number(j, "generate_seconds")) <= 1e-6 * sum);
        assert_true(fabs(sum - generate - number(j, "train_seconds")) <= 1e-6 * sum);
        assert_true(fabs(flop - number(j, "gflop")) <= 1e-6 * flop);
        assert_true(number(j, "threads") == 4 && number(j, "parameters") == 134515008);
        assert_true(number(w, "prompts") == 4 && number(w, "num_generations") == 8);
        assert_true(number(w, "prompt_length") == 45 && number(w, "completion_length") == 48);
        assert_true(json_is_false(json_object_get(w, "reference")));
        assert_string_equal(json_string_value(json_object_get(j, "model")), "smollm2-135m");
        assert_null(json_object_get(j, "measured"));
        /* No faster than the multiplications alone on four threads, nor many times slower. */
        double least = flop / (4 * 32);
        assert_true(sum > least && sum < 4 * least);
        json_decref(j);
    }
}

static void more_is_slower(void **state)
{
    (void)state;
    double usual = seconds(MODEL);
    assert_true(seconds(MODEL "--prompts 16") > 1.3 * usual);
    assert_true(seconds(MODEL "--num-generations 16") > 1.3 * usual);
    assert_true(seconds(MODEL "--prompt-length 56") > usual);
    assert_true(seconds(MODEL "--max-completion-length 12") > 1.3 * usual);
    assert_true(seconds(MODEL "--completion-length 3") < 0.8 * usual);
    assert_true(seconds(MODEL "--threads 2") > 1.2 * usual);
    assert_true(seconds(MODEL "--threads 1") > 1.1 * seconds(MODEL "--threads 2"));
    assert_true(seconds("--model smollm2-135m --machine single") > 1.2 * usual);
    assert_true(seconds("--model smollm2-135m --machine fast") < 0.9 * usual);
    assert_true(seconds("--model builtin:tiny --machine arm") < 0.1 * usual);
}

/* A run file's step: its prompts counted by its tokenizer, its batch, its reference model. */
static void config(void **state)
{
    (void)state;
    FILE *f = out("run.yaml");
    fputs("model: builtin:tiny\nnum_generations: 4\nper_device_train_batch_size: 16\ngradient_accumulation_steps: 2\n"
          "max_completion_length: 5\nthreads: 2\ntask_min: 10\ntask_max: 99\n",
          f);
    fclose(f);
    json_t *j = predict("--config run.yaml --machine arm"), *w = json_object_get(j, "workload");
    assert_true(number(w, "prompts") == 8 && number(w, "num_generations") == 4);
    assert_true(number(w, "prompt_length") == 6); /* "12+34=", a token a character */
    assert_true(number(w, "completion_length") == 5 && number(w, "num_iterations") == 1);
    assert_true(number(j, "threads") == 2);
    double plain = number(j, "step_seconds");
    json_decref(j);
    assert_true(seconds("--config run.yaml --machine arm --set beta=0.1") > 1.05 * plain);
    assert_true(seconds("--config run.yaml --machine arm --set num_iterations=2") > 1.3 * plain);
    assert_true(seconds("--config run.yaml --machine arm --prompts 16") > 1.3 * plain);
    assert_true(seconds("--config run.yaml --machine arm --model smollm2-135m --prompt-length 6") > 10 * plain);
    mistake("--config run.yaml --machine arm --workload long", "--config takes the place of --workload");
    mistake("--config run.yaml --machine arm --set nothing=1", "nothing");
    mistake("--config run.yaml --machine arm --set num_generations=5", "num_generations");
    mistake("--config run.yaml --machine arm --set model=smollm2-135m", "without --prompt-length, prompts are counted");
}

/* Times of a run beside the predicted ones: medians without the first step. */
static void metrics(void **state)
{
    (void)state;
    FILE *f = out("metrics.jsonl");
    fputs("{\"step\": 0, \"stage\": 0, \"eval_accuracy\": 0.5}\n"
          "{\"step_time\": 100.0, \"generate_time\": 50.0, \"completions/mean_length\": 1.0}\n"
          "{\"step_time\": 2.0, \"generate_time\": 0.5, \"completions/mean_length\": 3.0}\n"
          "{\"step_time\": 3.0, \"generate_time\": 0.75, \"completions/mean_length\": 4.0}\n"
          "{\"step_time\": 90.0, \"generate_time\": 0.8, \"completions/mean_length\": 5.0}\n"
          "{\"step_time\": 1.0, \"gener",
          f);
    fclose(f);
    json_t *j = predict(MODEL "--metrics metrics.jsonl"), *m = json_object_get(j, "measured");
    assert_true(number(m, "steps") == 3 && number(m, "step_time") == 3 && number(m, "generate_time") == 0.75);
    assert_true(number(m, "completion_length") == 4);
    assert_true(number(json_object_get(j, "workload"), "completion_length") == 4);
    json_decref(j);
    char text[8192];
    assert_int_equal(run(MODEL "--metrics metrics.jsonl --completion-length 2", 0, text, sizeof text), 0);
    assert_non_null(strstr(text, "completions of 2 (at most 6)"));
    assert_non_null(strstr(text, "(median of 3 steps)"));
    f = out("other.jsonl");
    fputs("{\"step\": 0, \"stage\": 0, \"eval_accuracy\": 0.5}\n", f);
    fclose(f);
    mistake(MODEL "--metrics other.jsonl", "has no GRPO step");
    f = out("none.jsonl");
    fputs("{\"step_time\": 1}\nnot json\n", f);
    fclose(f);
    mistake(MODEL "--metrics none.jsonl", "none.jsonl:2 is no line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes), cmocka_unit_test(schema),  cmocka_unit_test(more_is_slower),
        cmocka_unit_test(config),   cmocka_unit_test(metrics),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

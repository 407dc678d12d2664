/* The list of a step's work: its arithmetic against a count of its own, and how it grows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/step.h"

static struct cg_machine machine;
static struct cg_plans *plans[2]; /* one thread, two */
static char cache[64] = "/tmp/cpu-grpo-step-XXXXXX";

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(cache) || setenv("CPU_GRPO_CACHE", cache, 1) != 0) return -1;
    if (cg_machine_detect(&machine) != CG_OK) return -1;
    return cg_plans_open(&machine, 1, &plans[0]) != CG_OK || cg_plans_open(&machine, 2, &plans[1]) != CG_OK;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) cg_plans_close(plans[i]);
    return rmdir(cache);
}

static const struct cg_workload usual = {.prompts = 4,
                                         .generations = 8,
                                         .prompt_length = 45,
                                         .completion_length = 48,
                                         .max_completion_length = 48,
                                         .micro_tokens = 4096,
                                         .iterations = 1};

static struct cg_step_list list(const char *model, const struct cg_workload *w, int two)
{
    struct cg_sizes s;
    struct cg_step_list step;
    assert_int_equal(cg_sizes_load(model, &s), CG_OK);
    if (cg_step_list(&s, w, plans[two], &step) != CG_OK) fail_msg("%s", cg_error());
    return step;
}

static double flops(const struct cg_step_list *s, enum cg_step_phase phase, enum cg_step_part part)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->w[i].phase == phase && s->w[i].part == part) sum += s->w[i].calls * s->w[i].flops;
    return sum;
}

static double total(const struct cg_step_list *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) sum += s->w[i].calls * s->w[i].flops;
    return sum;
}

static void close_to(const char *what, double got, double want, double within)
{
    if (!(fabs(got - want) <= within * want)) fail_msg("%s: %.9g, expected %.9g", what, got, want);
}

/* Multiplications and additions of a token in the linear layers of SmolLM2-135M, and in its head. */
static const double linear = 2.0 * 30 * 576 * (576 + 2 * 192 + 576 + 3 * 1536), head = 2.0 * 576 * 49152;

/* Everything by hand, for completions that all have the greatest length. */
static void counts(void **state)
{
    (void)state;
    for (int two = 0; two < 2; two++) {
        struct cg_step_list s = list("smollm2-135m", &usual, two);
        double prompts = 4 * 45, rows = 4 * 8 * 48, tokens = prompts + 4 * 8 * 47;
        assert_true(s.params == 134515008);
        assert_true(s.generated == rows && s.trained == tokens);
        close_to("prefill", flops(&s, CG_STEP_PREFILL, CG_PART_OF_LINEAR), linear * prompts, 1e-9);
        close_to("first logits", flops(&s, CG_STEP_PREFILL, CG_PART_OF_HEAD), head * 4, 1e-9);
        close_to("decode", flops(&s, CG_STEP_DECODE, CG_PART_OF_LINEAR), linear * 32 * 47, 1e-9);
        close_to("logits", flops(&s, CG_STEP_DECODE, CG_PART_OF_HEAD), head * 32 * 47, 1e-9);
        close_to("forward", flops(&s, CG_STEP_FORWARD, CG_PART_OF_LINEAR), linear * tokens, 1e-9);
        close_to("backward", flops(&s, CG_STEP_BACKWARD, CG_PART_OF_LINEAR), 2 * linear * tokens, 1e-9);
        close_to("head", flops(&s, CG_STEP_BACKWARD, CG_PART_OF_HEAD), 3 * head * rows, 1e-9);
        /* Pairs of a query and a key that it sees: two products of 576 multiply-adds each forward, five backward. */
        double prompt = 45 * 46 / 2.0, own = 0;
        for (int t = 0; t < 47; t++) own += 45 + t + 1;
        close_to("attention of prompts", flops(&s, CG_STEP_PREFILL, CG_PART_OF_ATTENTION), 30 * 4.0 * 576 * 4 * prompt,
                 1e-9);
        close_to("attention of decoding", flops(&s, CG_STEP_DECODE, CG_PART_OF_ATTENTION), 30 * 4.0 * 576 * 32 * own,
                 1e-9);
        double pairs = 4 * (prompt + 8 * own);
        close_to("attention", flops(&s, CG_STEP_FORWARD, CG_PART_OF_ATTENTION), 30 * 4.0 * 576 * pairs, 1e-9);
        close_to("attention backward", flops(&s, CG_STEP_BACKWARD, CG_PART_OF_ATTENTION), 30 * 10.0 * 576 * pairs,
                 1e-9);
        assert_true(flops(&s, CG_STEP_REFERENCE, CG_PART_OF_LINEAR) == 0);
        assert_true(s.memory > 16 * s.params && s.memory < 64 * s.params);
        cg_step_list_free(&s);
    }
}

/* Micro-batches cut the same work into more calls; a vocabulary of its own, iterations and a reference add to it. */
static void cuts(void **state)
{
    (void)state;
    struct cg_workload w = usual;
    struct cg_step_list whole = list("smollm2-135m", &w, 1), s;
    w.micro_tokens = 500; /* a prompt at a time */
    s = list("smollm2-135m", &w, 1);
    close_to("micro-batches", total(&s), total(&whole), 1e-9);
    assert_true(s.memory < whole.memory);
    cg_step_list_free(&s);
    w.micro_tokens = 1400; /* three prompts, then one */
    s = list("smollm2-135m", &w, 1);
    close_to("uneven micro-batches", total(&s), total(&whole), 1e-9);
    cg_step_list_free(&s);
    w = usual;
    w.iterations = 3;
    s = list("smollm2-135m", &w, 1);
    close_to("iterations", flops(&s, CG_STEP_BACKWARD, CG_PART_OF_LINEAR),
             3 * flops(&whole, CG_STEP_BACKWARD, CG_PART_OF_LINEAR), 1e-9);
    close_to("one generation", flops(&s, CG_STEP_DECODE, CG_PART_OF_LINEAR),
             flops(&whole, CG_STEP_DECODE, CG_PART_OF_LINEAR), 1e-9);
    assert_true(s.trained == whole.trained);
    cg_step_list_free(&s);
    w.iterations = 1;
    w.reference = 1;
    s = list("smollm2-135m", &w, 1);
    close_to("reference", flops(&s, CG_STEP_REFERENCE, CG_PART_OF_LINEAR),
             flops(&whole, CG_STEP_FORWARD, CG_PART_OF_LINEAR), 1e-9);
    close_to("reference's head", 3 * flops(&s, CG_STEP_REFERENCE, CG_PART_OF_HEAD),
             flops(&whole, CG_STEP_BACKWARD, CG_PART_OF_HEAD), 1e-9);
    assert_true(s.memory > whole.memory + 8 * 134515008.0);
    cg_step_list_free(&s);
    w = usual;
    w.prompts = 40; /* waves of 16 prompts */
    s = list("smollm2-135m", &w, 1);
    close_to("waves", total(&s), 10 * total(&whole), 1e-9);
    cg_step_list_free(&s);
    cg_step_list_free(&whole);
}

/* Completions that end by themselves: their mean length decides, and no step of decoding is longer than all of them. */
static void lengths(void **state)
{
    (void)state;
    struct cg_workload w = usual;
    w.prompts = 16;
    for (double mean = 1; mean <= 48; mean += mean < 4 ? 0.37 : 5.3) {
        w.completion_length = mean;
        struct cg_step_list s = list("smollm2-135m", &w, 1);
        double tokens = 16 * 45 + 16 * 8 * (mean - 1), rows = 16 * 8 * mean;
        close_to("trained", flops(&s, CG_STEP_FORWARD, CG_PART_OF_LINEAR), linear * tokens, 0.01);
        close_to("rows", flops(&s, CG_STEP_BACKWARD, CG_PART_OF_HEAD), 3 * head * rows, 0.01);
        close_to("decoded", 1 + flops(&s, CG_STEP_DECODE, CG_PART_OF_LINEAR) / linear, 1 + 16 * 8 * (mean - 1), 0.03);
        cg_step_list_free(&s);
    }
}

/* A model of few heads and no grouped queries, with rows too few to share: one thread and two have the same to do. */
static void tiny(void **state)
{
    (void)state;
    struct cg_workload w = usual;
    for (size_t length = 1; length <= 40; length += 13)
        for (size_t prompt = 1; prompt < 70; prompt += 17) {
            w.max_completion_length = length;
            w.completion_length = (double)length;
            w.prompt_length = prompt;
            struct cg_step_list a = list("builtin:tiny", &w, 0), b = list("builtin:tiny", &w, 1);
            close_to("threads", total(&b), total(&a), 1e-9);
            for (size_t i = 0; i < b.n; i++) {
                const struct cg_work *k = &b.w[i];
                assert_true(k->m > 0 && k->calls > 0 && k->flops >= 0 && k->bytes >= 0);
                assert_true(k->kind == CG_WORK_GEMM || k->tasks > 0);
                assert_true(k->bytes == 0 || k->footprint > 0);
            }
            cg_step_list_free(&a);
            cg_step_list_free(&b);
        }
}

static void refused(void **state)
{
    (void)state;
    struct cg_workload w;
#define REFUSED(field, value, why)                        \
    w = usual;                                            \
    w.field = value;                                      \
    assert_int_equal(cg_workload_check(&w), CG_ERR_USER); \
    if (!strstr(cg_error(), why)) fail_msg("says: %s", cg_error())
    REFUSED(prompts, 0, "0 prompts");
    REFUSED(generations, SIZE_MAX, "completions of a prompt");
    REFUSED(prompt_length, 0, "tokens of a prompt");
    REFUSED(prompt_length, 65537, "65537 tokens of a prompt");
    REFUSED(max_completion_length, 65537, "tokens of a completion");
    REFUSED(micro_tokens, 0, "micro-batch");
    REFUSED(iterations, 0, "updates");
    REFUSED(completion_length, 0.5, "mean completion length");
    REFUSED(completion_length, 49, "mean completion length");
    REFUSED(completion_length, NAN, "mean completion length");
    REFUSED(prompts, 1 << 20, "is more than this program predicts");
    assert_int_equal(cg_workload_check(&usual), CG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(cuts),    cmocka_unit_test(lengths),
        cmocka_unit_test(tiny),   cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* grpo-tune --check: which plans are timed again, and what the figures mean. No test here depends on how fast the
 * machine is. */
#include "store_fixture.h"

#include <math.h>

#include "autotune/check.h"

static struct cg_tuned tuned(enum cg_form form, size_t m, size_t n, size_t k, double gflops, double standard)
{
    struct cg_tuned t = entry(form, m, n, k, variant_of(CG_OP_gemm_f32, 0));
    t.gflops = gflops;
    t.gflops_default = standard;
    return t;
}

static size_t choose(struct cg_tuned *e, size_t n, int threads, const struct cg_tuned **out)
{
    struct cg_store s = {.e = e, .n = n};
    return cg_check_choose(&s, threads, 0.1, out);
}

/* Many rows, little work, much to gain or to lose; at least one, and never one of other threads. */
static void choosing(void **state)
{
    (void)state;
    const struct cg_tuned *out[CG_CHECK_MOST];
    struct cg_tuned e[] = {
        tuned(CG_FORM_NT, 8, 128, 128, 300, 100),      /* few rows */
        tuned(CG_FORM_NT, 256, 128, 128, 110, 100),    /* */
        tuned(CG_FORM_NN, 256, 128, 128, 150, 100),    /* the most to gain */
        tuned(CG_FORM_TN, 128, 128, 256, 80, 100),     /* something to lose */
        tuned(CG_FORM_TN, 256, 128, 64, 500, 100),     /* few tokens */
        tuned(CG_FORM_NT, 1024, 8192, 8192, 200, 100), /* takes seconds */
        tuned(CG_FORM_NT, 512, 128, 128, 0, 0),        /* of unknown speed */
    };
    assert_int_equal(choose(e, 7, 2, out), 3);
    assert_ptr_equal(out[0], &e[2]);
    assert_ptr_equal(out[1], &e[3]);
    assert_ptr_equal(out[2], &e[1]);
    assert_int_equal(choose(e, 7, 1, out), 0);
    assert_int_equal(choose(&e[5], 2, 2, out), 1);
    assert_ptr_equal(out[0], &e[5]);
    assert_int_equal(choose(e, 1, 2, out), 0);
    struct cg_tuned many[12];
    for (size_t i = 0; i < 12; i++) many[i] = tuned(CG_FORM_NT, 128, 64 + i, 64, 100 + (double)i, 100);
    assert_int_equal(choose(many, 12, 2, out), CG_CHECK_MOST);
    assert_ptr_equal(out[0], &many[11]);
}

/* Two plans that gained 25% when they were tuned; now at `speed` of that, with `gain`, as sure as `samples` make it. */
static enum cg_check_verdict judge(double speed, double gain, size_t samples, size_t disturbed)
{
    static struct cg_tuned t[2];
    struct cg_check c = {.n = 2, .batches = 30, .disturbed = disturbed};
    for (int i = 0; i < 2; i++) {
        t[i] = tuned(CG_FORM_NT, 256, 128, 128, 125, 100);
        double both = speed * sqrt(125.0 * 100.0);
        c.e[i] = (struct cg_checked){.tuned = &t[i],
                                     .gflops = both * sqrt(gain),
                                     .gflops_default = both / sqrt(gain),
                                     .ratio = 1 / gain,
                                     .lo = samples >= 8 ? 0.99 / gain : 0,
                                     .hi = samples >= 8 ? 1.01 / gain : INFINITY,
                                     .samples = samples};
    }
    cg_check_judge(&c);
    if (samples) {
        assert_float_equal(c.speed, speed, 1e-9);
        assert_float_equal(c.gain, gain, 1e-9);
        assert_float_equal(c.gain_stored, 1.25, 1e-9);
    }
    return c.verdict;
}

static void judging(void **state)
{
    (void)state;
    assert_int_equal(judge(1, 1.25, 12, 0), CG_CHECK_SAME);
    assert_int_equal(judge(0.95, 1.1, 12, 0), CG_CHECK_SAME);
    assert_int_equal(judge(1.05, 1.4, 12, 3), CG_CHECK_SAME);
    assert_int_equal(judge(0.7, 1.25, 12, 0), CG_CHECK_SLOWER);
    assert_int_equal(judge(1.4, 1.25, 12, 0), CG_CHECK_FASTER);
    assert_int_equal(judge(1, 0.9, 12, 0), CG_CHECK_LOSES);
    assert_int_equal(judge(0.7, 0.9, 12, 0), CG_CHECK_LOSES);
    assert_int_equal(judge(1, 0.9, 4, 0), CG_CHECK_SAME); /* too few samples to be sure */
    assert_int_equal(judge(0.7, 1.25, 12, 20), CG_CHECK_BUSY);
    assert_int_equal(judge(0, 1, 0, 0), CG_CHECK_BUSY);
    for (int v = 0; v < CG_CHECK_VERDICTS; v++)
        assert_string_not_equal(cg_check_verdict_name((enum cg_check_verdict)v), "?");
}

/* The whole way on this machine, with plans of every form and of dot products. */
static void running(void **state)
{
    (void)state;
    struct cg_check c;
    assert_int_equal(cg_machine_detect(&machine), CG_OK);
    struct cg_tuned e[] = {tuned(CG_FORM_NT, 128, 64, 64, 50, 50), tuned(CG_FORM_NN, 128, 64, 64, 50, 50),
                           tuned(CG_FORM_TN, 64, 64, 128, 50, 50), tuned(CG_FORM_NT, 128, 64, 64, 50, 50)};
    e[3].op = CG_OP_gemm_s8;
    e[3].plan.variant = cg_plan_default(&machine, CG_OP_gemm_s8, CG_FORM_NT, 0, 128, 64, 64, 2).variant;
    struct cg_store s = {.e = e, .n = 4};
    assert_int_equal(cg_check_run(&machine, &s, 2, 0.1, NULL, &c), CG_OK);
    assert_int_equal(c.n, 4);
    assert_true(c.disturbed <= c.batches);
    if (!c.batches) assert_int_equal(c.verdict, CG_CHECK_BUSY); /* other programs let no plan begin */
    for (size_t i = 0; i < c.n; i++)
        if (c.e[i].samples) assert_true(c.e[i].gflops > 0 && c.e[i].gflops_default > 0 && c.e[i].ratio > 0);
    assert_int_equal(cg_check_run(&machine, &s, 3, 0.1, NULL, &c), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "run grpo-tune"));
    volatile sig_atomic_t stop = 1;
    assert_int_equal(cg_check_run(&machine, &s, 2, 0.1, &stop, &c), CG_OK);
    assert_int_equal(c.n, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(choosing), TEST(judging), TEST(running)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

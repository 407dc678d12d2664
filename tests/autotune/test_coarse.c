/* Measuring by a coarse clock, as some emulators and sandboxes have: no figure is infinite, and nothing goes on for
 * ever. This program has its own clock in place of common/clock.c. */
#include "fixture.h"

#include <math.h>
#include <time.h>

#include "autotune/contest.h"
#include "autotune/limits.h"
#include "autotune/rates.h"
#include "autotune/space.h"
#include "common/clock.h"
#include "common/mem.h"

static double tick; /* seconds; 0: the clock stands still */

double cg_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    return tick > 0 ? floor(now / tick) * tick : 1;
}

static struct cg_machine m;

static int detect(void **state)
{
    (void)state;
    return cg_machine_detect(&m) == CG_OK ? 0 : -1;
}

static void limits(void **state)
{
    (void)state;
    const struct cg_variant *v = cg_plan_default(&m, CG_OP_gemm_f32, CG_FORM_NT, 0, 64, 64, 64, 1).variant;
    tick = 1e-9;
    double fine = cg_limit_fma(&m, v, 1);
    tick = 4e-3;
    double coarse = cg_limit_fma(&m, v, 1);
    assert_true(coarse >= 0 && coarse < INFINITY && (coarse > 0) == (fine > 0));
    tick = 0;
    assert_true(cg_limit_fma(&m, v, 1) == 0);
}

static void contests(void **state)
{
    (void)state;
    struct cg_shape s = {.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .m = 8, .n = 64, .k = 64, .model_bytes = 1 << 20};
    struct cg_plan plan = cg_space_default(&m, &s, NULL, 1);
    struct cg_bench *b;
    assert_int_equal(cg_bench_open(&m, &s, s.m, plan.variant, 1, 1 << 20, &b), CG_OK);
    struct cg_reference r;
    cg_reference_init(&r, 1);
    struct cg_tune_stats stats = {0};
    struct cg_contest c = {.shape = &s, .reference = &r, .until = INFINITY, .stats = &stats};
    struct cg_trial t = {.plan = plan, .bench = b};
    tick = 4e-3;
    if (cg_contest_begin(&c, &plan, b)) {
        assert_true(c.calls >= 1 && c.calls <= 1 << 20 && c.batch > 0 && c.batch < INFINITY);
        assert_int_equal(cg_contest_rounds(&c, &t, 1, 4), 1);
        if (t.samples) assert_true(t.ratio > 0 && t.ratio < INFINITY && t.seconds > 0 && c.standard.seconds > 0);
        else assert_true(isinf(t.ratio));
        /* From here on no batch is seen: there is no sample. */
        tick = 0;
        t = (struct cg_trial){.plan = plan, .bench = b};
        c.last = 0;
        assert_int_equal(cg_contest_rounds(&c, &t, 1, 1), 1);
        assert_true(t.samples == 0 && isinf(t.ratio) && t.lo == 0 && isinf(t.hi));
    } else {
        print_message("SKIP contests: nothing could be timed on a machine this busy\n");
    }
    tick = 0;
    assert_int_equal(cg_contest_begin(&c, &plan, b), 0);
    cg_bench_close(b);
}

/* What was measured is read again. */
static void rates(void **state)
{
    (void)state;
    static struct cg_rates r, again;
    tick = 0.5e-3;
    assert_int_equal(cg_rates_measure(&m, 1, 0.1, INFINITY, NULL, &r), CG_OK);
    char *text = cg_rates_text(&r);
    assert_non_null(text);
    if (cg_rates_parse(text, m.arch, &again) != CG_OK) fail_msg("%s in:\n%s", cg_error(), text);
    cg_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(limits), cmocka_unit_test(contests), cmocka_unit_test(rates)};
    return cmocka_run_group_tests(tests, detect, NULL);
}

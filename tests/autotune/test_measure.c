/* What the tuner judges by: intervals, the reference loop, waits. */
#include "fixture.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>

#include "autotune/contest.h"
#include "autotune/estimate.h"
#include "autotune/space.h"
#include "autotune/waits.h"
#include "common/clock.h"

static void median(void **state)
{
    (void)state;
    double odd[] = {5, 1, 100, 3, 4}, even[] = {4, 1, 3, 2};
    assert_true(cg_median_interval(odd, 5, 0.9).mid == 4);
    assert_true(cg_median_interval(even, 4, 0.9).mid == 2.5);
    assert_true(isnan(cg_median_interval(odd, 0, 0.9).mid));
}

/* The ranks of tables of the sign test: for n samples and 95% the interval is that of x[j] and x[n-1-j]. */
static void interval_ranks(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        int j; /* -1: none */
    } table[] = {{1, -1}, {5, -1}, {6, 0}, {8, 0}, {9, 1}, {12, 2}, {15, 3}, {20, 5}, {25, 7}, {40, 13}};
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        double x[40];
        size_t n = table[t].n;
        for (size_t i = 0; i < n; i++) x[i] = (double)((i * 7 + 3) % n); /* 0..n-1, not sorted */
        struct cg_interval r = cg_median_interval(x, n, 0.95);
        if (table[t].j < 0) assert_true(isinf(r.lo) && isinf(r.hi));
        else {
            assert_true(r.lo == table[t].j);
            assert_true(r.hi == (double)(n - 1) - table[t].j);
        }
    }
}

/* Of many draws from a skewed distribution, the interval misses the true median as seldom as it says. */
static void interval_covers(void **state)
{
    (void)state;
    uint32_t at = 0;
    int missed = 0;
    enum { RUNS = 2000 };
    for (int r = 0; r < RUNS; r++) {
        double x[15];
        for (size_t i = 0; i < 15; i++) x[i] = -log(((double)draw(&at, 1u << 30) + 1) / (double)(1u << 30));
        struct cg_interval c = cg_median_interval(x, 15, 0.95);
        missed += c.lo > log(2) || c.hi < log(2);
    }
    assert_true(missed > 0 && missed < RUNS / 20 + 40); /* 3.5% is exact */
}

static void reference(void **state)
{
    (void)state;
    struct cg_reference all;
    cg_reference_init(&all, 1);
    struct cg_readings *r = &all.loop;
    for (int i = 0; i < 20; i++) assert_int_equal(cg_readings_judge(r, 1e-5 * (1 + 0.01 * (i % 3))), 1);
    /* One slow reading is no new speed, */
    assert_int_equal(cg_readings_judge(r, 1.2e-5), 0);
    assert_int_equal(cg_readings_judge(r, 1e-5), 1);
    /* nor are several that do not agree; */
    for (int i = 0; i < 12; i++) assert_int_equal(cg_readings_judge(r, 1e-5 * (1.2 + 0.2 * (i % 4))), 0);
    assert_int_equal(r->shifts, 0);
    assert_int_equal(cg_readings_judge(r, 1e-5), 1);
    /* one that stays is. */
    int judged = 0;
    for (int i = 0; i < 8; i++) judged += cg_readings_judge(r, 1.3e-5);
    assert_int_equal(judged, 2);
    assert_int_equal(r->shifts, 1);
    assert_int_equal(cg_readings_judge(r, 1e-5), 0);
    assert_int_equal(cg_readings_judge(r, 0), 1); /* a clock that stands still says nothing */
    assert_int_equal(cg_reference_shifts(&all), 1);
    /* What barriers take varies more, and is no matter where there is one thread. */
    assert_int_equal(cg_readings_judge(&all.barrier, 3e-6), 1);
    assert_int_equal(cg_readings_judge(&all.barrier, 4e-6), 1);
    assert_int_equal(cg_readings_judge(&all.barrier, 8e-6), 0);
    cg_reference_init(&all, 1);
    assert_int_equal(cg_reference_steady(&all), 1);
    assert_int_equal(all.barrier.n, 0);
    assert_int_equal(all.loop.n, 1);
    cg_reference_init(&all, 2);
    assert_int_equal(cg_reference_steady(&all), 1);
    assert_int_equal(all.barrier.n, 1);
}

static void *hold(void *stop)
{
    while (!*(volatile int *)stop) {
    }
    return NULL;
}

/* Two threads on one CPU: one of them waits. */
static void waits(void **state)
{
    (void)state;
    struct cg_waits w;
    cg_waits_open(&w);
    if (!w.n) {
        print_message("SKIP waits: this system does not tell how long threads wait\n");
        skip();
    }
    cg_waits_close(&w);
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    pthread_t other;
    int stop = 0;
    assert_int_equal(pthread_create(&other, NULL, hold, &stop), 0); /* inherits the one CPU */
    cg_waits_open(&w);
    assert_true(w.n >= 2);
    double from = cg_waits_seconds(&w), end = cg_now() + 20, waited;
    do waited = cg_waits_seconds(&w) - from;
    while (waited <= 0.05 && cg_now() < end);
    stop = 1;
    pthread_join(other, NULL);
    sched_setaffinity(0, sizeof before, &before);
    assert_true(from >= 0 && waited > 0.05);
    assert_true(cg_waits_seconds(&w) < 0); /* one has ended */
    cg_waits_close(&w);
}

/* A plan that is made slower on purpose loses its duel, and one with other bits is seen. */
static const struct cg_variant *honest;
static void slow_gemm(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                      size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    for (int i = 0; i < 10; i++) honest->fn.gemm_f32(m, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, prefetch);
}

static void wrong_gemm(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                       size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    honest->fn.gemm_f32(m, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, prefetch);
    c[0] += 0x1p-10f;
}

/* Other programs may leave no call undisturbed, which a contest then says. */
static void skip_duels(struct cg_bench *b)
{
    cg_bench_close(b);
    print_message("SKIP duels: nothing could be timed on a machine this busy\n");
    skip();
}

static void duels(void **state)
{
    (void)state;
    static struct cg_machine m;
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    struct cg_shape s = {.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .m = 32, .n = 192, .k = 200, .model_bytes = 1 << 20};
    struct cg_plan plan = cg_space_default(&m, &s, NULL, 1);
    honest = plan.variant;
    struct cg_variant slow = *honest, wrong = *honest;
    slow.fn.gemm_f32 = slow_gemm;
    wrong.fn.gemm_f32 = wrong_gemm;
    struct cg_bench *b;
    assert_int_equal(cg_bench_open(&m, &s, s.m, honest, 1, 1 << 20, &b), CG_OK);
    struct cg_reference r;
    cg_reference_init(&r, 1);
    struct cg_tune_stats stats = {0};
    struct cg_contest c = {.shape = &s, .reference = &r, .until = INFINITY, .stats = &stats};
    struct cg_trial t[3] = {{.plan = plan, .bench = b}, {.plan = plan, .bench = b}, {.plan = plan, .bench = b}};
    t[0].plan.variant = &wrong;
    t[1].plan.variant = &slow;
    struct cg_plan standard = plan;
    if (!cg_contest_begin(&c, &standard, b)) skip_duels(b);
    assert_int_equal(cg_contest_check(&c, t, 3), 1);
    assert_true(t[0].wrong && !t[1].wrong && !t[2].wrong);
    /* The wrong one is out at once, the slow one after a turn. */
    assert_int_equal(cg_contest_halve(&c, t, 3, 1), 1);
    assert_ptr_equal(t[0].plan.variant, honest);
    /* Against the slow one as the default, the honest plan wins; against itself it does not. */
    standard.variant = &slow;
    if (!cg_contest_begin(&c, &standard, b)) skip_duels(b);
    int wins = cg_contest_duel(&c, &t[0], 0.01);
    if (wins < 0) skip_duels(b);
    assert_int_equal(wins, 1);
    assert_true(t[0].hi < 0.99 && t[0].lo <= t[0].ratio && t[0].ratio <= t[0].hi && t[0].samples >= 8);
    assert_true(t[0].seconds > 0 && t[0].seconds < c.standard.seconds);
    standard.variant = honest;
    if (!cg_contest_begin(&c, &standard, b)) skip_duels(b);
    assert_int_not_equal(cg_contest_duel(&c, &t[0], 0.2), 1);
    /* Once time is out there is no answer. */
    c.until = cg_now();
    assert_int_equal(cg_contest_duel(&c, &t[0], 0.01), -1);
    assert_int_equal(cg_contest_halve(&c, t, 1, 1), 0);
    cg_bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(median),    cmocka_unit_test(interval_ranks), cmocka_unit_test(interval_covers),
        cmocka_unit_test(reference), cmocka_unit_test(waits),          cmocka_unit_test(duels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Losses, metrics and gradients against those of TRL's own code, recorded by scripts/compare-trl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/runtime/golden.h"
#include "tests/runtime/trl_cases.h"

static void near(const json_t *test, const char *what, double got, double want, double tolerance)
{
    if (fabs(got - want) <= tolerance) return;
    char *options = json_dumps(json_object_get(test, "options"), 0);
    fail_msg("%s: %.9g, TRL has %.9g: %s", what, got, want, options ? options : "");
}

/* What TRL's metrics call `name`, where it has told it. */
static void metric(const json_t *test, const char *name, double got, double tolerance)
{
    const json_t *want = json_object_get(json_object_get(test, "metrics"), name);
    if (want) near(test, name, got, json_number_value(want), tolerance);
}

static void check_sampling(const json_t *test, const struct cg_sampling_sums *s)
{
    if (s->used.n == 0) return;
    metric(test, "sampling/sampling_logp_difference/mean", s->difference / (double)s->tokens, 1e-6);
    metric(test, "sampling/sampling_logp_difference/max", s->max_difference, 2e-6);
    metric(test, "sampling/importance_sampling_ratio/min", s->used.min, 2e-6);
    metric(test, "sampling/importance_sampling_ratio/mean", s->used.sum / (double)s->used.n, 2e-6);
    metric(test, "sampling/importance_sampling_ratio/max", s->used.max, 2e-6);
}

static void test_cases(void **state)
{
    (void)state;
    static struct trl_world w;
    char path[512];
    if (trl_open(golden_path("trl-losses.json", path), &w) != CG_OK) fail_msg("%s", cg_error());
    const json_t *test, *cases = json_object_get(w.file, "cases");
    size_t i, clipped = 0;
    assert_true(json_array_size(cases) > 100);
    json_array_foreach(cases, i, test)
    {
        struct cg_loss_stats st;
        double norm, loss = trl_number(test, "loss"), grad_norm = trl_number(test, "grad_norm");
        if (trl_run(&w, test, &st, &norm) != CG_OK) fail_msg("%s", cg_error());
        near(test, "loss", st.loss, loss, 1e-6 * trl_scale(&w));
        near(test, "gradient", norm, grad_norm, 1e-5 * grad_norm);
        metric(test, "kl", st.kl, 1e-6);
        metric(test, "entropy", st.entropy, 1e-5);
        metric(test, "clip_ratio/low_mean", st.low_mean, 1e-6);
        metric(test, "clip_ratio/low_min", st.low_min, 1e-6);
        metric(test, "clip_ratio/high_mean", st.high_mean, 1e-6);
        metric(test, "clip_ratio/high_max", st.high_max, 1e-6);
        metric(test, "cispo_clip_ratio", st.high_mean, 1e-6);
        check_sampling(test, &w.sampling);
        clipped += st.low_mean > 0 && st.high_mean > 0;
    }
    assert_true(clipped > 0);
    trl_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

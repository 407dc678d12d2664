/* Metrics: means between lines, and TensorBoard's event files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/curriculum/metrics.h"
#include "runtime/curriculum/tfevents.h"

static void test_means(void **state)
{
    (void)state;
    static struct cg_metrics x;
    cg_metrics_add(&x, "reward", CG_METRIC_MEAN, 1);
    cg_metrics_add(&x, "grad_norm", CG_METRIC_LAST, 5);
    cg_metrics_add(&x, "reward", CG_METRIC_MEAN, 2);
    cg_metrics_add(&x, "grad_norm", CG_METRIC_LAST, 7);
    cg_metrics_add(&x, "reward", CG_METRIC_MEAN, NAN); /* a step that has none does not count */
    cg_metrics_add(&x, "kl", CG_METRIC_MEAN, INFINITY);
    assert_int_equal(x.n, 3);
    assert_true(cg_metric_value(&x.m[0]) == 1.5);
    assert_true(cg_metric_value(&x.m[1]) == 7);
    assert_true(x.m[2].open && isnan(cg_metric_value(&x.m[2])));
    cg_metrics_add(&x, "grad_norm", CG_METRIC_LAST, NAN);
    assert_true(isnan(cg_metric_value(&x.m[1])));
    cg_metrics_clear(&x);
    assert_false(x.m[0].open);
    cg_metrics_add(&x, "reward", CG_METRIC_MEAN, 4);
    assert_true(cg_metric_value(&x.m[0]) == 4);
}

static void test_full(void **state)
{
    (void)state;
    static struct cg_metrics x;
    for (int i = 0; i < CG_METRICS_MAX + 5; i++) {
        char name[200];
        snprintf(name, sizeof name, "metric-%d-%0150d", i, i);
        cg_metrics_add(&x, name, CG_METRIC_MEAN, i);
    }
    assert_int_equal(x.n, CG_METRICS_MAX);
}

/* What TensorBoard 2.21's own RecordWriter writes of the same two events. */
static void test_events(void **state)
{
    (void)state;
    static const char want[] =
        "1800000000000000a37f4b22090000a0b48065d2411a0d627261696e2e4576656e743a32f5e8f016"
        "2300000000000000b09f7743090000d0b48065d24110ac022a150a130a0c747261696e2f726577617264150000003fb9bebc5f";
    char *data = NULL, hex[512] = "";
    size_t n = 0;
    FILE *f = open_memstream(&data, &n);
    assert_non_null(f);
    cg_tfevents_begin(f, 1234567890.5);
    cg_tfevents_scalar(f, 1234567891.25, 300, "train/reward", 0.5f);
    assert_int_equal(fclose(f), 0);
    assert_true(n < 200);
    for (size_t i = 0; i < n; i++) sprintf(hex + 2 * i, "%02x", (unsigned char)data[i]);
    assert_string_equal(hex, want);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_means), cmocka_unit_test(test_full),
                                       cmocka_unit_test(test_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

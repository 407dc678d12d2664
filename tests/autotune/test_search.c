/* The search on this machine: within its budget, never a plan that gives other bits, and able to stop. */
#include "fixture.h"

#include <math.h>

#include "autotune/machine_rates.h"
#include "autotune/measure.h"
#include "autotune/search.h"
#include "autotune/space.h"
#include "autotune/verify.h"
#include "common/clock.h"
#include "common/mem.h"

static struct cg_machine machine;
static size_t reports;
static volatile sig_atomic_t stop;

static void progress(void *ctx, size_t done, size_t all, double left, const struct cg_shape *s)
{
    assert_true(done <= all && left >= 0 && s->n > 0);
    reports++;
    if (ctx && reports == *(size_t *)ctx) stop = 1;
}

/* Groups are told of one after the other, in the order of the shapes, and some shapes later again; what is not told of
 * was not tuned. */
static struct {
    const struct cg_shape *shapes;
    const struct cg_found *found;
    size_t told;
} order;
static void finished(void *ctx, const struct cg_shape *shapes, const struct cg_found *found, size_t n)
{
    (void)ctx;
    size_t at = (size_t)(found - order.found);
    assert_true(n >= 1);
    if (at < order.told) { /* measured once more */
        assert_true(found->candidates > 0);
        return;
    }
    assert_ptr_equal(shapes, order.shapes + at);
    for (; order.told < at; order.told++) assert_int_equal(order.found[order.told].candidates, 0);
    order.told = at + n;
}

static const struct cg_shape few[] = {
    {.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .m = 32, .n = 96, .k = 64, .model_bytes = 1 << 20, .weight = 4},
    {.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .m = 5, .n = 96, .k = 64, .model_bytes = 1 << 20, .weight = 3},
    {.op = CG_OP_gemm_f32, .form = CG_FORM_NN, .m = 64, .n = 64, .k = 96, .model_bytes = 1 << 20, .weight = 2},
    {.op = CG_OP_gemm_f32, .form = CG_FORM_TN, .m = 96, .n = 64, .k = 64, .model_bytes = 1 << 20, .weight = 2},
    {.op = CG_OP_gemm_s8, .form = CG_FORM_NT, .m = 32, .n = 96, .k = 64, .model_bytes = 1 << 20, .weight = 1},
    {.op = CG_OP_gemm_bf16w, .form = CG_FORM_NT, .m = 32, .n = 96, .k = 65, .model_bytes = 1 << 20, .weight = 1},
    {.op = CG_OP_gemm_bf16, .form = CG_FORM_NT, .m = 32, .n = 96, .k = 65, .model_bytes = 1 << 20, .weight = 1},
};
enum { FEW = sizeof few / sizeof *few };

static struct cg_tuner tuner(double budget)
{
    return (struct cg_tuner){.machine = &machine, .threads = 1, .budget = budget, .stop = &stop, .progress = progress};
}

static void check_found(const struct cg_shape *s, const struct cg_found *f)
{
    assert_int_equal(f->wrong, 0);
    if (!f->candidates) return;
    assert_int_equal(f->tuned.m, s->m);
    assert_int_equal(f->tuned.form, s->form);
    assert_true(cg_variant_runs(f->tuned.plan.variant, machine.isa));
    assert_int_equal(f->tuned.plan.variant->op, s->op);
    assert_true(f->tuned.gflops > 0 && f->tuned.gflops_default > 0);
    int same = cg_plan_same(&f->tuned.plan, &f->standard);
    /* Another plan of the same layout was chosen because it is faster. */
    if (!same && (s->form != CG_FORM_NT || f->tuned.plan.variant->pack_nr == f->standard.variant->pack_nr))
        assert_true(f->hi < 1);
}

static void finds(void **state)
{
    (void)state;
    struct cg_shape s[FEW];
    struct cg_found found[FEW];
    struct cg_tune_stats stats;
    memcpy(s, few, sizeof s);
    struct cg_shapes shapes = {s, FEW};
    stop = 0;
    reports = 0;
    struct cg_tuner t = tuner(2.0);
    t.finished = finished;
    order.shapes = s;
    order.found = found;
    order.told = 0;
    double start = cg_now();
    assert_int_equal(cg_tune(&t, &shapes, found, &stats), CG_OK);
    assert_true(cg_now() - start < 4.0);
    assert_true(stats.batches > 0 && reports >= stats.batches);
    for (; order.told < FEW; order.told++) assert_int_equal(found[order.told].candidates, 0);
    for (size_t i = 0; i < FEW; i++) check_found(&s[i], &found[i]);
    /* Shapes of one weight agree about its layout. */
    if (found[0].candidates && found[1].candidates)
        assert_int_equal(found[0].tuned.plan.variant->pack_nr, found[1].tuned.plan.variant->pack_nr);
}

/* Nothing of a minute's budget is used once the flag is up. */
static void stops(void **state)
{
    (void)state;
    struct cg_shape s[FEW];
    struct cg_found found[FEW];
    struct cg_tune_stats stats;
    memcpy(s, few, sizeof s);
    struct cg_shapes shapes = {s, FEW};
    size_t at = 1;
    stop = 0;
    reports = 0;
    struct cg_tuner t = tuner(60);
    t.ctx = &at;
    double start = cg_now();
    assert_int_equal(cg_tune(&t, &shapes, found, &stats), CG_OK);
    assert_true(cg_now() - start < 5);
    for (size_t i = 1; i < FEW; i++) assert_int_equal(found[i].candidates, 0);
    stop = 0;
}

/* Every candidate of every layout gives the bits of the default. */
static void same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < FEW; i++) {
        const struct cg_variant *layouts[CG_MAX_LAYOUTS];
        struct cg_plan plans[40];
        float *want = NULL;
        size_t bytes = few[i].m * few[i].n * sizeof(float), n = cg_space_layouts(&machine, &few[i], 2, layouts);
        for (size_t l = 0; l < n; l++) {
            struct cg_bench *b;
            assert_int_equal(cg_bench_open(&machine, &few[i], few[i].m, layouts[l], 2, 1 << 20, &b), CG_OK);
            size_t count = cg_space_plans(&machine, &few[i], layouts[l], 2, NULL, plans, 40);
            for (size_t j = 0; j < count; j++) {
                const float *c = cg_bench_result(b, &plans[j], few[i].m);
                assert_non_null(c);
                if (!want) {
                    want = malloc(bytes);
                    assert_non_null(want);
                    memcpy(want, c, bytes);
                }
                if (memcmp(c, want, bytes) != 0)
                    fail_msg("shape %zu: %s threads %u mc %u nc %u kc %u gives other bits", i, plans[j].variant->name,
                             plans[j].threads, plans[j].mc, plans[j].nc, plans[j].kc);
            }
            cg_bench_close(b);
        }
        free(want);
    }
}

/* A variant that is wrong in the last bit of one output is found. */
static const struct cg_variant *good;
static void wrong_add(size_t n, const float *a, const float *b, float *y)
{
    good->fn.add_f32(n, a, b, y);
    uint32_t bits;
    memcpy(&bits, &y[n - 1], sizeof bits);
    bits ^= 1;
    memcpy(&y[n - 1], &bits, sizeof bits);
}

static void overrun_add(size_t n, const float *a, const float *b, float *y)
{
    good->fn.add_f32(n, a, b, y);
    y[n] = 1.0f;
}

static void verify_catches(void **state)
{
    (void)state;
    good = cg_variant_named("add_f32_ref");
    assert_non_null(good);
    struct cg_verify v = {.machine = &machine, .seed = SEED, .cases = 20};
    struct cg_variant bad = *good;
    char what[256];
    for (uint32_t i = 0; i < 20; i++) {
        bad.fn.add_f32 = wrong_add;
        assert_int_equal(cg_verify_row(&bad, &(struct cg_draw){SEED, 0, i, 0}, what, sizeof what), 0);
        assert_non_null(strstr(what, "output 0"));
        bad.fn.add_f32 = overrun_add;
        assert_int_equal(cg_verify_row(&bad, &(struct cg_draw){SEED, 0, i, 0}, what, sizeof what), 0);
        assert_int_equal(cg_verify_row(good, &(struct cg_draw){SEED, 0, i, 0}, what, sizeof what), 1);
    }
    assert_int_equal(cg_verify_variant(&v, good), CG_OK);
    assert_int_equal(v.checked, 20);
    assert_int_equal(v.mismatches, 0);
}

static cg_gemm_f32_fn *good_gemm;
static void wrong_gemm(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                       size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    good_gemm(m, k, a, rs_a, cs_a, b, rs_b, ps_b, c, rs_c, accumulate, prefetch);
    c[0] *= 1.0f + 0x1p-22f;
}

static void verify_catches_gemm(void **state)
{
    (void)state;
    struct cg_variant bad = *cg_variant_named("gemm_f32_ref");
    good_gemm = bad.fn.gemm_f32;
    bad.fn.gemm_f32 = wrong_gemm;
    char what[256];
    int caught = 0;
    for (uint32_t i = 0; i < 10; i++)
        caught += cg_verify_gemm_f32(&bad, &(struct cg_draw){SEED, 0, i, 0}, what, sizeof what) == 0;
    assert_int_equal(caught, 10);
}

/* Rates are measured once, and come from the store from then on. */
static void rates_of_the_store(void **state)
{
    (void)state;
    static struct cg_rates first, again;
    char dir[64];
    make_dir(dir);
    setenv("CPU_GRPO_CACHE", dir, 1);
    char *path = cg_store_path(&machine);
    struct cg_store add = {0};
    size_t total;
    assert_int_equal(cg_machine_rates(&machine, 1, 0.1, INFINITY, path, NULL, &first, &add), CG_OK);
    assert_non_null(add.rates);
    assert_int_equal(cg_store_merge(path, &machine, &add, &total), CG_OK);
    struct cg_store none = {0};
    assert_int_equal(cg_machine_rates(&machine, 1, 0.1, INFINITY, path, NULL, &again, &none), CG_OK);
    assert_null(none.rates);
    char *a = cg_rates_text(&first), *b = cg_rates_text(&again);
    assert_string_equal(a, b);
    /* With them, the model's choice is timed: no worse a list than without. */
    struct cg_plan plans[21];
    for (size_t i = 0; i < FEW; i++) {
        size_t n = cg_space_plans(&machine, &few[i], NULL, 1, &again, plans, 21);
        assert_true(n >= 1 || few[i].op == CG_OP_gemm_bf16);
        struct cg_plan standard = cg_space_default(&machine, &few[i], NULL, 1);
        if (n) assert_true(cg_plan_same(&plans[0], &standard));
        for (size_t j = 1; j < n; j++)
            for (size_t k = 0; k < j; k++) assert_false(cg_plan_same(&plans[j], &plans[k]));
    }
    cg_free(a);
    cg_free(b);
    cg_store_free(&add);
    cg_free(path);
    remove_dir(dir);
}

static int detect(void **state)
{
    (void)state;
    return cg_machine_detect(&machine) == CG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),     cmocka_unit_test(rates_of_the_store), cmocka_unit_test(stops),
        cmocka_unit_test(same_bits), cmocka_unit_test(verify_catches),     cmocka_unit_test(verify_catches_gemm),
    };
    return cmocka_run_group_tests(tests, detect, NULL);
}

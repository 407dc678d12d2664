/* What is trained: lists of layers, gradients of chosen ones, and AdamW with moments in f32 and in 8 bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/optim/adamw.h"
#include "tests/runtime/net_data.h"

static void test_lists(void **state)
{
    (void)state;
    struct net_fixture f;
    assert_true(fixture_open(&f, NULL, 1, 0));
    const struct cg_model *m = &f.model;
    size_t layer = m->layers[1].input_norm - m->layers[0].input_norm, matrix = 97 * 36;
    const struct {
        const char *text;
        size_t n, first;
    } good[] = {{"", m->n_params, 0},   {"0", layer, 0},
                {"1", layer, 1},        {"-1", layer, 1},
                {"0..1", 2 * layer, 0}, {"-2..-1,", 2 * layer, 0},
                {"head", matrix, 2},    {"embed", matrix, 0},
                {"norms", 5 * 36, 0},   {"1, norms, head", layer + 3 * 36 + matrix, 0}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct cg_params p;
        if (cg_params_create(m, good[i].text, &p) != CG_OK) fail_msg("'%s': %s", good[i].text, cg_error());
        assert_int_equal(p.n, good[i].n);
        assert_int_equal(p.first_layer, good[i].first);
        size_t at = 0;
        for (size_t k = 0; k < p.n_spans; at += p.spans[k++].n) {
            const struct cg_param_span *s = &p.spans[k];
            assert_int_equal(s->at, at);
            assert_int_equal(cg_params_find(&p, s->from + s->n - 1), at + s->n - 1);
            assert_int_equal(cg_params_span(&p, at), k);
            assert_int_equal(cg_params_span(&p, at + s->n - 1), k);
        }
        assert_int_equal(at, p.n);
        cg_params_free(&p);
    }
    static const char *const bad[] = {"2",   "-3",     "1..0",      "0..", "..1", "0...1",
                                      "0-1", "layers", "embedding", "1x",  " ,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cg_params p;
        if (cg_params_create(m, bad[i], &p) != CG_ERR_USER) fail_msg("'%s' was accepted", bad[i]);
        assert_non_null(strstr(cg_error(), "trainable_layers"));
    }
    fixture_close(&f);
}

/* The gradient of chosen parameters has the bits that it has among all. */
static void test_chosen(void **state)
{
    (void)state;
    static const char *const lists[] = {"1", "0", "norms", "embed", "head", "1, head", "0..1"};
    struct data d;
    make_data(&d);
    size_t rows = rows_of(&d, GROUPS);
    struct cg_row_stats *stats = calloc(rows, sizeof *stats), *want = calloc(rows, sizeof *want);
    for (int tied = 0; tied < 2; tied++) {
        struct net_fixture f;
        assert_true(fixture_open(&f, NULL, 2, tied));
        float *all = gradient(&f, &d, GROUPS, CG_RECOMPUTE_NONE, want);
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
            for (size_t per = 1; per <= GROUPS; per += 2) {
                struct cg_params p;
                assert_int_equal(cg_params_create(&f.model, lists[i], &p), CG_OK);
                struct cg_net_options o = {.max_len = 160, .params = &p, .lends = per == 1};
                assert_true(fixture_reopen(&f, &o));
                float *got = gradient(&f, &d, per, (enum cg_recompute)(i % 3), stats);
                assert_memory_equal(stats, want, rows * sizeof *stats);
                for (size_t k = 0; k < p.n_spans; k++)
                    if (memcmp(got + p.spans[k].at, all + p.spans[k].from, p.spans[k].n * sizeof *got))
                        fail_msg("'%s', tied %d: other bits in span %zu", lists[i], tied, k);
                cg_free(got);
                cg_net_free(&f.net);
                cg_params_free(&p);
            }
        cg_free(all);
        fixture_close(&f);
    }
    free(stats);
    free(want);
}

/* One step of chosen parameters is that of each among all, and leaves the others as they are. */
static void test_step(void **state)
{
    (void)state;
    for (int bits8 = 0; bits8 < 2; bits8++) {
        enum { N = 1000 };
        float w[N], keep[N], g[N];
        struct cg_param_span spans[] = {{10, 0, 300, 1}, {400, 300, 30, 0}, {500, 330, 401, 1}};
        struct cg_params p = {w, spans, 3, 731, 0};
        struct cg_optimizer opt;
        double norm;
        cg_rng_normal(1, CG_RNG_TEST, 0, 1, w, N);
        cg_rng_normal(1, CG_RNG_TEST, 1, 1, g, N);
        memcpy(keep, w, sizeof w);
        struct cg_adamw_options o = {.beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-8f, .weight_decay = 0.5f, .bits8 = bits8};
        assert_int_equal(cg_optimizer_create(&p, cg_rowops_for(0), 2, &o, &opt), CG_OK);
        assert_int_equal(cg_optimizer_step(&opt, g, 0.01, &norm), CG_OK);
        for (size_t i = 0, k = 0; i < N; i++) {
            while (k < 3 && i >= spans[k].from + spans[k].n) k++;
            if (k == 3 || i < spans[k].from) {
                assert_true(w[i] == keep[i]);
                continue;
            }
            /* The first step has the gradient's sign alone. */
            double sign = g[spans[k].at + i - spans[k].from] > 0 ? 1 : -1, x = (double)keep[i];
            double want = x * (spans[k].decays ? 1 - 0.01 * 0.5 : 1) - 0.01 * sign;
            assert_true(fabs((double)w[i] - want) < 1e-5);
        }
        cg_optimizer_free(&opt);
    }
}

/* Codes are near, right on average, and never 0 in the second moment. */
static void test_codes(void **state)
{
    (void)state;
    enum { N = 300, DRAWS = 4000 };
    struct cg_moments x;
    float m[2][CG_MOMENT_BLOCK], v[2][CG_MOMENT_BLOCK], rm[CG_MOMENT_BLOCK], rv[CG_MOMENT_BLOCK];
    static double mean_m[N], mean_v[N];
    assert_int_equal(cg_moments_create(N, 1, &x), CG_OK);
    assert_true(!x.m && !x.v); /* 8 bits, not beside f32 */
    for (size_t i = 0; i < 2 * CG_MOMENT_BLOCK; i++) {
        float scale = powf(2.0f, -(float)(i % 22));
        cg_rng_normal(3, CG_RNG_TEST, (uint32_t)i, scale, &m[0][0] + i, 1);
        (&v[0][0])[i] = i == 7 ? 0.0f : (&m[0][0])[i] * (&m[0][0])[i];
    }
    for (uint32_t key = 0; key < DRAWS; key++)
        for (size_t b = 0; b < 2; b++) {
            cg_moments_write(&x, b, key, m[b], v[b]);
            cg_moments_read(&x, b, rm, rv);
            for (size_t i = 0; i < CG_MOMENT_BLOCK && b * CG_MOMENT_BLOCK + i < N; i++) {
                double a = fabs((double)m[b][i]), e = fabs((double)rm[i] - (double)m[b][i]);
                double least = (double)x.m_scale[b] * 0x1p-17;
                if (e > a / 8 + least) fail_msg("%g became %g", (double)m[b][i], (double)rm[i]);
                if (fabs((double)rv[i] - (double)v[b][i]) > (double)v[b][i] / 8 + (double)x.v_scale[b] * 0x1p-33)
                    fail_msg("%g became %g", (double)v[b][i], (double)rv[i]);
                assert_true((rv[i] > 0) == (v[b][i] > 0));
                mean_m[b * CG_MOMENT_BLOCK + i] += (double)rm[i] / DRAWS;
                mean_v[b * CG_MOMENT_BLOCK + i] += (double)rv[i] / DRAWS;
            }
        }
    for (size_t i = 0; i < N; i++) {
        double a = (double)(&m[0][0])[i], b = (double)(&v[0][0])[i], steps = (double)x.m_scale[i / CG_MOMENT_BLOCK];
        assert_true(fabs(mean_m[i] - a) < fabs(a) * 0.005 + steps * 0x1p-21);
        assert_true(fabs(mean_v[i] - b) < b * 0.005 + (double)x.v_scale[i / CG_MOMENT_BLOCK] * 0x1p-32);
    }
    memset(m, 0, sizeof m);
    memset(v, 0, sizeof v);
    cg_moments_write(&x, 0, 1, m[0], v[0]);
    cg_moments_read(&x, 0, rm, rv);
    for (size_t i = 0; i < CG_MOMENT_BLOCK; i++) assert_true(rm[i] == 0 && rv[i] == 0);
    cg_moments_free(&x);
}

/* Minimises sum of c_i (w_i - t_i)^2 / 2, its gradient with noise; the loss after `steps`. */
static double minimise(int bits8, int threads, int steps, float *w, size_t n)
{
    float *g = calloc(n, sizeof *g), *target = calloc(n, sizeof *target), *noise = calloc(n, sizeof *noise);
    struct cg_param_span span = {0, 0, n, 1};
    struct cg_params p = {w, &span, 1, n, 0};
    struct cg_adamw_options o = {.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .bits8 = bits8};
    struct cg_optimizer opt;
    double norm, loss = 0;
    assert_int_equal(cg_optimizer_create(&p, cg_rowops_for(0), threads, &o, &opt), CG_OK);
    cg_rng_normal(1, CG_RNG_TEST, 0, 0.3f, target, n);
    memset(w, 0, n * sizeof *w);
    for (int s = 0; s < steps; s++) {
        cg_rng_normal(2, CG_RNG_TEST, (uint32_t)s, 0.1f, noise, n);
        loss = 0;
        for (size_t i = 0; i < n; i++) {
            float c = powf(10.0f, -(float)(i % 5)), d = w[i] - target[i];
            g[i] = c * (d + noise[i]);
            loss += 0.5 * (double)(c * d * d);
        }
        assert_int_equal(cg_optimizer_step(&opt, g, 0.02 * (1 - (double)s / steps), &norm), CG_OK);
    }
    cg_optimizer_free(&opt);
    free(g);
    free(target);
    free(noise);
    return loss;
}

static void test_quadratic(void **state)
{
    (void)state;
    enum { N = 70001, STEPS = 150 }; /* two tasks */
    float *a = calloc(N, sizeof *a), *b = calloc(N, sizeof *b);
    double start = minimise(0, 1, 1, a, N), f32 = minimise(0, 1, STEPS, a, N), bits8 = minimise(1, 1, STEPS, a, N);
    if (!(f32 < start * 0.02)) fail_msg("loss %g, at the start %g", f32, start);
    if (fabs(bits8 - f32) > 0.1 * f32 + 1e-4 * start)
        fail_msg("loss %g, in f32 %g, at the start %g", bits8, f32, start);
    assert_true(minimise(1, 3, STEPS, b, N) == bits8);
    assert_memory_equal(a, b, N * sizeof *a);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lists), cmocka_unit_test(test_chosen),
                                       cmocka_unit_test(test_step), cmocka_unit_test(test_codes),
                                       cmocka_unit_test(test_quadratic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

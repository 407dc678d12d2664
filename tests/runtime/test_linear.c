/* Products with a net's weight matrices, however they are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/runtime/net_fixture.h"

enum { ROWS = 37 };

/* y = x W^T by definition: rows and columns quantised, the sum exact, two scales. */
static float s8_product(const struct cg_rowops *ops, size_t k, const float *x, const float *w)
{
    int8_t a[256], b[256];
    float sa = ops->quant_s8(k, x, a), sb = ops->quant_s8(k, w, b);
    int32_t sum = 0;
    for (size_t p = 0; p < k; p++) sum += (int32_t)a[p] * b[p];
    return (float)sum * sa * sb;
}

static void check_s8(const struct net_fixture *f, const struct cg_linear *lin, const float *x, const float *y)
{
    const struct cg_rowops *scalar = cg_rowops_for(0);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < lin->n; j++) {
            float want = s8_product(scalar, lin->k, x + i * lin->k, lin->w + j * lin->k);
            if (memcmp(&want, y + i * lin->n + j, sizeof want))
                fail_msg("%s: row %zu, column %zu: %a, not %a", f->net.rows->isa, i, j, (double)y[i * lin->n + j],
                         (double)want);
        }
}

static void test_s8(void **state)
{
    (void)state;
    static const char *const isas[] = {NULL, "avx2", "scalar"};
    for (size_t v = 0; v < 3; v++)
        for (int threads = 1; threads <= 3; threads += 2) {
            struct net_fixture f;
            if (!fixture_open(&f, isas[v], threads, 0)) {
                if (threads == 1) printf("SKIP s8 on %s: %s\n", isas[v], cg_error());
                fixture_close(&f);
                continue;
            }
            assert_true(fixture_reopen(&f, &(struct cg_net_options){.max_len = 160, .weights = CG_WEIGHTS_S8}));
            const struct cg_linear *head = cg_net_head(&f.net), *down = cg_net_linear(&f.net, 1, CG_LINEAR_DOWN);
            float *x = cg_alloc_n(ROWS * head->k, sizeof *x), *y = cg_alloc_n(ROWS * head->n, sizeof *y);
            cg_rng_normal(9, CG_RNG_TEST, 1, 1.0f, x, ROWS * head->k);
            assert_int_equal(cg_linear_forward(&f.net, head, ROWS, x, y, head->n, NULL), CG_OK);
            check_s8(&f, head, x, y);
            /* Other weights in the same memory. */
            cg_rng_normal(10, CG_RNG_TEST, 2, 0.3f, f.model.w, f.model.n_params);
            cg_net_outdated(&f.net);
            assert_int_equal(cg_linear_forward(&f.net, head, ROWS, x, y, head->n, NULL), CG_ERR_INTERNAL);
            cg_net_refresh(&f.net);
            assert_int_equal(cg_linear_forward(&f.net, head, ROWS, x, y, head->n, NULL), CG_OK);
            check_s8(&f, head, x, y);

            /* A product that quantises for the next one: what lies in its input then is not read. */
            const struct cg_linear *gate = cg_net_linear(&f.net, 1, CG_LINEAR_GATE_UP);
            float *gu = cg_alloc_n(ROWS * gate->n, sizeof *gu), *h = cg_alloc_n(ROWS * down->k, sizeof *h);
            float *nothing = cg_alloc_n(ROWS * down->k, sizeof *nothing), *z = cg_alloc_n(ROWS * down->n, sizeof *z);
            struct cg_epilogue ep = {.rows = f.net.rows, .swiglu = h, .ld_swiglu = down->k};
            assert_int_equal(cg_linear_quantise_for(&f.net, down, ROWS, &ep), CG_OK);
            assert_int_equal(cg_linear_forward(&f.net, gate, ROWS, x, gu, gate->n, &ep), CG_OK);
            assert_int_equal(cg_linear_forward(&f.net, down, ROWS, nothing, z, down->n, NULL), CG_OK);
            check_s8(&f, gate, x, gu);
            check_s8(&f, down, h, z);
            void *all[] = {x, y, gu, h, nothing, z};
            for (size_t i = 0; i < 6; i++) cg_free(all[i]);
            fixture_close(&f);
        }
}

/* Packed before, or on the way while the memory is lent, with every epilogue that the layers use: the same bits. */
static void test_lent(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        struct net_fixture f;
        assert_true(fixture_open(&f, NULL, threads, 0));
        assert_true(fixture_reopen(&f, &(struct cg_net_options){.max_len = 160, .lends = 1}));
        const struct cg_linear *gate = cg_net_linear(&f.net, 0, CG_LINEAR_GATE_UP);
        size_t half = gate->n / 2, n = ROWS * gate->n;
        float *x = cg_alloc_n(ROWS * gate->k, sizeof *x), *residual = cg_alloc_n(n, sizeof *residual);
        float *y[2], *h[2];
        cg_rng_normal(9, CG_RNG_TEST, 1, 1.0f, x, ROWS * gate->k);
        cg_rng_normal(9, CG_RNG_TEST, 2, 1.0f, residual, n);
        for (int i = 0; i < 2; i++) {
            y[i] = cg_alloc_n(n, sizeof *y[i]);
            h[i] = cg_alloc_n(ROWS * half, sizeof *h[i]);
            if (i) memset(cg_net_lend(&f.net), 0xff, f.model.n_params * sizeof(float));
            struct cg_epilogue ep = {.rows = f.net.rows,
                                     .bias = residual,
                                     .residual = residual,
                                     .ld_residual = gate->n,
                                     .swiglu = h[i],
                                     .ld_swiglu = half};
            assert_int_equal(cg_linear_forward(&f.net, gate, ROWS, x, y[i], gate->n, &ep), CG_OK);
        }
        assert_memory_equal(y[0], y[1], n * sizeof(float));
        assert_memory_equal(h[0], h[1], ROWS * half * sizeof(float));
        cg_net_refresh(&f.net);
        assert_int_equal(cg_linear_forward(&f.net, gate, ROWS, x, y[1], gate->n, NULL), CG_OK);
        assert_true(memcmp(y[0], y[1], n * sizeof(float)) != 0); /* without the epilogue */
        void *all[] = {x, residual, y[0], y[1], h[0], h[1]};
        for (size_t i = 0; i < 6; i++) cg_free(all[i]);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_s8), cmocka_unit_test(test_lent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

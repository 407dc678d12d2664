/* Smoothed INT8 weights: the scales, where their division goes, and what they are good for. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "runtime/nn/smooth.h"
#include "tests/runtime/net_fixture.h"

enum { ROWS = 9, TOKENS = 24 };

/* A few channels of every norm, of v and of up are many times larger than the others, as in real models. */
static void add_outliers(struct cg_model *m)
{
    const struct cg_config *c = &m->cfg;
    size_t d = c->hidden_size, hd = c->head_dim, kv = c->num_key_value_heads;
    for (size_t l = 0; l < c->num_hidden_layers; l++) {
        const struct cg_layer_offsets *o = &m->layers[l];
        size_t v = (c->num_attention_heads + kv) * hd, up = c->intermediate_size;
        for (size_t p = 3; p < d; p += 17) m->w[o->input_norm + p] *= 60, m->w[o->post_norm + p] *= 60;
        for (size_t j = 1; j < kv * hd; j += 9)
            for (size_t p = 0; p < d; p++) m->w[o->qkv + (v + j) * d + p] *= 30;
        for (size_t j = 5; j < up; j += 20)
            for (size_t p = 0; p < d; p++) m->w[o->gate_up + (up + j) * d + p] *= 30;
    }
    for (size_t p = 2; p < d; p += 13) m->w[m->final_norm + p] *= 60;
}

static void logits(const struct cg_net *net, const struct cg_batch *b, float *out)
{
    struct cg_trainer *t;
    assert_int_equal(cg_trainer_create(net, b->n_tokens, 1, 0, &t), CG_OK);
    assert_int_equal(cg_trainer_logits(t, b, out), CG_OK);
    cg_trainer_free(t);
}

static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum / (double)n);
}

/* What row j of a matrix is divided by: the scale of the channel that it makes. */
static float divisor(const struct cg_net *net, size_t layer, int kind, size_t j)
{
    const struct cg_config *c = &net->model->cfg;
    size_t v = net->att_dim + net->kv_dim, group = c->num_attention_heads / c->num_key_value_heads;
    const float *o = net->smooth + cg_net_linear(net, layer, CG_LINEAR_O)->input;
    const float *down = net->smooth + cg_net_linear(net, layer, CG_LINEAR_DOWN)->input;
    if (kind == CG_LINEAR_QKV && j >= v) return o[(j - v) / c->head_dim * group * c->head_dim + (j - v) % c->head_dim];
    if (kind == CG_LINEAR_GATE_UP && j >= c->intermediate_size) return down[j - c->intermediate_size];
    return 1.0f;
}

/* y = x W^T of one matrix by definition. */
static void check_product(const struct cg_net *net, size_t i)
{
    const struct cg_rowops *scalar = cg_rowops_for(0);
    const struct cg_linear *lin = &net->linears[i];
    const float *s = net->smooth + lin->input;
    size_t k = lin->k, layers = net->model->cfg.num_hidden_layers;
    float *x = cg_alloc_n(ROWS * k, sizeof *x), *y = cg_alloc_n(ROWS * lin->n, sizeof *y), w[256];
    int8_t a[256], b[256];
    cg_rng_normal(9, CG_RNG_TEST, (uint32_t)i, 1.0f, x, ROWS * k);
    assert_int_equal(cg_linear_forward(net, lin, ROWS, x, y, lin->n, NULL), CG_OK);
    for (size_t j = 0; j < lin->n; j++) {
        for (size_t p = 0; p < k; p++) w[p] = lin->w[j * k + p] * s[p];
        float sb = scalar->quant_s8(k, w, b);
        if (i < layers * CG_LINEARS) sb /= divisor(net, i / CG_LINEARS, (int)(i % CG_LINEARS), j);
        for (size_t r = 0; r < ROWS; r++) {
            float sa = scalar->quant_s8(k, x + r * k, a);
            int32_t sum = 0;
            for (size_t p = 0; p < k; p++) sum += (int32_t)a[p] * b[p];
            float want = (float)sum * sa * sb;
            if (memcmp(&want, y + r * lin->n + j, sizeof want))
                fail_msg("%s: matrix %zu, row %zu, column %zu: %a, not %a", net->rows->isa, i, r, j,
                         (double)y[r * lin->n + j], (double)want);
        }
    }
    cg_free(x);
    cg_free(y);
}

static void check_vectors(const struct cg_net *net)
{
    const struct cg_model *m = net->model;
    size_t d = m->cfg.hidden_size;
    for (size_t l = 0; l < m->cfg.num_hidden_layers; l++) {
        const struct cg_linear *qkv = cg_net_linear(net, l, CG_LINEAR_QKV),
                               *gu = cg_net_linear(net, l, CG_LINEAR_GATE_UP);
        const struct cg_layer_offsets *o = &m->layers[l];
        for (size_t p = 0; p < d; p++) {
            assert_true(qkv->norm[p] == m->w[o->input_norm + p] / net->smooth[qkv->input + p]);
            assert_true(gu->norm[p] == m->w[o->post_norm + p] / net->smooth[gu->input + p]);
        }
        assert_int_equal(qkv->bias != NULL, o->qkv_bias != 0);
        for (size_t j = 0; qkv->bias && j < qkv->n; j++)
            assert_true(qkv->bias[j] == m->w[o->qkv_bias + j] / divisor(net, l, CG_LINEAR_QKV, j));
    }
}

/* One model on one machine: an f32 net and its INT8 nets without and with scales. logits: [3][TOKENS * 97]. */
static void three_nets(struct net_fixture *f, const struct cg_batch *b, float *out)
{
    struct cg_net s8;
    size_t n = TOKENS * 97;
    struct cg_net_options o = {.max_len = 160, .weights = CG_WEIGHTS_S8};
    add_outliers(&f->model);
    cg_net_outdated(&f->net);
    cg_net_refresh(&f->net);
    assert_int_equal(cg_net_open(&f->model, f->plans, &o, &s8), CG_OK);
    logits(&s8, b, out + n);
    memset(s8.smooth, 0, s8.inputs * sizeof *s8.smooth);
    cg_smooth_observe(&f->net, s8.smooth);
    logits(&f->net, b, out);
    cg_smooth_observe(&f->net, NULL);
    for (size_t i = 0; i < s8.inputs; i++) assert_true(s8.smooth[i] > 0); /* every product has been seen */
    cg_smooth_set(&s8);
    cg_net_refresh(&s8);
    logits(&s8, b, out + 2 * n);
    for (size_t i = 0; i < f->model.cfg.num_hidden_layers * CG_LINEARS + 1; i++) check_product(&s8, i);
    check_vectors(&s8);
    cg_net_free(&s8);
}

/* For any ISA and number of threads the bits are those of the definition, and the scales bring the INT8 net nearer to
 * the f32 one. */
static void test_smooth(void **state)
{
    (void)state;
    static float first[3 * TOKENS * 97], out[3 * TOKENS * 97];
    static const char *const isas[] = {NULL, "avx2", "scalar"};
    int32_t ids[TOKENS];
    struct cg_batch b = {0};
    size_t n = TOKENS * 97;
    random_tokens(1, ids, TOKENS);
    assert_int_equal(cg_batch_segment(&b, ids, TOKENS, CG_NO_PARENT, NULL), CG_OK);
    for (int arch = 0; arch < CG_MODEL_COUNT; arch++) {
        fixture_arch = (enum cg_model_arch)arch;
        for (size_t v = 0; v < 3; v++)
            for (int threads = 1; threads <= 3; threads++) {
                struct net_fixture f;
                int whole = v == 0 && threads == 1;
                if (fixture_open(&f, isas[v], threads, 0)) {
                    three_nets(&f, &b, whole ? first : out);
                    if (!whole) assert_memory_equal(first, out, sizeof out);
                } else if (threads == 1) {
                    printf("SKIP %s: %s\n", isas[v], cg_error());
                }
                fixture_close(&f);
            }
        double plain = distance(first, first + n, n), smooth = distance(first, first + 2 * n, n);
        printf("%s: INT8 is %.4f from f32, smoothed %.4f\n", cg_architecture(fixture_arch)->name, plain, smooth);
        assert_true(smooth < plain / 2);
    }
    cg_batch_free(&b);
}

/* Channels that are never used, or overflow, or are no numbers, leave finite scales. */
static void test_odd_channels(void **state)
{
    (void)state;
    struct net_fixture f;
    fixture_arch = CG_MODEL_LLAMA;
    assert_true(fixture_open(&f, NULL, 1, 0));
    assert_true(fixture_reopen(&f, &(struct cg_net_options){.max_len = 160, .weights = CG_WEIGHTS_S8}));
    const struct cg_linear *down = cg_net_linear(&f.net, 1, CG_LINEAR_DOWN);
    const float odd[] = {0, INFINITY, NAN, 1e-40f, 3e38f};
    for (size_t i = 0; i < f.net.inputs; i++) f.net.smooth[i] = odd[i % 5];
    for (size_t j = 0; j < down->n; j++) f.model.w[(size_t)(down->w - f.model.w) + j * down->k] = 0;
    cg_smooth_set(&f.net);
    for (size_t i = 0; i < f.net.inputs; i++) assert_true(f.net.smooth[i] > 0 && isfinite(f.net.smooth[i]));
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_smooth), cmocka_unit_test(test_odd_channels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

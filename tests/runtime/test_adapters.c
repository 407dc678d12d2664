/* LoRA: forward and backward, the same bits everywhere, merged, saved, over a base that other nets share. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/model/safetensors.h"
#include "runtime/model/source.h"
#include "runtime/nn/adapters.h"
#include "tests/runtime/net_data.h"
#include "tests/runtime/scratch.h"

struct lora {
    struct net_fixture f;
    struct cg_adapters adapters;
    struct cg_params params;
};

static const char *const all_linear[] = {"all-linear"}, *const some[] = {"k_proj", "up_proj", "down_proj"};

/* With a B that is not 0. Returns 0 when the machine does not have `isa`. */
static int lora_open(struct lora *l, const char *isa, int threads, const char *const *targets, size_t n, size_t r)
{
    memset(&l->adapters, 0, sizeof l->adapters);
    memset(&l->params, 0, sizeof l->params);
    if (!fixture_open(&l->f, isa, threads, 0)) return 0;
    struct cg_adapter_options o = {.r = r, .alpha = 3, .targets = targets, .n_targets = n, .seed = 5};
    assert_int_equal(cg_adapters_create(&l->f.model, l->f.plans, &o, &l->adapters), CG_OK);
    cg_rng_normal(3, CG_RNG_TEST, 9, 0.2f, l->adapters.w, l->adapters.n);
    assert_int_equal(cg_params_of(l->adapters.w, l->adapters.n, &l->params), CG_OK);
    cg_adapters_refresh(&l->adapters, l->f.plans);
    struct cg_net_options net = {.max_len = 160, .adapters = &l->adapters, .params = &l->params};
    assert_true(fixture_reopen(&l->f, &net));
    return 1;
}

static void lora_close(struct lora *l)
{
    fixture_close(&l->f);
    cg_params_free(&l->params);
    cg_adapters_free(&l->adapters);
}

static void test_same_bits(void **state)
{
    (void)state;
    static const char *const isas[] = {NULL, "scalar", "avx2", "avx512", "neon"};
    struct data d;
    make_data(&d);
    float *want = NULL;
    size_t rows = rows_of(&d, GROUPS), n = 0;
    struct cg_row_stats *stats = calloc(rows, sizeof *stats), *want_stats = calloc(rows, sizeof *stats);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        for (int threads = 1; threads <= 3; threads++)
            for (size_t per = 1; per <= GROUPS; per += 2) {
                struct lora l;
                if (!lora_open(&l, isas[i], threads, all_linear, 1, 5)) {
                    if (threads == 1 && per == 1) printf("SKIP adapters on %s: %s\n", isas[i], cg_error());
                    lora_close(&l);
                    continue;
                }
                float *got = gradient(&l.f, &d, per, (enum cg_recompute)((per + (size_t)threads) % 3), stats);
                if (!want) {
                    want = got;
                    n = l.params.n;
                    memcpy(want_stats, stats, rows * sizeof *stats);
                } else {
                    if (memcmp(want, got, n * sizeof *got) || memcmp(want_stats, stats, rows * sizeof *stats))
                        fail_msg("isa %s, %d threads, %zu groups a batch: other bits", isas[i] ? isas[i] : "best",
                                 threads, per);
                    cg_free(got);
                }
                lora_close(&l);
            }
    cg_free(want);
    free(stats);
    free(want_stats);
}

/* Every A and B: the derivative along its gradient is that one's squared norm. */
static void test_gradient(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct lora l;
        struct data d;
        struct cg_batch b = {0};
        struct cg_row_stats stats[GROUPS * GEN * LEN];
        make_data(&d);
        assert_true(lora_open(&l, NULL, 2, which ? some : all_linear, which ? 3 : 1, which ? 40 : 4));
        for (size_t g = 0; g < GROUPS; g++) add_group(&b, &d, g);
        float *grad = gradient(&l.f, &d, GROUPS, CG_RECOMPUTE_NONE, stats), *w = l.adapters.w;
        float *keep = cg_alloc_n(l.params.n, sizeof *keep);
        memcpy(keep, w, l.params.n * sizeof *keep);
        for (size_t i = 0; i < l.adapters.n_of; i++)
            for (size_t k = 0; k < 2 * l.adapters.of[i].n; k++) {
                const struct cg_adapter *ad = &l.adapters.of[i].part[k / 2];
                size_t at = k % 2 ? ad->b : ad->a, n = l.adapters.r * (k % 2 ? ad->rows : l.adapters.of[i].k);
                double norm2 = 0, two[2];
                for (size_t j = at; j < at + n; j++) norm2 += (double)grad[j] * (double)grad[j];
                assert_true(norm2 > 0);
                double step = 2e-3 / sqrt(norm2);
                for (int s = 0; s < 2; s++) {
                    for (size_t j = at; j < at + n; j++)
                        w[j] = (float)((double)keep[j] + (s ? -step : step) * (double)grad[j]);
                    two[s] = objective(&l.f, &b);
                }
                memcpy(w, keep, l.params.n * sizeof *keep);
                double got = (two[0] - two[1]) / (2 * step);
                if (fabs(got - norm2) > 0.02 * norm2 + 1e-4)
                    fail_msg("matrix %zu, %c of part %zu: difference %.6g, gradient %.6g", i, "AB"[k % 2], k / 2, got,
                             norm2);
            }
        cg_free(keep);
        cg_free(grad);
        cg_batch_free(&b);
        lora_close(&l);
    }
}

static float *logits_of(const struct cg_net *net, size_t n)
{
    int32_t tokens[PROMPT];
    struct cg_batch b = {0};
    struct cg_trainer *t;
    random_tokens(77, tokens, PROMPT);
    float *x = cg_alloc_n(n, 97 * sizeof *x);
    assert_int_equal(cg_batch_segment(&b, tokens, n, CG_NO_PARENT, NULL), CG_OK);
    assert_int_equal(cg_trainer_create(net, n, 1, 0, &t), CG_OK);
    assert_int_equal(cg_trainer_logits(t, &b, x), CG_OK);
    cg_trainer_free(t);
    cg_batch_free(&b);
    return x;
}

static double furthest(size_t n, const float *a, const float *b)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (d > most) most = d;
    }
    return most;
}

/* Merged weights give the same within rounding; B = 0 gives the base's bits, as does a net that shares it. */
static void test_merged(void **state)
{
    (void)state;
    static const struct {
        const char *const *targets;
        size_t n, r;
    } cases[] = {{all_linear, 1, 4}, {some, 3, 52}, {NULL, 0, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct lora l;
        struct cg_net shared, merged;
        struct cg_source source;
        struct cg_model m;
        assert_true(lora_open(&l, NULL, 2, cases[c].targets, cases[c].n, cases[c].r));
        assert_int_equal(
            cg_net_open(&l.f.model, l.f.plans, &(struct cg_net_options){.max_len = 160, .base = &l.f.net}, &shared),
            CG_OK);
        assert_int_equal(cg_model_create(&l.f.model.cfg, &m), CG_OK);
        assert_int_equal(cg_adapters_merged(&l.f.net, &source), CG_OK);
        assert_int_equal(cg_source_read(&source, 0, m.n_params, m.w), CG_OK);
        cg_source_close(&source);
        assert_int_equal(cg_net_create(&m, l.f.plans, 160, &merged), CG_OK);
        float *with = logits_of(&l.f.net, PROMPT), *base = logits_of(&shared, PROMPT);
        float *as_one = logits_of(&merged, PROMPT);
        double worst = furthest(PROMPT * 97, with, as_one), moved = furthest(PROMPT * 97, with, base);
        if (worst > 2e-5 || moved < 0.01) fail_msg("merged differs by %g, the base by %g", worst, moved);
        for (size_t i = 0; i < l.adapters.n_of; i++)
            for (size_t p = 0; p < l.adapters.of[i].n; p++)
                memset(l.adapters.w + l.adapters.of[i].part[p].b, 0,
                       l.adapters.of[i].part[p].rows * l.adapters.r * sizeof *l.adapters.w);
        cg_net_outdated(&l.f.net);
        float *zero = logits_of(&l.f.net, PROMPT);
        assert_memory_equal(zero, base, PROMPT * 97 * sizeof *zero);
        float *all[] = {with, base, as_one, zero};
        for (int i = 0; i < 4; i++) cg_free(all[i]);
        cg_net_free(&shared);
        cg_net_free(&merged);
        cg_model_free(&m);
        lora_close(&l);
    }
}

/* Log-probabilities of generation are those of training, with the base in f32. */
static void test_generation(void **state)
{
    (void)state;
    struct lora l;
    struct data d;
    make_data(&d);
    assert_true(lora_open(&l, NULL, 2, all_linear, 1, 6));
    int32_t tokens[GEN][LEN];
    float lp[GEN][LEN];
    struct cg_completion out[GEN];
    struct cg_gen_prompt prompt = {d.prompt[0], PROMPT, 0};
    for (size_t i = 0; i < GEN; i++) out[i] = (struct cg_completion){.tokens = tokens[i], .logprobs = lp[i]};
    struct cg_gen_options o = {.max_new_tokens = LEN, .temperature = 0.8f, .eos = 1, .seed = 5};
    assert_int_equal(cg_generate(&l.f.net, &o, 1, &prompt, GEN, out), CG_OK);
    const int32_t *ids[GEN];
    size_t len[GEN], row = 0;
    for (size_t i = 0; i < GEN; i++) {
        ids[i] = tokens[i];
        len[i] = out[i].len;
    }
    struct cg_trainer *t;
    struct cg_batch b = {0};
    struct cg_row_stats stats[GEN * LEN];
    assert_int_equal(cg_batch_group(&b, d.prompt[0], PROMPT, GEN, ids, len), CG_OK);
    assert_int_equal(cg_trainer_create(&l.f.net, 400, 400, 0, &t), CG_OK);
    assert_int_equal(cg_trainer_forward(t, &b, 0.8f, stats), CG_OK);
    for (size_t i = 0; i < GEN; i++)
        for (size_t j = 0; j < len[i]; j++) assert_true(stats[row++].logprob == lp[i][j]);
    cg_trainer_free(t);
    cg_batch_free(&b);
    lora_close(&l);
}

/* A and B begin as peft begins them; targets that there are not are named. */
static void test_create(void **state)
{
    (void)state;
    struct net_fixture f;
    struct cg_adapters a;
    assert_true(fixture_open(&f, NULL, 1, 0));
    struct cg_adapter_options o = {.r = 8, .alpha = 32, .seed = 1};
    assert_int_equal(cg_adapters_create(&f.model, f.plans, &o, &a), CG_OK);
    assert_int_equal(a.n, 2 * 8 * (36 + 60 + 36 + 20)); /* q and v of two layers */
    assert_true(a.scale == 4.0f);
    double sum2 = 0, top = 0;
    for (size_t i = 0; i < 8 * 36; i++) {
        double x = (double)a.w[a.of[0].part[0].a + i];
        sum2 += x * x;
        top = fmax(top, fabs(x));
    }
    assert_true(top <= 1.0 / 6 && top > 0.95 / 6);          /* uniform up to 1 / sqrt(36) */
    assert_true(fabs(sum2 / (8 * 36) * 3 * 36 - 1) < 0.15); /* whose variance is a third of that squared */
    for (size_t i = 0; i < 8 * 60; i++) assert_true(a.w[a.of[0].part[0].b + i] == 0);
    cg_adapters_free(&a);
    static const char *const bad[] = {"q_proj", "lm_head"};
    o.targets = bad;
    o.n_targets = 2;
    assert_int_equal(cg_adapters_create(&f.model, f.plans, &o, &a), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "lm_head"));
    fixture_close(&f);
}

/* peft's names and shapes. */
static void test_save(void **state)
{
    (void)state;
    struct lora l;
    char path[512];
    assert_true(lora_open(&l, NULL, 1, some, 3, 7));
    assert_int_equal(cg_adapters_save(&l.adapters, &l.f.model, "a/base", scratch), CG_OK);
    struct cg_st *st;
    assert_int_equal(cg_st_open(scratch_path("adapter_model.safetensors", path), &st), CG_OK);
    assert_int_equal(cg_st_count(st), 2 * 2 * 3);
    const struct cg_st_tensor *t = cg_st_find(st, "base_model.model.model.layers.1.self_attn.k_proj.lora_A.weight");
    assert_true(t && t->dims[0] == 7 && t->dims[1] == 36);
    t = cg_st_find(st, "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight");
    assert_true(t && t->dims[0] == 36 && t->dims[1] == 7);
    const struct cg_adapter *ad = &l.adapters.of[CG_LINEAR_DOWN].part[0];
    assert_memory_equal(t->data, l.adapters.w + ad->b, 36 * 7 * sizeof(float));
    cg_st_close(st);
    lora_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create), cmocka_unit_test(test_same_bits),  cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_merged), cmocka_unit_test(test_generation), cmocka_unit_test(test_save),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}

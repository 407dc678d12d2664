/* The network: the same bits whatever the threads, the ISA, the sharing of prompts, the split into micro-batches and
 * what is computed again; generation agrees with training; gradients agree with differences in the loss. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/runtime/net_data.h"

static void test_same_bits(void **state)
{
    (void)state;
    static const char *const isas[] = {NULL, "scalar", "avx2", "avx512", "neon"};
    struct data d;
    make_data(&d);
    for (int tied = 0; tied < 2; tied++) {
        float *want = NULL;
        struct cg_row_stats *want_stats = NULL;
        size_t n = 0, rows = rows_of(&d, GROUPS);
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
            for (int threads = 1; threads <= 3; threads++)
                for (size_t per = 1; per <= GROUPS; per++) {
                    struct net_fixture f;
                    if (!fixture_open(&f, isas[i], threads, tied)) {
                        if (threads == 1 && per == 1) printf("SKIP same_bits on %s: %s\n", isas[i], cg_error());
                        fixture_close(&f);
                        continue;
                    }
                    if (per == 2) fixture_reopen(&f, &(struct cg_net_options){.max_len = 160, .lends = 1});
                    struct cg_row_stats *stats = calloc(rows, sizeof *stats);
                    float *got = gradient(&f, &d, per, (enum cg_recompute)((per + (size_t)threads) % 3), stats);
                    if (!want) {
                        want = got;
                        want_stats = stats;
                        n = f.model.n_params;
                        fixture_close(&f);
                        continue;
                    }
                    if (memcmp(want, got, n * sizeof *got) || memcmp(want_stats, stats, rows * sizeof *stats))
                        fail_msg("isa %s, %d threads, %zu groups a batch: other bits", isas[i] ? isas[i] : "best",
                                 threads, per);
                    cg_free(got);
                    free(stats);
                    fixture_close(&f);
                }
        cg_free(want);
        free(want_stats);
    }
}

/* A completion with its own copy of the prompt scores as one that shares it. */
static void test_shared_prompt(void **state)
{
    (void)state;
    struct net_fixture f;
    struct data d;
    make_data(&d);
    assert_true(fixture_open(&f, NULL, 2, 1));
    struct cg_trainer *t;
    struct cg_batch b = {0};
    struct cg_row_stats shared[GEN * LEN], alone[LEN];
    assert_int_equal(cg_trainer_create(&f.net, 400, 400, 0, &t), CG_OK);
    add_group(&b, &d, 0);
    assert_int_equal(cg_trainer_forward(t, &b, 1.0f, shared), CG_OK);
    size_t row = 0;
    for (size_t i = 0; i < GEN; i++) {
        int32_t all[PROMPT + LEN];
        memcpy(all, d.prompt[0], sizeof d.prompt[0]);
        memcpy(all + PROMPT, d.completion[0][i], d.len[0][i] * sizeof *all);
        cg_batch_clear(&b);
        assert_int_equal(cg_batch_segment(&b, all, PROMPT + d.len[0][i], CG_NO_PARENT, NULL), CG_OK);
        for (size_t j = 0; j < d.len[0][i]; j++)
            assert_int_equal(cg_batch_row(&b, PROMPT + j - 1, all[PROMPT + j]), CG_OK);
        assert_int_equal(cg_trainer_forward(t, &b, 1.0f, alone), CG_OK);
        assert_memory_equal(alone, shared + row, d.len[0][i] * sizeof *alone);
        row += d.len[0][i];
    }
    cg_trainer_free(t);
    cg_batch_free(&b);
    fixture_close(&f);
}

/* Log-probabilities from generation are those of training, bit for bit; and a batch changes nothing. */
static void test_generation(void **state)
{
    (void)state;
    struct net_fixture f;
    struct data d;
    make_data(&d);
    assert_true(fixture_open(&f, NULL, 2, 0));
    struct cg_gen_prompt prompts[GROUPS];
    struct cg_completion out[GROUPS * GEN], one[GEN];
    int32_t tokens[GROUPS * GEN][LEN], tokens1[GEN][LEN];
    float lp[GROUPS * GEN][LEN], lp1[GEN][LEN], drawn[GEN][LEN];
    for (size_t g = 0; g < GROUPS; g++) prompts[g] = (struct cg_gen_prompt){d.prompt[g], PROMPT - g * 3, (uint32_t)g};
    for (size_t i = 0; i < GROUPS * GEN; i++) out[i] = (struct cg_completion){.tokens = tokens[i], .logprobs = lp[i]};
    for (size_t i = 0; i < GEN; i++)
        one[i] = (struct cg_completion){.tokens = tokens1[i], .logprobs = lp1[i], .sampling_logprobs = drawn[i]};
    struct cg_gen_options o = {.max_new_tokens = LEN, .temperature = 0.8f, .eos = 1, .seed = 5, .step = 3};
    assert_int_equal(cg_generate(&f.net, &o, GROUPS, prompts, GEN, out), CG_OK);

    o.max_batch = 1;
    o.max_logit_rows = 2;
    for (size_t g = 0; g < GROUPS; g++) {
        assert_int_equal(cg_generate(&f.net, &o, 1, &prompts[g], GEN, one), CG_OK);
        for (size_t i = 0; i < GEN; i++) {
            const struct cg_completion *c = &out[g * GEN + i];
            assert_int_equal(c->len, one[i].len);
            assert_memory_equal(c->tokens, one[i].tokens, c->len * sizeof *c->tokens);
            assert_memory_equal(c->logprobs, one[i].logprobs, c->len * sizeof *c->logprobs);
            assert_memory_equal(c->logprobs, drawn[i], c->len * sizeof *c->logprobs); /* nothing is cut off */
        }
    }

    struct cg_trainer *t;
    struct cg_batch b = {0};
    struct cg_row_stats stats[GROUPS * GEN * LEN];
    assert_int_equal(cg_trainer_create(&f.net, 600, 600, 0, &t), CG_OK);
    for (size_t g = 0; g < GROUPS; g++) {
        const int32_t *ids[GEN];
        size_t len[GEN];
        for (size_t i = 0; i < GEN; i++) {
            ids[i] = tokens[g * GEN + i];
            len[i] = out[g * GEN + i].len;
        }
        assert_int_equal(cg_batch_group(&b, prompts[g].tokens, prompts[g].len, GEN, ids, len), CG_OK);
    }
    assert_int_equal(cg_trainer_forward(t, &b, 0.8f, stats), CG_OK);
    size_t row = 0;
    for (size_t i = 0; i < GROUPS * GEN; i++)
        for (size_t j = 0; j < out[i].len; j++) assert_memory_equal(&stats[row++].logprob, &lp[i][j], sizeof(float));
    assert_int_equal(row, b.n_rows);
    cg_trainer_free(t);
    cg_batch_free(&b);
    fixture_close(&f);
}

/* A cache of bf16 or int8 rounds what is attended to: log-probabilities move a little, and they do move. */
static void test_small_caches(void **state)
{
    (void)state;
    struct net_fixture f;
    struct data d;
    make_data(&d);
    assert_true(fixture_open(&f, NULL, 2, 0));
    struct cg_gen_prompt prompt = {d.prompt[0], PROMPT, 0};
    int32_t tokens[GEN][LEN];
    float lp[GEN][LEN];
    struct cg_completion out[GEN];
    struct cg_gen_options o = {.max_new_tokens = LEN, .temperature = 0.8f, .eos = -1, .seed = 5};
    for (o.kv_type = CG_KV_BF16; o.kv_type <= CG_KV_S8; o.kv_type++) {
        for (size_t i = 0; i < GEN; i++) out[i] = (struct cg_completion){.tokens = tokens[i], .logprobs = lp[i]};
        assert_int_equal(cg_generate(&f.net, &o, 1, &prompt, GEN, out), CG_OK);
        const int32_t *ids[GEN];
        size_t len[GEN];
        for (size_t i = 0; i < GEN; i++) {
            ids[i] = tokens[i];
            len[i] = out[i].len;
        }
        struct cg_trainer *t;
        struct cg_batch b = {0};
        struct cg_row_stats stats[GEN * LEN];
        assert_int_equal(cg_batch_group(&b, prompt.tokens, prompt.len, GEN, ids, len), CG_OK);
        assert_int_equal(cg_trainer_create(&f.net, 400, 400, 0, &t), CG_OK);
        assert_int_equal(cg_trainer_forward(t, &b, 0.8f, stats), CG_OK);
        float worst = 0;
        for (size_t i = 0; i < GEN * LEN; i++) worst = fmaxf(worst, fabsf(stats[i].logprob - lp[i / LEN][i % LEN]));
        assert_int_equal(b.n_rows, GEN * LEN);
        assert_true(worst > 0 && worst < 0.02f);
        cg_trainer_free(t);
        cg_batch_free(&b);
    }
    fixture_close(&f);
}

/* The derivative along the gradient is its squared norm: central differences with a step that f32 can bear. */
static void test_gradient(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct net_fixture f;
        struct data d;
        struct cg_batch b = {0};
        struct cg_row_stats stats[GROUPS * GEN * LEN];
        make_data(&d);
        assert_true(fixture_open(&f, NULL, 2, tied));
        for (size_t g = 0; g < GROUPS; g++) add_group(&b, &d, g);
        float *grad = gradient(&f, &d, GROUPS, CG_RECOMPUTE_NONE, stats);
        float *keep = cg_alloc_n(f.model.n_params, sizeof *keep);
        memcpy(keep, f.model.w, f.model.n_params * sizeof *keep);
        for (size_t k = 0; k < cg_model_tensor_count(&f.model); k++) {
            struct cg_tensor_ref r = cg_model_tensor(&f.model, k);
            size_t n = r.rows * (r.cols ? r.cols : 1);
            double norm2 = 0, two[2];
            for (size_t i = 0; i < n; i++) norm2 += (double)grad[r.offset + i] * (double)grad[r.offset + i];
            double step = 2e-3 / sqrt(norm2 + 1e-12);
            for (int s = 0; s < 2; s++) {
                for (size_t i = 0; i < n; i++)
                    f.model.w[r.offset + i] =
                        (float)((double)keep[r.offset + i] + (s ? -step : step) * (double)grad[r.offset + i]);
                two[s] = objective(&f, &b);
            }
            memcpy(f.model.w, keep, f.model.n_params * sizeof *keep);
            double got = (two[0] - two[1]) / (2 * step);
            if (fabs(got - norm2) > 0.02 * norm2 + 1e-4)
                fail_msg("%s (tied %d): difference %.6g, gradient %.6g", r.name, tied, got, norm2);
        }
        cg_free(keep);
        cg_free(grad);
        cg_batch_free(&b);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient),     cmocka_unit_test(test_shared_prompt), cmocka_unit_test(test_generation),
        cmocka_unit_test(test_small_caches), cmocka_unit_test(test_same_bits),
    };
    static const char *const names[CG_MODEL_COUNT] = {"llama", "qwen2", "qwen3"};
    int failed = 0;
    for (int i = 0; i < CG_MODEL_COUNT; i++) {
        fixture_arch = (enum cg_model_arch)i;
        failed += cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
    }
    return failed;
}

/* Advantages and weights against their formulas; tasks and their splits; EWC; ACC and BWT. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/rng.h"
#include "runtime/continual/ewc.h"
#include "runtime/curriculum/matrix.h"
#include "runtime/optim/schedule.h"
#include "runtime/rl/grpo.h"
#include "runtime/tasks/task.h"

static void close_to(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance)) fail_msg("%.12g is not %.12g", a, b);
}

static void test_advantages(void **state)
{
    (void)state;
    struct cg_grpo_options o = {.num_generations = 4};
    float reward[8] = {1, 0, 0, 1, 0, 0, 0, 0}, adv[8];
    struct cg_reward_stats st;
    cg_grpo_advantages(&o, 8, reward, adv, &st);
    close_to((double)adv[0], 0.5 / (sqrt(1.0 / 3) + 1e-4), 1e-6);
    close_to((double)adv[1], -0.5 / (sqrt(1.0 / 3) + 1e-4), 1e-6);
    for (int i = 4; i < 8; i++) close_to((double)adv[i], 0, 0);
    close_to(st.mean, 0.25, 1e-12);
    close_to(st.frac_reward_zero_std, 0.5, 1e-12);
    /* What no reward function applies to counts for nothing. */
    float some[8] = {1, NAN, 0, 1, NAN, NAN, NAN, NAN};
    cg_grpo_advantages(&o, 8, some, adv, &st);
    close_to((double)adv[0], (1 - 2.0 / 3) / (sqrt(1.0 / 3) + 1e-4), 1e-6);
    close_to((double)adv[1], 0, 0);
    for (int i = 4; i < 8; i++) close_to((double)adv[i], 0, 0);
    close_to(st.mean, 2.0 / 3, 1e-12);
    o.scale_rewards = CG_SCALE_NONE;
    cg_grpo_advantages(&o, 8, reward, adv, &st);
    close_to((double)adv[0], 0.5, 0);
    o.scale_rewards = CG_SCALE_BATCH;
    cg_grpo_advantages(&o, 8, reward, adv, &st);
    close_to((double)adv[0], 0.5 / (st.std + 1e-4), 1e-6);
}

static void test_weights(void **state)
{
    (void)state;
    struct cg_grpo_options o = {.num_generations = 2, .micro_batch = 2, .max_completion_length = 10};
    size_t len[4] = {2, 4, 6, 8};
    int truncated[4] = {0, 0, 0, 1};
    float w[4];
    o.loss_type = CG_LOSS_GRPO; /* mean over completions of the mean over tokens, two accumulation steps */
    cg_grpo_weights(&o, 4, len, truncated, w);
    for (int i = 0; i < 4; i++) close_to((double)w[i], 1.0 / ((double)len[i] * 4), 1e-8);
    o.loss_type = CG_LOSS_BNPO;
    cg_grpo_weights(&o, 4, len, truncated, w);
    close_to((double)w[0], 1.0 / 12, 1e-8);
    close_to((double)w[2], 1.0 / 28, 1e-8);
    o.loss_type = CG_LOSS_DR_GRPO;
    cg_grpo_weights(&o, 4, len, truncated, w);
    close_to((double)w[1], 1.0 / 40, 1e-8);
    o.loss_type = CG_LOSS_DAPO;
    cg_grpo_weights(&o, 4, len, truncated, w);
    close_to((double)w[1], 1.0 / 20, 1e-8);
    o.loss_type = CG_LOSS_CISPO;
    cg_grpo_weights(&o, 4, len, truncated, w);
    close_to((double)w[1], 1.0 / 20, 1e-8);
    o.mask_truncated_completions = 1;
    cg_grpo_weights(&o, 4, len, truncated, w);
    close_to((double)w[0], 1.0 / 12, 1e-8);
    close_to((double)w[3], 0, 0);
}

static void test_splits(void **state)
{
    (void)state;
    struct cg_problems p;
    int64_t digits[] = {1, 2};
    assert_int_equal(cg_problems_create("addition-reversed", "", 3, digits, 2, 0, 0, 100000, 50, &p), CG_OK);
    assert_int_equal(p.stages[0].pairs, 100);
    assert_int_equal(p.stages[0].n_eval, 25);
    assert_int_equal(p.stages[0].n_train, 75);
    assert_int_equal(p.stages[1].pairs, 10000 - 100);
    static char seen[100][100];
    for (size_t s = 0; s < 2; s++)
        for (int split = 0; split < 2; split++) {
            size_t n = split ? p.stages[s].n_eval : p.stages[s].n_train;
            for (size_t i = 0; i < n; i++) {
                char prompt[CG_PROMPT_MAX], answer[CG_ANSWER_MAX];
                int a, b, got = 0;
                assert_int_equal(cg_problems_get(&p, s, split ? CG_SPLIT_EVAL : CG_SPLIT_TRAIN, i, prompt, answer),
                                 CG_OK);
                assert_int_equal(sscanf(prompt, "%2d+%2d=", &a, &b), 2);
                for (size_t k = strlen(answer); k-- > 0;) got = got * 10 + answer[k] - '0';
                assert_int_equal(got, a + b);
                if (seen[a][b]++) fail_msg("%d + %d appears twice", a, b);
            }
        }
    for (int a = 0; a < 100; a++)
        for (int b = 0; b < 100; b++) assert_int_equal(seen[a][b], 1);
    assert_true(p.task->reward(" 0300", "0300") == 1.0f);
    assert_true(p.task->reward("03001", "0300") == 0.0f);
    assert_true(p.task->reward("", "0300") == 0.0f);
    cg_problems_free(&p);
    assert_int_equal(cg_problems_create("multiplication", "", 3, NULL, 0, 0, 9, 10, 10, &p), CG_ERR_USER);
    assert_int_equal(cg_problems_create("addition", "", 3, NULL, 0, 9, 0, 10, 10, &p), CG_ERR_USER);
}

static void test_permutation(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 300; n += 7) {
        char *seen = calloc(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t j = cg_permute(9, 4, n, i);
            assert_true(j < n && !seen[j]);
            seen[j] = 1;
        }
        free(seen);
    }
}

static void test_ewc(void **state)
{
    (void)state;
    enum { N = 70000 };
    struct cg_ewc e;
    float *w = calloc(N, sizeof *w), *g = calloc(N, sizeof *g), *grad = calloc(N, sizeof *grad);
    double want = 0;
    struct cg_param_span spans[] = {{0, 0, 30000, 1}, {30000, 30000, N - 30000, 0}};
    struct cg_params params = {w, spans, 2, N, 0};
    assert_int_equal(cg_ewc_create(&params, 2, &e), CG_OK);
    cg_rng_normal(1, CG_RNG_TEST, 0, 1, w, N);
    cg_rng_normal(1, CG_RNG_TEST, 1, 1, g, N);
    assert_true(cg_ewc_gradient(&e, 2, grad) == 0);
    cg_ewc_add_sample(&e, g, 0.5f);
    cg_ewc_add_sample(&e, w, 0.5f);
    cg_ewc_consolidate(&e);
    for (int i = 0; i < N; i++) {
        double f = 0.5 * (double)g[i] * (double)g[i] + 0.5 * (double)w[i] * (double)w[i];
        want += 0.5 * 2 * f * 0.25 * 0.25;
        w[i] += 0.25f;
        g[i] = (float)(2 * f * 0.25);
    }
    double got = cg_ewc_gradient(&e, 2, grad);
    close_to(got / want, 1, 1e-5);
    for (int i = 0; i < N; i++) close_to((double)grad[i], (double)g[i], 1e-5 * (1 + fabs((double)g[i])));
    cg_ewc_free(&e);
    free(w);
    free(g);
    free(grad);
}

static void test_matrix(void **state)
{
    (void)state;
    const double R[9] = {0.9, 0.1, 0.0, 0.7, 0.8, 0.1, 0.6, 0.9, 0.5};
    close_to(cg_acc(R, 3), (0.6 + 0.9 + 0.5) / 3, 1e-12);
    close_to(cg_bwt(R, 3), ((0.6 - 0.9) + (0.9 - 0.8)) / 2, 1e-12);
    close_to(cg_bwt(R, 1), 0, 0);
}

/* Options that do not fit each other. */
static void test_options(void **state)
{
    (void)state;
    const char *bad[][3] = {
        {"sync_ref_model=true", "beta=0", "sync_ref_model is true and beta 0: "},
        {"importance_sampling_mode=token_truncate", "importance_sampling_clip_max=0", "importance_sampling_mode "},
        {"importance_sampling_clip_min=2", "importance_sampling_clip_max=2", "importance_sampling_clip_min (2) must "},
    };
    struct cg_grpo_options o;
    struct cg_run_config c;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(cg_config_defaults(&c), CG_OK);
        assert_int_equal(cg_grpo_options_set(&c, &o), CG_OK);
        for (int j = 0; j < 2; j++) assert_int_equal(cg_config_set(&c, bad[i][j]), CG_OK);
        assert_int_equal(cg_grpo_options_set(&c, &o), CG_ERR_USER);
        assert_memory_equal(cg_error(), bad[i][2], strlen(bad[i][2]));
        cg_config_free(&c);
    }
}

/* Values that transformers 5's get_scheduler gives: peak 2, 20 updates, 4 of them warm-up; updates 0, 3, 9, 19. */
static void test_schedule(void **state)
{
    (void)state;
    const struct {
        const char *type;
        double at[4];
    } t[] = {
        {"linear", {0, 1.5, 1.375, 0.125}},
        {"cosine", {0, 1.5, 1.5555702330196, 0.0192147195967696}},
        {"constant", {2, 2, 2, 2}},
        {"constant_with_warmup", {0, 1.5, 2, 2}},
        {"cosine_with_min_lr", {0, 1.5, 1.61112395389215, 0.266812879647173}},
        {"cosine_with_restarts", {0, 1.5, 0.0192147195967696, 0.168530387697455}},
        {"polynomial", {0, 1.5, 1.0771484375, 0.2568359375}},
        {"inverse_sqrt", {0, 1.5, 1.33333333333333, 0.917662935482247}},
    };
    const size_t step[] = {0, 3, 9, 19};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct cg_schedule s = {
            .type = t[i].type, .lr = 2, .min_lr = 0.25, .power = 2, .cycles = 3, .total = 20, .warmup = 4};
        for (int j = 0; j < 4; j++) close_to(cg_schedule_at(&s, step[j]), t[i].at[j], 1e-12);
    }
    assert_int_equal(cg_schedule_warmup(3, 0.5, 20), 3);
    assert_int_equal(cg_schedule_warmup(0, 0.11, 20), 3);
    assert_int_equal(cg_schedule_warmup(0, 0, 20), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_advantages),  cmocka_unit_test(test_weights), cmocka_unit_test(test_splits),
        cmocka_unit_test(test_permutation), cmocka_unit_test(test_ewc),     cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_schedule),    cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

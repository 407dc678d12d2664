/* GRPO steps of a whole session: a small model from random weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/rl/weights.h"
#include "tests/runtime/scratch.h"
#include "tests/runtime/session_fixture.h"

/* A weight that is not a number makes loss and gradient no numbers: nothing changes, and a healthy step follows. */
static void test_not_finite(void **state)
{
    (void)state;
    struct cg_run_config c;
    struct cg_session s;
    struct cg_step_stats st;
    open_session(&c, &s, NULL);
    size_t bytes = s.model.n_params * sizeof(float);
    float *before = malloc(bytes), good = s.model.w[s.model.final_norm];
    assert_non_null(before);
    s.model.w[s.model.final_norm] = NAN;
    memcpy(before, s.model.w, bytes);
    assert_int_equal(cg_session_grpo_step(&s, 0, 1e-3, NULL, NULL, &st), CG_OK);
    assert_true(st.update.skipped);
    assert_memory_equal(before, s.model.w, bytes);
    assert_int_equal(s.opt.step, 0);
    assert_int_equal(s.state.steps, 1);
    s.model.w[s.model.final_norm] = good;
    assert_int_equal(cg_session_grpo_step(&s, 0, 1e-3, NULL, NULL, &st), CG_OK);
    assert_false(st.update.skipped);
    assert_true(isfinite(st.loss.loss) && isfinite(st.update.grad_norm));
    assert_int_equal(s.opt.step, 1);
    free(before);
    close_session(&c, &s);
}

/* Chosen layers with moments in 8 bits: the others keep their bits. */
static void test_chosen_layers(void **state)
{
    (void)state;
    static const char *const set[] = {"trainable_layers=-1, head", "optim=adamw_bnb_8bit", "weight_decay=0.1", NULL};
    struct cg_run_config c;
    struct cg_session s;
    struct cg_step_stats st;
    open_session(&c, &s, set);
    size_t bytes = s.model.n_params * sizeof(float), changed = 0;
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, s.model.w, bytes);
    assert_true(s.params.n < s.model.n_params);
    assert_null(s.opt.moments.m);
    for (int i = 0; i < 3; i++) assert_int_equal(cg_session_grpo_step(&s, 0, 1e-3, NULL, NULL, &st), CG_OK);
    for (size_t i = 0; i < s.model.n_params; i++) {
        int trained = cg_params_find(&s.params, i) != CG_NOT_TRAINED, same = before[i] == s.model.w[i];
        changed += !same;
        if (!trained && !same) fail_msg("parameter %zu has changed", i);
    }
    assert_true(changed > s.params.n / 2);
    free(before);
    close_session(&c, &s);
}

/* A loss that looks at one row only. */
static void by_row(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats, struct cg_logits_coef *coef)
{
    size_t *calls = ctx;
    for (size_t i = 0; i < n; i++) coef[i] = (struct cg_logits_coef){stats[i].logprob, (float)(first + i) * 0.01f};
    ++*calls;
}

/* Told all rows at once, the same loss has the same gradient, to the bit. */
static void test_whole(void **state)
{
    (void)state;
    enum { G = 4, LEN = 40, ROWS = G * LEN }; /* more than the rows whose logits exist at a time */
    struct cg_run_config c;
    struct cg_session s;
    struct cg_row_stats stats[ROWS], again[ROWS];
    int32_t tokens[ROWS + 1];
    const int32_t *completion[G];
    size_t len[G] = {LEN, LEN, LEN, LEN}, calls = 0;
    const char *set[] = {"max_completion_length=40", NULL};
    open_session(&c, &s, set);
    for (size_t i = 0; i <= ROWS; i++) tokens[i] = (int32_t)(i * 7 % s.model.cfg.vocab_size);
    for (size_t i = 0; i < G; i++) completion[i] = tokens + 1 + i * LEN;
    assert_int_equal(cg_batch_group(&s.batch, tokens, 1, G, completion, len), CG_OK);
    size_t bytes = s.model.n_params * sizeof(float);
    float *grad = malloc(bytes);
    assert_non_null(grad);
    cg_trainer_zero_grad(s.trainer);
    assert_int_equal(cg_trainer_backward(s.trainer, &s.batch, 0.9f, by_row, &calls, stats), CG_OK);
    assert_int_equal(cg_trainer_finish(s.trainer), CG_OK);
    assert_true(calls > 1);
    memcpy(grad, cg_trainer_grad(s.trainer), bytes);
    calls = 0;
    cg_trainer_zero_grad(s.trainer);
    assert_int_equal(cg_trainer_backward_whole(s.trainer, &s.batch, 0.9f, by_row, &calls, again), CG_OK);
    assert_int_equal(cg_trainer_finish(s.trainer), CG_OK);
    assert_int_equal(calls, 1);
    assert_memory_equal(stats, again, sizeof stats);
    assert_memory_equal(grad, cg_trainer_grad(s.trainer), bytes);
    free(grad);
    close_session(&c, &s);
}

/* A rollout is used num_iterations times: first with ratios of exactly 1, then not. */
static void test_iterations(void **state)
{
    (void)state;
    struct cg_run_config c;
    struct cg_session s;
    struct cg_step_stats st;
    const char *set[] = {"num_iterations=2",  "importance_sampling_level=sequence",
                         "loss_type=grpo",    "epsilon=0.0001",
                         "beta=0.1",          "sft_steps=[80]",
                         "sft_batch_size=20", NULL};
    double moved = 0;
    open_session(&c, &s, set);
    warm_up(&s);
    for (int i = 0; i < 3; i++) {
        assert_true(cg_session_at_rollout(&s));
        assert_int_equal(cg_session_grpo_step(&s, 0, 1e-2, NULL, NULL, &st), CG_OK);
        assert_int_equal(s.state.draws, i + 1);
        assert_int_equal(s.state.next_item, 2 * (i + 1));
        assert_true(st.loss.low_mean == 0 && st.loss.high_mean == 0 && st.tokens > 0);
        assert_true(st.sampling.max_difference == 0); /* what was sampled is what is trained, to the bit */
        assert_false(cg_session_at_rollout(&s));
        assert_int_equal(cg_session_grpo_step(&s, 0, 1e-2, NULL, NULL, &st), CG_OK);
        assert_int_equal(s.state.draws, i + 1);
        assert_true(st.tokens == 0);
        moved += st.loss.low_mean + st.loss.high_mean;
    }
    assert_true(moved > 0);
    assert_int_equal(s.opt.step, 6);
    close_session(&c, &s);
}

/* The reference policy stays, and moves when it is time: by the share that was asked for. */
static void test_reference(void **state)
{
    (void)state;
    struct cg_run_config c;
    struct cg_session s;
    struct cg_step_stats st;
    const char *set[] = {"beta=0.1", "sync_ref_model=true", "ref_model_sync_steps=2", "ref_model_mixup_alpha=0.75",
                         NULL};
    open_session(&c, &s, set);
    size_t n = s.model.n_params;
    float *start = malloc(n * sizeof *start);
    assert_non_null(start);
    memcpy(start, s.model.w, n * sizeof *start);
    assert_int_equal(cg_session_grpo_step(&s, 0, 1e-2, NULL, NULL, &st), CG_OK);
    assert_true(st.loss.kl == 0); /* it begins as the policy */
    assert_memory_equal(start, s.ref_model.w, n * sizeof *start);
    assert_int_equal(cg_session_grpo_step(&s, 0, 1e-2, NULL, NULL, &st), CG_OK);
    for (size_t i = 0; i < n; i++) {
        double want = 0.75 * (double)s.model.w[i] + 0.25 * (double)start[i];
        assert_true(fabs((double)s.ref_model.w[i] - want) <= 1e-6 * (1 + fabs(want)));
    }
    free(start);
    close_session(&c, &s);
}

/* A few steps of everything that looks at whole completions; loss, kl and the rest into st. */
static float *trained(const char *const *how, const char *mode, struct cg_step_stats *st, size_t *bytes)
{
    struct cg_run_config c;
    struct cg_session s;
    const char *set[] = {"num_iterations=2",
                         "importance_sampling_level=sequence",
                         "loss_type=bnpo",
                         "beta=0.1",
                         "kl_estimator=k2",
                         "top_k=20",
                         mode,
                         "mask_truncated_completions=true",
                         "dynamic_sampling=true",
                         "dynamic_sampling_max_rounds=3",
                         "sft_steps=[80]",
                         "sft_batch_size=20",
                         "per_device_train_batch_size=16",
                         how[0],
                         how[1],
                         how[2],
                         NULL};
    open_session(&c, &s, set);
    warm_up(&s);
    for (int i = 0; i < 4; i++) assert_int_equal(cg_session_grpo_step(&s, 0, 1e-2, NULL, NULL, &st[i]), CG_OK);
    *bytes = s.model.n_params * sizeof(float);
    float *w = malloc(*bytes);
    assert_non_null(w);
    memcpy(w, s.model.w, *bytes);
    close_session(&c, &s);
    return w;
}

/* LoRA: the model keeps its bits and is the reference; what is saved is the policy. */
static void test_lora(void **state)
{
    (void)state;
    static const char *const weights[] = {"generation_weights=f32", "generation_weights=int8"};
    for (int i = 0; i < 2; i++) {
        const char *set[] = {"beta=0.1",    "use_peft=true",     "lora_r=4", "lora_target_modules=[all-linear]",
                             "sft_steps=1", "sft_batch_size=16", weights[i], NULL};
        struct cg_run_config c;
        struct cg_session s;
        struct cg_step_stats st;
        struct cg_update u;
        struct cg_model saved;
        double loss = 0, first = 0;
        open_session(&c, &s, set);
        size_t bytes = s.model.n_params * sizeof(float), changed = 0;
        float *before = malloc(bytes);
        assert_non_null(before);
        memcpy(before, s.model.w, bytes);
        assert_int_equal(cg_session_grpo_step(&s, 0, 1e-2, NULL, NULL, &st), CG_OK);
        assert_true(st.loss.kl == 0); /* B is 0 */
        for (uint64_t k = 0; k < 12; k++) {
            assert_int_equal(cg_session_sft_step(&s, 0, 16 * k, 16, 1e-2, &loss, &u), CG_OK);
            if (k == 0) first = loss;
        }
        if (!(u.grad_norm > 0 && loss < 0.9 * first)) fail_msg("loss %g, at first %g", loss, first);
        assert_int_equal(cg_session_grpo_step(&s, 0, 1e-2, NULL, NULL, &st), CG_OK);
        assert_true(st.loss.kl > 0);
        assert_memory_equal(before, s.model.w, bytes);
        assert_int_equal(cg_session_save_model(&s, scratch), CG_OK);
        assert_int_equal(cg_model_load(scratch, 0, &saved), CG_OK);
        for (size_t k = 0; k < cg_model_tensor_count(&saved); k++) {
            struct cg_tensor_ref t = cg_model_tensor(&saved, k);
            size_t n = t.rows * (t.cols ? t.cols : 1);
            int same = memcmp(saved.w + t.offset, before + t.offset, n * sizeof *before) == 0;
            assert_int_equal(same, strstr(t.name, "_proj") == NULL);
            changed += !same;
        }
        assert_int_equal(changed, 7 * saved.cfg.num_hidden_layers);
        cg_model_free(&saved);
        free(before);
        close_session(&c, &s);
    }
}

/* Threads and the size of batches change nothing: weights, and what steps tell, to the bit. */
static void test_same_bits(void **state)
{
    (void)state;
    static const char *const how[][3] = {{"threads=1", "micro_batch_tokens=4096", NULL},
                                         {"threads=3", "micro_batch_tokens=1", NULL},
                                         {"threads=1", "micro_batch_tokens=50", NULL}};
    static const char *const modes[] = {"importance_sampling_mode=sequence_truncate",
                                        "importance_sampling_mode=token_mask"};
    for (int m = 0; m < 2; m++) {
        struct cg_step_stats st[4], want[4];
        size_t bytes;
        float *w = trained(how[0], modes[m], want, &bytes);
        assert_true(want[0].corrected && want[1].loss.loss != 0 && want[3].loss.kl > 0);
        for (int i = 1; i < 3; i++) {
            float *v = trained(how[i], modes[m], st, &bytes);
            assert_memory_equal(w, v, bytes);
            for (int j = 0; j < 4; j++) {
                assert_memory_equal(&st[j].loss, &want[j].loss, sizeof st[j].loss);
                assert_true(st[j].sampling.kl == want[j].sampling.kl);
                assert_true(st[j].sampling.used.sum == want[j].sampling.used.sum);
            }
            free(v);
        }
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_chosen_layers), cmocka_unit_test(test_whole),
        cmocka_unit_test(test_iterations), cmocka_unit_test(test_reference),     cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_lora),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}

/* GRPO steps of a whole session: a small model from random weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/rl/step.h"

/* A session of builtin:tiny with these options on top; the test fails when it does not open. */
static void open_session(struct cg_run_config *c, struct cg_session *s, const char *const *set)
{
    static const char *const base[] = {"task=addition-reversed",
                                       "task_max=9",
                                       "task_train_size=40",
                                       "task_eval_size=5",
                                       "per_device_train_batch_size=8",
                                       "num_generations=4",
                                       "max_completion_length=4",
                                       "learning_rate=1e-3",
                                       "threads=2",
                                       NULL};
    setenv("CPU_GRPO_CACHE", "/nonexistent", 1);
    assert_int_equal(cg_config_defaults(c), CG_OK);
    for (size_t i = 0; base[i]; i++) assert_int_equal(cg_config_set(c, base[i]), CG_OK);
    for (size_t i = 0; set && set[i]; i++)
        if (cg_config_set(c, set[i]) != CG_OK) fail_msg("%s: %s", set[i], cg_error());
    if (cg_session_open(c, NULL, s) != CG_OK) fail_msg("%s", cg_error());
    cg_session_begin_stage(s);
}

static void close_session(struct cg_run_config *c, struct cg_session *s)
{
    cg_session_close(s);
    cg_config_free(c);
}

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

/* Enough supervision that some completions are right and some are not. */
static void warm_up(struct cg_session *s)
{
    struct cg_update u;
    double loss;
    for (uint64_t i = 0; i < 80; i++)
        if (cg_session_sft_step(s, 0, i * 20, 20, 3e-3, &loss, &u) != CG_OK) fail_msg("%s", cg_error());
    cg_optimizer_reset(&s->opt);
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

/* Completions of a truncated distribution: told, and corrected for by ratios below 1. */
static void test_correction(void **state)
{
    (void)state;
    for (int sequence = 0; sequence < 2; sequence++) {
        struct cg_run_config c;
        struct cg_session s;
        struct cg_step_stats st;
        const char *set[] = {
            "top_k=3", sequence ? "importance_sampling_mode=sequence_mask" : "importance_sampling_mode=token_truncate",
            NULL};
        open_session(&c, &s, set);
        assert_int_equal(cg_session_grpo_step(&s, 0, 1e-3, NULL, NULL, &st), CG_OK);
        assert_true(st.corrected);
        assert_int_equal(st.sampling.used.n, sequence ? 8 : st.sampling.tokens);
        assert_true(st.sampling.used.min > 0 && st.sampling.used.min < st.sampling.used.max);
        assert_true(st.sampling.used.max < 1 && st.sampling.kl > 0 && st.sampling.difference > 0);
        close_session(&c, &s);
    }
}

static int differ(const struct cg_rollout *r, size_t group)
{
    for (size_t i = 1; i < r->generations; i++)
        if (r->reward[group * r->generations + i] != r->reward[group * r->generations]) return 1;
    return 0;
}

/* Groups without spread give their places to the next prompts', in the order of the data; what is trained on has
 * spread, unless the rounds ran out. */
static void test_dynamic(void **state)
{
    (void)state;
    struct cg_run_config c;
    struct cg_session s;
    struct cg_step_stats st;
    const char *set[] = {"sft_steps=[80]",
                         "sft_batch_size=20",
                         "dynamic_sampling=true",
                         "dynamic_sampling_max_rounds=20",
                         "num_generations=8",
                         "per_device_train_batch_size=24",
                         NULL};
    open_session(&c, &s, set);
    warm_up(&s);
    size_t replaced = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t first = s.state.next_item, draws = s.state.draws;
        assert_int_equal(cg_session_grpo_step(&s, 0, 1e-4, NULL, NULL, &st), CG_OK);
        assert_int_equal(s.state.draws - draws, st.rounds);
        assert_true(s.state.next_item - first >= 3 + st.replaced);
        size_t spread = 0;
        for (size_t j = 0; j < 3; j++) spread += (size_t)differ(&s.step->r, j);
        assert_true(st.rounds == 20 || spread == 3);
        assert_true((st.replaced == 0) == (st.reward.frac_reward_zero_std == 0) || spread < 3);
        replaced += st.replaced;
    }
    assert_true(replaced > 0);
    close_session(&c, &s);
}

/* Groups without a gradient are not taken through the backward pass. With a weight of the divergence too small to be
 * seen they all are (its gradient is 0 in the first step): the weights have the same bits. */
static void test_idle_groups(void **state)
{
    (void)state;
    float *weights[2];
    size_t bytes = 0, idle[2];
    for (int all = 0; all < 2; all++) {
        struct cg_run_config c;
        struct cg_session s;
        struct cg_step_stats st;
        const char *set[] = {"sft_steps=[80]", "sft_batch_size=20",           "per_device_train_batch_size=32",
                             "top_k=20",       all ? "beta=1e-30" : "beta=0", NULL};
        open_session(&c, &s, set);
        warm_up(&s);
        if (all) memcpy(s.ref_model.w, s.model.w, s.model.n_params * sizeof(float));
        assert_int_equal(cg_session_grpo_step(&s, 0, 1e-2, NULL, NULL, &st), CG_OK);
        idle[all] = s.step->idle;
        bytes = s.model.n_params * sizeof(float);
        weights[all] = malloc(bytes);
        assert_non_null(weights[all]);
        memcpy(weights[all], s.model.w, bytes);
        close_session(&c, &s);
    }
    assert_true(idle[0] > 0 && idle[0] < 8 && idle[1] == 0);
    assert_memory_equal(weights[0], weights[1], bytes);
    free(weights[0]);
    free(weights[1]);
}

/* What a step tells of groups without a gradient comes from generation, or from a forward pass where INT8 weights
 * generated: either way it is what a forward pass says. */
static void test_idle_metrics(void **state)
{
    (void)state;
    static const char *const sets[][3] = {{"top_p=0.9", NULL},
                                          {"generation_weights=int8", "micro_batch_tokens=9", NULL}};
    for (int k = 0; k < 2; k++) {
        struct cg_run_config c;
        struct cg_session s;
        struct cg_step_stats st;
        struct cg_row_stats rows[64];
        open_session(&c, &s, sets[k]);
        assert_int_equal(cg_session_grpo_step(&s, 0, 0.0, NULL, NULL, &st), CG_OK);
        const struct cg_rollout *r = &s.step->r;
        assert_int_equal(s.step->idle, r->prompts); /* random weights never give a right answer of four digits */
        assert_true(st.loss.loss == 0 && st.update.grad_norm == 0);
        double entropy = 0;
        size_t n = 0;
        for (size_t i = 0; i < r->prompts; i++) {
            const int32_t *ids[4];
            for (size_t g = 0; g < 4; g++) ids[g] = r->completion[i * 4 + g].tokens;
            cg_batch_clear(&s.batch);
            assert_int_equal(cg_batch_group(&s.batch, r->items[i]->prompt_ids, r->items[i]->prompt_len, 4, ids,
                                            s.step->rows + i * 4),
                             CG_OK);
            assert_true(s.batch.n_rows <= 64);
            assert_int_equal(cg_trainer_forward(s.trainer, &s.batch, 1.0f, rows), CG_OK);
            for (size_t g = i * 4, row = 0; g < i * 4 + 4; g++)
                for (size_t j = 0; j < r->completion[g].len; j++, row++) {
                    assert_memory_equal(&s.step->tokens[n++].old_logprob, &rows[row].logprob, sizeof(float));
                    if (k == 0) assert_memory_equal(&r->completion[g].entropies[j], &rows[row].entropy, sizeof(float));
                    entropy += (double)rows[row].entropy;
                }
        }
        assert_true(fabs(st.loss.entropy - entropy / (double)n) < 1e-6);
        close_session(&c, &s);
    }
}

/* INT8 weights sample from a distribution near to the policy's: the difference is told and corrected for. */
static void test_int8_rollouts(void **state)
{
    (void)state;
    struct cg_run_config c;
    struct cg_session s;
    struct cg_step_stats st;
    const char *set[] = {"generation_weights=int8", NULL};
    open_session(&c, &s, set);
    assert_int_equal(cg_session_grpo_step(&s, 0, 1e-3, NULL, NULL, &st), CG_OK);
    assert_true(st.corrected && st.sampling.used.n == 8);
    assert_true(st.sampling.max_difference > 0 && st.sampling.max_difference < 0.05);
    assert_true(fabs(st.sampling.raw.sum / 8 - 1) < 0.1);
    close_session(&c, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_finite),    cmocka_unit_test(test_whole),       cmocka_unit_test(test_iterations),
        cmocka_unit_test(test_reference),     cmocka_unit_test(test_correction),  cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_chosen_layers), cmocka_unit_test(test_idle_groups), cmocka_unit_test(test_idle_metrics),
        cmocka_unit_test(test_int8_rollouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

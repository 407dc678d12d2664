/* The groups of a rollout: correction of how they were sampled, replacement, those without a gradient. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/rl/saved.h"
#include "tests/runtime/session_fixture.h"

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
        /* The only reward function, of weight 1: what it gave goes with the completion. */
        assert_memory_equal(s.step->r.each, s.step->r.reward, s.step->r.n * sizeof(float));
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

/* What a step tells of groups without a gradient comes from generation, and is what a forward pass says: to the bit
 * where the policy itself has generated, nearly so where INT8 weights have. */
static void test_idle_metrics(void **state)
{
    (void)state;
    static const char *const sets[][3] = {{"top_p=0.9", NULL}, {"generation_weights=int8", NULL}};
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
                    float told = s.step->tokens[n++].old_logprob;
                    if (k == 0) assert_memory_equal(&told, &rows[row].logprob, sizeof(float));
                    if (k == 0) assert_memory_equal(&r->completion[g].entropies[j], &rows[row].entropy, sizeof(float));
                    assert_true(fabsf(told - rows[row].logprob) < 0.05f);
                    entropy += (double)rows[row].entropy;
                }
        }
        assert_true(fabs(st.loss.entropy - entropy / (double)n) < (k == 0 ? 1e-6 : 0.01));
        assert_true(k == 0 || st.sampling.tokens == 0);
        close_session(&c, &s);
    }
}

/* INT8 weights and rounded caches sample from distributions near to the policy's: the difference is told and corrected
 * for. */
static void test_near_rollouts(void **state)
{
    (void)state;
    static const char *const near[][4] = {
        {"beta=1e-30", "generation_weights=int8", NULL}, /* a gradient for every group */
        {"beta=1e-30", "kv_cache_dtype=bf16", "max_num_seqs=3", NULL},
        {"beta=1e-30", "kv_cache_dtype=int8", NULL}};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        struct cg_run_config c;
        struct cg_session s;
        struct cg_step_stats st;
        open_session(&c, &s, near[i]);
        assert_int_equal(cg_session_grpo_step(&s, 0, 1e-3, NULL, NULL, &st), CG_OK);
        assert_true(st.corrected && st.sampling.used.n == 8);
        assert_true(st.sampling.max_difference > 0 && st.sampling.max_difference < 0.05);
        assert_true(fabs(st.sampling.raw.sum / 8 - 1) < 0.1);
        close_session(&c, &s);
    }
}

/* Scales of the INT8 weights: the same for any threads and micro-batches; a checkpoint gives them back. */
static void test_int8_scales(void **state)
{
    (void)state;
    float *first = NULL;
    static const char *const sets[][4] = {{"generation_weights=int8", NULL},
                                          {"generation_weights=int8", "threads=1", NULL},
                                          {"generation_weights=int8", "threads=3", "micro_batch_tokens=32", NULL}};
    for (int k = 0; k < 3; k++) {
        struct cg_run_config c;
        struct cg_session s;
        struct cg_blob blobs[CG_BLOBS_MAX];
        open_session(&c, &s, sets[k]);
        const struct cg_net *net = &s.s8_net;
        size_t bytes = net->inputs * sizeof *net->smooth, found = 0, n = cg_session_blobs(&s, blobs);
        if (k == 0) {
            first = malloc(bytes);
            memcpy(first, net->smooth, bytes);
            assert_true(first[0] != 1.0f && first[net->inputs - 1] != 1.0f);
        }
        assert_memory_equal(net->smooth, first, bytes);
        float norm = cg_session_actor(&s)->linears[0].norm[0];
        for (size_t i = 0; i < n; i++)
            if (strcmp(blobs[i].name, "int8.smooth") == 0) found += blobs[i].count;
        assert_int_equal(found, net->inputs);
        net->smooth[0] *= 2;
        cg_session_restored(&s);
        assert_true(cg_session_actor(&s)->linears[0].norm[0] == norm / 2);
        close_session(&c, &s);
    }
    free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_correction),   cmocka_unit_test(test_dynamic),       cmocka_unit_test(test_idle_groups),
        cmocka_unit_test(test_idle_metrics), cmocka_unit_test(test_near_rollouts), cmocka_unit_test(test_int8_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

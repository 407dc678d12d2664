/* The losses of GRPO against their formulas in double, and their gradients against finite differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/rng.h"
#include "runtime/rl/loss.h"

enum { SEQUENCES = 6, TOKENS = 5, ROWS = SEQUENCES * TOKENS };

static void close_to(const char *what, double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance)) fail_msg("%s: %.12g is not %.12g", what, a, b);
}

/* A batch on which every branch of clipping is taken. */
struct world {
    struct cg_grpo_options o;
    struct cg_grpo_completion c[SEQUENCES];
    struct cg_grpo_token t[ROWS];
    struct cg_row_stats s[ROWS];
    struct cg_sampling_sums sums;
};

static float spread(uint32_t stream, uint32_t i, float width)
{
    return width * (cg_rng_uniform(5, CG_RNG_TEST, stream, i, 0) - 0.5f);
}

static void world_create(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->o = (struct cg_grpo_options){.epsilon_low = 0.2f,
                                    .epsilon_high = 0.28f,
                                    .kl_estimator = CG_KL_K3,
                                    .clip_max = 3.0f,
                                    .num_generations = 3,
                                    .micro_batch = SEQUENCES,
                                    .max_completion_length = TOKENS};
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        float shift = spread(7, i, 1.2f); /* a sequence's own, so that ratios of sequences are clipped as well */
        w->c[i] = (struct cg_grpo_completion){.advantage = spread(1, i, 4), .weight = 0.125f, .rows = TOKENS};
        for (uint32_t j = i * TOKENS; j < (i + 1) * TOKENS; j++) {
            w->s[j] = (struct cg_row_stats){.logprob = -2 + spread(2, j, 1), .entropy = 1 + spread(3, j, 1)};
            w->t[j] = (struct cg_grpo_token){.old_logprob = w->s[j].logprob + shift + spread(4, j, 0.8f),
                                             .ref_logprob = w->s[j].logprob + spread(5, j, 1),
                                             .sampling_logprob = w->s[j].logprob + spread(6, j, 1.5f),
                                             .correction = 1,
                                             .completion = i};
        }
    }
}

static double kl_of(const struct cg_grpo_options *o, double d)
{
    return o->kl_estimator == CG_KL_K1 ? -d : o->kl_estimator == CG_KL_K2 ? d * d / 2 : exp(d) - d - 1;
}

/* The ratio of row j at the log-probabilities lp. */
static double ratio_of(const struct world *w, const double *lp, size_t j)
{
    if (w->o.ratio_level == CG_RATIO_TOKEN) return exp(lp[j] - (double)w->t[j].old_logprob);
    double sum = 0;
    size_t first = j / TOKENS * TOKENS;
    for (size_t i = first; i < first + TOKENS; i++) sum += lp[i] - (double)w->t[i].old_logprob;
    return exp(sum / TOKENS);
}

/* The loss in double, as TRL's source states it. Ratios of cispo are constants: those at the point `at`. */
static double formula(const struct world *w, const double *lp, const double *at)
{
    const struct cg_grpo_options *o = &w->o;
    double sum = 0, low = 1 - (double)o->epsilon_low, high = 1 + (double)o->epsilon_high;
    for (size_t j = 0; j < ROWS; j++) {
        double r = ratio_of(w, lp, j), a = (double)w->c[j / TOKENS].advantage, loss;
        double bounded = o->delta > 0 ? fmin(r, (double)o->delta) : r;
        if (o->loss_type == CG_LOSS_CISPO) loss = -fmin(ratio_of(w, at, j), (double)o->epsilon_high) * a * lp[j];
        else loss = -fmin(bounded * a, fmin(fmax(r, low), high) * a);
        loss *= (double)w->t[j].correction;
        double kl = kl_of(o, (double)w->t[j].ref_logprob - lp[j]);
        if (o->use_bias_correction_kl) kl *= r;
        sum += (double)w->c[j / TOKENS].weight * (loss + (double)o->beta * kl);
    }
    return sum;
}

/* A ratio this near to a bound has no derivative that a finite difference would find. */
static int near_kink(const struct world *w, const double *lp, size_t j)
{
    const float at[] = {1 - w->o.epsilon_low, 1 + w->o.epsilon_high, w->o.delta};
    double r = ratio_of(w, lp, j);
    for (size_t i = 0; i < 3; i++)
        if (fabs(r - (double)at[i]) < 1e-3) return 1;
    return 0;
}

static void check(struct world *w, const char *what)
{
    struct cg_grpo_loss l = {.o = &w->o, .completions = w->c, .tokens = w->t, .sampling = &w->sums};
    struct cg_logits_coef coef[ROWS];
    struct cg_loss_stats st;
    double lp[ROWS], x[ROWS], h = 1e-5;
    for (size_t j = 0; j < ROWS; j++) lp[j] = x[j] = (double)w->s[j].logprob;
    for (size_t i = 0; i < SEQUENCES; i++) w->c[i].loss = w->c[i].kl = w->c[i].entropy = 0;
    cg_grpo_loss(&l, 0, ROWS, w->s, coef);
    cg_grpo_loss_stats(&w->o, SEQUENCES, w->c, &st);
    close_to(what, st.loss, formula(w, lp, lp), 1e-6);
    for (size_t j = 0; j < ROWS; j++) {
        if (near_kink(w, lp, j)) continue;
        x[j] = lp[j] + h;
        double up = formula(w, x, lp);
        x[j] = lp[j] - h;
        double down = formula(w, x, lp);
        x[j] = lp[j];
        assert_true(coef[j].entropy == 0.0f);
        close_to(what, (double)coef[j].logprob, (up - down) / (2 * h), 2e-6);
    }
}

static void test_all_losses(void **state)
{
    (void)state;
    struct world w;
    world_create(&w);
    for (int i = 0; i < 2 * 2 * 3 * 7 * 2; i++) {
        int kl = i / 12 % 7;
        w.o.loss_type = i % 2 ? CG_LOSS_CISPO : CG_LOSS_DAPO;
        w.o.ratio_level = i / 2 % 2 ? CG_RATIO_SEQUENCE : CG_RATIO_TOKEN;
        w.o.delta = (const float[]){0, 1.5f, 1.1f}[i / 4 % 3];
        w.o.beta = kl ? 0.3f : 0.0f;
        w.o.kl_estimator = kl ? (enum cg_kl_estimator)((kl - 1) % 3) : CG_KL_K3;
        w.o.use_bias_correction_kl = kl > 3;
        for (uint32_t j = 0; j < ROWS; j++) w.t[j].correction = i / 84 ? 1 + spread(9, j, 1) : 1;
        char what[128];
        snprintf(what, sizeof what, "loss %d, level %d, delta %g, kl %d, corrected %d", i % 2, i / 2 % 2,
                 (double)w.o.delta, kl, i / 84);
        check(&w, what);
    }
}

/* In the first iteration the ratio is exactly 1 and the old log-probabilities are those of this pass; in pieces as at
 * once. */
static void test_first_iteration(void **state)
{
    (void)state;
    for (int level = 0; level < 2; level++) {
        struct world w, v;
        world_create(&w);
        world_create(&v);
        w.o.ratio_level = v.o.ratio_level = level ? CG_RATIO_SEQUENCE : CG_RATIO_TOKEN;
        struct cg_grpo_loss l = {
            .o = &w.o, .completions = w.c, .tokens = w.t, .first_iteration = 1, .sampling = &w.sums};
        struct cg_grpo_loss k = {
            .o = &v.o, .completions = v.c, .tokens = v.t, .first_iteration = 1, .sampling = &v.sums};
        struct cg_logits_coef a[ROWS], b[ROWS];
        assert_false(cg_grpo_loss_whole(&l));
        cg_grpo_loss(&l, 0, ROWS, w.s, a);
        for (size_t first = 0; first < ROWS; first += 7) {
            size_t n = ROWS - first < 7 ? ROWS - first : 7;
            cg_grpo_loss(&k, first, n, v.s + first, b + first);
        }
        assert_memory_equal(a, b, sizeof a);
        assert_memory_equal(w.c, v.c, sizeof w.c);
        for (size_t j = 0; j < ROWS; j++) {
            assert_true(w.t[j].old_logprob == w.s[j].logprob);
            assert_true(a[j].logprob == -w.c[j / TOKENS].advantage * 0.125f);
        }
        for (size_t i = 0; i < SEQUENCES; i++) assert_int_equal(w.c[i].low_clipped + w.c[i].high_clipped, 0);
    }
}

static void test_correction(void **state)
{
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        struct world w;
        world_create(&w);
        w.o.correction_mode = (enum cg_correction_mode)mode;
        w.o.clip_min = 0.8f;
        w.o.clip_max = 1.25f;
        int sequence = mode >= CG_SEQUENCE_TRUNCATE, mask = mode == CG_TOKEN_MASK || mode == CG_SEQUENCE_MASK;
        double sum = 0, squares = 0, kl = 0, difference = 0, n = sequence ? SEQUENCES : ROWS;
        int outside = 0;
        for (size_t i = 0; i < SEQUENCES; i++) {
            struct cg_grpo_token *t = w.t + i * TOKENS;
            cg_grpo_correct(&w.o, 1, TOKENS, t, &w.sums);
            double all = 0;
            for (size_t j = 0; j < TOKENS; j++) {
                double d = (double)t[j].old_logprob - (double)t[j].sampling_logprob;
                all += d;
                kl -= d / ROWS;
                difference += fabs(d) / ROWS;
            }
            for (size_t j = 0; j < TOKENS; j++) {
                double d = (double)t[j].old_logprob - (double)t[j].sampling_logprob;
                double raw = exp(sequence ? all : d), want = fmin(fmax(raw, 0.8), 1.25);
                if (mask && want != raw) want = 0;
                outside += want != raw;
                close_to("correction", (double)t[j].correction, want, 1e-5);
                if (sequence && j) continue;
                sum += want;
                squares += want * want;
            }
        }
        assert_true(outside > 0);
        close_to("mean", w.sums.used.sum / (double)w.sums.used.n, sum / n, 1e-5);
        close_to("ess", cg_effective_sample_size(&w.sums.used), sum * sum / (n * squares), 1e-5);
        close_to("kl", w.sums.kl / (double)w.sums.tokens, kl, 1e-5);
        close_to("difference", w.sums.difference / (double)w.sums.tokens, difference, 1e-5);
        assert_true(w.sums.raw.max > w.sums.used.max);
    }
}

static void test_metrics(void **state)
{
    (void)state;
    struct cg_grpo_options o = {.micro_batch = 2, .epsilon_low = 0.2f, .epsilon_high = 0.2f};
    struct cg_grpo_completion c[5] = {
        {.rows = 4, .low_clipped = 1, .kl = 4, .entropy = 8},
        {.rows = 2, .high_clipped = 1, .kl = 1, .entropy = 1},
        {.rows = 0},
        {.rows = 3, .low_clipped = 3, .kl = 3, .entropy = 3},
        {.rows = 0},
    };
    struct cg_loss_stats s;
    cg_grpo_loss_stats(&o, 5, c, &s);
    close_to("kl", s.kl, (5.0 / 6 + 1 + 0) / 3, 1e-12);
    close_to("entropy", s.entropy, (9.0 / 6 + 1 + 0) / 3, 1e-12);
    close_to("low_mean", s.low_mean, (1.0 / 6 + 1 + 0) / 3, 1e-12);
    close_to("high_mean", s.high_mean, (1.0 / 6) / 3, 1e-12);
    close_to("low_min", s.low_min, (0 + 1.0) / 2, 1e-12);
    close_to("high_max", s.high_max, (0.5 + 0) / 2, 1e-12);
    o.ratio_level = CG_RATIO_SEQUENCE; /* a completion without tokens counts, as not clipped */
    c[0].low_clipped = 4;
    cg_grpo_loss_stats(&o, 5, c, &s);
    close_to("low_mean", s.low_mean, (0.5 + 0.5 + 0) / 3, 1e-12);
    close_to("low_min", s.low_min, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_losses),
        cmocka_unit_test(test_first_iteration),
        cmocka_unit_test(test_correction),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

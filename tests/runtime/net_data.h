/* Groups of random prompts and completions, and their gradient under a loss that depends on the row alone. Include
 * after <cmocka.h>. */
#ifndef CG_TESTS_RUNTIME_NET_DATA_H
#define CG_TESTS_RUNTIME_NET_DATA_H

#include "tests/runtime/net_fixture.h"

enum { GROUPS = 3, GEN = 4, PROMPT = 21, LEN = 17 };

struct data {
    int32_t prompt[GROUPS][PROMPT], completion[GROUPS][GEN][LEN];
    size_t len[GROUPS][GEN];
};

static inline void make_data(struct data *d)
{
    for (size_t g = 0; g < GROUPS; g++) {
        random_tokens((uint32_t)g, d->prompt[g], PROMPT);
        for (size_t i = 0; i < GEN; i++) {
            random_tokens((uint32_t)(100 + g * GEN + i), d->completion[g][i], LEN);
            d->len[g][i] = 1 + (g * 5 + i * 7) % LEN;
        }
    }
}

static inline void add_group(struct cg_batch *b, const struct data *d, size_t g)
{
    const int32_t *ids[GEN];
    for (size_t i = 0; i < GEN; i++) ids[i] = d->completion[g][i];
    assert_int_equal(cg_batch_group(b, d->prompt[g], PROMPT, GEN, ids, d->len[g]), CG_OK);
}

static inline size_t rows_of(const struct data *d, size_t groups)
{
    size_t n = 0;
    for (size_t g = 0; g < groups; g++)
        for (size_t i = 0; i < GEN; i++) n += d->len[g][i];
    return n;
}

/* d loss / d logprob and d entropy depend on the row alone. */
struct coefs {
    size_t offset;
};

static inline struct cg_logits_coef coef_of(size_t row)
{
    float entropy = row % 3 ? 0.2f * (float)(row % 5) : 0.0f; /* some rows without */
    return (struct cg_logits_coef){0.25f * (float)((int)(row % 7) - 3) + 0.1f, entropy};
}

static inline void loss(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats,
                        struct cg_logits_coef *coef)
{
    (void)stats;
    for (size_t i = 0; i < n; i++) coef[i] = coef_of(((struct coefs *)ctx)->offset + first + i);
}

/* Gradient of all groups, `per` groups a micro-batch, into grad (cg_free). */
static inline float *gradient(struct net_fixture *f, const struct data *d, size_t per, enum cg_recompute recompute,
                              struct cg_row_stats *stats)
{
    struct cg_trainer_options o = {.max_tokens = 400, .max_rows = 400, .with_grad = 1, .recompute = recompute};
    struct cg_trainer *t;
    struct cg_batch b = {0};
    size_t row = 0;
    assert_int_equal(cg_trainer_open(&f->net, &o, &t), CG_OK);
    cg_trainer_zero_grad(t);
    for (size_t g = 0; g < GROUPS; g += per) {
        cg_batch_clear(&b);
        for (size_t i = g; i < g + per && i < GROUPS; i++) add_group(&b, d, i);
        struct coefs c = {row};
        assert_int_equal(cg_trainer_backward(t, &b, 0.8f, loss, &c, stats + row), CG_OK);
        row += b.n_rows;
    }
    assert_int_equal(cg_trainer_finish(t), CG_OK);
    float *grad = cg_alloc_n(f->net.params->n, sizeof *grad);
    memcpy(grad, cg_trainer_grad(t), f->net.params->n * sizeof *grad);
    cg_trainer_free(t);
    cg_batch_free(&b);
    return grad;
}

/* The loss whose gradient that is, with the weights as they are. */
static inline double objective(struct net_fixture *f, const struct cg_batch *b)
{
    struct cg_trainer *t;
    struct cg_row_stats stats[GROUPS * GEN * LEN];
    double sum = 0;
    cg_net_outdated(&f->net);
    cg_net_refresh(&f->net);
    assert_int_equal(cg_trainer_create(&f->net, 400, 400, 0, &t), CG_OK);
    assert_int_equal(cg_trainer_forward(t, b, 0.8f, stats), CG_OK);
    for (size_t i = 0; i < b->n_rows; i++)
        sum += (double)coef_of(i).logprob * (double)stats[i].logprob +
               (double)coef_of(i).entropy * (double)stats[i].entropy;
    cg_trainer_free(t);
    return sum;
}

#endif

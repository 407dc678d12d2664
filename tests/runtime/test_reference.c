/* Forward and backward against transformers and PyTorch: logits, log-probabilities and every parameter's gradient, as
 * recorded in tests/goldens by scripts/make-goldens. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/nn/train.h"
#include "tests/runtime/golden.h"

struct subject {
    struct cg_machine machine;
    struct cg_plans *plans;
    struct cg_model model;
    struct cg_net net;
    struct cg_trainer *trainer;
    struct cg_st *reference;
};

static void subject_open(struct subject *s, const char *name)
{
    char path[512], reference[128];
    memset(s, 0, sizeof *s);
    setenv("CPU_GRPO_CACHE", "/nonexistent", 1);
    assert_int_equal(cg_machine_detect(&s->machine), CG_OK);
    assert_int_equal(cg_plans_open(&s->machine, 2, &s->plans), CG_OK);
    if (cg_model_load(golden_path(name, path), 0, &s->model) != CG_OK) fail_msg("%s", cg_error());
    assert_int_equal(cg_net_create(&s->model, s->plans, s->model.cfg.max_position_embeddings, &s->net), CG_OK);
    assert_int_equal(cg_trainer_create(&s->net, 512, 512, 1, &s->trainer), CG_OK);
    snprintf(reference, sizeof reference, "%s/reference.safetensors", name);
    s->reference = golden_open(reference);
}

static void subject_close(struct subject *s)
{
    cg_st_close(s->reference);
    cg_trainer_free(s->trainer);
    cg_net_free(&s->net);
    cg_model_free(&s->model);
    cg_plans_close(s->plans);
}

/* Tensor "WHAT_i" of the reference, NULL behind the last sequence. */
static float *numbered(const struct subject *s, const char *what, size_t i, size_t *n)
{
    char name[32];
    snprintf(name, sizeof name, "%s_%zu", what, i);
    return cg_st_find(s->reference, name) ? golden_f32(s->reference, name, n) : NULL;
}

static int32_t *ids_of(const struct subject *s, size_t i, size_t *n)
{
    char name[32];
    snprintf(name, sizeof name, "ids_%zu", i);
    return cg_st_find(s->reference, name) ? golden_i32(s->reference, name, n) : NULL;
}

static void near(const char *what, const float *got, const float *want, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance))
            fail_msg("%s[%zu]: %.9g, reference %.9g", what, i, (double)got[i], (double)want[i]);
}

static void check_forward(struct subject *s)
{
    size_t n = 0, m = 0, sequences = 0;
    for (int32_t *ids; (ids = ids_of(s, sequences, &n)); sequences++) {
        struct cg_batch b = {0};
        struct cg_row_stats stats[64];
        assert_true(n <= 64);
        assert_int_equal(cg_batch_segment(&b, ids, n, CG_NO_PARENT, NULL), CG_OK);
        for (size_t i = 1; i < n; i++) assert_int_equal(cg_batch_row(&b, i - 1, ids[i]), CG_OK);
        float *want = numbered(s, "logits", sequences, &m), *logits = calloc(m, sizeof *logits);
        assert_int_equal(m, n * s->model.cfg.vocab_size);
        assert_int_equal(cg_trainer_logits(s->trainer, &b, logits), CG_OK);
        near("logits", logits, want, m, 2e-4);
        free(want);
        free(logits);
        want = numbered(s, "logprobs", sequences, &m);
        assert_int_equal(m, n - 1);
        assert_int_equal(cg_trainer_forward(s->trainer, &b, 1.0f, stats), CG_OK);
        for (size_t i = 0; i < m; i++) near("logprobs", &stats[i].logprob, &want[i], 1, 1e-5);
        free(want);
        free(ids);
        cg_batch_free(&b);
    }
    assert_true(sequences > 0);
}

static void recorded_coefs(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats,
                           struct cg_logits_coef *coef)
{
    (void)stats;
    for (size_t i = 0; i < n; i++) coef[i] = (struct cg_logits_coef){.logprob = ((const float *)ctx)[first + i]};
}

/* Relative error of a whole tensor's gradient, |got - want| / |want|. */
static double relative(const float *got, const float *want, size_t n)
{
    double d = 0, w = 0;
    for (size_t i = 0; i < n; i++) {
        d += pow((double)got[i] - (double)want[i], 2);
        w += pow((double)want[i], 2);
    }
    return sqrt(d) / (sqrt(w) + 1e-12);
}

static void check_backward(struct subject *s)
{
    struct cg_batch b = {0};
    struct cg_row_stats stats[512];
    float coefs[512];
    size_t n = 0, m = 0, rows = 0;
    double loss = 0;
    int32_t *ids;
    for (size_t i = 0; (ids = ids_of(s, i, &n)); i++) {
        size_t start = b.n_tokens;
        assert_int_equal(cg_batch_segment(&b, ids, n, CG_NO_PARENT, NULL), CG_OK);
        for (size_t j = 1; j < n; j++) assert_int_equal(cg_batch_row(&b, start + j - 1, ids[j]), CG_OK);
        float *c = numbered(s, "coef", i, &m);
        memcpy(coefs + rows, c, m * sizeof *c);
        rows += m;
        free(c);
        free(ids);
    }
    cg_trainer_zero_grad(s->trainer);
    assert_int_equal(cg_trainer_backward(s->trainer, &b, 1.0f, recorded_coefs, coefs, stats), CG_OK);
    assert_int_equal(cg_trainer_finish(s->trainer), CG_OK);
    for (size_t i = 0; i < rows; i++) loss += (double)coefs[i] * (double)stats[i].logprob;
    float *want = golden_f32(s->reference, "loss", &m);
    assert_true(fabs(loss - (double)want[0]) <= 1e-4 * (1 + fabs((double)want[0])));
    free(want);
    for (size_t k = 0; k < cg_model_tensor_count(&s->model); k++) {
        struct cg_tensor_ref r = cg_model_tensor(&s->model, k);
        char name[128];
        snprintf(name, sizeof name, "grad.%s", r.name);
        want = golden_f32(s->reference, name, &m);
        double e = relative(cg_trainer_grad(s->trainer) + r.offset, want, m);
        if (!(e <= 1e-3)) fail_msg("%s: relative error %.3g", name, e);
        free(want);
    }
    cg_batch_free(&b);
}

static const char *const models[] = {"llama-odd",      "llama-odd-tied", "qwen2-odd",
                                     "qwen2-odd-tied", "qwen3-odd",      "qwen3-odd-tied"};

static void test_forward(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct subject s;
        subject_open(&s, models[i]);
        check_forward(&s);
        subject_close(&s);
    }
}

static void test_backward(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct subject s;
        subject_open(&s, models[i]);
        check_backward(&s);
        subject_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forward), cmocka_unit_test(test_backward)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

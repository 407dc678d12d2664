/* usage: model_answers MODEL OUT_DIR ID... : writes the logits after each id (OUT_DIR/logits.f32, raw) and, as a
 * Hugging Face folder OUT_DIR/grad, the gradient of the sum of the log-probabilities of ID[1..] by every parameter.
 * scripts/compare-model reads both. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/nn/train.h"

static void ones(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats, struct cg_logits_coef *coef)
{
    (void)ctx;
    (void)first;
    (void)stats;
    for (size_t i = 0; i < n; i++) coef[i] = (struct cg_logits_coef){.logprob = 1.0f};
}

static enum cg_status write_logits(struct cg_trainer *t, const struct cg_batch *b, size_t vocab, const char *dir)
{
    char *path = cg_path_join(dir, "logits.f32");
    float *logits = cg_alloc_n(b->n_tokens * vocab, sizeof *logits);
    if (!path || !logits) return cg_fail(CG_ERR_MEMORY, "out of memory");
    CG_TRY(cg_trainer_logits(t, b, logits));
    struct cg_out out;
    CG_TRY(cg_out_open(path, &out));
    fwrite(logits, sizeof *logits, b->n_tokens * vocab, out.f);
    free(path);
    cg_free(logits);
    return cg_out_commit(&out);
}

static enum cg_status answer(const char *name, const char *dir, const int32_t *ids, size_t n)
{
    struct cg_machine machine;
    struct cg_plans *plans;
    struct cg_model model;
    struct cg_net net;
    struct cg_trainer *t;
    struct cg_batch b = {0};
    CG_TRY(cg_machine_detect(&machine));
    CG_TRY(cg_plans_open(&machine, 0, &plans));
    CG_TRY(cg_model_load(name, 0, &model));
    CG_TRY(cg_net_create(&model, plans, n, &net));
    CG_TRY(cg_trainer_create(&net, n, n, 1, &t));
    CG_TRY(cg_batch_segment(&b, ids, n, CG_NO_PARENT, NULL));
    for (size_t i = 1; i < n; i++) CG_TRY(cg_batch_row(&b, i - 1, ids[i]));
    CG_TRY(cg_mkdirs(dir));
    CG_TRY(write_logits(t, &b, model.cfg.vocab_size, dir));
    struct cg_row_stats *stats = calloc(n, sizeof *stats);
    char *grad = cg_path_join(dir, "grad");
    if (!stats || !grad) return cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_trainer_zero_grad(t);
    CG_TRY(cg_trainer_backward(t, &b, 1.0f, ones, NULL, stats));
    CG_TRY(cg_trainer_finish(t));
    memcpy(model.w, cg_trainer_grad(t), model.n_params * sizeof *model.w);
    CG_TRY(cg_mkdirs(grad));
    enum cg_status s = cg_model_save(&model, grad);
    free(stats);
    free(grad);
    cg_trainer_free(t);
    cg_batch_free(&b);
    cg_net_free(&net);
    cg_model_free(&model);
    cg_plans_close(plans);
    return s;
}

int main(int argc, char **argv)
{
    int32_t ids[4096];
    size_t n = argc > 3 ? (size_t)argc - 3 : 0;
    if (n < 2 || n > 4096) {
        fputs("usage: model_answers MODEL OUT_DIR ID ID...\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)strtol(argv[3 + i], NULL, 10);
    enum cg_status s = answer(argv[1], argv[2], ids, n);
    if (s != CG_OK) fprintf(stderr, "model_answers: %s\n", cg_error());
    return cg_exit_code(s);
}

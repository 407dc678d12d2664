/* The fixed batch of scripts/compare-trl and what ours makes of its cases. */
#ifndef CG_TESTS_RUNTIME_TRL_CASES_H
#define CG_TESTS_RUNTIME_TRL_CASES_H

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/config/config.h"
#include "runtime/nn/train.h"
#include "runtime/optim/adamw.h"
#include "runtime/rl/loss.h"

enum { TRL_COMPLETIONS = 64, TRL_LENGTH = 64, TRL_ROWS = 1024 };

struct trl_world {
    json_t *file;
    struct cg_machine machine;
    struct cg_plans *plans;
    struct cg_model model;
    struct cg_net net;
    struct cg_trainer *trainer;
    struct cg_batch batch;
    size_t n, generations, len[TRL_COMPLETIONS];
    int32_t ids[TRL_COMPLETIONS][TRL_LENGTH];
    int truncated[TRL_COMPLETIONS];
    float reward[TRL_COMPLETIONS], temperature;
    struct cg_grpo_completion completions[TRL_COMPLETIONS];
    struct cg_grpo_token tokens[TRL_ROWS];
    struct cg_sampling_sums sampling;
};

static inline double trl_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static inline size_t trl_ids(const json_t *list, int32_t *out)
{
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < TRL_LENGTH; i++) out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n < TRL_LENGTH ? n : TRL_LENGTH;
}

/* builtin:tiny with four times its usual weights, so that its distributions are far from uniform. */
static inline enum cg_status trl_model(struct cg_model *m)
{
    CG_TRY(cg_model_load("builtin:tiny", 1, m));
    for (size_t i = 0; i < cg_model_tensor_count(m); i++) {
        struct cg_tensor_ref t = cg_model_tensor(m, i);
        for (size_t j = 0; j < t.rows * t.cols; j++) m->w[t.offset + j] *= 4;
    }
    return CG_OK;
}

static inline enum cg_status trl_open(const char *path, struct trl_world *w)
{
    memset(w, 0, sizeof *w);
    json_error_t error;
    w->file = json_load_file(path, 0, &error);
    if (!w->file) return cg_fail(CG_ERR_IO, "%s: %s", path, error.text);
    w->generations = (size_t)trl_number(w->file, "num_generations");
    w->temperature = (float)trl_number(w->file, "temperature");
    const json_t *completions = json_object_get(w->file, "completions");
    w->n = json_array_size(completions);
    if (w->n > TRL_COMPLETIONS || w->generations == 0) return cg_fail(CG_ERR_USER, "%s: not a batch", path);
    for (size_t i = 0; i < w->n; i++) {
        w->len[i] = trl_ids(json_array_get(completions, i), w->ids[i]);
        w->truncated[i] = w->ids[i][w->len[i] - 1] != (int32_t)trl_number(w->file, "eos");
        w->reward[i] = (float)json_number_value(json_array_get(json_object_get(w->file, "rewards"), i));
    }
    CG_TRY(cg_machine_detect(&w->machine));
    CG_TRY(cg_plans_open(&w->machine, 1, &w->plans));
    CG_TRY(trl_model(&w->model));
    CG_TRY(cg_net_create(&w->model, w->plans, w->model.cfg.max_position_embeddings, &w->net));
    return cg_trainer_create(&w->net, TRL_ROWS, TRL_ROWS, 1, &w->trainer);
}

static inline void trl_close(struct trl_world *w)
{
    cg_trainer_free(w->trainer);
    cg_batch_free(&w->batch);
    cg_net_free(&w->net);
    cg_model_free(&w->model);
    cg_plans_close(w->plans);
    json_decref(w->file);
}

/* The options of a case, as a run file would set them. */
static inline enum cg_status trl_options(const struct trl_world *w, const json_t *options, struct cg_grpo_options *o)
{
    struct cg_run_config c;
    const char *key;
    json_t *value;
    CG_TRY(cg_config_defaults(&c));
    enum cg_status s = CG_OK;
    json_object_foreach((json_t *)options, key, value)
    {
        char set[128];
        if (json_is_string(value)) snprintf(set, sizeof set, "%s=%s", key, json_string_value(value));
        else if (json_is_boolean(value))
            snprintf(set, sizeof set, "%s=%s", key, json_is_true(value) ? "true" : "false");
        else snprintf(set, sizeof set, "%s=%.9g", key, json_number_value(value));
        if (s == CG_OK) s = cg_config_set(&c, set);
    }
    if (s == CG_OK) s = cg_grpo_options_set(&c, o);
    cg_config_free(&c);
    o->num_generations = w->generations;
    o->max_completion_length = (size_t)trl_number(w->file, "max_completion_length");
    o->micro_batch = (size_t)trl_number(w->file, "per_device_train_batch_size");
    return s;
}

static inline float trl_logprob(const struct trl_world *w, const char *key, size_t i, size_t j)
{
    return (float)json_number_value(json_array_get(json_array_get(json_object_get(w->file, key), i), j));
}

/* The batch of a case: its tokens that count, in order. */
static inline enum cg_status trl_batch(struct trl_world *w, const struct cg_grpo_options *o)
{
    float advantage[TRL_COMPLETIONS], weight[TRL_COMPLETIONS];
    size_t rows[TRL_COMPLETIONS], row = 0;
    struct cg_reward_stats rewards;
    cg_grpo_advantages(o, w->n, w->reward, advantage, &rewards);
    cg_grpo_weights(o, w->n, w->len, w->truncated, weight);
    cg_batch_clear(&w->batch);
    w->sampling = (struct cg_sampling_sums){0};
    for (size_t i = 0; i < w->n; i++) {
        rows[i] = o->mask_truncated_completions && w->truncated[i] ? 0 : w->len[i];
        w->completions[i] =
            (struct cg_grpo_completion){.advantage = advantage[i], .weight = weight[i], .rows = rows[i]};
        for (size_t j = 0; j < rows[i]; j++, row++)
            w->tokens[row] = (struct cg_grpo_token){.sampling_logprob = trl_logprob(w, "sampling", i, j),
                                                    .ref_logprob = trl_logprob(w, "ref", i, j),
                                                    .completion = (uint32_t)i};
    }
    for (size_t i = 0; i < w->n; i += w->generations) {
        int32_t prompt[TRL_LENGTH];
        const int32_t *ids[TRL_COMPLETIONS];
        size_t len = trl_ids(json_array_get(json_object_get(w->file, "prompts"), i / w->generations), prompt);
        for (size_t j = 0; j < w->generations; j++) ids[j] = w->ids[i + j];
        CG_TRY(cg_batch_group(&w->batch, prompt, len, w->generations, ids, rows + i));
    }
    return CG_OK;
}

/* The sum of the completions' losses without their signs: what a loss is measured by. The loss itself may be anything
 * near 0, since the advantages of a group cancel. */
static inline double trl_scale(const struct trl_world *w)
{
    double sum = 0;
    for (size_t i = 0; i < w->n; i++) sum += fabs(w->completions[i].loss);
    return sum;
}

/* Loss, metrics and (in the trainer) gradient of a case. */
static inline enum cg_status trl_run(struct trl_world *w, const json_t *test, struct cg_loss_stats *out, double *norm)
{
    struct cg_grpo_options o;
    struct cg_row_stats stats[TRL_ROWS];
    struct cg_logits_coef coef[TRL_ROWS];
    CG_TRY(trl_options(w, json_object_get(test, "options"), &o));
    CG_TRY(trl_batch(w, &o));
    struct cg_grpo_loss loss = {.o = &o,
                                .completions = w->completions,
                                .tokens = w->tokens,
                                .first_iteration = 1,
                                .corrected = o.correct_sampling,
                                .sampling = &w->sampling};
    if (json_is_true(json_object_get(test, "old"))) {
        struct cg_grpo_completion fresh[TRL_COMPLETIONS];
        memcpy(fresh, w->completions, sizeof fresh);
        CG_TRY(cg_trainer_forward(w->trainer, &w->batch, w->temperature, stats));
        cg_grpo_loss(&loss, 0, w->batch.n_rows, stats, coef); /* the first iteration: makes the corrections */
        memcpy(w->completions, fresh, sizeof fresh);
        loss.first_iteration = 0;
        for (size_t i = 0, row = 0; i < w->n; i++)
            for (size_t j = 0; j < w->completions[i].rows; j++)
                w->tokens[row++].old_logprob = trl_logprob(w, "old", i, j);
    }
    cg_trainer_zero_grad(w->trainer);
    CG_TRY((cg_grpo_loss_whole(&loss) ? cg_trainer_backward_whole : cg_trainer_backward)(
        w->trainer, &w->batch, w->temperature, cg_grpo_loss, &loss, stats));
    CG_TRY(cg_trainer_finish(w->trainer));
    cg_grpo_loss_stats(&o, w->n, w->completions, out);
    *norm = cg_grad_norm(w->net.rows, cg_trainer_grad(w->trainer), w->model.n_params, 1);
    return CG_OK;
}

#endif

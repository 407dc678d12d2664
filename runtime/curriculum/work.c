#include "runtime/curriculum/work.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "runtime/optim/schedule.h"

#define SKIPPED_MAX 3 /* steps in a row without a finite gradient after which a run ends */

double cg_work_seconds(const struct cg_work *w)
{
    return w->seconds_before + cg_now() - w->start;
}

enum cg_status cg_work_evaluate(struct cg_work *w, double *out, enum cg_answers which, double *mean)
{
    struct cg_run_state *st = &w->state;
    *mean = 0;
    for (size_t j = 0; j < st->stages; j++) {
        char *text[CG_EXAMPLES] = {0};
        CG_TRY(cg_session_evaluate(&w->s, j, &out[j], text, which != CG_ANSWERS_NONE ? CG_EXAMPLES : 0));
        for (size_t e = 0; e < CG_EXAMPLES && text[e]; e++) {
            struct cg_example *x = &st->examples[j * CG_EXAMPLES + e];
            char **to = which == CG_ANSWERS_BEFORE ? &x->before : &x->after;
            free(*to);
            *to = text[e];
        }
        *mean += out[j] / (double)st->stages;
    }
    return CG_OK;
}

/* Counts a step that was made; three in a row without a finite loss and gradient end the run. */
static enum cg_status count_step(struct cg_work *w, const struct cg_update *u)
{
    struct cg_run_state *st = &w->state;
    char last[512];
    st->step++;
    st->steps++;
    if (!u->skipped) {
        st->skipped_in_row = 0;
        return CG_OK;
    }
    st->skipped++;
    st->skipped_in_row++;
    if (st->skipped_in_row < SKIPPED_MAX) {
        cg_warn("step %zu was skipped: its loss or gradient is not finite", st->steps);
        return CG_OK;
    }
    return cg_fail(CG_ERR_CHECK, "the loss or gradient of %d steps in a row is not finite; lower the learning rate%s",
                   SKIPPED_MAX, cg_work_last_good(w, last, sizeof last));
}

static void count_time(struct cg_work *w, int kind, double start)
{
    w->spent[kind] += cg_now() - start;
    w->made[kind]++;
}

static enum cg_status sft_step(struct cg_work *w)
{
    const struct cg_run_config *c = w->s.cfg;
    struct cg_run_state *st = &w->state;
    size_t steps = cg_stage_sft_steps(c, st->stage), n = (size_t)c->sft_batch_size;
    struct cg_schedule schedule = {.type = c->sft_lr_scheduler_type, .lr = c->sft_learning_rate, .total = steps};
    double loss, lr = cg_schedule_at(&schedule, st->step);
    struct cg_update u;
    double start = cg_now();
    CG_TRY(cg_session_sft_step(&w->s, st->stage, (uint64_t)st->step * n, n, lr, &loss, &u));
    enum cg_status s = count_step(w, &u);
    cg_report_sft(&w->report, st, loss, lr);
    count_time(w, 0, start);
    cg_work_show_sft(w, loss);
    return s;
}

static double learning_rate(const struct cg_run_config *c, size_t step, size_t steps)
{
    struct cg_schedule s = {.type = c->lr_scheduler_type,
                            .lr = c->learning_rate,
                            .min_lr = c->min_lr,
                            .power = c->lr_power,
                            .cycles = (size_t)c->lr_num_cycles,
                            .total = steps,
                            .warmup = cg_schedule_warmup((size_t)c->warmup_steps, c->warmup_ratio, steps)};
    return cg_schedule_at(&s, step);
}

static enum cg_status grpo_step(struct cg_work *w)
{
    const struct cg_run_config *c = w->s.cfg;
    struct cg_run_state *st = &w->state;
    struct cg_step_stats x;
    size_t steps = cg_stage_grpo_steps(c, st->stage);
    double start = cg_now(), lr = learning_rate(c, st->step, steps);
    w->report.step = st->grpo_steps + 1;
    CG_TRY(cg_session_grpo_step(&w->s, st->stage, lr, cg_report_completion, &w->report, &x));
    enum cg_status s = count_step(w, &x.update);
    st->grpo_steps++;
    st->tokens += x.tokens;
    st->times[st->n_times++] = x.seconds;
    cg_report_step(&w->report, &w->s, st, &x);
    count_time(w, 1, start);
    cg_work_show_step(w, &x);
    return s;
}

/* Accuracy of the stage in work; *better: it never was as good in this stage. */
static enum cg_status evaluate_stage(struct cg_work *w, int *better)
{
    struct cg_run_state *st = &w->state;
    double accuracy;
    CG_TRY(cg_session_evaluate(&w->s, st->stage, &accuracy, NULL, 0));
    st->evaluated = st->steps;
    if (w->s.data.stages[st->stage].eval.n == 0) return CG_OK;
    st->accuracy = accuracy;
    cg_report_eval(&w->report, st);
    cg_info("%s: held-out accuracy %.1f%% after %zu steps", w->s.data.stages[st->stage].name, 100 * st->accuracy,
            st->step);
    *better = st->accuracy > st->best_accuracy;
    if (!*better) return CG_OK;
    st->best_accuracy = st->accuracy;
    st->best_step = st->steps;
    return CG_OK;
}

static enum cg_status end_stage(struct cg_work *w)
{
    struct cg_run_state *st = &w->state;
    double *row = st->R + st->stage * st->stages, mean;
    int last = st->stage + 1 == st->stages, taken = 0;
    CG_TRY(cg_work_evaluate(w, row, last ? CG_ANSWERS_AFTER : CG_ANSWERS_NONE, &mean));
    if (last && w->s.cfg->load_best_model_at_end) CG_TRY(cg_work_take_best(w, &taken));
    if (taken) CG_TRY(cg_work_evaluate(w, row, CG_ANSWERS_AFTER, &mean));
    st->stages_done = st->stage + 1;
    st->after = mean;
    if (!isnan(mean))
        cg_info("stage %zu of %zu (%s): held-out accuracy %.1f%% on its own problems, %.1f%% over all stages",
                st->stages_done, st->stages, w->s.data.stages[st->stage].name, 100 * row[st->stage], 100 * mean);
    if (!last && w->s.cfg->ewc_lambda > 0) CG_TRY(cg_session_consolidate(&w->s, st->stage));
    return CG_OK;
}

static void next_phase(struct cg_run_state *st)
{
    st->step = 0;
    if (st->phase != CG_PHASE_END) {
        st->phase++;
        return;
    }
    st->phase = CG_PHASE_SFT;
    st->accuracy = st->best_accuracy = -1;
    st->stage++;
}

int cg_work_is_whole(const struct cg_work *w)
{
    const struct cg_run_state *st = &w->state;
    if (st->phase != CG_PHASE_GRPO || st->step >= cg_stage_grpo_steps(w->s.cfg, st->stage)) return 1;
    return cg_session_at_rollout(&w->s);
}

/* Whether the step that was made is the last of the run. */
static int was_last(const struct cg_work *w)
{
    const struct cg_run_state *st = &w->state;
    size_t grpo = cg_stage_grpo_steps(w->s.cfg, st->stage), sft = cg_stage_sft_steps(w->s.cfg, st->stage);
    if (st->stage + 1 < st->stages) return 0;
    return st->phase == CG_PHASE_GRPO ? st->step >= grpo : grpo == 0 && st->step >= sft;
}

/* A checkpoint is due every save_steps, after the last step, and where the accuracy was never as good, so that the best
 * weights are kept. While steps are being skipped none is made: the last one stays from before the trouble. */
static int save_is_due(struct cg_work *w, int better)
{
    const struct cg_run_state *st = &w->state;
    size_t every = (size_t)w->s.cfg->save_steps;
    w->due |= was_last(w) || (every && st->steps % every == 0);
    w->due |= better && (every || w->s.cfg->load_best_model_at_end);
    return w->due && !st->skipped_in_row && cg_work_is_whole(w);
}

/* It belongs to the step before. Where it failed (a reward program, say) a run that goes on makes it up. */
static int evaluation_is_due(const struct cg_work *w)
{
    const struct cg_run_state *st = &w->state;
    size_t every = (size_t)w->s.cfg->eval_steps;
    return st->phase == CG_PHASE_GRPO && every && st->step && st->step % every == 0 && st->evaluated != st->steps;
}

static enum cg_status train_step(struct cg_work *w)
{
    int better = 0;
    if (!evaluation_is_due(w)) CG_TRY(w->state.phase == CG_PHASE_GRPO ? grpo_step(w) : sft_step(w));
    if (evaluation_is_due(w)) CG_TRY(evaluate_stage(w, &better));
    return save_is_due(w, better) ? cg_work_save(w, 0) : CG_OK;
}

enum cg_status cg_work_advance(struct cg_work *w)
{
    struct cg_run_state *st = &w->state;
    const struct cg_run_config *c = w->s.cfg;
    size_t steps = 0;
    if (st->phase == CG_PHASE_SFT) steps = cg_stage_sft_steps(c, st->stage);
    if (st->phase == CG_PHASE_GRPO) steps = cg_stage_grpo_steps(c, st->stage);
    if (st->step == 0 && st->phase != CG_PHASE_END) cg_optimizer_reset(&w->s.opt); /* each phase has its own moments */
    if (st->step == 0 && st->phase == CG_PHASE_GRPO) cg_session_begin_stage(&w->s);
    if (st->step < steps || evaluation_is_due(w)) return train_step(w);
    if (st->phase == CG_PHASE_END) CG_TRY(end_stage(w));
    next_phase(st);
    return CG_OK;
}

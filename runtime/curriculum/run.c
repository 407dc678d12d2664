#include "runtime/curriculum/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "detect/bind.h"
#include "runtime/curriculum/report.h"
#include "runtime/optim/schedule.h"

struct run {
    struct cg_session s;
    struct cg_run_state state;
    struct cg_report report;
    double start;       /* of the training in this process */
    size_t steps_first; /* state.steps at that time */
};

static double seconds(const struct run *r)
{
    return r->state.seconds + cg_now() - r->start;
}

static void progress(const struct run *r, const char *what, const char *rest)
{
    char bar[32];
    const struct cg_run_state *st = &r->state;
    size_t here = st->steps - r->steps_first;
    double left = (cg_now() - r->start) / (double)here * (double)(st->total_steps - st->steps);
    cg_progress("%s %s, %s %s, %d s left", cg_bar(bar, 20, (double)st->steps / (double)st->total_steps),
                r->s.data.stages[st->stage].name, what, rest, (int)(left + 0.5));
}

/* Accuracy on the held-out problems of every stage into out[stages]; their mean. `answers`: 0 none, 1 before, 2 after.
 */
static enum cg_status evaluate_all(struct run *r, double *out, int answers, double *mean)
{
    struct cg_run_state *st = &r->state;
    *mean = 0;
    for (size_t j = 0; j < st->stages; j++) {
        char *text[CG_EXAMPLES] = {0};
        CG_TRY(cg_session_evaluate(&r->s, j, &out[j], text, answers ? CG_EXAMPLES : 0));
        for (size_t e = 0; e < CG_EXAMPLES && answers && text[e]; e++) {
            struct cg_example *x = &st->examples[j * CG_EXAMPLES + e];
            char **to = answers == 1 ? &x->before : &x->after;
            free(*to);
            *to = text[e];
        }
        *mean += out[j] / (double)st->stages;
    }
    return CG_OK;
}

static enum cg_status save_model(const struct run *r)
{
    CG_TRY(cg_model_save(&r->s.model, r->report.dir));
    return cg_tokenizer_save(r->s.tok, r->report.dir);
}

static void next_phase(struct cg_run_state *st)
{
    st->step = 0;
    if (st->phase != CG_PHASE_END) {
        st->phase++;
        return;
    }
    st->phase = CG_PHASE_SFT;
    st->accuracy = -1;
    st->stage++;
}

static enum cg_status sft_step(struct run *r)
{
    const struct cg_run_config *c = r->s.cfg;
    struct cg_run_state *st = &r->state;
    size_t steps = cg_stage_sft_steps(c, st->stage), n = (size_t)c->sft_batch_size;
    double loss, lr;
    struct cg_schedule schedule = {.type = c->sft_lr_scheduler_type, .lr = c->sft_learning_rate, .total = steps};
    lr = cg_schedule_at(&schedule, st->step);
    struct cg_update u;
    CG_TRY(cg_session_sft_step(&r->s, st->stage, (uint64_t)st->step * n, n, lr, &loss, &u));
    st->step++;
    st->steps++;
    cg_report_sft(&r->report, st, loss, lr);
    char text[64];
    snprintf(text, sizeof text, "%zu/%zu loss %.3f", st->step, steps, loss);
    progress(r, "supervised", text);
    return CG_OK;
}

static enum cg_status evaluate_stage(struct run *r)
{
    struct cg_run_state *st = &r->state;
    if (r->s.data.stages[st->stage].eval.n == 0) return CG_OK;
    CG_TRY(cg_session_evaluate(&r->s, st->stage, &st->accuracy, NULL, 0));
    cg_report_eval(&r->report, st);
    cg_info("%s: held-out accuracy %.1f%% after %zu steps", r->s.data.stages[st->stage].name, 100 * st->accuracy,
            st->step);
    return CG_OK;
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

static enum cg_status grpo_step(struct run *r)
{
    const struct cg_run_config *c = r->s.cfg;
    struct cg_run_state *st = &r->state;
    struct cg_step_stats x;
    size_t steps = cg_stage_grpo_steps(c, st->stage);
    double lr = learning_rate(c, st->step, steps);
    r->report.step = st->grpo_steps + 1;
    CG_TRY(cg_session_grpo_step(&r->s, st->stage, lr, cg_report_completion, &r->report, &x));
    st->step++;
    st->steps++;
    st->grpo_steps++;
    st->tokens += x.tokens;
    st->times[st->n_times++] = x.seconds;
    cg_report_step(&r->report, &r->s, st, &x);
    char text[160];
    snprintf(text, sizeof text, "%zu/%zu reward %.3f entropy %.3f, %.0f tokens/s, %.2f GB", st->step, steps,
             x.reward.mean, x.loss.entropy, (double)x.tokens / x.seconds, (double)cg_mem_resident_peak() / 1e9);
    progress(r, "step", text);
    return c->eval_steps && st->step % (size_t)c->eval_steps == 0 ? evaluate_stage(r) : CG_OK;
}

static enum cg_status end_stage(struct run *r)
{
    struct cg_run_state *st = &r->state;
    double *row = st->R + st->stage * st->stages, mean;
    int last = st->stage + 1 == st->stages;
    CG_TRY(evaluate_all(r, row, last ? 2 : 0, &mean));
    st->stages_done = st->stage + 1;
    st->after = mean;
    if (!isnan(mean))
        cg_info("stage %zu of %zu (%s): held-out accuracy %.1f%% on its own problems, %.1f%% over all stages",
                st->stages_done, st->stages, r->s.data.stages[st->stage].name, 100 * row[st->stage], 100 * mean);
    if (!last && r->s.cfg->ewc_lambda > 0) CG_TRY(cg_session_consolidate(&r->s, st->stage));
    return CG_OK;
}

/* One step, or the end of a phase. Before and after it the state is whole. */
static enum cg_status advance(struct run *r)
{
    struct cg_run_state *st = &r->state;
    const struct cg_run_config *c = r->s.cfg;
    size_t before = st->steps;
    if (st->phase == CG_PHASE_END) {
        CG_TRY(end_stage(r));
        next_phase(st);
        return CG_OK;
    }
    int sft = st->phase == CG_PHASE_SFT;
    if (st->step == 0) cg_optimizer_reset(&r->s.opt); /* each phase has its own moments */
    if (st->step == 0 && !sft) cg_session_begin_stage(&r->s);
    if (st->step == (sft ? cg_stage_sft_steps(c, st->stage) : cg_stage_grpo_steps(c, st->stage))) next_phase(st);
    else CG_TRY(sft ? sft_step(r) : grpo_step(r));
    if (st->steps != before && c->save_steps && st->steps % (size_t)c->save_steps == 0) return save_model(r);
    return CG_OK;
}

static enum cg_status finish(struct run *r)
{
    const struct cg_run_state *st = &r->state;
    int interrupted = cg_session_stopped(&r->s);
    CG_TRY(save_model(r));
    CG_TRY(cg_report_summary(&r->report, &r->s, st, seconds(r), interrupted));
    if (interrupted) return cg_fail(CG_ERR_INTERRUPTED, "interrupted; everything so far is saved in %s", r->report.dir);
    if (isnan(st->before)) cg_info("saved in %s", r->report.dir);
    else cg_info("held-out accuracy %.1f%% -> %.1f%%; saved in %s", 100 * st->before, 100 * st->after, r->report.dir);
    return CG_OK;
}

static enum cg_status begin(struct run *r)
{
    struct cg_run_state *st = &r->state;
    CG_TRY(cg_run_state_create(&r->s, st));
    double *before = calloc(st->stages, sizeof *before);
    if (!before) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = evaluate_all(r, before, 1, &st->before);
    free(before);
    CG_TRY(s);
    st->after = st->before;
    if (!isnan(st->before)) cg_info("held-out accuracy before training: %.1f%%", 100 * st->before);
    return CG_OK;
}

static enum cg_status train(struct run *r)
{
    CG_TRY(begin(r));
    r->start = cg_now();
    r->steps_first = r->state.steps;
    while (r->state.stage < r->state.stages && !cg_session_stopped(&r->s)) CG_TRY(advance(r));
    cg_progress_end();
    return finish(r);
}

enum cg_status cg_run(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop)
{
    struct run r = {0};
    CG_TRY(cg_report_open(cfg->output_dir, &r.report));
    enum cg_status st = cg_session_open(cfg, stop, &r.s);
    if (st == CG_OK) {
        cg_info("%s", cg_plans_source(r.s.plans));
        if (cg_net_untuned(&r.s.net)) cg_info("none of them is of this model; run grpo-tune --model %s", cfg->model);
        if (cg_bind_text()) cg_info("%s", cg_bind_text());
        cg_info("%s: %.1f M parameters, %s, %d threads, %s", cfg->model, (double)r.s.model.n_params / 1e6,
                r.s.data.source, r.s.net.threads, r.s.net.rows->isa);
        st = train(&r);
    }
    cg_run_state_free(&r.state);
    cg_session_close(&r.s);
    enum cg_status closed = cg_report_close(&r.report);
    return st != CG_OK ? st : closed;
}

#include "runtime/curriculum/run.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "detect/bind.h"
#include "runtime/curriculum/matrix.h"
#include "runtime/curriculum/report.h"

#define EXAMPLES 3 /* held-out problems of each stage whose answers before and after go into summary.json */

struct run {
    struct cg_session s;
    struct cg_report report;
    double *R;
    double *times; /* seconds of each GRPO step */
    size_t n_times;
    size_t stages, stages_done;
    struct cg_example *examples; /* [stages * EXAMPLES] */
    double before, after, start;
    size_t total, done; /* steps of all kinds, for the progress line */
};

static size_t stage_steps(const struct cg_run_config *c, size_t stage)
{
    return (size_t)(c->stage_steps.n ? c->stage_steps.v[stage] : c->max_steps);
}

static size_t sft_steps(const struct cg_run_config *c, size_t stage)
{
    return (size_t)(c->sft_steps.n ? c->sft_steps.v[stage] : 0);
}

static enum cg_status check_lists(const struct cg_run_config *c, size_t stages)
{
    if (c->stage_steps.n && c->stage_steps.n != stages)
        return cg_fail(CG_ERR_USER, "stage_steps has %zu numbers for %zu stages", c->stage_steps.n, stages);
    if (c->sft_steps.n && c->sft_steps.n != stages)
        return cg_fail(CG_ERR_USER, "sft_steps has %zu numbers for %zu stages", c->sft_steps.n, stages);
    return CG_OK;
}

static void progress(struct run *r, const char *what, const char *stage, const char *rest)
{
    char bar[32];
    r->done++;
    double spent = cg_now() - r->start, left = spent / (double)r->done * (double)(r->total - r->done);
    cg_progress("%s %s, %s %s, %d s left", cg_bar(bar, 20, (double)r->done / (double)r->total), stage, what, rest,
                (int)(left + 0.5));
}

/* Accuracy on the held-out problems of every stage into out[stages]; their mean. `answers`: 0 none, 1 before, 2 after.
 */
static enum cg_status evaluate_all(struct run *r, double *out, int answers, double *mean)
{
    *mean = 0;
    for (size_t j = 0; j < r->stages; j++) {
        char *text[EXAMPLES] = {0};
        CG_TRY(cg_session_evaluate(&r->s, j, &out[j], text, answers ? EXAMPLES : 0));
        for (size_t e = 0; e < EXAMPLES && answers && e < r->s.eval[j].n; e++) {
            struct cg_example *x = &r->examples[j * EXAMPLES + e];
            x->prompt = r->s.eval[j].items[e].prompt;
            x->answer = r->s.eval[j].items[e].answer;
            *(answers == 1 ? &x->before : &x->after) = text[e];
        }
        *mean += out[j] / (double)r->stages;
    }
    return CG_OK;
}

static enum cg_status save_model(const struct run *r)
{
    CG_TRY(cg_model_save(&r->s.model, r->report.dir));
    return cg_tokenizer_save(r->s.tok, r->report.dir);
}

static enum cg_status warm_up(struct run *r, size_t stage)
{
    const struct cg_run_config *c = r->s.cfg;
    size_t steps = sft_steps(c, stage), n = (size_t)c->sft_batch_size;
    cg_optimizer_reset(&r->s.opt);
    for (size_t i = 0; i < steps && !cg_session_stopped(&r->s); i++) {
        double loss, lr = cg_schedule(c->sft_lr_scheduler_type, c->sft_learning_rate, i, steps, 0);
        CG_TRY(cg_session_sft_step(&r->s, stage, (uint64_t)i * n, n, lr, &loss));
        cg_report_sft(&r->report, stage, i + 1, loss, lr);
        char text[64];
        snprintf(text, sizeof text, "%zu/%zu loss %.3f", i + 1, steps, loss);
        progress(r, "supervised", r->s.problems.stages[stage].name, text);
    }
    return CG_OK;
}

static enum cg_status reinforce(struct run *r, size_t stage)
{
    const struct cg_run_config *c = r->s.cfg;
    const char *name = r->s.problems.stages[stage].name;
    size_t steps = stage_steps(c, stage), prompts = r->s.prompts_per_step;
    cg_optimizer_reset(&r->s.opt);
    for (size_t i = 0; i < steps && !cg_session_stopped(&r->s); i++) {
        struct cg_step_stats st;
        double lr = cg_schedule(c->lr_scheduler_type, c->learning_rate, i, steps, (size_t)c->warmup_steps);
        CG_TRY(cg_session_grpo_step(&r->s, stage, (uint64_t)i * prompts, lr, cg_report_completion, &r->report, &st));
        cg_report_step(&r->report, &r->s, stage, &st);
        r->times[r->n_times++] = st.seconds;
        char text[160];
        snprintf(text, sizeof text, "%zu/%zu reward %.3f entropy %.3f, %.0f tokens/s, %.2f GB", i + 1, steps,
                 st.reward.mean, st.entropy, (double)st.tokens / st.seconds, (double)cg_peak_rss() / 1e9);
        progress(r, "step", name, text);
        if (c->eval_steps && (i + 1) % (size_t)c->eval_steps == 0) {
            double accuracy;
            CG_TRY(cg_session_evaluate(&r->s, stage, &accuracy, NULL, 0));
            cg_report_eval(&r->report, stage, accuracy);
            cg_info("%s: held-out accuracy %.1f%% after %zu steps", name, 100 * accuracy, i + 1);
        }
        if (c->save_steps && (i + 1) % (size_t)c->save_steps == 0) CG_TRY(save_model(r));
    }
    return CG_OK;
}

static enum cg_status train_stage(struct run *r, size_t stage)
{
    CG_TRY(warm_up(r, stage));
    CG_TRY(reinforce(r, stage));
    if (cg_session_stopped(&r->s)) return CG_OK;
    double *row = r->R + stage * r->stages, mean;
    int last = stage + 1 == r->stages;
    CG_TRY(evaluate_all(r, row, last ? 2 : 0, &mean));
    r->stages_done = stage + 1;
    r->after = mean;
    cg_info("stage %zu of %zu (%s): held-out accuracy %.1f%% on its own problems, %.1f%% over all stages", stage + 1,
            r->stages, r->s.problems.stages[stage].name, 100 * row[stage], 100 * mean);
    if (!last && r->s.cfg->ewc_lambda > 0) CG_TRY(cg_session_consolidate(&r->s, stage));
    return CG_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    if (n == 0) return 0;
    qsort(x, n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

static enum cg_status finish(struct run *r)
{
    CG_TRY(save_model(r));
    struct cg_summary sum = {.R = r->R,
                             .stages = r->stages,
                             .stages_done = r->stages_done,
                             .heldout_before = r->before,
                             .heldout_after = r->after,
                             .step_time = median(r->times, r->n_times),
                             .seconds = cg_now() - r->start,
                             .interrupted = cg_session_stopped(&r->s),
                             .examples = r->examples,
                             .n_examples = r->stages_done == r->stages ? r->stages * EXAMPLES : 0};
    CG_TRY(cg_report_summary(&r->report, &r->s, &sum));
    if (sum.interrupted)
        return cg_fail(CG_ERR_INTERRUPTED, "interrupted; everything so far is saved in %s", r->report.dir);
    cg_info("held-out accuracy %.1f%% -> %.1f%%; saved in %s", 100 * r->before, 100 * r->after, r->report.dir);
    return CG_OK;
}

static enum cg_status train(struct run *r)
{
    const struct cg_run_config *c = r->s.cfg;
    size_t grpo = 0;
    r->stages = r->s.problems.n_stages;
    CG_TRY(check_lists(c, r->stages));
    for (size_t i = 0; i < r->stages; i++) {
        grpo += stage_steps(c, i);
        r->total += stage_steps(c, i) + sft_steps(c, i);
    }
    r->R = calloc(r->stages * r->stages, sizeof *r->R);
    r->times = calloc(grpo ? grpo : 1, sizeof *r->times);
    r->examples = calloc(r->stages * EXAMPLES, sizeof *r->examples);
    double *before = calloc(r->stages, sizeof *before);
    enum cg_status st = r->R && r->times && r->examples && before ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (st == CG_OK) st = evaluate_all(r, before, 1, &r->before);
    free(before);
    CG_TRY(st);
    r->after = r->before;
    cg_info("held-out accuracy before training: %.1f%%", 100 * r->before);
    r->start = cg_now();
    for (size_t i = 0; i < r->stages && !cg_session_stopped(&r->s); i++) CG_TRY(train_stage(r, i));
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
        cg_info("%s: %.1f M parameters, %s, %d threads, %s", cfg->model, (double)r.s.model.n_params / 1e6, cfg->task,
                r.s.net.threads, r.s.net.rows->isa);
        st = train(&r);
    }
    for (size_t i = 0; r.examples && i < r.stages * EXAMPLES; i++) {
        free(r.examples[i].before);
        free(r.examples[i].after);
    }
    free(r.examples);
    free(r.R);
    free(r.times);
    cg_session_close(&r.s);
    enum cg_status closed = cg_report_close(&r.report);
    return st != CG_OK ? st : closed;
}

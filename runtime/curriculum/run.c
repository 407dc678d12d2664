#include "runtime/curriculum/run.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "detect/bind.h"
#include "runtime/config/bytes.h"
#include "runtime/curriculum/resume.h"
#include "runtime/curriculum/work.h"

static enum cg_status finish(struct cg_work *w)
{
    const struct cg_run_state *st = &w->state;
    int interrupted = cg_session_stopped(&w->s);
    if (interrupted && !(w->has_saved && w->saved == st->steps)) CG_TRY(cg_work_save(w, 1));
    enum cg_status s = cg_work_save_model(w);
    if (s == CG_OK) s = cg_report_summary(&w->report, &w->s, st, cg_work_seconds(w), interrupted);
    if (s != CG_OK) {
        char last[512];
        return cg_fail(s, "the result was not saved: %s%s", cg_error(), cg_work_last_good(w, last, sizeof last));
    }
    if (interrupted)
        return cg_fail(CG_ERR_INTERRUPTED, "interrupted; everything so far is saved in %s, --resume goes on from it",
                       w->report.dir);
    if (isnan(st->before)) cg_info("saved in %s", w->report.dir);
    else cg_info("held-out accuracy %.1f%% -> %.1f%%; saved in %s", 100 * st->before, 100 * st->after, w->report.dir);
    char peak[CG_BYTES_SHOWN], plan[CG_BYTES_SHOWN];
    cg_info("memory: %s at most, %s predicted", cg_bytes_show(cg_mem_resident_peak(), peak),
            cg_bytes_show(w->s.memory.peak, plan));
    return CG_OK;
}

static enum cg_status measure_before(struct cg_work *w)
{
    struct cg_run_state *st = &w->state;
    double *before = calloc(st->stages, sizeof *before);
    if (!before) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = cg_work_evaluate(w, before, CG_ANSWERS_BEFORE, &st->before);
    free(before);
    CG_TRY(s);
    st->after = st->before;
    if (!isnan(st->before)) cg_info("held-out accuracy before training: %.1f%%", 100 * st->before);
    return CG_OK;
}

/* The state that the first step starts from, and the files of lines that belong to it. */
static enum cg_status begin(struct cg_work *w, const struct cg_resume *from)
{
    struct cg_run_state *st = &w->state;
    CG_TRY(cg_run_state_create(&w->s, st));
    if (from->path) CG_TRY(cg_resume_restore(from, &w->s, st));
    if (from->elsewhere) st->metrics_bytes = st->completions_bytes = st->events_bytes = 0;
    CG_TRY(cg_report_open(w->s.cfg, st, &w->report));
    cg_resume_clear(w->s.cfg, from);
    w->has_saved = from->path && !from->elsewhere;
    w->saved = from->step;
    if (!from->path) return measure_before(w);
    cg_info("goes on from %s: %zu of %zu steps done", from->path, st->steps, st->total_steps);
    return CG_OK;
}

static void describe(struct cg_session *s)
{
    cg_info("%s", cg_plans_source(s->plans));
    if (cg_net_untuned(&s->net)) cg_info("none of them is of this model; run grpo-tune --model %s", s->cfg->model);
    if (cg_bind_text()) cg_info("%s", cg_bind_text());
    cg_info("%s: %.1f M parameters, %s, %d threads, %s", s->cfg->model, (double)s->model.n_params / 1e6, s->data.source,
            s->net.threads, s->net.rows->isa);
    if (s->params.n != s->model.n_params)
        cg_info("%.2f M parameters are trained%s", (double)s->params.n / 1e6, s->cfg->use_peft ? ", in adapters" : "");
}

/* After a rollout or an evaluation that failed (of a reward program, say) nothing is lost: the steps before it are
 * saved. */
static enum cg_status save_before(struct cg_work *w, enum cg_status failed)
{
    char why[900];
    const struct cg_run_state *st = &w->state;
    if (!w->s.undone || st->skipped_in_row || st->steps == 0 || !cg_work_is_whole(w)) return failed;
    if (w->has_saved && w->saved == st->steps) return failed;
    snprintf(why, sizeof why, "%s", cg_error());
    CG_TRY(cg_work_save(w, 1));
    return cg_fail(failed, "%s; the steps before are saved in %s, --resume goes on from them", why, w->report.dir);
}

static enum cg_status train(struct cg_work *w, const struct cg_resume *from)
{
    describe(&w->s);
    CG_TRY(begin(w, from));
    w->start = cg_now();
    w->seconds_before = w->state.seconds;
    while (w->state.stage < w->state.stages && !(cg_session_stopped(&w->s) && cg_work_is_whole(w))) {
        enum cg_status s = cg_work_advance(w);
        if (s == CG_ERR_INTERRUPTED && w->s.undone && cg_work_is_whole(w)) break;
        if (s != CG_OK) return save_before(w, s);
    }
    cg_progress_end();
    return finish(w);
}

static enum cg_status tell_plan(const struct cg_run_config *cfg)
{
    struct cg_session s;
    CG_TRY(cg_session_plan(cfg, NULL, &s));
    cg_memory_print(&s.memory, s.memory_budget, stdout);
    cg_session_close(&s);
    return CG_OK;
}

enum cg_status cg_run(const struct cg_run_config *cfg, const struct cg_run_options *o,
                      const volatile sig_atomic_t *stop)
{
    struct cg_work w = {0};
    struct cg_resume from;
    if (o->dry_run) return tell_plan(cfg);
    CG_TRY(cg_resume_find(cfg, o, &from));
    /* Here it is known where the run begins, and nothing large is allocated yet. */
    enum cg_status st = cg_session_open(cfg, stop, &w.s);
    if (st == CG_OK) st = train(&w, &from);
    cg_run_state_free(&w.state);
    cg_session_close(&w.s);
    enum cg_status closed = w.report.dir ? cg_report_close(&w.report) : CG_OK;
    cg_resume_free(&from);
    return st != CG_OK ? st : closed;
}

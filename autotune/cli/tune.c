/* grpo-tune without a command: times plans and stores the winners. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autotune/cli/check.h"
#include "autotune/cli/target.h"
#include "autotune/machine_rates.h"
#include "autotune/report.h"
#include "autotune/search.h"
#include "autotune/store.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "detect/bind.h"

#define RATES_SECONDS 2.0 /* to measure what the machine reaches, */
#define RATES_PART 20     /* and at most this part of the budget; */
#define RATES_MOST                                                                                   \
    3 /* where one sample of each takes longer than that, twice as long and a second, but never more \
         than this part */

/* One run of the tuner: what its callbacks need. */
struct run {
    const struct cg_cli_options *options;
    const struct cg_machine *machine;
    const struct cg_cli_target *target;
    struct cg_tune_report report;
    struct cg_found *found; /* of target->all */
    size_t before;          /* shapes of the numbers of threads that are done */
    double start;           /* by cg_now */
    double end;             /* as it looked when thought_at shapes were done */
    size_t thought_at;
    const char *path;        /* of the store */
    struct cg_store pending; /* found and not yet stored */
    enum cg_status stored;   /* of the last attempt */
    char why[1024];          /* it failed */
    char counters_why[256];  /* there are no hardware counters; "" when there are, or nobody asked */
};

/* ---- While it runs ----------------------------------------------------------------------------------------------- */

/* Seconds until the end: those of the budget, or fewer when shapes take less than their share of it, as far as the
 * finished ones tell. Thought over with each shape, so that it counts down in between. */
static double time_left(struct run *r, size_t done)
{
    double now = cg_now(), last = r->start + r->target->budget, sum = 0, part = 0;
    if (r->before + done != r->thought_at || now > r->end) {
        for (size_t i = 0; i < r->target->all.n; i++) {
            sum += sqrt(r->target->all.s[i].weight);
            if (i < r->before + done) part = sum;
        }
        r->end = part > 0 ? now + (now - r->start) * (sum / part - 1) : last;
        r->thought_at = r->before + done;
    }
    if (r->end > last) r->end = last;
    return r->end > now ? r->end - now : 0;
}

static void show_progress(void *ctx, size_t done, size_t all, double left, const struct cg_shape *s)
{
    struct run *r = ctx;
    char bar[32], time[32];
    int columns = cg_terminal_columns(stderr);
    double passed = cg_now() - r->start, rest = ceil(time_left(r, done));
    (void)all;
    (void)left; /* both of this number of threads only */
    if (rest < 100) snprintf(time, sizeof time, "%.0f s", rest);
    else snprintf(time, sizeof time, "%d min %02d s", (int)rest / 60, (int)rest % 60);
    cg_bar(bar, !columns || columns >= 70 ? 20 : 8, passed / (passed + rest + 1e-9));
    cg_progress("%s %s left, %zu/%zu shapes: %s %s %zux%zux%zu %s", bar, time, r->before + done, r->target->all.n,
                cg_op_name(s->op) + strlen("gemm_"), cg_form_name(s->form), s->m, s->n, s->k, s->what);
}

/* Stores what was found and not stored yet. What cannot be stored now is tried again with the next group. */
static void store(struct run *r)
{
    if (!r->pending.n) return;
    enum cg_status before = r->stored;
    r->stored = cg_store_merge(r->path, r->machine, &r->pending, &r->report.stored_total);
    if (r->stored == CG_OK) {
        r->report.stored = r->path;
        r->pending.n = 0;
        return;
    }
    snprintf(r->why, sizeof r->why, "%s", cg_error());
    if (before == CG_OK) cg_warn("%s; trying again", r->why);
}

/* A shape may come again, when it was measured once more: the later plan counts. */
static void add_pending(struct run *r, const struct cg_tuned *t)
{
    size_t i = 0;
    for (; i < r->pending.n; i++) {
        const struct cg_tuned *p = &r->pending.e[i];
        if (p->op == t->op && p->form == t->form && p->m == t->m && p->n == t->n && p->k == t->k &&
            p->threads == t->threads)
            break;
    }
    r->pending.e[i] = *t;
    if (i == r->pending.n) r->pending.n++;
}

/* After each group, so that no end of this program, however sudden, loses what was finished. */
static void group_finished(void *ctx, const struct cg_shape *shapes, const struct cg_found *found, size_t n)
{
    struct run *r = ctx;
    (void)shapes;
    for (size_t i = 0; i < n; i++)
        if (found[i].candidates) add_pending(r, &found[i].tuned);
    store(r);
}

static void say_trial(const char *what, const struct cg_trial *t)
{
    char plan[64], sure[64] = "";
    if (t->lo > 0 && t->hi < INFINITY) snprintf(sure, sizeof sure, " (%.3f to %.3f)", t->lo, t->hi);
    cg_info("  %-44s %6.3f%s, %zu sample%s%s%s", cg_plan_text(&t->plan, plan, sizeof plan), t->ratio, sure, t->samples,
            t->samples == 1 ? "" : "s", what, t->wrong ? ", WRONG BITS" : "");
}

/* With --verbose: every plan, as its time over the default's with its interval. */
static void plans_tried(void *ctx, const struct cg_shape *s, const struct cg_trial *standard, const struct cg_trial *t,
                        size_t n)
{
    struct run *r = ctx;
    if (r->report.tried) {
        cg_report_tried(&r->report.tried[s - r->target->all.s], standard, t, n);
        return;
    }
    cg_info("%s %s %zux%zux%zu %s: %.3g ms by default", cg_op_name(s->op) + strlen("gemm_"), cg_form_name(s->form),
            s->m, s->n, s->k, s->what, 1e3 * standard->seconds);
    say_trial(", the default", standard);
    for (size_t i = 0; i < n; i++) say_trial("", &t[i]);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* A place that cannot be written is better known before the time is spent. */
static enum cg_status try_store(const char *path)
{
    struct cg_out out;
    char *dir = cg_path_folder(path);
    enum cg_status st = dir ? cg_mkdirs(dir) : cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_free(dir);
    if (st == CG_OK) st = cg_out_open(path, &out);
    if (st == CG_OK) cg_out_discard(&out);
    return st == CG_OK
               ? st
               : cg_fail_in(st, "cannot store the plans (set CPU_GRPO_CACHE to another folder, or see --dry-run)");
}

/* What the machine reaches, for the model; NULL when that cannot be had: plans near the defaults are timed then. */
static const struct cg_rates *rates_for(struct run *r, int threads, double budget)
{
    static struct cg_rates rates;
    double seconds = budget / RATES_PART < RATES_SECONDS ? budget / RATES_PART : RATES_SECONDS;
    double most = fmin(2 * seconds + 1, budget / RATES_MOST);
    cg_progress("measuring what this machine reaches");
    /* Those of a short run are good enough for it, and not to be kept. */
    struct cg_store brief = {0}, *add = seconds < RATES_SECONDS ? &brief : &r->pending;
    enum cg_status st = cg_machine_rates(r->machine, threads, seconds, most, r->path, &cg_cli_stop, &rates, add);
    cg_store_free(&brief);
    if (st == CG_OK) return &rates;
    if (st != CG_ERR_INTERRUPTED) cg_warn("this machine's rates are not known: %s", cg_error());
    return NULL;
}

/* Counters where they are shown; the first reason why there are none is part of the report. */
static struct cg_counters *counters_for(struct run *r, int threads)
{
    char why[sizeof r->counters_why];
    if (!r->options->verbose && !r->options->json) return NULL;
    struct cg_counters *c = cg_counters_open(r->machine, threads, why, sizeof why);
    if (c || r->counters_why[0]) return c;
    snprintf(r->counters_why, sizeof r->counters_why, "%s", why);
    if (r->options->verbose) cg_info("no hardware counters: %s", why);
    return NULL;
}

/* One number of threads after the other; what is left of the time is shared. */
static enum cg_status tune_all(struct run *r)
{
    const struct cg_cli_target *target = r->target;
    for (size_t i = 0; i < target->n_threads && !cg_cli_stop; i++) {
        struct cg_shapes shapes = cg_cli_target_shapes(target, i);
        struct cg_tune_stats stats = {0};
        struct cg_tuner t = {.machine = r->machine,
                             .threads = target->threads[i],
                             .budget = (r->start + target->budget - cg_now()) / (double)(target->n_threads - i),
                             .breadth = target->breadth,
                             .counters = counters_for(r, target->threads[i]),
                             .stop = &cg_cli_stop,
                             .progress = show_progress,
                             .finished = group_finished,
                             .tried = r->options->verbose ? plans_tried : NULL,
                             .ctx = r};
        double before = cg_now();
        enum cg_status st = cg_cli_bind(r->machine, t.threads);
        if (st == CG_OK) {
            t.rates = rates_for(r, t.threads, t.budget);
            t.budget -= cg_now() - before;
            st = cg_tune(&t, &shapes, r->found + target->first[i], &stats);
        }
        cg_counters_close(t.counters);
        CG_TRY(st);
        r->report.stats.batches += stats.batches;
        r->report.stats.disturbed += stats.disturbed;
        r->report.stats.drifted += stats.drifted;
        r->report.stats.shifts += stats.shifts;
        r->before += shapes.n;
    }
    return CG_OK;
}

static enum cg_status print_results(const struct cg_cli_options *o, const struct cg_tune_report *r)
{
    size_t wrong = 0;
    for (size_t i = 0; i < r->shapes->n; i++) wrong += (size_t)r->found[i].wrong;
    if (wrong) cg_warn("%zu plans gave other bits than the default and were not chosen; run grpo-tune verify", wrong);
    if (o->json) return cg_report_json(stdout, r);
    if (!o->quiet) cg_report_table(stdout, r, cg_terminal_columns(stdout));
    cg_report_total(stdout, r);
    if (r->stored)
        printf("stored in %s (%zu shape%s in all)\n", r->stored, r->stored_total, r->stored_total == 1 ? "" : "s");
    return CG_OK;
}

static enum cg_status finish(struct run *r)
{
    store(r);
    CG_TRY(print_results(r->options, &r->report));
    if (r->stored != CG_OK) return cg_fail(r->stored, "%s", r->why);
    if (cg_cli_stop) return cg_fail(CG_ERR_INTERRUPTED, "stopped; what was finished is kept");
    return CG_OK;
}

static enum cg_status tune(const struct cg_cli_options *o, const struct cg_machine *m,
                           const struct cg_cli_target *target, const char *path)
{
    size_t n = target->all.n;
    struct run r = {.options = o, .machine = m, .target = target, .path = path, .start = cg_now()};
    r.found = cg_alloc_n(n, sizeof *r.found);
    r.pending.e = cg_alloc_n(n, sizeof *r.pending.e);
    r.report = (struct cg_tune_report){.shapes = &target->all,
                                       .found = r.found,
                                       .left_out = target->left_out,
                                       .threads = target->threads,
                                       .n_threads = target->n_threads,
                                       .verbose = o->verbose,
                                       .machine = m};
    if (o->verbose && o->json) r.report.tried = cg_alloc_n(n, sizeof *r.report.tried);
    enum cg_status st = r.found && r.pending.e && (r.report.tried || !(o->verbose && o->json)) ? CG_OK : CG_ERR_MEMORY;
    if (st != CG_OK) cg_fail(st, "out of memory");
    cg_cli_catch_signals();
    if (st == CG_OK) st = tune_all(&r);
    cg_bind_undo();
    cg_progress_end();
    r.report.interrupted = cg_cli_stop;
    r.report.seconds = cg_now() - r.start;
    r.report.counters_why = r.counters_why;
    if (st == CG_OK) st = finish(&r);
    for (size_t i = 0; r.report.tried && i < n; i++) json_decref(r.report.tried[i]);
    cg_free(r.report.tried);
    cg_free(r.found);
    cg_store_free(&r.pending);
    return st;
}

enum cg_status cg_cli_tune(const struct cg_cli_options *o, const struct cg_machine *m)
{
    struct cg_cli_target target;
    if (o->check) return cg_cli_check(o, m);
    enum cg_status st = cg_cli_target(o, m, &target);
    char *path = st == CG_OK ? cg_store_path(m) : NULL;
    if (st == CG_OK && !path) st = CG_ERR_USER;
    if (st == CG_OK && o->dry_run) st = cg_cli_dry_run(o, m, &target, path);
    else if (st == CG_OK) {
        st = try_store(path);
        if (st == CG_OK) st = tune(o, m, &target, path);
    }
    cg_free(path);
    cg_cli_target_free(&target);
    return st;
}

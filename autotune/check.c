#include "autotune/check.h"

#include <math.h>
#include <string.h>

#include "autotune/contest.h"
#include "autotune/report.h"
#include "autotune/space.h"
#include "common/clock.h"

enum {
    COMPARABLE_TOKENS = 128, /* weights that come from memory cost a few percent of so many rows' arithmetic */
    MIN_SAMPLES = 8,         /* pairs that an interval needs */
    ENOUGH_SAMPLES = 12,
    BATCHES = 3,     /* of a pair: the plan between two of the default */
    MOST_TURNS = 40, /* for those */
};
#define MIN_BATCH 0.5e-3 /* seconds */
#define FILL_RATE 1e9    /* bytes a second of operands that are made */
#define SPEED_TOLERANCE 0.1
#define LOSS_TOLERANCE 0.02

const char *cg_check_verdict_name(enum cg_check_verdict v)
{
    static const char *const names[] = {"same", "busy", "loses", "slower", "faster"};
    return v < CG_CHECK_VERDICTS ? names[v] : "?";
}

static struct cg_shape shape_of(const struct cg_tuned *t)
{
    return (struct cg_shape){.op = t->op, .form = t->form, .m = t->m, .n = t->n, .k = t->k, .weight = 1};
}

/* ---- Choosing ---------------------------------------------------------------------------------------------------- */

static int comparable(const struct cg_tuned *t)
{
    return (t->form == CG_FORM_TN ? t->k : t->m) >= COMPARABLE_TOKENS && t->gflops > 0 && t->gflops_default > 0;
}

/* Seconds that it takes to time a plan, about: its operands, and its pairs. */
static double cost_of(const struct cg_tuned *t)
{
    struct cg_shape s = shape_of(t);
    double m = (double)t->m, n = (double)t->n, k = (double)t->k, slower = fmin(t->gflops, t->gflops_default);
    double call = 1e-9 * cg_shape_flops(&s) / slower;
    return 2 * sizeof(float) * (m * k + n * k + m * n) / FILL_RATE + MIN_SAMPLES * BATCHES * fmax(call, MIN_BATCH);
}

/* Does `a` tell more than `b`? */
static int tells_more(const struct cg_tuned *a, const struct cg_tuned *b)
{
    double ga = fabs(log(cg_tuned_gain(a))), gb = fabs(log(cg_tuned_gain(b)));
    return ga != gb ? ga > gb : cost_of(a) < cost_of(b);
}

static int is_chosen(const struct cg_tuned *t, const struct cg_tuned *const *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (out[i] == t) return 1;
    return 0;
}

size_t cg_check_choose(const struct cg_store *s, int threads, double seconds, const struct cg_tuned **out)
{
    size_t n = 0;
    const struct cg_tuned *cheapest = NULL;
    while (n < CG_CHECK_MOST) {
        const struct cg_tuned *best = NULL;
        for (size_t i = 0; i < s->n; i++) {
            const struct cg_tuned *t = &s->e[i];
            if (t->threads != (uint32_t)threads || !comparable(t)) continue;
            if (!cheapest || cost_of(t) < cost_of(cheapest)) cheapest = t;
            if (cost_of(t) > seconds / CG_CHECK_MOST || is_chosen(t, out, n)) continue;
            if (!best || tells_more(t, best)) best = t;
        }
        if (!best) break;
        out[n++] = best;
    }
    if (n == 0 && cheapest) out[n++] = cheapest;
    return n;
}

/* ---- Timing ------------------------------------------------------------------------------------------------------ */

struct timing {
    const struct cg_machine *m;
    int threads;
    double seconds; /* for each plan */
    const volatile sig_atomic_t *stop;
    struct cg_reference reference;
    struct cg_tune_stats stats;
};

static enum cg_status time_one(struct timing *w, const struct cg_tuned *t, struct cg_checked *out)
{
    struct cg_shape shape = shape_of(t);
    struct cg_plan standard = cg_space_default(w->m, &shape, NULL, w->threads);
    struct cg_bench *home, *own;
    struct cg_trial trial = {.plan = t->plan};
    *out = (struct cg_checked){.tuned = t};
    trial.plan.team = standard.team;
    enum cg_status st = cg_bench_open_two(w->m, &shape, standard.variant, t->plan.variant, w->threads, 0, &home, &own);
    trial.bench = own;
    struct cg_contest c = {.shape = &shape,
                           .reference = &w->reference,
                           .stop = w->stop,
                           .until = cg_now() + w->seconds,
                           .stats = &w->stats};
    /* Without one call that was not disturbed there is no sample: the verdict says that the machine is busy. */
    int begun = st == CG_OK && cg_contest_begin(&c, &standard, home);
    if (begun && !cg_contest_check(&c, &trial, 1)) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    /* What even one pair takes longer than planned is timed once. */
    if (begun && cg_now() + BATCHES * c.batch > c.until) c.until = INFINITY;
    size_t most = isinf(c.until) ? 1 : ENOUGH_SAMPLES;
    for (size_t turns = 0; begun && st == CG_OK && trial.samples < most && turns < MOST_TURNS; turns++)
        if (!cg_contest_rounds(&c, &trial, 1, 1)) break;
    if (st == CG_OK && trial.samples) {
        out->gflops = 1e-9 * cg_shape_flops(&shape) / trial.seconds;
        out->gflops_default = 1e-9 * cg_shape_flops(&shape) / c.standard.seconds;
        out->ratio = trial.ratio, out->lo = trial.lo, out->hi = trial.hi;
        out->samples = trial.samples;
    }
    cg_bench_close_two(home, own);
    return st;
}

void cg_check_judge(struct cg_check *c)
{
    double speed = 0, gain = 0, stored = 0, n = 0;
    int loses = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct cg_checked *e = &c->e[i];
        if (!e->samples) continue;
        n++;
        gain += log(1 / e->ratio);
        stored += log(cg_tuned_gain(e->tuned));
        loses |= e->samples >= MIN_SAMPLES && e->lo > 1 + LOSS_TOLERANCE;
        /* By both plans: twice the samples. */
        speed += 0.5 * (log(e->gflops / e->tuned->gflops) + log(e->gflops_default / e->tuned->gflops_default));
    }
    c->speed = n > 0 ? exp(speed / n) : 0;
    c->gain = n > 0 ? exp(gain / n) : 0;
    c->gain_stored = n > 0 ? exp(stored / n) : 0;
    c->verdict = CG_CHECK_SAME;
    if (n == 0 || 2 * c->disturbed > c->batches) c->verdict = CG_CHECK_BUSY;
    else if (loses) c->verdict = CG_CHECK_LOSES;
    else if (c->speed < 1 - SPEED_TOLERANCE) c->verdict = CG_CHECK_SLOWER;
    else if (c->speed > 1 / (1 - SPEED_TOLERANCE)) c->verdict = CG_CHECK_FASTER;
}

enum cg_status cg_check_run(const struct cg_machine *m, const struct cg_store *s, int threads, double seconds,
                            const volatile sig_atomic_t *stop, struct cg_check *c)
{
    const struct cg_tuned *chosen[CG_CHECK_MOST];
    struct timing w = {.m = m, .threads = threads, .stop = stop};
    memset(c, 0, sizeof *c);
    size_t n = cg_check_choose(s, threads, seconds, chosen);
    if (n == 0)
        return cg_fail(CG_ERR_USER,
                       "no plans of %d or more rows are stored for %d thread%s of this machine; run grpo-tune",
                       COMPARABLE_TOKENS, threads, threads == 1 ? "" : "s");
    w.seconds = seconds / (double)n;
    cg_reference_init(&w.reference, threads);
    for (size_t i = 0; i < n && !(stop && *stop); i++) {
        CG_TRY(time_one(&w, chosen[i], &c->e[c->n]));
        c->n++;
    }
    c->batches = w.stats.batches;
    c->disturbed = w.stats.disturbed;
    c->shifts = cg_reference_shifts(&w.reference);
    cg_check_judge(c);
    return CG_OK;
}

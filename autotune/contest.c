#include "autotune/contest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/estimate.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    ATTEMPTS = 4, /* batches in place of one that was disturbed */
    REPEATS = 3,  /* turns in place of one at another speed */
    MOST_IN_TURN = 8,
    MOST_CALLS = 1 << 18, /* of a batch; a clock that sees nothing of so many stands still */
    SURE = 8,             /* undisturbed pairs that a decision needs at least, */
    MOST_PAIRS = 40,      /* and at most, */
    MOST_TURNS = 96,      /* in so many turns */
};
#define BATCH_SECONDS 0.4e-3 /* long against the clock and the start of threads, short against a time slice */
#define TURN_SECONDS 60e-3   /* between two batches of the default at most, about */
#define TOO_LONG 10          /* times what a batch of the default takes */
#define FAR_BEHIND 1.25
#define CONFIDENCE 0.98

int cg_contest_over(const struct cg_contest *c)
{
    return (c->stop && *c->stop) || cg_now() >= c->until;
}

/* One batch, timed again while it is disturbed, but not for ever: on a busy machine a rough figure is better than none.
 * *clean: it was not. 0 when the clock has seen nothing, negative without memory. */
static double batch(struct cg_contest *c, struct cg_trial *t, int *clean)
{
    double best = INFINITY;
    *clean = 0;
    for (int i = 0; i < ATTEMPTS && !*clean; i++) {
        struct cg_sample s;
        if (!cg_bench_time(t->bench, &t->plan, c->shape->m, c->calls, TOO_LONG * c->batch, &s)) return -1;
        *clean = !s.disturbed && s.seconds > 0;
        if (s.seconds > 0 && (*clean || s.seconds < best)) best = s.seconds;
        c->stats->batches++;
        c->stats->disturbed += !*clean;
        if (c->tick) c->tick(c->ctx, c->shape);
        if (i > 0 && cg_contest_over(c)) break;
    }
    return best < INFINITY ? best : 0;
}

int cg_contest_begin(struct cg_contest *c, const struct cg_plan *standard, struct cg_bench *bench)
{
    double best = INFINITY;
    size_t seen = 1; /* calls that the clock sees together */
    c->last = 0;
    c->standard = (struct cg_trial){.plan = *standard, .bench = bench, .ratio = 1, .lo = 1, .hi = 1};
    int clean = 0;
    for (int i = 0; i < 3 * ATTEMPTS && clean < 2; i++) {
        struct cg_sample s;
        size_t n = best < BATCH_SECONDS / 4 && seen < 4 ? 4 : seen;
        if (!cg_bench_time(bench, standard, c->shape->m, n, BATCH_SECONDS, &s)) return 0;
        if (!(s.seconds > 0)) {
            if (seen >= MOST_CALLS) return 0;
            seen *= 8;
            i = -1;
            continue;
        }
        if (s.seconds < best) best = s.seconds;
        clean += i > 0 && !s.disturbed; /* the first call is no measure */
    }
    if (!clean) return 0;
    double calls = fmin(fmax(ceil(BATCH_SECONDS / best), (double)seen), MOST_CALLS);
    c->calls = (size_t)calls;
    c->batch = best * (calls > 1 ? calls + 1 : 1);
    return 1;
}

int cg_contest_check(struct cg_contest *c, struct cg_trial *t, size_t n)
{
    size_t floats = c->shape->m * c->shape->n;
    c->last = 0;
    float *want = cg_alloc_n(floats, sizeof *want);
    const float *got = want ? cg_bench_result(c->standard.bench, &c->standard.plan, c->shape->m) : NULL;
    if (got) memcpy(want, got, floats * sizeof *want);
    for (size_t i = 0; got && i < n; i++) {
        got = cg_bench_result(t[i].bench, &t[i].plan, c->shape->m);
        t[i].wrong = got && memcmp(got, want, floats * sizeof *want) != 0;
    }
    cg_free(want);
    return got != NULL;
}

/* ---- Turns ------------------------------------------------------------------------------------------------------- */

/* Disturbed samples count only as long as there are no others: a plan with one thread suffers less from a busy
 * neighbour than one with two, and would look better than it is. */
static void add(struct cg_trial *t, double ratio, double seconds, int clean)
{
    t->disturbed += !clean;
    if (!clean && t->samples && !t->rough) return;
    if (t->rough) t->samples = 0;
    t->rough = !clean;
    t->x[t->samples % CG_TRIAL_SAMPLES] = log(ratio);
    t->t[t->samples++ % CG_TRIAL_SAMPLES] = seconds;
}

/* Batches of n plans between two of the default, which is what they are compared with: a speed that changes evenly
 * meanwhile changes no ratio. The default's batch that ends a turn begins the next one. What the clock has seen nothing
 * of is no sample. 0 without memory. */
static int turn(struct cg_contest *c, struct cg_trial **t, size_t n)
{
    double seconds[MOST_IN_TURN], before = 0, after = 0;
    int clean[MOST_IN_TURN] = {0}, clean_before = 0, clean_after = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        before = c->last;
        clean_before = c->last_clean;
        if (!(before > 0)) before = batch(c, &c->standard, &clean_before);
        for (size_t i = 0; i < n; i++) {
            seconds[i] = batch(c, t[i], &clean[i]);
            if (seconds[i] < 0) return 0;
        }
        after = batch(c, &c->standard, &clean_after);
        if (before < 0 || after < 0) return 0;
        c->last = after;
        c->last_clean = clean_after;
        if (cg_reference_steady(c->reference)) break;
        c->last = 0;
        c->stats->drifted++;
        if (cg_contest_over(c)) break;
    }
    double standard = sqrt(before * after);
    if (!(standard > 0)) return 1;
    add(&c->standard, 1, standard, clean_before && clean_after);
    for (size_t i = 0; i < n; i++)
        if (seconds[i] > 0) add(t[i], seconds[i] / standard, seconds[i], clean[i] && clean_before && clean_after);
    return 1;
}

/* A turn for each of n plans, a few at a time, beginning with another one every time. */
static int round_of(struct cg_contest *c, struct cg_trial *t, size_t n, size_t first)
{
    size_t most = (size_t)(TURN_SECONDS / c->batch);
    most = most < 1 ? 1 : most > MOST_IN_TURN ? MOST_IN_TURN : most;
    struct cg_trial *some[MOST_IN_TURN];
    for (size_t i = 0; i < n;) {
        size_t m = 0;
        while (i < n && m < most) some[m++] = &t[(first + i++) % n];
        if (cg_contest_over(c) || !turn(c, some, m)) return 0;
    }
    return 1;
}

static void settle(struct cg_trial *t)
{
    double x[CG_TRIAL_SAMPLES];
    size_t n = t->samples < CG_TRIAL_SAMPLES ? t->samples : CG_TRIAL_SAMPLES;
    memcpy(x, t->t, n * sizeof *x);
    t->seconds = cg_median_interval(x, n, CONFIDENCE).mid;
    memcpy(x, t->x, n * sizeof *x);
    struct cg_interval r = cg_median_interval(x, n, CONFIDENCE);
    t->ratio = n ? exp(r.mid) : INFINITY;
    t->lo = exp(r.lo);
    t->hi = exp(r.hi);
}

static double rank(const struct cg_trial *t)
{
    return t->handicap > 0 ? t->handicap * t->ratio : t->ratio;
}

static int by_rank(const void *pa, const void *pb)
{
    const struct cg_trial *a = pa, *b = pb;
    if (a->wrong != b->wrong) return a->wrong - b->wrong;
    return rank(a) < rank(b) ? -1 : rank(a) > rank(b);
}

int cg_contest_rounds(struct cg_contest *c, struct cg_trial *t, size_t n, size_t rounds)
{
    for (size_t r = 0; r < rounds && n; r++)
        if (!round_of(c, t, n, r * n / rounds)) return 0;
    for (size_t i = 0; i < n; i++) settle(&t[i]);
    settle(&c->standard);
    return 1;
}

size_t cg_contest_halve(struct cg_contest *c, struct cg_trial *t, size_t n, size_t keep)
{
    for (size_t i = 0; i < n; i++) t[i].ratio = INFINITY;
    qsort(t, n, sizeof *t, by_rank);
    while (n && t[n - 1].wrong) n--;
    static const size_t rounds[] = {1, 1, 2, 4};
    for (size_t stage = 0; cg_contest_rounds(c, t, n, rounds[stage]); stage += stage < 3) {
        qsort(t, n, sizeof *t, by_rank);
        while (n > 1 && rank(&t[n - 1]) > FAR_BEHIND * rank(&t[0])) n--;
        if (n <= keep) return n;
        n = (n + 1) / 2 > keep ? (n + 1) / 2 : keep;
    }
    return 0;
}

/* What is known after so many pairs: 1, 0, or -1 for not yet. */
static int verdict(const struct cg_trial *t, double gain)
{
    if (t->hi < 1 - gain) return 1;
    if (t->lo > 1 - gain || t->samples >= MOST_PAIRS) return 0;
    return t->samples >= 2 * SURE && t->ratio > 1 - 0.75 * gain ? 0 : -1; /* it will hardly get there */
}

int cg_contest_duel(struct cg_contest *c, struct cg_trial *t, double gain)
{
    int decided = -1;
    t->samples = t->disturbed = 0;
    c->standard.samples = c->standard.disturbed = 0;
    for (int turns = 1; turns <= MOST_TURNS && decided < 0 && !cg_contest_over(c); turns++) {
        if (!turn(c, &t, 1)) return -1;
        if (t->samples < SURE || t->samples % 4) continue;
        settle(t);
        decided = verdict(t, gain);
    }
    settle(t);
    settle(&c->standard);
    /* Time was out, with enough samples for both to know that this is close. */
    return decided < 0 && t->samples >= SURE && !t->rough ? t->hi < 1 - gain : decided;
}

struct cg_counts cg_contest_count(struct cg_contest *c, const struct cg_trial *t, struct cg_counters *counters)
{
    struct cg_counts counts = {0};
    struct cg_sample s;
    if (cg_counters_start(counters) != CG_OK) return counts;
    int timed = cg_bench_time(t->bench, &t->plan, c->shape->m, c->calls, INFINITY, &s);
    if (cg_counters_stop(counters, &counts) != CG_OK || !timed) return (struct cg_counts){0};
    size_t calls = c->calls > 1 ? c->calls + 1 : 1; /* with the one before the clock starts */
    for (int i = 0; i < CG_COUNTS; i++) counts.value[i] /= calls;
    return counts;
}

#include "bench/compare.h"

#include <stdlib.h>
#include <time.h>

#include "bench/limits.h"
#include "bench/report.h"
#include "common/clock.h"
#include "common/log.h"

enum { MAX_SAMPLES = 2048, MIN_SAMPLES = 5 };

/* A sample lasts at least this long, so that the clock does not matter. */
static const double sample_seconds = 1e-4;

struct contest {
    const struct cg_plans *plans;
    const struct cg_compare *how;
    struct cg_rival rivals[CG_MAX_RIVALS];
    int n; /* candidates: us, then the rivals */
    struct cg_operands *o;
    struct cg_bench_case alone;  /* with `scaling`: the case on one thread, */
    struct cg_operands *alone_o; /* and its operands; else NULL */
    struct cg_rival_run runs[CG_MAX_RIVALS];
    double *samples[CG_CANDIDATES];
};

static void call(struct contest *t, int who)
{
    if (who == 0) cg_operands_call(t->o);
    else if (t->alone_o) cg_operands_call(t->alone_o);
    else cg_rival_call(&t->runs[who - 1]);
}

static double time_calls(struct contest *t, int who, size_t calls)
{
    double start = cg_now();
    for (size_t i = 0; i < calls; i++) call(t, who);
    return (cg_now() - start) / (double)calls;
}

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

static struct cg_timing summarise(double *x, size_t n, size_t calls)
{
    qsort(x, n, sizeof *x, ascending);
    return (struct cg_timing){x[0], n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]), n, calls};
}

/* All candidates in turn, starting with another one each time; an untimed call before each sample brings its operands
 * back into the caches (where they are not cold on purpose) and wakes its threads. */
static void run(struct contest *t, struct cg_timing *out)
{
    size_t calls[CG_CANDIDATES], rounds = 0;
    int threads = cg_plans_threads(t->plans);
    for (int who = 0; who < t->n; who++) {
        call(t, who);
        double once = time_calls(t, who, 1);
        calls[who] = once >= sample_seconds ? 1 : (size_t)(sample_seconds / (once > 1e-9 ? once : 1e-9)) + 1;
    }
    double end = cg_now() + t->how->seconds * t->n;
    while (rounds < MAX_SAMPLES && (rounds < MIN_SAMPLES || cg_now() < end)) {
        for (int i = 0; i < t->n; i++) {
            int who = (int)((rounds + (size_t)i) % (size_t)t->n);
            /* Threads of the one before wait busily for a while: let them fall asleep. */
            if (threads > 1 && t->n > 1) nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
            call(t, who);
            t->samples[who][rounds] = time_calls(t, who, calls[who]);
        }
        rounds++;
    }
    for (int who = 0; who < t->n; who++) out[who] = summarise(t->samples[who], rounds, calls[who]);
}

/* The limits before and after the contest: whichever was higher, since the machine's speed changes. */
static void add_limits(struct contest *t, struct cg_result *r)
{
    const struct cg_machine *m = cg_plans_machine(t->plans);
    size_t footprint = cg_operands_footprint(t->o);
    int threads = r->c->plan.threads ? r->c->plan.threads : 1, copy = !cg_op_is_gemm(r->c->op);
    double fma = cg_limit_fma(m, r->c->plan.variant, threads);
    double bandwidth = cg_limit_bandwidth(m, footprint, copy, threads);
    if (fma > r->fma) r->fma = fma;
    if (bandwidth > r->bandwidth) r->bandwidth = bandwidth;
    r->traffic = cg_operands_traffic(t->o);
    r->level = cg_limit_level(m, footprint, threads);
}

/* Prepares the rivals; how many of their runs are open is in *opened, even after a failure. */
static enum cg_status open_rivals(struct contest *t, const struct cg_bench_case *c, int *opened)
{
    struct cg_plain plain;
    if (t->how->scaling) {
        t->alone = *c;
        t->alone.plan.threads = 1;
        return cg_operands_open(t->plans, &t->alone, t->how->cold, 0, &t->alone_o);
    }
    cg_operands_plain(t->o, &plain);
    for (; *opened < t->n - 1; ++*opened)
        CG_TRY(cg_rival_open(&t->rivals[*opened], c, &plain, t->how->cold, &t->runs[*opened]));
    return CG_OK;
}

static enum cg_status contest(struct contest *t, const struct cg_bench_case *c, struct cg_result *r)
{
    t->n = 1 + (t->how->scaling ? 1 : cg_rivals(t->how->peers, t->how->n_peers, c->op, t->rivals));
    if (t->how->scaling) t->rivals[0] = (struct cg_rival){.name = "1 thread"};
    *r = (struct cg_result){.c = c, .rivals = t->rivals, .n = t->n};
    CG_TRY(cg_operands_open(t->plans, c, t->how->cold, t->n > 1, &t->o));
    int opened = 0;
    enum cg_status st = open_rivals(t, c, &opened);
    if (st == CG_OK) {
        add_limits(t, r);
        run(t, r->t);
        add_limits(t, r);
    }
    while (opened > 0) cg_rival_close(&t->runs[--opened]);
    cg_operands_close(t->alone_o);
    cg_operands_close(t->o);
    t->alone_o = NULL;
    return st;
}

enum cg_status cg_bench_compare(const struct cg_plans *plans, const struct cg_bench_cases *cases,
                                const struct cg_compare *how, FILE *out)
{
    struct contest t = {.plans = plans, .how = how};
    double *samples = malloc(sizeof *samples * MAX_SAMPLES * CG_CANDIDATES);
    struct cg_report *report = samples ? cg_report_open(plans, how->cold, how->json, out) : NULL;
    enum cg_status st = report ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (int who = 0; samples && who < CG_CANDIDATES; who++) t.samples[who] = samples + (size_t)who * MAX_SAMPLES;
    for (size_t i = 0; st == CG_OK && i < cases->n; i++) {
        struct cg_result row;
        cg_progress("%zu/%zu %s", i + 1, cases->n, cases->c[i].name);
        st = contest(&t, &cases->c[i], &row);
        if (st == CG_OK) cg_report_row(report, &row);
    }
    free(samples);
    cg_limits_release();
    if (!report) return st;
    if (st == CG_OK) return cg_report_close(report);
    cg_report_abandon(report);
    return st;
}

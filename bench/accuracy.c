#include "bench/accuracy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/measure.h"
#include "autotune/predict.h"
#include "autotune/report.h"
#include "autotune/space.h"
#include "autotune/store.h"
#include "common/rng.h"

enum {
    MOST_COPIES = 256,
    MAX_PLANS = CG_ACCURACY_PLANS,
    SPACE = 2000,
    SAMPLES = 7,
    LEAST_SAMPLES = 3,
    ROUNDS = 40,
    CLASSES = 4
};
#define BACKWARD_CLASS 2 /* nobody trains on fewer tokens at a time */
#define BATCH_SECONDS 1e-3
#define MOST_FLOPS 4e9
#define MOST_BYTES 128e6

/* A plan of a shape. */
struct trial {
    struct cg_plan plan;
    double measured, predicted;
    size_t samples;
};

/* What is known of the trials of one kind. */
struct group {
    double *ratio; /* logarithms */
    size_t n;
};

struct check {
    const struct cg_accuracy *o;
    const struct cg_machine *m;
    const struct cg_rates *r;
    uint32_t at; /* draws */
    struct group groups[CG_OP_gemm_s8 + 1][3][CLASSES], all, defaults;
    double order, lost; /* sums over shapes: of rank correlations, of the logarithm of what the first choice loses */
    size_t shapes, left_out;
    struct group gains; /* logarithms of the default's time over that of the model's first choice of all plans */
};

static uint32_t draw(struct check *c, uint32_t below)
{
    return cg_rng_below(c->o->seed, CG_RNG_TEST, ++c->at, 0, 0, below);
}

/* From lo to hi, evenly in the logarithm; often a multiple of 64, as the sizes of models are. */
static size_t draw_size(struct check *c, double lo, double hi)
{
    double x = lo * pow(hi / lo, draw(c, 1 << 20) / (double)(1 << 20));
    size_t size = (size_t)(x + 0.5);
    return size >= 64 && draw(c, 3) ? (size + 32) / 64 * 64 : size;
}

static int class_of(size_t rows)
{
    return rows == 1 ? 0 : rows <= 8 ? 1 : rows <= 64 ? 2 : 3;
}

static const char *const class_names[CLASSES] = {"1", "2-8", "9-64", "65-1024"};

/* A shape that takes neither too long nor too much memory. *cold: B is used once and comes from memory. */
static struct cg_shape draw_shape(struct check *c, int *cold)
{
    struct cg_shape s;
    double bytes;
    do {
        static const double most[CLASSES] = {1, 8, 64, 1024};
        s = (struct cg_shape){.op = (enum cg_op)draw(c, CG_OP_gemm_s8 + 1), .form = CG_FORM_NT};
        int rows = (int)draw(c, CLASSES);
        if (s.op == CG_OP_gemm_f32 && draw(c, 2)) {
            s.form = draw(c, 2) ? CG_FORM_NN : CG_FORM_TN;
            if (rows < BACKWARD_CLASS) rows = BACKWARD_CLASS;
        }
        size_t tokens = draw_size(c, rows ? most[rows - 1] + 1 : 1, most[rows]);
        s.m = tokens;
        s.n = draw_size(c, 48, draw(c, 8) ? 4096 : 32768);
        s.k = draw_size(c, 48, 4096);
        if (s.form == CG_FORM_TN) s.m = s.k, s.k = tokens;
        *cold = (int)draw(c, 2);
        s.model_bytes = SIZE_MAX / 2;
        /* So many copies of a small B are in a cache still. */
        if (MOST_COPIES * s.n * s.k * (s.op == CG_OP_gemm_s8 ? 1 : 2) < cg_bench_stream(c->m, &s)) *cold = 0;
        if (!*cold) s.model_bytes = 0;
        bytes = 4.0 * ((double)s.n * (double)s.k + (double)s.m * ((double)s.n + (double)s.k));
    } while (bytes > MOST_BYTES || cg_shape_flops(&s) > MOST_FLOPS);
    return s;
}

/* ---- One shape --------------------------------------------------------------------------------------------------- */

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

/* All plans in turn, so that what disturbs the machine meets all alike; of each what a third of its samples are below.
 * Returns 0 when memory is short. *busy: other programs held the processors nearly all the time. */
static int measure(struct cg_bench *b, size_t rows, struct trial *t, size_t n, int *busy)
{
    static double sample[MAX_PLANS][SAMPLES];
    size_t calls[MAX_PLANS];
    struct cg_sample got;
    *busy = 0;
    for (size_t i = 0; i < n; i++) {
        if (!cg_bench_time(b, &t[i].plan, rows, 2, 10, &got)) return 0;
        calls[i] = (size_t)fmin(10000, ceil(BATCH_SECONDS / fmax(got.seconds, 1e-8)));
        t[i].samples = 0;
    }
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < n; i++) {
            if (t[i].samples == SAMPLES) continue;
            if (!cg_bench_time(b, &t[i].plan, rows, calls[i], 10, &got)) return 0;
            if (!got.disturbed) sample[i][t[i].samples++] = got.seconds;
        }
    for (size_t i = 0; i < n; i++) {
        *busy |= t[i].samples < LEAST_SAMPLES;
        qsort(sample[i], t[i].samples, sizeof(double), ascending);
        t[i].measured = sample[i][t[i].samples / 3];
    }
    return 1;
}

/* Spearman's rank correlation of both times. */
static double rank_correlation(const struct trial *t, size_t n)
{
    double d2 = 0;
    for (size_t i = 0; i < n; i++) {
        double a = 0, b = 0;
        for (size_t j = 0; j < n; j++) {
            a += (t[j].measured < t[i].measured) + 0.5 * (t[j].measured == t[i].measured);
            b += (t[j].predicted < t[i].predicted) + 0.5 * (t[j].predicted == t[i].predicted);
        }
        d2 += (a - b) * (a - b);
    }
    return 1 - 6 * d2 / ((double)n * ((double)n * (double)n - 1));
}

static enum cg_status put(struct group *g, double x)
{
    double *more = realloc(g->ratio, (g->n + 1) * sizeof *more);
    if (!more) return cg_fail(CG_ERR_MEMORY, "out of memory");
    g->ratio = more;
    g->ratio[g->n++] = x;
    return CG_OK;
}

static enum cg_status note(struct check *c, const struct cg_shape *s, int cold, const struct trial *t, size_t n)
{
    size_t first = 0, best = 0;
    int kind = class_of(s->form == CG_FORM_TN ? s->k : s->m);
    for (size_t i = 0; i < n; i++) {
        double x = log(t[i].predicted / t[i].measured);
        char text[128];
        CG_TRY(put(&c->groups[s->op][s->form][kind], x));
        CG_TRY(put(&c->all, x));
        if (i == 0) CG_TRY(put(&c->defaults, x));
        if (t[i].predicted < t[first].predicted) first = i;
        if (t[i].measured < t[best].measured) best = i;
        if (c->o->list)
            printf("%-10s %s %5zu %6zu %5zu %s %-40s %10.3f %10.3f us %6.3f\n", cg_op_name(s->op),
                   cg_form_name(s->form), s->m, s->n, s->k, cold ? "cold" : "warm",
                   cg_plan_text(&t[i].plan, text, sizeof text), t[i].predicted * 1e6, t[i].measured * 1e6, exp(x));
    }
    if (n > 1) CG_TRY(put(&c->gains, log(t[0].measured / t[1].measured)));
    if (n < 3) return CG_OK;
    c->order += rank_correlation(t, n);
    c->lost += log(t[first].measured / t[best].measured);
    c->shapes++;
    return CG_OK;
}

static enum cg_status check_shape(struct check *c)
{
    static struct cg_plan space[SPACE];
    static struct trial t[MAX_PLANS];
    struct cg_plan first[2];
    int cold;
    struct cg_shape s = draw_shape(c, &cold);
    const struct cg_variant *layouts[CG_MAX_LAYOUTS];
    size_t n_layouts = cg_space_layouts(c->m, &s, c->o->threads, layouts), n = 1;
    if (!n_layouts) return CG_OK; /* no such instructions here */
    const struct cg_variant *like = layouts[draw(c, 3) ? 0 : draw(c, (uint32_t)n_layouts)];
    size_t n_space = cg_space_plans(c->m, &s, like, c->o->threads, NULL, space, SPACE);
    t[0].plan = space[0];
    if (c->o->plans > 1 && cg_space_plans(c->m, &s, like, c->o->threads, c->r, first, 2) > 1) t[n++].plan = first[1];
    while (n < c->o->plans && n < n_space) t[n++].plan = space[draw(c, (uint32_t)n_space)];
    struct cg_bench *b;
    size_t stream = cold ? cg_bench_stream(c->m, &s) : 0;
    CG_TRY(cg_bench_open(c->m, &s, s.m, like, c->o->threads, stream, &b));
    int busy, ok = measure(b, s.m, t, n, &busy);
    cg_bench_close(b);
    if (!ok) return cg_fail(CG_ERR_MEMORY, "out of memory");
    c->left_out += (size_t)busy;
    if (busy) return CG_OK;
    for (size_t i = 0; i < n; i++) {
        t[i].predicted = cg_predict_gemm(c->m, c->r, s.form, &t[i].plan, s.m, s.n, s.k, cold);
        if (t[i].predicted < 0)
            return cg_fail(CG_ERR_USER, "the rates do not have %s; measure them anew", t[i].plan.variant->name);
    }
    return note(c, &s, cold, t, n);
}

/* ---- The report -------------------------------------------------------------------------------------------------- */

static void print_group(const char *name, const char *rows, struct group *g)
{
    size_t within = 0;
    if (!g->n) return;
    qsort(g->ratio, g->n, sizeof(double), ascending);
    for (size_t i = 0; i < g->n; i++) within += fabs(g->ratio[i]) <= log(1.15);
    printf("%-14s %-8s %6zu   %5.2f  %5.2f  %5.2f  %5.2f  %5.2f   %5.1f%%\n", name, rows, g->n,
           exp(g->ratio[g->n / 20]), exp(g->ratio[g->n / 4]), exp(g->ratio[g->n / 2]), exp(g->ratio[g->n * 3 / 4]),
           exp(g->ratio[g->n * 19 / 20]), 100.0 * (double)within / (double)g->n);
}

static void print_gains(struct group *g)
{
    double sum = 0;
    if (!g->n) return;
    qsort(g->ratio, g->n, sizeof(double), ascending);
    for (size_t i = 0; i < g->n; i++) sum += g->ratio[i];
    printf(
        "the model's first choice of all plans is %.3f times as fast as the default plan (geometric mean; 5%% of them "
        "below %.3f, lowest %.3f)\n",
        exp(sum / (double)g->n), exp(g->ratio[g->n / 20]), exp(g->ratio[0]));
}

static void print_check(struct check *c)
{
    printf("%-14s %-8s %6s   %5s  %5s  %5s  %5s  %5s   %6s\n", "predicted /", "tokens", "plans", "5%", "25%", "50%",
           "75%", "95%", "within");
    printf("%-14s %-8s %6s   %5s  %5s  %5s  %5s  %5s   %6s\n", "measured", "", "", "", "", "", "", "", "15%");
    for (int op = 0; op <= CG_OP_gemm_s8; op++)
        for (int form = 0; form < 3; form++)
            for (int k = 0; k < CLASSES; k++) {
                char name[32];
                snprintf(name, sizeof name, "%s %s", cg_op_name((enum cg_op)op) + strlen("gemm_"),
                         cg_form_name((enum cg_form)form));
                print_group(name, class_names[k], &c->groups[op][form][k]);
            }
    if (c->left_out) printf("%zu shapes left out: other programs held the processors\n", c->left_out);
    print_group("default plans", "", &c->defaults);
    print_group("all plans", "", &c->all);
    print_gains(&c->gains);
    if (c->shapes)
        printf(
            "order of the plans of a shape: rank correlation %.2f; the first choice is %.1f%% slower than the best of "
            "them\n",
            c->order / (double)c->shapes, 100 * (exp(c->lost / (double)c->shapes) - 1));
}

static void release(struct check *c)
{
    free(c->all.ratio);
    free(c->defaults.ratio);
    free(c->gains.ratio);
    for (int op = 0; op <= CG_OP_gemm_s8; op++)
        for (int form = 0; form < 3; form++)
            for (int k = 0; k < CLASSES; k++) free(c->groups[op][form][k].ratio);
}

enum cg_status cg_accuracy_run(const struct cg_accuracy *o, const struct cg_machine *m, const struct cg_rates *r)
{
    static struct check c;
    c = (struct check){.o = o, .m = m, .r = r};
    enum cg_status st = CG_OK;
    for (size_t i = 0; i < o->shapes && st == CG_OK; i++) st = check_shape(&c);
    if (st == CG_OK) print_check(&c);
    release(&c);
    return st;
}

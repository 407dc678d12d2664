#include "autotune/search.h"

#include <math.h>
#include <string.h>

#include "autotune/measure.h"
#include "autotune/space.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    MAX_PLANS = 160,
    MAX_SAMPLES = 48, /* batches of one plan */
    DUEL = 11,        /* pairs of batches that decide against the default */
};
#define STREAM_BYTES 64e6    /* weights that are streamed at most: more than most caches hold */
#define FILL_RATE 1e9        /* bytes a second that operands are made at, at least */
#define BATCH_SECONDS 1.0e-3 /* long against the clock and the start of threads */
#define UNDISTURBED 0.9      /* share of the processors that a batch must have had */
#define GAIN 1.02            /* less is not told from noise: the default stays */
#define FAR_BEHIND 1.25      /* a layout so much slower is not looked at further */
#define LAYOUT_GAIN 1.03     /* another layout must be worth it for all rows together */

struct candidate {
    struct cg_plan plan;
    double sample[MAX_SAMPLES]; /* seconds a call, of each batch */
    size_t n, disturbed;
    double time; /* typical of them */
};

struct search {
    const struct cg_tuner *t;
    double end;   /* of the whole budget, by cg_now */
    double until; /* of this shape */
    struct candidate *c;
    float *want; /* the default's result */
    struct cg_tune_stats *stats;
    struct {
        const struct cg_variant *like;
        int times; /* far behind the best */
    } slow[2 * CG_MAX_LAYOUTS];
    size_t done, all;
};

static int stopped(const struct search *s)
{
    return (s->t->stop && *s->t->stop) || cg_now() >= s->end;
}

static void report(const struct search *s, const struct cg_shape *shape)
{
    double left = s->end - cg_now();
    if (s->t->progress) s->t->progress(s->t->ctx, s->done, s->all, left > 0 ? left : 0, shape);
}

/* ---- One shape --------------------------------------------------------------------------------------------------- */

struct target {
    struct cg_bench *bench;
    const struct cg_shape *shape;
    size_t calls; /* in a batch */
};

/* One batch of a candidate; 0 when it could not run. A batch during which other programs held the processors is made
 * again, but not for ever: on a busy machine a rough figure is better than none. */
static int sample(struct search *s, const struct target *g, struct candidate *c)
{
    double best = INFINITY;
    int disturbed = 1;
    for (int attempt = 0; attempt < 3 && disturbed; attempt++) {
        double t = cg_bench_time(g->bench, &c->plan, g->shape->m, g->calls, g->calls > 1);
        if (t < 0) return 0;
        if (t < best) best = t;
        disturbed = cg_bench_share(g->bench) < UNDISTURBED;
        s->stats->batches++;
        s->stats->disturbed += (size_t)disturbed;
        if (cg_now() > s->until) break;
    }
    c->disturbed += (size_t)disturbed;
    c->sample[c->n++ % MAX_SAMPLES] = best;
    return 1;
}

static double settle(struct candidate *c)
{
    double x[MAX_SAMPLES];
    size_t n = c->n < MAX_SAMPLES ? c->n : MAX_SAMPLES;
    memcpy(x, c->sample, n * sizeof *x);
    c->time = n ? cg_typical(x, n) : INFINITY;
    return c->time;
}

/* Calls for a batch of about BATCH_SECONDS; *seconds: what such a batch takes. */
static size_t batch_calls(struct cg_bench *b, const struct cg_plan *plan, size_t rows, double *seconds)
{
    double t = cg_bench_time(b, plan, rows, 1, 1);
    if (t >= 0 && t < BATCH_SECONDS / 4) t = cg_bench_time(b, plan, rows, 4, 0);
    if (t < 0) return 0;
    double calls = ceil(BATCH_SECONDS / (t + 1e-9));
    *seconds = t * (calls > 1 ? calls + 1 : 1);
    return (size_t)calls;
}

/* Successive halving: batches of all that are left in turn, so that what disturbs the machine meets all alike; then the
 * slower two thirds go. The default, c[0], always stays. Returns how many are left, the best of them in c[1]. */
static size_t halve(struct search *s, const struct target *g, size_t n)
{
    for (size_t batches = 1; n > 2; batches = batches < 8 ? batches * 2 : 8) {
        for (size_t b = 0; b < batches; b++)
            for (size_t i = 0; i < n; i++) {
                if (stopped(s) || cg_now() > s->until) return 0;
                if (!sample(s, g, &s->c[i])) return 0;
            }
        for (size_t i = 0; i < n; i++) settle(&s->c[i]);
        size_t keep = 1 + (n - 1) / 3;
        if (keep < 2) keep = 2;
        for (size_t i = 1; i < keep; i++) { /* selection: the lists are short */
            size_t best = i;
            for (size_t j = i + 1; j < n; j++)
                if (s->c[j].time < s->c[best].time) best = j;
            struct candidate x = s->c[i];
            s->c[i] = s->c[best];
            s->c[best] = x;
        }
        n = keep;
    }
    return n;
}

/* Does the plan give the bits that the default gave? */
static int same_bits(struct search *s, const struct target *g, const struct cg_plan *plan)
{
    const float *c = cg_bench_result(g->bench, plan, g->shape->m);
    return c && memcmp(c, s->want, g->shape->m * g->shape->n * sizeof *c) == 0;
}

/* Pairs of batches of a and b in turn: is b faster, by the typical time and in most pairs? Leaves the times in .time.
 * -1 when that cannot be said: too few batches, or other programs took the processors away during most of them. */
static int duel(struct search *s, const struct target *ga, struct candidate *a, const struct target *gb,
                struct candidate *b)
{
    a->n = b->n = a->disturbed = b->disturbed = 0;
    size_t won = 0, pairs = 0;
    for (; pairs < DUEL && !stopped(s); pairs++) {
        if (!sample(s, ga, a) || !sample(s, gb, b)) return -1;
        won += b->sample[b->n - 1] < a->sample[a->n - 1];
        if (pairs >= 4 && cg_now() > s->until) break;
    }
    if (a->n < 3 || 2 * a->disturbed > a->n || 2 * b->disturbed > b->n) return -1;
    settle(a);
    settle(b);
    return b->time * GAIN < a->time && 3 * won >= 2 * b->n;
}

static void keep(struct cg_found *f, const struct cg_shape *shape, const struct cg_plan *plan, double time,
                 double time_default, uint32_t threads)
{
    f->tuned = (struct cg_tuned){.op = shape->op,
                                 .form = shape->form,
                                 .m = shape->m,
                                 .n = shape->n,
                                 .k = shape->k,
                                 .threads = threads,
                                 .plan = *plan,
                                 .gflops = cg_shape_flops(shape) / time * 1e-9,
                                 .gflops_default = cg_shape_flops(shape) / time_default * 1e-9};
}

/* `base`: the bench of the default layout, `own`: that of the layout chosen for the weight; the same in most cases. */
static void search_shape(struct search *s, const struct cg_shape *shape, struct cg_bench *base, struct cg_bench *own,
                         const struct cg_variant *like, double seconds, struct cg_found *f)
{
    struct cg_plan plans[MAX_PLANS];
    int threads = s->t->threads;
    double batch, start = cg_now();
    struct target gb = {base, shape, 1}, g = {own, shape, 1};
    f->standard = cg_space_default(s->t->machine, shape, NULL, threads);
    gb.calls = g.calls = batch_calls(base, &f->standard, shape->m, &batch);
    if (!g.calls) return;
    /* What the last duel and the checks take comes off; the rest is about three batches a candidate. */
    double room = (seconds - (2 * DUEL + 2) * batch) / (3 * batch);
    size_t n = room < 3 ? 0 : room > MAX_PLANS ? MAX_PLANS : (size_t)room;
    n = cg_space_plans(s->t->machine, shape, like, threads, plans, n);
    if (n == 0) return;
    s->until = start + seconds + 2 * batch;
    for (size_t i = 0; i < n; i++) {
        s->c[i].plan = plans[i];
        s->c[i].n = 0;
    }
    const float *c = cg_bench_result(own, &plans[0], shape->m);
    if (!c) return;
    memcpy(s->want, c, shape->m * shape->n * sizeof *c);
    size_t left = halve(s, &g, n), best = 0;
    if (left == 0 && stopped(s)) return;
    if (left >= 2 && same_bits(s, &g, &s->c[1].plan)) best = 1;
    f->wrong += left >= 2 && !best;
    struct candidate standard = {.plan = f->standard}, *chosen = &s->c[best];
    /* With another layout there is no way back to the default plan: its time is only measured for the table. */
    int wins = duel(s, &gb, &standard, &g, chosen);
    if (wins < 0) return;
    if (own == base && !wins) chosen = &standard;
    keep(f, shape, &chosen->plan, chosen->time, standard.time, (uint32_t)threads);
    f->candidates = n;
}

/* ---- Shapes that share a packed weight --------------------------------------------------------------------------- */

/* Layouts that were far behind for two weights are left out from then on. */
static int *slow_times(struct search *s, const struct cg_variant *like)
{
    size_t i = 0, n = sizeof s->slow / sizeof *s->slow;
    while (i + 1 < n && s->slow[i].like && s->slow[i].like != like) i++;
    s->slow[i].like = like;
    return &s->slow[i].times;
}

/* Times the default plan of every layout for every number of rows, in turn, and gives the layout that is best for all
 * together, weighed by importance; 0, the default's, unless another is clearly better. */
static size_t choose_layout(struct search *s, const struct cg_shape *shapes, size_t n, struct cg_bench **benches,
                            const struct cg_variant **layouts, size_t n_layouts, double seconds)
{
    double total[CG_MAX_LAYOUTS] = {0};
    s->until = cg_now() + seconds;
    for (size_t i = 0; i < n && !stopped(s); i++) {
        double batch;
        struct cg_plan plan = cg_space_default(s->t->machine, &shapes[i], NULL, s->t->threads);
        size_t calls = batch_calls(benches[0], &plan, shapes[i].m, &batch);
        if (!calls || cg_now() + 3 * batch * (double)n_layouts > s->until) continue;
        for (size_t l = 0; l < n_layouts; l++) {
            s->c[l].n = s->c[l].disturbed = 0;
            s->c[l].plan = cg_space_default(s->t->machine, &shapes[i], layouts[l], s->t->threads);
        }
        for (size_t rep = 0; rep < 5 && (rep < 3 || cg_now() < s->until); rep++)
            for (size_t l = 0; l < n_layouts; l++)
                if (benches[l] && !sample(s, &(struct target){benches[l], &shapes[i], calls}, &s->c[l])) return 0;
        for (size_t l = 0; l < n_layouts; l++) {
            total[l] += shapes[i].weight * settle(&s->c[l]) / settle(&s->c[0]);
            if (!benches[l] || total[l] < FAR_BEHIND * total[0]) continue;
            cg_bench_close(benches[l]);
            benches[l] = NULL;
            ++*slow_times(s, layouts[l]);
        }
    }
    size_t best = 0;
    for (size_t l = 1; l < n_layouts; l++)
        if (benches[l] && total[l] * LAYOUT_GAIN < total[0] && total[l] < total[best]) best = l;
    return best;
}

/* Another layout has to prove itself against the default in the shapes' own duels, all together; otherwise the default
 * plans stay. */
static void confirm_layout(const struct cg_shape *shapes, size_t n, struct cg_found *found)
{
    double now = 0, before = 0;
    for (size_t i = 0; i < n; i++) {
        if (!found[i].candidates) continue;
        before += shapes[i].weight;
        now += shapes[i].weight * found[i].tuned.gflops_default / found[i].tuned.gflops;
    }
    if (now * GAIN < before) return;
    for (size_t i = 0; i < n; i++) {
        if (!found[i].candidates) continue;
        found[i].tuned.plan = found[i].standard;
        found[i].tuned.gflops = found[i].tuned.gflops_default;
    }
}

/* All shapes of one weight (or a single NN or TN shape), in about `seconds`. */
static enum cg_status search_group(struct search *s, const struct cg_shape *shapes, size_t n, double seconds,
                                   struct cg_found *found)
{
    const struct cg_variant *layouts[CG_MAX_LAYOUTS];
    struct cg_bench *benches[CG_MAX_LAYOUTS] = {0};
    size_t n_layouts = cg_space_layouts(s->t->machine, &shapes[0], s->t->threads, layouts), max_m = 0, best = 0;
    double stream = 0.2 * seconds * FILL_RATE, bytes = (double)shapes[0].n * (double)shapes[0].k * sizeof(float);
    if (shapes[0].form != CG_FORM_NT) n_layouts = n_layouts > 0; /* B is packed at every call: no choice to make */
    if (n_layouts == 0 || seconds * FILL_RATE < 4 * bytes) return CG_OK;
    stream = (stream < STREAM_BYTES ? stream : STREAM_BYTES) / (double)n_layouts;
    for (size_t i = 0; i < n; i++) max_m = shapes[i].m > max_m ? shapes[i].m : max_m;
    double end = cg_now() + seconds;
    s->want = cg_alloc_n(max_m * shapes[0].n, sizeof(float));
    enum cg_status st = s->want ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t l = 0; l < n_layouts && st == CG_OK; l++) {
        if (l > 0 && *slow_times(s, layouts[l]) >= 2) continue;
        report(s, &shapes[0]);
        st = cg_bench_open(s->t->machine, &shapes[0], max_m, layouts[l], s->t->threads, (size_t)stream, &benches[l]);
        if (l > 0) st = CG_OK; /* the layout is no candidate then */
    }
    if (st == CG_OK && n_layouts > 1)
        best = choose_layout(s, shapes, n, benches, layouts, n_layouts, 0.25 * (end - cg_now()));
    double weights = 0;
    for (size_t i = 0; i < n; i++) weights += sqrt(shapes[i].weight);
    for (size_t i = 0; i < n && st == CG_OK && !stopped(s); i++) {
        double share = sqrt(shapes[i].weight) / weights * (end - cg_now());
        weights -= sqrt(shapes[i].weight);
        report(s, &shapes[i]);
        search_shape(s, &shapes[i], benches[0], benches[best], layouts[best], share, &found[i]);
        s->done++;
    }
    if (best) confirm_layout(shapes, n, found);
    for (size_t l = 0; l < CG_MAX_LAYOUTS; l++) cg_bench_close(benches[l]);
    cg_free(s->want);
    s->want = NULL;
    return st;
}

enum cg_status cg_tune(const struct cg_tuner *t, const struct cg_shapes *shapes, struct cg_found *found,
                       struct cg_tune_stats *stats)
{
    *stats = (struct cg_tune_stats){0};
    struct search s = {.t = t, .end = cg_now() + t->budget, .all = shapes->n, .stats = stats};
    s.c = cg_alloc_n(MAX_PLANS, sizeof *s.c);
    if (!s.c) return cg_fail(CG_ERR_MEMORY, "out of memory");
    memset(found, 0, shapes->n * sizeof *found);
    double weights = 0;
    for (size_t i = 0; i < shapes->n; i++) weights += sqrt(shapes->s[i].weight);
    for (size_t i = 0; i < shapes->n && !stopped(&s);) {
        size_t n = 1;
        while (i + n < shapes->n && cg_shapes_share_layout(&shapes->s[i], &shapes->s[i + n])) n++;
        double own = 0;
        for (size_t j = 0; j < n; j++) own += sqrt(shapes->s[i + j].weight);
        double seconds = own / weights * (s.end - cg_now());
        weights -= own;
        /* A group that does not fit into memory is left to its default; the others go on. */
        (void)search_group(&s, &shapes->s[i], n, seconds, &found[i]);
        i += n;
        s.done = i;
    }
    cg_free(s.c);
    return CG_OK;
}

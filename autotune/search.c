#include "autotune/search.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "autotune/space.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    BREADTH = 20,      /* plans of a shape at first */
    MOST_BREADTH = 64, /* what fits into `trials` besides the neighbours */
    NEIGHBOURS = 14,   /* of the best of them */
    TRIALS = MOST_BREADTH + NEIGHBOURS + 1,
    KEPT = 3,          /* of the first plans that meet the neighbours */
    LAYOUT_ROUNDS = 4, /* turns of each layout for each number of rows */
    ROOM = 110,        /* batches that the neighbours and the duel take, about */
    EACH = 3,          /* and each of the first plans, with those of the default */
};
#define GAIN 0.02 /* less is not worth leaving the default for */
/* With other threads than the default's it depends on how fast they meet, which on virtual machines has been seen to
 * change by factors within seconds: whoever does with fewer must win clearly. */
#define GAIN_MORE_THREADS 0.05
#define GAIN_FEWER_THREADS 0.2
#define MOST_SHARE 0.08  /* of the budget that one shape may use */
#define FAR_BEHIND 1.25  /* a layout so much slower is not looked at further */
#define LAYOUT_GAIN 0.03 /* another layout must be worth it for all rows together */
#define NO_LOSS 1.01     /* and slower for none of them by more than this */
#define MEMORY_SHARE 0.1 /* of the memory that is free, for copies of weights */

struct search {
    const struct cg_tuner *t;
    double end; /* of the whole budget, by cg_now */
    struct cg_reference reference;
    struct cg_trial *trials, *spare; /* [TRIALS] */
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

static void report(const void *ctx, const struct cg_shape *shape)
{
    const struct search *s = ctx;
    double left = s->end - cg_now();
    if (s->t->progress) s->t->progress(s->t->ctx, s->done, s->all, left > 0 ? left : 0, shape);
}

static struct cg_contest contest(struct search *s, const struct cg_shape *shape)
{
    return (struct cg_contest){.shape = shape,
                               .reference = &s->reference,
                               .stop = s->t->stop,
                               .until = s->end,
                               .stats = s->stats,
                               .tick = report,
                               .ctx = s};
}

/* ---- One shape --------------------------------------------------------------------------------------------------- */

static void keep(struct cg_found *f, const struct cg_contest *c, const struct cg_trial *chosen, int threads)
{
    const struct cg_shape *s = c->shape;
    double flops = cg_shape_flops(s);
    f->tuned = (struct cg_tuned){.op = s->op,
                                 .form = s->form,
                                 .m = s->m,
                                 .n = s->n,
                                 .k = s->k,
                                 .threads = (uint32_t)threads,
                                 .plan = chosen->plan,
                                 .gflops = 1e-9 * flops / chosen->seconds,
                                 .gflops_default = 1e-9 * flops / c->standard.seconds};
    f->ratio = chosen->ratio;
    f->lo = chosen->lo;
    f->hi = chosen->hi;
    f->samples = chosen->samples;
}

/* What a plan must gain over the default to be chosen. */
static double gain_asked(const struct cg_contest *c, const struct cg_plan *p)
{
    if (p->threads == c->standard.plan.threads) return GAIN;
    return p->threads > c->standard.plan.threads ? GAIN_MORE_THREADS : GAIN_FEWER_THREADS;
}

/* Makes the plans trials on `bench` from trial `at` on, leaving out those that are there already. Returns the end. */
static size_t enter(struct search *s, const struct cg_contest *c, const struct cg_plan *plans, size_t n,
                    struct cg_bench *bench, size_t at)
{
    size_t old = at;
    for (size_t i = 0; i < n && at < TRIALS; i++) {
        int known = 0;
        for (size_t j = 0; j < old; j++) known |= cg_plan_same(&s->trials[j].plan, &plans[i]);
        if (known) continue;
        double handicap = (1 - GAIN) / (1 - gain_asked(c, &plans[i]));
        s->trials[at++] = (struct cg_trial){.plan = plans[i], .bench = bench, .handicap = handicap};
    }
    return at;
}

/* Times the first choices, then what lies around the best of them. Returns how many plans were timed, the best in
 * trial 0; 0 when time was out. */
static size_t find_best(struct search *s, struct cg_contest *c, const struct cg_variant *like, struct cg_bench *own,
                        size_t breadth)
{
    const struct cg_machine *m = s->t->machine;
    struct cg_plan plans[MOST_BREADTH + 1];
    size_t n = cg_space_plans(m, c->shape, like, s->t->threads, s->t->rates, plans, breadth + 1);
    int home = c->standard.bench == own; /* then the first of them is the default */
    if (n == 1) home = 0;                /* there is nothing else, but its speed is to be known */
    n = enter(s, c, plans + home, n - (size_t)home, own, 0);
    size_t left = cg_contest_halve(c, s->trials, n, KEPT);
    if (left == 0 || !cg_contest_check(c, s->trials, left)) return 0;
    const struct cg_plan *around = home && s->trials[0].ratio > 1 ? &c->standard.plan : &s->trials[0].plan;
    size_t all = cg_space_neighbours(m, c->shape, around, s->t->threads, plans, NEIGHBOURS);
    all = enter(s, c, plans, all, own, n);
    /* The rest of the first plans makes room; their figures stay for who wants to see them. */
    memcpy(s->spare, s->trials + left, (n - left) * sizeof *s->spare);
    memmove(s->trials + left, s->trials + n, (all - n) * sizeof *s->trials);
    memcpy(s->trials + left + all - n, s->spare, (n - left) * sizeof *s->spare);
    if (!cg_contest_halve(c, s->trials, left + all - n, 1) || !cg_contest_check(c, s->trials, 1)) return 0;
    return all;
}

/* A shape gets the time that it needs, and as much again where the machine is busy, but never more than its part of the
 * budget: a few huge products must not use it up. */
static void search_shape(struct search *s, const struct cg_shape *shape, struct cg_bench *home, struct cg_bench *own,
                         const struct cg_variant *like, struct cg_found *f)
{
    size_t most = s->t->breadth ? s->t->breadth : BREADTH;
    if (most > MOST_BREADTH) most = MOST_BREADTH;
    struct cg_contest c = contest(s, shape);
    memset(f, 0, sizeof *f);
    f->standard = cg_space_default(s->t->machine, shape, NULL, s->t->threads);
    if (!cg_contest_begin(&c, &f->standard, home)) return;
    double need = (double)(ROOM + EACH * most) * c.batch, limit = fmin(2 * need, MOST_SHARE * s->t->budget);
    limit = fmin(limit, s->end - cg_now());
    c.until = cg_now() + limit;
    double room = (fmin(need, limit) / c.batch - ROOM) / EACH;
    if (room < 2) return;
    size_t n = find_best(s, &c, like, own, room < (double)most ? (size_t)room : most);
    if (n == 0) return;
    struct cg_trial *best = &s->trials[0];
    for (size_t i = 0; i < n; i++) f->wrong += s->trials[i].wrong;
    int wins = 0;
    if (best->wrong && home != own) return;
    double gain = gain_asked(&c, &best->plan);
    if (!best->wrong && (home != own || best->lo < 1 - gain)) wins = cg_contest_duel(&c, best, gain);
    if (wins < 0) return;
    /* With another layout there is no way back to the default plan of this shape alone. */
    const struct cg_trial *chosen = wins || home != own ? best : &c.standard;
    keep(f, &c, chosen, s->t->threads);
    f->candidates = n;
    if (s->t->counters) {
        f->counts_default = cg_contest_count(&c, &c.standard, s->t->counters);
        f->counts = chosen == best ? cg_contest_count(&c, best, s->t->counters) : f->counts_default;
    }
    if (s->t->tried) s->t->tried(s->t->ctx, shape, &c.standard, s->trials, n);
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

struct group {
    const struct cg_shape *shapes;
    size_t n;
    const struct cg_variant *layouts[CG_MAX_LAYOUTS]; /* the default's first */
    struct cg_bench *benches[CG_MAX_LAYOUTS];         /* NULL: no candidate */
    size_t n_layouts;
    struct cg_found *found;
};

/* Times the default plan of every layout for every number of rows, in turn, and gives the layout that is best for all
 * together, weighed by importance; 0, the default's, unless another is clearly better. */
static size_t choose_layout(struct search *s, struct group *g)
{
    double total[CG_MAX_LAYOUTS] = {0}, weights = 0;
    struct cg_contest c = contest(s, g->shapes);
    for (size_t i = 0; i < g->n && !cg_contest_over(&c); i++) {
        const struct cg_shape *shape = c.shape = &g->shapes[i];
        struct cg_plan standard = cg_space_default(s->t->machine, shape, NULL, s->t->threads);
        size_t n = 0, which[CG_MAX_LAYOUTS];
        if (!cg_contest_begin(&c, &standard, g->benches[0])) return 0;
        if (LAYOUT_ROUNDS * c.batch * (double)(g->n_layouts + 2) > 0.5 * MOST_SHARE * s->t->budget) continue;
        for (size_t l = 1; l < g->n_layouts; l++) {
            if (!g->benches[l]) continue;
            struct cg_plan plan = cg_space_default(s->t->machine, shape, g->layouts[l], s->t->threads);
            which[n] = l;
            s->trials[n++] = (struct cg_trial){.plan = plan, .bench = g->benches[l]};
        }
        if (!cg_contest_rounds(&c, s->trials, n, LAYOUT_ROUNDS)) break;
        weights += shape->weight;
        for (size_t j = 0; j < n; j++) {
            size_t l = which[j];
            total[l] += shape->weight * s->trials[j].ratio;
            if (total[l] < FAR_BEHIND * weights) continue;
            cg_bench_close(g->benches[l]);
            g->benches[l] = NULL;
            ++*slow_times(s, g->layouts[l]);
        }
    }
    size_t best = 0;
    for (size_t l = 1; l < g->n_layouts; l++)
        if (g->benches[l] && total[l] < (1 - LAYOUT_GAIN) * weights && (!best || total[l] < total[best])) best = l;
    return best;
}

/* Another layout has to prove itself in the shapes' own duels: better for all together, and worse for none. */
static int layout_pays(const struct group *g)
{
    double now = 0, before = 0;
    for (size_t i = 0; i < g->n; i++) {
        if (!g->found[i].candidates || g->found[i].ratio > NO_LOSS) return 0;
        before += g->shapes[i].weight;
        now += g->shapes[i].weight * g->found[i].ratio;
    }
    return now < (1 - LAYOUT_GAIN) * before;
}

/* All shapes of the group with one layout. */
static void search_shapes(struct search *s, struct group *g, size_t layout)
{
    for (size_t i = 0; i < g->n && !stopped(s); i++) {
        report(s, &g->shapes[i]);
        search_shape(s, &g->shapes[i], g->benches[0], g->benches[layout], g->layouts[layout], &g->found[i]);
    }
}

/* Copies of weights of all layouts together may take a part of the memory that is free. */
static size_t stream_of(const struct search *s, const struct group *g)
{
    size_t stream = cg_bench_stream(s->t->machine, g->shapes);
    long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    double most = pages > 0 && size > 0 ? MEMORY_SHARE * (double)pages * (double)size / (double)g->n_layouts : 64e6;
    return (double)stream > most ? (size_t)most : stream;
}

static int open_bench(struct search *s, struct group *g, size_t layout)
{
    size_t max_m = 0;
    for (size_t i = 0; i < g->n; i++) max_m = g->shapes[i].m > max_m ? g->shapes[i].m : max_m;
    report(s, g->shapes);
    cg_bench_close(g->benches[layout]);
    g->benches[layout] = NULL;
    return cg_bench_open(s->t->machine, g->shapes, max_m, g->layouts[layout], s->t->threads, stream_of(s, g),
                         &g->benches[layout]) == CG_OK;
}

/* The default's layout, and the others as far as memory goes. */
static int open_benches(struct search *s, struct group *g)
{
    if (!open_bench(s, g, 0)) return 0;
    for (size_t l = 1; l < g->n_layouts && !stopped(s); l++)
        if (*slow_times(s, g->layouts[l]) < 2) (void)open_bench(s, g, l);
    return 1;
}

/* Once more, with operands in fresh memory: where pages lie has been seen to make a third of the time of one layout,
 * and for the other shapes of a weight there is no way back. */
static int still_pays(struct search *s, struct group *g, size_t layout)
{
    if (!layout_pays(g) || !open_bench(s, g, layout) || !open_bench(s, g, 0)) return 0;
    for (size_t i = 0; i < g->n; i++) {
        struct cg_contest c = contest(s, &g->shapes[i]);
        struct cg_trial t = {.plan = g->found[i].tuned.plan, .bench = g->benches[layout]};
        if (!cg_contest_begin(&c, &g->found[i].standard, g->benches[0]) || cg_contest_duel(&c, &t, GAIN) < 0) return 0;
        keep(&g->found[i], &c, &t, s->t->threads);
    }
    return layout_pays(g);
}

/* All shapes of one weight (or a single NN or TN shape). A group that does not fit into memory is left to its defaults.
 */
static void search_group(struct search *s, struct group *g)
{
    g->n_layouts = cg_space_layouts(s->t->machine, g->shapes, s->t->threads, g->layouts);
    if (g->shapes[0].form != CG_FORM_NT) g->n_layouts = g->n_layouts > 0; /* packed at every call: no choice to make */
    if (g->n_layouts && open_benches(s, g) && !stopped(s)) {
        size_t best = g->n_layouts > 1 ? choose_layout(s, g) : 0;
        if (best) search_shapes(s, g, best);
        if (!best || !still_pays(s, g, best)) {
            memset(g->found, 0, g->n * sizeof *g->found); /* of a layout that is not to be */
            search_shapes(s, g, 0);
        }
        if (s->t->finished) s->t->finished(s->t->ctx, g->shapes, g->found, g->n);
    }
    for (size_t l = 0; l < CG_MAX_LAYOUTS; l++) cg_bench_close(g->benches[l]);
}

/* The shapes of a group that no undisturbed time was found for: once more, with the default's layout. */
static void search_rest(struct search *s, struct group *g)
{
    size_t rest = 0;
    for (size_t i = 0; i < g->n; i++) rest += g->found[i].candidates == 0;
    if (!rest || !cg_space_layouts(s->t->machine, g->shapes, s->t->threads, g->layouts)) return;
    g->n_layouts = 1;
    if (open_bench(s, g, 0))
        for (size_t i = 0; i < g->n && !stopped(s); i++) {
            if (g->found[i].candidates) continue;
            search_shape(s, &g->shapes[i], g->benches[0], g->benches[0], g->layouts[0], &g->found[i]);
            if (g->found[i].candidates && s->t->finished) s->t->finished(s->t->ctx, &g->shapes[i], &g->found[i], 1);
        }
    cg_bench_close(g->benches[0]);
}

/* Calls `search` for every group while there is time. */
static void each_group(struct search *s, const struct cg_shapes *shapes, struct cg_found *found,
                       void (*search)(struct search *, struct group *))
{
    for (size_t i = 0; i < shapes->n && !stopped(s);) {
        struct group g = {.shapes = &shapes->s[i], .n = 1, .found = &found[i]};
        while (i + g.n < shapes->n && cg_shapes_share_layout(&shapes->s[i], &shapes->s[i + g.n])) g.n++;
        search(s, &g);
        i += g.n;
        if (s->done < i) s->done = i;
    }
}

enum cg_status cg_tune(const struct cg_tuner *t, const struct cg_shapes *shapes, struct cg_found *found,
                       struct cg_tune_stats *stats)
{
    *stats = (struct cg_tune_stats){0};
    struct search s = {.t = t, .end = cg_now() + t->budget, .all = shapes->n, .stats = stats};
    s.trials = cg_alloc_n(2 * TRIALS, sizeof *s.trials);
    if (!s.trials) return cg_fail(CG_ERR_MEMORY, "out of memory");
    s.spare = s.trials + TRIALS;
    cg_reference_init(&s.reference, t->threads);
    memset(found, 0, shapes->n * sizeof *found);
    each_group(&s, shapes, found, search_group);
    each_group(&s, shapes, found, search_rest);
    stats->shifts = cg_reference_shifts(&s.reference);
    cg_free(s.trials);
    return CG_OK;
}

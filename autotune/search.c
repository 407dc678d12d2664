#include "autotune/search.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "autotune/search_impl.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    LAYOUT_ROUNDS = 4, /* turns of each layout for each number of rows */
    FRUITLESS = 8, /* times in a row that all that is left is tried in vain, with pauses: others may be done by then */
};
#define PAUSE_NANOSECONDS 300000000
#define FAR_BEHIND 1.25   /* a layout so much slower is not looked at further */
#define LAYOUT_GAIN 0.03  /* another layout must be worth it for all rows together */
#define NO_LOSS 1.01      /* and slower for none of them by more than this */
#define CONFIRM_SHARE 0.1 /* of the budget, for what is to be measured once more */
#define MEMORY_SHARE 0.1  /* of the memory that is free, for copies of weights */

int cg_search_stopped(const struct cg_search *s)
{
    return (s->t->stop && *s->t->stop) || cg_now() >= s->end;
}

void cg_search_report(const void *ctx, const struct cg_shape *shape)
{
    const struct cg_search *s = ctx;
    double left = s->end - cg_now();
    if (s->t->progress) s->t->progress(s->t->ctx, s->done, s->all, left > 0 ? left : 0, shape);
}

struct cg_contest cg_search_contest(struct cg_search *s, const struct cg_shape *shape)
{
    return (struct cg_contest){.shape = shape,
                               .reference = &s->reference,
                               .stop = s->t->stop,
                               .until = s->end,
                               .stats = s->stats,
                               .tick = cg_search_report,
                               .ctx = s};
}

/* ---- Shapes that share a packed weight --------------------------------------------------------------------------- */

/* Layouts that were far behind for two weights are left out from then on. */
static int *slow_times(struct cg_search *s, const struct cg_variant *like)
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
static size_t choose_layout(struct cg_search *s, struct group *g)
{
    double total[CG_MAX_LAYOUTS] = {0}, weights = 0;
    struct cg_contest c = cg_search_contest(s, g->shapes);
    for (size_t i = 0; i < g->n && !cg_contest_over(&c); i++) {
        const struct cg_shape *shape = c.shape = &g->shapes[i];
        struct cg_plan standard = cg_space_default(s->t->machine, shape, NULL, s->t->threads);
        size_t n = 0, which[CG_MAX_LAYOUTS];
        if (!cg_contest_begin(&c, &standard, g->benches[0])) return 0;
        if (LAYOUT_ROUNDS * c.batch * (double)(g->n_layouts + 2) > 0.5 * CG_SEARCH_SHARE * s->t->budget) continue;
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
static void search_shapes(struct cg_search *s, struct group *g, size_t layout)
{
    for (size_t i = 0; i < g->n && !cg_search_stopped(s); i++) {
        cg_search_report(s, &g->shapes[i]);
        cg_search_shape(s, &g->shapes[i], g->benches[0], g->benches[layout], g->layouts[layout], &g->found[i]);
    }
}

/* Copies of weights of all layouts together may take a part of the memory that is free. */
static size_t stream_of(const struct cg_search *s, const struct group *g)
{
    size_t stream = cg_bench_stream(s->t->machine, g->shapes);
    long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    double most = pages > 0 && size > 0 ? MEMORY_SHARE * (double)pages * (double)size / (double)g->n_layouts : 64e6;
    return (double)stream > most ? (size_t)most : stream;
}

static int open_bench(struct cg_search *s, struct group *g, size_t layout)
{
    size_t max_m = 0;
    for (size_t i = 0; i < g->n; i++) max_m = g->shapes[i].m > max_m ? g->shapes[i].m : max_m;
    cg_search_report(s, g->shapes);
    cg_bench_close(g->benches[layout]);
    g->benches[layout] = NULL;
    return cg_bench_open(s->t->machine, g->shapes, max_m, g->layouts[layout], s->t->threads, stream_of(s, g),
                         &g->benches[layout]) == CG_OK;
}

/* The default's layout, and the others as far as memory goes. */
static int open_benches(struct cg_search *s, struct group *g)
{
    if (!open_bench(s, g, 0)) return 0;
    for (size_t l = 1; l < g->n_layouts && !cg_search_stopped(s); l++)
        if (*slow_times(s, g->layouts[l]) < 2) (void)open_bench(s, g, l);
    return 1;
}

/* Once more, with operands in fresh memory: where pages lie has been seen to make a third of the time of one layout,
 * and for the other shapes of a weight there is no way back. */
static int still_pays(struct cg_search *s, struct group *g, size_t layout)
{
    if (!layout_pays(g) || !open_bench(s, g, layout) || !open_bench(s, g, 0)) return 0;
    for (size_t i = 0; i < g->n; i++) {
        struct cg_contest c = cg_search_contest(s, &g->shapes[i]);
        struct cg_trial t = {.plan = g->found[i].tuned.plan, .bench = g->benches[layout]};
        if (!cg_contest_begin(&c, &g->found[i].standard, g->benches[0]) || cg_contest_duel(&c, &t, CG_SEARCH_GAIN) < 0)
            return 0;
        cg_search_keep(&g->found[i], &c, &t, s->t->threads);
    }
    return layout_pays(g);
}

/* All shapes of one weight (or a single NN or TN shape). A group that does not fit into memory is left to its defaults.
 */
static void search_group(struct cg_search *s, struct group *g)
{
    g->n_layouts = cg_space_layouts(s->t->machine, g->shapes, s->t->threads, g->layouts);
    if (g->shapes[0].form != CG_FORM_NT) g->n_layouts = g->n_layouts > 0; /* packed at every call: no choice to make */
    if (g->n_layouts && open_benches(s, g) && !cg_search_stopped(s)) {
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

static int is_left(const struct cg_found *f)
{
    return !f->candidates && !f->too_long;
}

static size_t count_left(const struct cg_found *f, size_t n)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) left += (size_t)is_left(&f[i]);
    return left;
}

/* For another look at a group: the default's layout alone. */
static int open_default(struct cg_search *s, struct group *g)
{
    g->n_layouts = cg_space_layouts(s->t->machine, g->shapes, s->t->threads, g->layouts) > 0;
    return g->n_layouts && open_bench(s, g, 0);
}

/* The shapes of a group that no undisturbed time was found for: once more, with the default's layout. */
static void search_rest(struct cg_search *s, struct group *g)
{
    if (!count_left(g->found, g->n)) return;
    if (open_default(s, g))
        for (size_t i = 0; i < g->n && !cg_search_stopped(s); i++) {
            if (!is_left(&g->found[i])) continue;
            cg_search_shape(s, &g->shapes[i], g->benches[0], g->benches[0], g->layouts[0], &g->found[i]);
            if (g->found[i].candidates && s->t->finished) s->t->finished(s->t->ctx, &g->shapes[i], &g->found[i], 1);
        }
    cg_bench_close(g->benches[0]);
}

static int has_default_layout(const struct cg_found *f)
{
    return f->tuned.form != CG_FORM_NT || cg_variant_same_layout(f->tuned.plan.variant, f->standard.variant);
}

/* Every plan that was chosen over the default meets it once more, later and in fresh memory: what has won by where its
 * operands lay, or by the mood of the machine, goes again. */
static void search_confirm(struct cg_search *s, struct group *g)
{
    for (size_t i = 0; i < g->n && !cg_search_stopped(s); i++) {
        struct cg_found *f = &g->found[i];
        if (!f->candidates || cg_plan_same(&f->tuned.plan, &f->standard) || !has_default_layout(f)) continue;
        if (!g->benches[0] && !open_default(s, g)) return;
        struct cg_contest c = cg_search_contest(s, &g->shapes[i]);
        struct cg_trial t = {.plan = f->tuned.plan, .bench = g->benches[0]};
        if (!cg_contest_begin(&c, &f->standard, g->benches[0]) || cg_contest_duel(&c, &t, CG_SEARCH_GAIN) < 0) continue;
        int stays = t.ratio < 1 - 0.5 * CG_SEARCH_GAIN;
        cg_search_keep(f, &c, stays ? &t : &c.standard, s->t->threads);
        if (!stays) f->counts = f->counts_default;
        if (s->t->finished) s->t->finished(s->t->ctx, &g->shapes[i], f, 1);
    }
    cg_bench_close(g->benches[0]);
}

/* Calls `search` for every group while there is time. */
static void each_group(struct cg_search *s, const struct cg_shapes *shapes, struct cg_found *found,
                       void (*search)(struct cg_search *, struct group *))
{
    for (size_t i = 0; i < shapes->n && !cg_search_stopped(s);) {
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
    struct cg_search s = {.t = t, .end = cg_now() + t->budget, .patience = 1, .all = shapes->n, .stats = stats};
    s.trials = cg_alloc_n(2 * CG_SEARCH_TRIALS, sizeof *s.trials);
    if (!s.trials) return cg_fail(CG_ERR_MEMORY, "out of memory");
    s.spare = s.trials + CG_SEARCH_TRIALS;
    cg_reference_init(&s.reference, t->threads);
    memset(found, 0, shapes->n * sizeof *found);
    s.end -= CONFIRM_SHARE * t->budget;
    each_group(&s, shapes, found, search_group);
    size_t left = count_left(found, shapes->n), fruitless = 0;
    for (; left && fruitless < FRUITLESS && !cg_search_stopped(&s); left = count_left(found, shapes->n)) {
        s.patience *= 2;
        each_group(&s, shapes, found, search_rest);
        fruitless = count_left(found, shapes->n) < left ? 0 : fruitless + 1;
        if (fruitless && !cg_search_stopped(&s)) nanosleep(&(struct timespec){.tv_nsec = PAUSE_NANOSECONDS}, NULL);
    }
    s.end += CONFIRM_SHARE * t->budget;
    s.patience = 1;
    each_group(&s, shapes, found, search_confirm);
    stats->shifts = cg_reference_shifts(&s.reference);
    cg_free(s.trials);
    return CG_OK;
}

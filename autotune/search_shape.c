/* One shape: the model's first choices, the neighbours of the best of them, and a duel with the default. */
#include <math.h>
#include <string.h>

#include "autotune/search_impl.h"
#include "common/clock.h"

/* With other threads than the default's it depends on how fast they meet, which on virtual machines has been seen to
 * change by factors within seconds: whoever does with fewer must win clearly. */
#define GAIN_MORE_THREADS 0.05
#define GAIN_FEWER_THREADS 0.2
/* Threads that divide the rows of a product all read all of its weights: as good as reading a part each only as long as
 * they share a cache, which is another thing that a hypervisor may change. */
#define GAIN_MORE_READS 0.15

enum {
    BREADTH = 20, /* plans at first, where the tuner does not say */
    KEPT = 3,     /* of them, which meet the neighbours of the best */
    ROOM = 110,   /* batches that the neighbours and the duel take, about */
    EACH = 3,     /* and each of the first plans, with those of the default */
};
#define LONG_SECONDS                                                                                              \
    4e-3              /* products whose calls are so long leave little to gain, and take the time of many others: \
                       */
#define LONG_PART 0.5 /* of the plans that others have */

void cg_search_keep(struct cg_found *f, const struct cg_contest *c, const struct cg_trial *chosen, int threads)
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
static double gain_asked(const struct cg_search *s, const struct cg_contest *c, const struct cg_plan *p)
{
    const struct cg_plan *standard = &c->standard.plan;
    int reads_more = c->shape->form == CG_FORM_NT && p->by_rows > 1 && p->by_rows != standard->by_rows;
    double gain = CG_SEARCH_GAIN;
    if (p->threads > standard->threads) gain = GAIN_MORE_THREADS;
    if (p->threads < standard->threads) gain = GAIN_FEWER_THREADS;
    if (reads_more && gain < GAIN_MORE_READS && cg_space_is_cold(s->t->machine, c->shape)) gain = GAIN_MORE_READS;
    return gain;
}

/* Makes the plans trials on `bench` from trial `at` on, leaving out those that are there already and the default, which
 * they all meet anyway; alone it is let in, so that its speed is known. Returns the end. */
static size_t enter(struct cg_search *s, const struct cg_contest *c, const struct cg_plan *plans, size_t n,
                    struct cg_bench *bench, size_t at)
{
    size_t old = at;
    int home = c->standard.bench == bench && n > 1;
    for (size_t i = 0; i < n && at < CG_SEARCH_TRIALS; i++) {
        int known = home && cg_plan_same(&c->standard.plan, &plans[i]);
        for (size_t j = 0; j < old; j++) known |= cg_plan_same(&s->trials[j].plan, &plans[i]);
        if (known) continue;
        double handicap = (1 - CG_SEARCH_GAIN) / (1 - gain_asked(s, c, &plans[i]));
        s->trials[at++] = (struct cg_trial){.plan = plans[i], .bench = bench, .handicap = handicap};
    }
    return at;
}

/* Times the first choices, then what lies around the best of them. Returns how many plans were timed, the best in
 * trial 0; 0 when time was out. */
static size_t find_best(struct cg_search *s, struct cg_contest *c, const struct cg_variant *like, struct cg_bench *own,
                        size_t breadth, size_t neighbours)
{
    const struct cg_machine *m = s->t->machine;
    struct cg_plan plans[CG_SEARCH_BREADTH + 1];
    size_t n = cg_space_plans(m, c->shape, like, s->t->threads, s->t->rates, plans, breadth + 1);
    n = enter(s, c, plans, n, own, 0);
    size_t left = cg_contest_halve(c, s->trials, n, KEPT);
    if (left == 0 || !cg_contest_check(c, s->trials, left)) return 0;
    int home = c->standard.bench == own;
    const struct cg_plan *around = home && s->trials[0].ratio > 1 ? &c->standard.plan : &s->trials[0].plan;
    size_t all = cg_space_neighbours(m, c->shape, around, s->t->threads, plans, neighbours);
    all = enter(s, c, plans, all, own, n);
    /* The rest of the first plans makes room; their figures stay for who wants to see them. */
    memcpy(s->spare, s->trials + left, (n - left) * sizeof *s->spare);
    memmove(s->trials + left, s->trials + n, (all - n) * sizeof *s->trials);
    memcpy(s->trials + left + all - n, s->spare, (n - left) * sizeof *s->spare);
    if (!cg_contest_halve(c, s->trials, left + all - n, 1) || !cg_contest_check(c, s->trials, 1)) return 0;
    return all;
}

/* A shape gets the time that it needs, and as much again where the machine is busy, but no more than its part of the
 * budget: a few huge products must not use it up. With more patience it gets more. */
void cg_search_shape(struct cg_search *s, const struct cg_shape *shape, struct cg_bench *home, struct cg_bench *own,
                     const struct cg_variant *like, struct cg_found *f)
{
    size_t most = s->t->breadth ? s->t->breadth : BREADTH;
    if (most > CG_SEARCH_BREADTH) most = CG_SEARCH_BREADTH;
    struct cg_contest c = cg_search_contest(s, shape);
    memset(f, 0, sizeof *f);
    f->standard = cg_space_default(s->t->machine, shape, NULL, s->t->threads);
    if (!cg_contest_begin(&c, &f->standard, home)) return;
    double share = c.batch > LONG_SECONDS ? LONG_PART : 1, fixed = share * ROOM;
    most = (size_t)ceil(share * (double)most);
    double need = (fixed + (double)(EACH * most)) * c.batch;
    double part = fmax(CG_SEARCH_SHARE, 1.0 / (double)s->all) * s->t->budget;
    double limit = fmin(s->patience * fmin(2 * need, part), s->end - cg_now());
    c.until = cg_now() + limit;
    double room = (fmin(need, limit) / c.batch - fixed) / EACH;
    f->too_long = room < 2 && limit >= part;
    if (room < 2) return;
    size_t n =
        find_best(s, &c, like, own, room < (double)most ? (size_t)room : most, (size_t)(share * CG_SEARCH_NEIGHBOURS));
    if (n == 0) return;
    struct cg_trial *best = &s->trials[0];
    for (size_t i = 0; i < n; i++) f->wrong += s->trials[i].wrong;
    int wins = 0;
    if (best->wrong && home != own) return;
    double gain = gain_asked(s, &c, &best->plan);
    if (!best->wrong && (home != own || best->lo < 1 - gain)) wins = cg_contest_duel(&c, best, gain);
    if (wins < 0) return;
    /* With another layout there is no way back to the default plan of this shape alone. */
    const struct cg_trial *chosen = wins || home != own ? best : &c.standard;
    cg_search_keep(f, &c, chosen, s->t->threads);
    f->candidates = n;
    if (s->t->counters) {
        f->counts_default = cg_contest_count(&c, &c.standard, s->t->counters);
        f->counts = chosen == best ? cg_contest_count(&c, best, s->t->counters) : f->counts_default;
    }
    if (s->t->tried) s->t->tried(s->t->ctx, shape, &c.standard, s->trials, n);
}

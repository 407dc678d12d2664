#include "bench/tuned.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/contest.h"
#include "autotune/report.h"
#include "autotune/sizes.h"
#include "autotune/space.h"
#include "autotune/store.h"
#include "bench/options.h"
#include "common/clock.h"
#include "common/mem.h"
#include "detect/bind.h"

static const char help[] =
    "usage: grpo-bench tuned [--store FILE] [--against FILE] [--model PATH] [--pairs N] [--json]\n"
    "\n"
    "Times every plan of a tuning store in turn with the default plan of its shape, on operands as training and\n"
    "generation have them, and says what it gains: an answer that is independent of the tuner's own.\n"
    "\n"
    "  --store FILE     the store (default: that of this machine)\n"
    "  --against FILE   in turn with the plans of another store instead of the defaults: do two tunings agree?\n"
    "  --model PATH     the model whose shapes they are, where it is none of those that grpo-tune knows\n"
    "  --pairs N        samples of each (default 15)\n"
    "  --json           one JSON object\n";

struct options {
    const char *store, *against, *model;
    size_t pairs;
    int json;
};

/* One stored plan beside what it is compared with. */
struct row {
    const char *what;
    const struct cg_tuned *t;
    struct cg_plan other;
    struct cg_trial trial; /* ratio 0: not timed */
    double other_seconds;
};

static enum cg_status parse(int argc, char **argv, struct options *o, int *shown)
{
    static const struct option longs[] = {
        {"store", required_argument, NULL, 's'},
        {"against", required_argument, NULL, 'a'},
        {"model", required_argument, NULL, 'm'},
        {"pairs", required_argument, NULL, 'p'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    double pairs;
    *o = (struct options){.pairs = 15};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", longs, NULL)) != -1;) switch (c) {
        case 's': o->store = optarg; break;
        case 'a': o->against = optarg; break;
        case 'm': o->model = optarg; break;
        case 'p':
            CG_TRY(cg_bench_number("pairs", optarg, 3, CG_TRIAL_SAMPLES, &pairs));
            o->pairs = (size_t)pairs;
            break;
        case 'j': o->json = 1; break;
        case 'h':
            fputs(help, stdout);
            *shown = 1;
            return CG_OK;
        case ':': return cg_fail(CG_ERR_USER, "%s needs a value; see grpo-bench tuned --help", argv[optind - 1]);
        default: return cg_fail(CG_ERR_USER, "unknown option %s; see grpo-bench tuned --help", argv[optind - 1]);
        }
    if (optind < argc)
        return cg_fail(CG_ERR_USER, "unexpected argument \"%s\"; see grpo-bench tuned --help", argv[optind]);
    return CG_OK;
}

/* Every shape of the models that the tuner knows, which say where the weights lie when a call begins. */
static enum cg_status known_shapes(const struct options *o, struct cg_shapes *all)
{
    struct cg_sizes sizes;
    for (size_t i = 0; cg_sizes_known(i, &sizes); i++) CG_TRY(cg_shapes_add(all, &sizes, ~0u));
    if (!o->model) return CG_OK;
    CG_TRY(cg_sizes_load(o->model, &sizes));
    return cg_shapes_add(all, &sizes, ~0u);
}

static struct cg_shape shape_of(const struct cg_shapes *all, const struct cg_tuned *t)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct cg_shape *s = &all->s[i];
        if (s->op == t->op && s->form == t->form && s->m == t->m && s->n == t->n && s->k == t->k) return *s;
    }
    /* Of a model that is larger than any cache, as far as anybody knows. */
    return (struct cg_shape){
        .op = t->op, .form = t->form, .m = t->m, .n = t->n, .k = t->k, .model_bytes = SIZE_MAX / 2};
}

static enum cg_status time_row(const struct cg_machine *m, const struct cg_shape *s, size_t pairs, struct row *r,
                               struct cg_reference *reference, struct cg_tune_stats *stats)
{
    struct cg_bench *home, *own;
    enum cg_status st = cg_bench_open_two(m, s, r->other.variant, r->t->plan.variant, (int)r->t->threads,
                                          cg_bench_stream(m, s), &home, &own);
    struct cg_contest c = {.shape = s, .reference = reference, .until = cg_now() + 60, .stats = stats};
    r->trial = (struct cg_trial){.plan = r->t->plan, .bench = own};
    if (st == CG_OK && (!cg_contest_begin(&c, &r->other, home) || !cg_contest_check(&c, &r->trial, 1) ||
                        !cg_contest_rounds(&c, &r->trial, 1, pairs)))
        r->trial.ratio = 0;
    r->other_seconds = c.standard.seconds;
    cg_bench_close_two(home, own);
    return st;
}

static void print_rows(const struct row *r, size_t n, const struct options *o)
{
    const char *other = o->against ? "other store" : "default";
    double sum = 0, least = INFINITY;
    size_t timed = 0, same = 0, at = 0;
    printf("%-21s %-9s %-2s %5s %6s %6s  %-24s %-30s %6s  %s\n", "shape", "op", "", "M", "N", "K", other, "stored",
           "ratio", "98% interval");
    for (size_t i = 0; i < n; i++) {
        char a[96], b[96], sure[48] = "too few samples";
        const struct cg_tuned *t = r[i].t;
        const struct cg_trial *x = &r[i].trial;
        if (!(x->ratio > 0)) continue;
        double ratio = 1 / x->ratio;
        if (x->lo > 0 && x->hi < INFINITY) snprintf(sure, sizeof sure, "%.3f to %.3f", 1 / x->hi, 1 / x->lo);
        same += cg_plan_same(&r[i].other, &t->plan);
        timed++;
        sum += log(ratio);
        if (ratio < least) least = ratio, at = i;
        printf("%-21s %-9s %-2s %5zu %6zu %6zu  %-24s %-30s %6.3f  %s\n", r[i].what, cg_op_name(t->op),
               cg_form_name(t->form), t->m, t->n, t->k, cg_plan_text(&r[i].other, a, sizeof a),
               cg_plan_text(&t->plan, b, sizeof b), ratio, sure);
    }
    if (!timed) return;
    printf("%zu plans, %zu of them the %s's: geometric mean %.3f times as fast as the %s, lowest %.3f (%s %s "
           "%zux%zux%zu)\n",
           timed, same, other, exp(sum / (double)timed), other, least, cg_op_name(r[at].t->op),
           cg_form_name(r[at].t->form), r[at].t->m, r[at].t->n, r[at].t->k);
}

/* An end of an interval, or null where there were too few samples for one. */
static json_t *bound(double ratio)
{
    return ratio > 0 && ratio < INFINITY ? json_real(1 / ratio) : json_null();
}

static enum cg_status print_json(const struct row *r, size_t n, const struct options *o)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < n; i++) {
        char a[96], b[96];
        const struct cg_tuned *t = r[i].t;
        if (!(r[i].trial.ratio > 0)) continue;
        json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:f,s:o,s:o,s:f,s:f}", "shape",
                                              r[i].what, "op", cg_op_name(t->op), "form", cg_form_name(t->form), "m",
                                              (json_int_t)t->m, "n", (json_int_t)t->n, "k", (json_int_t)t->k, "other",
                                              cg_plan_text(&r[i].other, a, sizeof a), "stored",
                                              cg_plan_text(&t->plan, b, sizeof b), "ratio", 1 / r[i].trial.ratio, "low",
                                              bound(r[i].trial.hi), "high", bound(r[i].trial.lo), "seconds",
                                              r[i].trial.seconds, "seconds_other", r[i].other_seconds));
    }
    json_t *root = json_pack("{s:s,s:o}", "against", o->against ? o->against : "default", "plans", rows);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    if (text) puts(text);
    free(text);
    json_decref(root);
    return text ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
}

/* Compares all plans of `s` with those of `against`, or with the defaults where that has none (NULL: always). */
static enum cg_status compare(const struct cg_machine *m, const struct cg_store *s, const struct cg_store *against,
                              const struct options *o)
{
    struct cg_shapes known = {0};
    struct row *r = cg_alloc_n(s->n, sizeof *r);
    struct cg_tune_stats stats = {0};
    struct cg_reference reference;
    int steady_for = 0;
    enum cg_status st = r ? known_shapes(o, &known) : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < s->n && st == CG_OK; i++) {
        const struct cg_tuned *t = r[i].t = &s->e[i], *other = NULL;
        struct cg_shape shape = shape_of(&known, t);
        r[i].what = "";
        for (size_t j = 0; j < known.n; j++)
            if (strcmp(known.s[j].what, shape.what) == 0) r[i].what = known.s[j].what;
        if (against) other = cg_store_find(against, t->op, t->form, t->m, t->n, t->k, t->threads);
        r[i].other = other ? other->plan : cg_space_default(m, &shape, NULL, (int)t->threads);
        if (steady_for != (int)t->threads) {
            st = cg_bind_threads(m, (int)t->threads); /* as training has them */
            cg_reference_init(&reference, steady_for = (int)t->threads);
        }
        if (st == CG_OK) st = time_row(m, &shape, o->pairs, &r[i], &reference, &stats);
    }
    cg_bind_undo();
    if (st == CG_OK && o->json) st = print_json(r, s->n, o);
    else if (st == CG_OK) print_rows(r, s->n, o);
    cg_shapes_free(&known);
    cg_free(r);
    return st;
}

enum cg_status cg_bench_tuned(int argc, char **argv)
{
    static struct cg_machine m;
    struct options o;
    struct cg_store s = {0}, against = {0};
    int shown = 0;
    CG_TRY(parse(argc, argv, &o, &shown));
    if (shown) return CG_OK;
    CG_TRY(cg_machine_detect(&m));
    char *path = o.store ? NULL : cg_store_path(&m);
    if (!path && !o.store) return CG_ERR_USER;
    enum cg_status st = cg_store_read(o.store ? o.store : path, &m, &s);
    if (st == CG_OK && !s.n)
        st = cg_fail(CG_ERR_USER, "no plan is stored in %s; run grpo-tune first", o.store ? o.store : path);
    if (st == CG_OK && o.against) st = cg_store_read(o.against, &m, &against);
    if (st == CG_OK && o.against && !against.n) st = cg_fail(CG_ERR_USER, "no plan is stored in %s", o.against);
    if (st == CG_OK) st = compare(&m, &s, o.against ? &against : NULL, &o);
    cg_store_free(&s);
    cg_store_free(&against);
    cg_free(path);
    return st;
}

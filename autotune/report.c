#include "autotune/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/space.h"
#include "autotune/table.h"
#include "common/mem.h"

/* The name without the op, which has a column of its own. */
static const char *short_name(const struct cg_variant *v)
{
    size_t n = strlen(cg_op_name(v->op));
    return strncmp(v->name, cg_op_name(v->op), n) == 0 && v->name[n] == '_' ? v->name + n + 1 : v->name;
}

char *cg_plan_text(const struct cg_plan *p, char *buf, size_t size)
{
    const struct {
        const char *name;
        uint32_t value;
    } parts[] = {{"t", p->threads}, {"r", p->by_rows}, {"p", p->prefetch}, {"mc", p->mc}, {"nc", p->nc}, {"kc", p->kc}};
    static const char *const in_place[CG_IN_PLACE_COUNT] = {"", " packed", " inplace"};
    size_t n = (size_t)snprintf(buf, size, "%s", short_name(p->variant));
    for (size_t i = 0; i < sizeof parts / sizeof *parts && n < size; i++)
        if (parts[i].value) n += (size_t)snprintf(buf + n, size - n, " %s%u", parts[i].name, parts[i].value);
    if (n < size) snprintf(buf + n, size - n, "%s", in_place[p->in_place]);
    return buf;
}

static void gain_text(double gain, char *buf, size_t size)
{
    double percent = 100 * (gain - 1);
    if (fabs(percent) < 0.5) snprintf(buf, size, "-");
    else snprintf(buf, size, "%+.0f%%", percent);
}

static const char *op_text(enum cg_op op)
{
    return cg_op_name(op) + strlen("gemm_");
}

static int changed(const struct cg_found *x)
{
    return !cg_plan_same(&x->standard, &x->tuned.plan);
}

static void shape_row(struct cg_table *t, const struct cg_tune_report *r, size_t i)
{
    const struct cg_found *x = &r->found[i];
    const struct cg_tuned *u = &x->tuned;
    char(*row)[CG_TABLE_CELL] = cg_table_row(t);
    if (!row) return;
    int same = !changed(x);
    snprintf(row[0], CG_TABLE_CELL, "%s", r->shapes->s[i].what);
    snprintf(row[1], CG_TABLE_CELL, "%s %s", op_text(u->op), cg_form_name(u->form));
    snprintf(row[2], CG_TABLE_CELL, "%zux%zux%zu", u->m, u->n, u->k);
    if (r->n_threads > 1) snprintf(row[3], CG_TABLE_CELL, "%u", u->threads);
    cg_plan_text(&x->standard, row[4], CG_TABLE_CELL);
    if (same) snprintf(row[5], CG_TABLE_CELL, "=");
    else cg_plan_text(&u->plan, row[5], CG_TABLE_CELL);
    snprintf(row[6], CG_TABLE_CELL, "%.1f", u->gflops);
    gain_text(1 / x->ratio, row[7], CG_TABLE_CELL);
    if (!r->verbose) return;
    if (!same && x->lo > 0 && x->hi < INFINITY)
        snprintf(row[8], CG_TABLE_CELL, "%+.1f..%+.1f%%", 100 / x->hi - 100, 100 / x->lo - 100);
    snprintf(row[9], CG_TABLE_CELL, "%zu", x->candidates);
    snprintf(row[10], CG_TABLE_CELL, "%zu", x->samples);
    const uint64_t *count = x->counts.value;
    unsigned have = x->counts.have;
    if (have >> CG_COUNT_CYCLES & have >> CG_COUNT_INSTRUCTIONS & 1 && count[CG_COUNT_CYCLES])
        snprintf(row[11], CG_TABLE_CELL, "%.2f", (double)count[CG_COUNT_INSTRUCTIONS] / (double)count[CG_COUNT_CYCLES]);
    if (have >> CG_COUNT_LLC_MISSES & 1) snprintf(row[12], CG_TABLE_CELL, "%" PRIu64, count[CG_COUNT_LLC_MISSES]);
}

struct ranked {
    size_t i;
    double saved; /* time, by importance; plans that did not change come last */
};

static int by_saved(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    if (a->saved != b->saved) return a->saved > b->saved ? -1 : 1;
    return a->i < b->i ? -1 : 1;
}

void cg_report_table(FILE *f, const struct cg_tune_report *r, int width)
{
    static const struct cg_column columns[] = {
        {"shape", 0, 3},  {"op", 0, 0},      {"MxNxK", 0, 0},      {"threads", 1, 0},  {"default", 0, 5},
        {"chosen", 0, 1}, {"GFLOP/s", 1, 2}, {"gain", 1, 0},       {"98% sure", 1, 4}, {"plans", 1, 6},
        {"pairs", 1, 6},  {"IPC", 1, 7},     {"LLC misses", 1, 7},
    };
    struct cg_table t = {.columns = columns, .n_columns = sizeof columns / sizeof *columns};
    struct ranked *order = cg_alloc_n(r->shapes->n, sizeof *order);
    size_t n = 0;
    for (size_t i = 0; order && i < r->shapes->n; i++) {
        const struct cg_found *x = &r->found[i];
        if (!x->candidates || !(changed(x) || r->verbose)) continue;
        order[n++] = (struct ranked){i, changed(x) ? r->shapes->s[i].weight * (1 - x->ratio) : -INFINITY};
    }
    if (n) qsort(order, n, sizeof *order, by_saved);
    for (size_t i = 0; i < n; i++) shape_row(&t, r, order[i].i);
    cg_table_print(&t, f, width);
    if (t.failed || !order) fputs("(no memory for the rest of the table)\n", f);
    cg_table_free(&t);
    cg_free(order);
}

double cg_tuned_gain(const struct cg_tuned *t)
{
    return t->gflops > 0 && t->gflops_default > 0 ? t->gflops / t->gflops_default : 1;
}

struct cg_tune_totals cg_report_totals(const struct cg_tune_report *r)
{
    double weight = 0, time = 0;
    struct cg_tune_totals sum = {0};
    for (size_t i = 0; i < r->shapes->n; i++) {
        const struct cg_found *x = &r->found[i];
        if (!x->candidates) continue;
        sum.tuned++;
        sum.changed += changed(x);
        weight += r->shapes->s[i].weight;
        time += r->shapes->s[i].weight * x->ratio;
    }
    sum.gain = time > 0 ? weight / time : 1;
    return sum;
}

void cg_report_total(FILE *f, const struct cg_tune_report *r)
{
    struct cg_tune_totals sum = cg_report_totals(r);
    size_t all = r->shapes->n + r->left_out;
    fprintf(f, "%zu of %zu shapes timed in %.1f s with ", sum.tuned, all, r->seconds);
    for (size_t i = 0; i < r->n_threads; i++)
        fprintf(f, "%s%d", i == 0 ? "" : i + 1 < r->n_threads ? ", " : " and ", r->threads[i]);
    fprintf(f, " thread%s: %zu run faster than by default, %+.1f%% in all%s\n",
            r->n_threads == 1 && r->threads[0] == 1 ? "" : "s", sum.changed, 100 * (sum.gain - 1),
            r->interrupted ? " (stopped early)" : "");
    int disturbed = 10 * r->stats.disturbed > r->stats.batches;
    if (sum.tuned < all && !r->interrupted)
        fprintf(f, "%zu keep their defaults for lack of time%s\n", all - sum.tuned,
                disturbed ? "" : "; a larger --budget reaches them");
    if (disturbed)
        fprintf(f, "other programs were in the way of %zu%% of the measurements; tune again when the machine is idle\n",
                100 * r->stats.disturbed / r->stats.batches);
}

void cg_report_store(FILE *f, const char *path, const struct cg_store *s, int width)
{
    static const struct cg_column columns[] = {{"op", 0, 0},   {"MxNxK", 0, 0},   {"threads", 1, 0},
                                               {"plan", 0, 1}, {"GFLOP/s", 1, 2}, {"gain", 1, 0}};
    struct cg_table t = {.columns = columns, .n_columns = sizeof columns / sizeof *columns};
    if (!s->n) {
        fprintf(f, "no tuning stored (%s does not exist or is empty); run grpo-tune\n", path);
        return;
    }
    fprintf(f, "%s: %zu tuned shape%s\n", path, s->n, s->n == 1 ? "" : "s");
    for (size_t i = 0; i < s->n; i++) {
        const struct cg_tuned *u = &s->e[i];
        char(*row)[CG_TABLE_CELL] = cg_table_row(&t);
        if (!row) break;
        snprintf(row[0], CG_TABLE_CELL, "%s %s", op_text(u->op), cg_form_name(u->form));
        snprintf(row[1], CG_TABLE_CELL, "%zux%zux%zu", u->m, u->n, u->k);
        snprintf(row[2], CG_TABLE_CELL, "%u", u->threads);
        cg_plan_text(&u->plan, row[3], CG_TABLE_CELL);
        snprintf(row[4], CG_TABLE_CELL, "%.1f", u->gflops);
        gain_text(cg_tuned_gain(u), row[5], CG_TABLE_CELL);
    }
    cg_table_print(&t, f, width);
    if (t.failed) fputs("(no memory for the rest of the table)\n", f);
    cg_table_free(&t);
}

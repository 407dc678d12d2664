#include "bench/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Geometric means of ratios; up to 16 tokens, more. */
struct mean {
    double log_sum[2];
    size_t n[2];
};

/* Over the rows of one operation and form. */
struct total {
    struct mean best, rival[CG_MAX_RIVALS];
    struct mean limit;                     /* what `best` would be if we reached the limit that binds each row */
    struct cg_rival rivals[CG_MAX_RIVALS]; /* their columns */
    int n;                                 /* candidates */
    double lowest;
    char lowest_name[96];
    enum cg_op op;
    enum cg_form form;
    int any;
};

struct cg_report {
    const struct cg_plans *plans;
    size_t cold;
    FILE *out;
    json_t *rows, *totals; /* NULL: tables */
    struct total now;
    struct mean all;
    double lowest;
};

static const char *const forms[] = {"nt", "nn", "tn"};

static void mean_add(struct mean *m, int more, double ratio)
{
    m->log_sum[more] += log(ratio);
    m->n[more]++;
}

/* which: 0 up to 16 tokens, 1 more, 2 both. 0 without rows. */
static double mean_of(const struct mean *m, int which)
{
    double sum = which < 2 ? m->log_sum[which] : m->log_sum[0] + m->log_sum[1];
    size_t n = which < 2 ? m->n[which] : m->n[0] + m->n[1];
    return n ? exp(sum / (double)n) : 0;
}

/* How many times as fast as the best rival we are: by the fastest samples, by the medians. */
struct ratio {
    double min, median;
    int best; /* the candidate with the fastest sample */
};

static struct ratio ratio_of(const struct cg_timing *t, int n)
{
    struct ratio r = {INFINITY, INFINITY, 1};
    for (int who = 1; who < n; who++) {
        if (t[who].min / t[0].min < r.min) {
            r.min = t[who].min / t[0].min;
            r.best = who;
        }
        if (t[who].median / t[0].median < r.median) r.median = t[who].median / t[0].median;
    }
    return r;
}

static double rate(const struct cg_bench_case *c, double seconds)
{
    return c->work / seconds * 1e-9;
}

/* The shares of the limits that our fastest sample reached; the larger one binds. */
static double fma_share(const struct cg_result *r)
{
    return r->fma > 0 ? r->c->work / r->t[0].min / r->fma : 0;
}

static double memory_share(const struct cg_result *r)
{
    return r->bandwidth > 0 ? (double)r->traffic / r->t[0].min / r->bandwidth : 0;
}

/* ---- As a table ---------------------------------------------------------------------------------------------------
 */

static void print_machine(struct cg_report *r)
{
    const struct cg_machine *m = cg_plans_machine(r->plans);
    fprintf(r->out, "%s, %d thread%s, %s%s\n", m->model_name[0] ? m->model_name : m->vendor, cg_plans_threads(r->plans),
            cg_plans_threads(r->plans) == 1 ? "" : "s", cg_plans_source(r->plans), r->cold ? ", cold weights" : "");
}

static void print_head(struct cg_report *r, const struct cg_result *row)
{
    FILE *f = r->out;
    if (row->n > 1)
        fprintf(f,
                "\nFastest samples, taken in turn, in %s; the ratio is to the best peer (over 1: we are faster), by "
                "fastest\nsamples and by medians; then the shares of the limits, the one that binds first.\n",
                cg_bench_unit(row->c));
    else fprintf(f, "\n");
    fprintf(f, "%-40s %11s", "", "cpu-grpo");
    for (int i = 0; i + 1 < row->n; i++) fprintf(f, " %11.11s", row->rivals[i].name);
    if (row->n > 1) fprintf(f, " %6s %6s", "ratio", "median");
    else fprintf(f, " %-8s", "");
    fprintf(f, "  %s\n", "bound");
}

static void print_bound(FILE *f, const struct cg_result *row)
{
    double fma = fma_share(row), memory = memory_share(row);
    if (fma > 0 && fma >= memory) fprintf(f, "  fma %.0f%%", 100 * fma);
    if (memory > 0) fprintf(f, "%s %s %.0f%%", fma >= memory ? "," : " ", row->level, 100 * memory);
    if (fma > 0 && fma < memory) fprintf(f, ", fma %.0f%%", 100 * fma);
    fputc('\n', f);
}

static void print_row(FILE *f, const struct cg_result *row)
{
    fprintf(f, "%-40s", row->c->name);
    for (int who = 0; who < row->n; who++) fprintf(f, " %11.2f", rate(row->c, row->t[who].min));
    if (row->n > 1) {
        struct ratio ratio = ratio_of(row->t, row->n);
        fprintf(f, " %6.3f %6.3f", ratio.min, ratio.median);
    } else {
        fprintf(f, " %-8s", cg_bench_unit(row->c));
    }
    print_bound(f, row);
    fflush(f);
}

static void print_mean(FILE *f, const char *name, const struct mean *m)
{
    fprintf(f, "%s%.3f", name, mean_of(m, 2));
    if (m->n[0] && m->n[1]) fprintf(f, " (up to 16 tokens %.3f, more %.3f)", mean_of(m, 0), mean_of(m, 1));
}

static void print_total(FILE *f, const struct total *t)
{
    fprintf(f, "ratio to the best peer, geometric mean over %zu rows: ", t->best.n[0] + t->best.n[1]);
    print_mean(f, "", &t->best);
    fprintf(f, "; lowest %.3f at %s\nat the limits it would be ", t->lowest, t->lowest_name);
    print_mean(f, "", &t->limit);
    for (int i = 0; i + 1 < t->n && t->n > 2; i++) {
        fprintf(f, i ? "; to " : "\nto ");
        fprintf(f, "%s ", t->rivals[i].name);
        print_mean(f, "", &t->rival[i]);
    }
    fputc('\n', f);
}

/* ---- As JSON -------------------------------------------------------------------------------------------------------
 */

static json_t *timing_json(const struct cg_bench_case *c, const struct cg_timing *t)
{
    return json_pack("{s:f,s:f,s:f,s:f,s:I,s:I}", "seconds_min", t->min, "seconds_median", t->median, "rate",
                     rate(c, t->min), "rate_median", rate(c, t->median), "samples", (json_int_t)t->samples,
                     "calls_per_sample", (json_int_t)t->calls);
}

static json_t *row_json(const struct cg_result *r)
{
    const struct cg_bench_case *c = r->c;
    json_t *row = timing_json(c, &r->t[0]);
    json_object_set_new(row, "name", json_string(c->name));
    json_object_set_new(row, "op", json_string(cg_op_name(c->op)));
    if (c->op == CG_OP_gemm_f32) json_object_set_new(row, "form", json_string(forms[c->form]));
    json_object_set_new(row, "m", json_integer((json_int_t)c->m));
    json_object_set_new(row, "n", json_integer((json_int_t)c->n));
    if (c->k) json_object_set_new(row, "k", json_integer((json_int_t)c->k));
    json_object_set_new(row, "variant", json_string(c->plan.variant->name));
    json_object_set_new(row, "threads", json_integer(c->plan.threads));
    json_object_set_new(row, "unit", json_string(cg_bench_unit(c)));
    if (r->fma > 0) json_object_set_new(row, "fma_share", json_real(fma_share(r)));
    if (r->bandwidth > 0) {
        json_object_set_new(row, "bandwidth", json_real(r->bandwidth));
        json_object_set_new(row, "memory_share", json_real(memory_share(r)));
        json_object_set_new(row, "level", json_string(r->level));
    }
    json_object_set_new(row, "bound", json_string(fma_share(r) >= memory_share(r) ? "fma" : r->level));
    if (r->n == 1) return row;
    json_t *others = json_object();
    for (int who = 1; who < r->n; who++)
        json_object_set_new(others, r->rivals[who - 1].name, timing_json(c, &r->t[who]));
    struct ratio ratio = ratio_of(r->t, r->n);
    json_object_set_new(row, "peers", others);
    json_object_set_new(row, "best_peer", json_string(r->rivals[ratio.best - 1].name));
    json_object_set_new(row, "ratio", json_real(ratio.min));
    json_object_set_new(row, "ratio_median", json_real(ratio.median));
    return row;
}

static json_t *mean_json(const struct mean *m)
{
    json_t *o = json_pack("{s:f}", "all", mean_of(m, 2));
    if (m->n[0]) json_object_set_new(o, "up_to_16", json_real(mean_of(m, 0)));
    if (m->n[1]) json_object_set_new(o, "more", json_real(mean_of(m, 1)));
    return o;
}

static json_t *total_json(const struct total *t)
{
    json_t *o = json_pack("{s:s,s:I,s:o,s:o,s:f,s:s}", "op", cg_op_name(t->op), "rows",
                          (json_int_t)(t->best.n[0] + t->best.n[1]), "best", mean_json(&t->best), "at_limit",
                          mean_json(&t->limit), "lowest", t->lowest, "lowest_name", t->lowest_name);
    if (t->op == CG_OP_gemm_f32) json_object_set_new(o, "form", json_string(forms[t->form]));
    json_t *rivals = json_object();
    for (int i = 0; i + 1 < t->n; i++) json_object_set_new(rivals, t->rivals[i].name, mean_json(&t->rival[i]));
    json_object_set_new(o, "peers", rivals);
    return o;
}

static enum cg_status write_json(struct cg_report *r)
{
    const struct cg_machine *m = cg_plans_machine(r->plans);
    char fingerprint[20];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)m->fingerprint);
    json_t *root = json_pack("{s:s,s:s,s:i,s:s,s:b,s:O}", "cpu", m->model_name[0] ? m->model_name : m->vendor,
                             "fingerprint", fingerprint, "threads", cg_plans_threads(r->plans), "plans",
                             cg_bench_plans_text(r->plans), "cold", r->cold > 0, "rows", r->rows);
    if (json_array_size(r->totals)) {
        json_object_set(root, "totals", r->totals);
        json_object_set_new(root, "ratio_geometric_mean", json_real(mean_of(&r->all, 2)));
        json_object_set_new(root, "ratio_lowest", json_real(r->lowest));
    }
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fprintf(r->out, "%s\n", text);
    free(text);
    return CG_OK;
}

/* -------------------------------------------------------------------------------------------------------------------
 */

static void end_block(struct cg_report *r)
{
    if (r->now.any && r->now.n > 1) {
        if (r->totals) json_array_append_new(r->totals, total_json(&r->now));
        else print_total(r->out, &r->now);
    }
    memset(&r->now, 0, sizeof r->now);
}

static void add_to_total(struct cg_report *r, const struct cg_result *row)
{
    struct total *t = &r->now;
    const struct cg_bench_case *c = row->c;
    int more = c->form == CG_FORM_TN ? c->k > 16 : c->m > 16;
    double ratio = ratio_of(row->t, row->n).min;
    double share = fmax(fma_share(row), memory_share(row));
    mean_add(&t->best, more, ratio);
    mean_add(&t->limit, more, share > 0 && share < 1 ? ratio / share : ratio);
    mean_add(&r->all, more, ratio);
    for (int who = 1; who < row->n; who++) mean_add(&t->rival[who - 1], more, row->t[who].min / row->t[0].min);
    if (r->lowest == 0 || ratio < r->lowest) r->lowest = ratio;
    if (t->lowest == 0 || ratio < t->lowest) {
        t->lowest = ratio;
        snprintf(t->lowest_name, sizeof t->lowest_name, "%s", c->name);
    }
}

void cg_report_row(struct cg_report *r, const struct cg_result *row)
{
    struct total *t = &r->now;
    const struct cg_bench_case *c = row->c;
    /* Without peers, all operations share one table. */
    if (!t->any || ((t->op != c->op || t->form != c->form) && (t->n > 1 || row->n > 1))) {
        end_block(r);
        *t = (struct total){.any = 1, .op = c->op, .form = c->form, .n = row->n};
        for (int i = 0; i + 1 < row->n; i++) t->rivals[i] = row->rivals[i];
        if (!r->rows) print_head(r, row);
    }
    if (row->n > 1) add_to_total(r, row);
    if (r->rows) json_array_append_new(r->rows, row_json(row));
    else print_row(r->out, row);
}

struct cg_report *cg_report_open(const struct cg_plans *plans, size_t cold, int json, FILE *out)
{
    struct cg_report *r = cg_alloc(sizeof *r);
    if (!r) return NULL;
    r->plans = plans;
    r->cold = cold;
    r->out = out;
    if (json) {
        r->rows = json_array();
        r->totals = json_array();
    } else {
        print_machine(r);
    }
    return r;
}

void cg_report_abandon(struct cg_report *r)
{
    json_decref(r->rows);
    json_decref(r->totals);
    cg_free(r);
}

enum cg_status cg_report_close(struct cg_report *r)
{
    end_block(r);
    enum cg_status st = r->rows ? write_json(r) : CG_OK;
    if (st == CG_OK && (fflush(r->out) != 0 || ferror(r->out)))
        st = cg_fail(CG_ERR_IO, "cannot write the results: %s", strerror(errno));
    cg_report_abandon(r);
    return st;
}

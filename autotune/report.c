#include "autotune/report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/fields.h"
#include "autotune/space.h"

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

static double gain(const struct cg_tuned *t)
{
    return t->gflops > 0 && t->gflops_default > 0 ? t->gflops / t->gflops_default : 1;
}

static const char *gain_text(const struct cg_tuned *t, char *buf, size_t size)
{
    double percent = 100 * (gain(t) - 1);
    snprintf(buf, size, "%+.0f%%", percent);
    return fabs(percent) < 0.5 ? "-" : buf;
}

static const char *op_text(enum cg_op op)
{
    return cg_op_name(op) + strlen("gemm_");
}

void cg_report_table(FILE *f, const struct cg_tune_report *r)
{
    char a[96], b[96], g[16];
    fprintf(f, "%-21s %-5s %-2s %5s %6s %6s  %-24s %-26s %7s %5s\n", "shape", "op", "", "M", "N", "K", "default",
            "chosen", "GFLOP/s", "gain");
    for (size_t i = 0; i < r->shapes->n; i++) {
        const struct cg_found *x = &r->found[i];
        const struct cg_tuned *t = &x->tuned;
        if (!x->candidates) continue;
        fprintf(f, "%-21s %-5s %-2s %5zu %6zu %6zu  %-24s %-26s %7.1f %5s\n", r->shapes->s[i].what, op_text(t->op),
                cg_form_name(t->form), t->m, t->n, t->k, cg_plan_text(&x->standard, a, sizeof a),
                cg_plan_same(&x->standard, &t->plan) ? "=" : cg_plan_text(&t->plan, b, sizeof b), t->gflops,
                gain_text(t, g, sizeof g));
    }
}

/* Tuned shapes, those whose plan changed, and the time that all take now against the default's, by importance. */
static void totals(const struct cg_tune_report *r, size_t *tuned, size_t *changed, double *gained)
{
    double weight = 0, time = 0;
    *tuned = *changed = 0;
    for (size_t i = 0; i < r->shapes->n; i++) {
        const struct cg_found *x = &r->found[i];
        if (!x->candidates) continue;
        ++*tuned;
        *changed += !cg_plan_same(&x->standard, &x->tuned.plan);
        weight += r->shapes->s[i].weight;
        time += r->shapes->s[i].weight / gain(&x->tuned);
    }
    *gained = time > 0 ? weight / time - 1 : 0;
}

void cg_report_total(FILE *f, const struct cg_tune_report *r)
{
    size_t tuned, changed;
    double gained;
    totals(r, &tuned, &changed, &gained);
    fprintf(f, "%zu of %zu shapes timed in %.1f s with %d thread%s: %zu run faster than by default, %+.1f%% in all%s\n",
            tuned, r->shapes->n + r->left_out, r->seconds, r->threads, r->threads == 1 ? "" : "s", changed,
            100 * gained, r->interrupted ? " (stopped early)" : "");
    if (tuned < r->shapes->n + r->left_out && !r->interrupted)
        fprintf(f, "%zu keep their defaults for lack of undisturbed time; a larger --budget reaches them\n",
                r->shapes->n + r->left_out - tuned);
    if (10 * r->stats.disturbed > r->stats.batches)
        fprintf(f, "other programs were in the way of %zu%% of the measurements; tune again when the machine is idle\n",
                100 * r->stats.disturbed / r->stats.batches);
}

/* The fields of the plan, or those around it. */
static json_t *fields_json(const struct cg_tuned *t, int in_plan)
{
    size_t n;
    const struct cg_field *f = cg_fields(&n);
    json_t *o = json_object();
    for (size_t i = 0; i < n; i++) {
        if (f[i].in_plan != in_plan) continue;
        const char *name = cg_field_name_of(&f[i], t);
        double number = cg_field_number_of(&f[i], t);
        json_object_set_new(o, f[i].name,
                            name                         ? json_string(name)
                            : f[i].kind == CG_FIELD_REAL ? json_real(number)
                                                         : json_integer((json_int_t)number));
    }
    return o;
}

static json_t *plan_json(const struct cg_plan *p)
{
    return fields_json(&(struct cg_tuned){.plan = *p}, 1);
}

static json_t *tuned_json(const struct cg_tuned *t)
{
    json_t *o = fields_json(t, 0);
    json_object_set_new(o, "gain", json_real(gain(t)));
    json_object_set_new(o, "chosen", plan_json(&t->plan));
    return o;
}

static enum cg_status dump(FILE *f, json_t *root, int ok)
{
    char *text = root && ok ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fprintf(f, "%s\n", text);
    free(text);
    return CG_OK;
}

/* What a call does, as far as it was counted; null where nothing was. */
static json_t *counts_json(const struct cg_counts *c)
{
    json_t *o = c->have ? json_object() : json_null();
    for (int i = 0; i < CG_COUNTS; i++)
        if (c->have >> i & 1)
            json_object_set_new(o, cg_count_name((enum cg_count)i), json_integer((json_int_t)c->value[i]));
    return o;
}

/* What is known of the gain beside its size. */
static json_t *found_json(const struct cg_found *x)
{
    json_t *o = tuned_json(&x->tuned);
    int interval = x->lo > 0 && x->hi < INFINITY;
    json_object_set_new(o, "gain", json_real(1 / x->ratio));
    json_object_set_new(o, "gain_low", interval ? json_real(1 / x->hi) : json_null());
    json_object_set_new(o, "gain_high", interval ? json_real(1 / x->lo) : json_null());
    json_object_set_new(o, "samples", json_integer((json_int_t)x->samples));
    json_object_set_new(o, "candidates", json_integer((json_int_t)x->candidates));
    json_object_set_new(o, "counts", counts_json(&x->counts));
    json_object_set_new(o, "counts_default", counts_json(&x->counts_default));
    return o;
}

enum cg_status cg_report_json(FILE *f, const struct cg_tune_report *r)
{
    size_t tuned, changed;
    double gained;
    totals(r, &tuned, &changed, &gained);
    json_t *shapes = json_array();
    int ok = shapes != NULL;
    for (size_t i = 0; i < r->shapes->n; i++) {
        const struct cg_found *x = &r->found[i];
        if (!x->candidates) continue;
        json_t *o = found_json(x);
        ok &= o && json_object_set_new(o, "shape", json_string(r->shapes->s[i].what)) == 0 &&
              json_object_set_new(o, "default", plan_json(&x->standard)) == 0;
        ok &= json_array_append_new(shapes, o) == 0;
    }
    json_t *root =
        json_pack("{s:o,s:I,s:I,s:I,s:f,s:f,s:i,s:b,s:f,s:s?}", "shapes", shapes, "tuned", (json_int_t)tuned, "changed",
                  (json_int_t)changed, "left_out", (json_int_t)(r->shapes->n + r->left_out - tuned), "gain", 1 + gained,
                  "seconds", r->seconds, "threads", r->threads, "interrupted", r->interrupted, "disturbed",
                  r->stats.batches ? (double)r->stats.disturbed / (double)r->stats.batches : 0.0, "stored", r->stored);
    return dump(f, root, ok);
}

void cg_report_store(FILE *f, const char *path, const struct cg_store *s)
{
    char a[96], g[16];
    if (!s->n) {
        fprintf(f, "no tuning stored (%s does not exist or is empty); run grpo-tune\n", path);
        return;
    }
    fprintf(f, "%s: %zu tuned shapes\n%-5s %-2s %5s %6s %6s %7s  %-36s %8s %6s\n", path, s->n, "op", "", "M", "N", "K",
            "threads", "plan", "GFLOP/s", "gain");
    for (size_t i = 0; i < s->n; i++) {
        const struct cg_tuned *t = &s->e[i];
        fprintf(f, "%-5s %-2s %5zu %6zu %6zu %7u  %-36s %8.1f %6s\n", op_text(t->op), cg_form_name(t->form), t->m, t->n,
                t->k, t->threads, cg_plan_text(&t->plan, a, sizeof a), t->gflops, gain_text(t, g, sizeof g));
    }
}

enum cg_status cg_report_store_json(FILE *f, const char *path, const struct cg_store *s)
{
    json_t *plans = json_array();
    int ok = plans != NULL;
    for (size_t i = 0; i < s->n; i++) ok &= json_array_append_new(plans, tuned_json(&s->e[i])) == 0;
    return dump(f, json_pack("{s:s,s:o}", "file", path, "plans", plans), ok);
}

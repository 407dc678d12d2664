/* What grpo-tune says to programs; docs/file-formats.md describes it. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "autotune/fields.h"
#include "autotune/report.h"

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
                            name                        ? json_string(name)
                            : f[i].kind == CG_KIND_REAL ? json_real(number)
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
    json_object_set_new(o, "gain", json_real(cg_tuned_gain(t)));
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

/* A time or a ratio; null where there were too few samples for it. */
static json_t *real_or_null(double x)
{
    return isfinite(x) && x > 0 ? json_real(x) : json_null();
}

/* What is known of the gain beside its size. */
static json_t *found_json(const struct cg_found *x)
{
    json_t *o = tuned_json(&x->tuned);
    json_object_set_new(o, "gain", real_or_null(1 / x->ratio));
    json_object_set_new(o, "gain_low", real_or_null(1 / x->hi));
    json_object_set_new(o, "gain_high", real_or_null(1 / x->lo));
    json_object_set_new(o, "samples", json_integer((json_int_t)x->samples));
    json_object_set_new(o, "candidates", json_integer((json_int_t)x->candidates));
    json_object_set_new(o, "counts", counts_json(&x->counts));
    json_object_set_new(o, "counts_default", counts_json(&x->counts_default));
    return o;
}

static json_t *trial_json(const struct cg_trial *t)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:I,s:o,s:b}", "plan", plan_json(&t->plan), "ratio", real_or_null(t->ratio),
                     "ratio_low", real_or_null(t->lo), "ratio_high", real_or_null(t->hi), "samples",
                     (json_int_t)t->samples, "seconds", real_or_null(t->seconds), "wrong", t->wrong);
}

void cg_report_tried(struct json_t **tried, const struct cg_trial *standard, const struct cg_trial *t, size_t n)
{
    if (!*tried) *tried = json_array();
    json_array_append_new(*tried, trial_json(standard));
    for (size_t i = 0; i < n; i++) json_array_append_new(*tried, trial_json(&t[i]));
}

static json_t *shape_json(const struct cg_tune_report *r, size_t i)
{
    const struct cg_found *x = &r->found[i];
    json_t *o = found_json(x);
    json_object_set_new(o, "shape", json_string(r->shapes->s[i].what));
    json_object_set_new(o, "default", plan_json(&x->standard));
    if (r->tried) json_object_set(o, "tried", r->tried[i]);
    return o;
}

enum cg_status cg_report_json(FILE *f, const struct cg_tune_report *r)
{
    struct cg_tune_totals sum = cg_report_totals(r);
    char fingerprint[24];
    json_t *shapes = json_array(), *threads = json_array();
    int ok = shapes && threads;
    for (size_t i = 0; i < r->shapes->n; i++)
        if (r->found[i].candidates) ok &= json_array_append_new(shapes, shape_json(r, i)) == 0;
    for (size_t i = 0; i < r->n_threads; i++) ok &= json_array_append_new(threads, json_integer(r->threads[i])) == 0;
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, r->machine->fingerprint);
    json_t *root =
        json_pack("{s:s,s:s,s:o,s:I,s:I,s:I,s:f,s:f,s:o,s:b,s:f,s:I,s:I,s:s?,s:s?,s:I}", "program",
                  "grpo-tune " CG_VERSION, "fingerprint", fingerprint, "shapes", shapes, "tuned", (json_int_t)sum.tuned,
                  "changed", (json_int_t)sum.changed, "left_out", (json_int_t)(r->shapes->n + r->left_out - sum.tuned),
                  "gain", sum.gain, "seconds", r->seconds, "threads", threads, "interrupted", r->interrupted,
                  "disturbed", r->stats.batches ? (double)r->stats.disturbed / (double)r->stats.batches : 0.0,
                  "drifted", (json_int_t)r->stats.drifted, "speed_changes", (json_int_t)r->stats.shifts, "counters_why",
                  r->counters_why && *r->counters_why ? r->counters_why : NULL, "stored", r->stored, "stored_total",
                  (json_int_t)r->stored_total);
    return dump(f, root, ok);
}

enum cg_status cg_report_store_json(FILE *f, const char *path, const struct cg_store *s)
{
    json_t *plans = json_array();
    int ok = plans != NULL;
    for (size_t i = 0; i < s->n; i++) ok &= json_array_append_new(plans, tuned_json(&s->e[i])) == 0;
    return dump(f, json_pack("{s:s,s:o}", "file", path, "plans", plans), ok);
}

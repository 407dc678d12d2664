/* grpo-tune without a command: times plans and stores the winners. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "autotune/report.h"
#include "autotune/search.h"
#include "autotune/sizes.h"
#include "autotune/store.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

static void show_progress(void *ctx, size_t done, size_t all, double left, const struct cg_shape *s)
{
    char bar[32];
    (void)ctx;
    cg_progress("tuning %s %zu/%zu shapes, %.0f s left: %s %s %zux%zux%zu", cg_bar(bar, 20, (double)done / (double)all),
                done, all, ceil(left), s->what, cg_form_name(s->form), s->m, s->n, s->k);
}

static enum cg_status shapes_of(const struct cg_cli_options *o, struct cg_shapes *shapes)
{
    struct cg_sizes sizes;
    for (size_t i = 0; i < o->model.n; i++) {
        CG_TRY(cg_sizes_load(o->model.t[i], &sizes));
        CG_TRY(cg_shapes_add(shapes, &sizes, o->ops));
    }
    for (size_t i = 0; !o->model.n && cg_sizes_known(i, &sizes); i++)
        if (sizes.usual) CG_TRY(cg_shapes_add(shapes, &sizes, o->ops));
    return CG_OK;
}

/* One run of the tuner: what its callbacks need. */
struct run {
    const struct cg_machine *machine;
    struct cg_tune_report report;
    const char *path;
    struct cg_store pending; /* found and not yet stored */
    enum cg_status stored;   /* of the last attempt */
    char why[1024];          /* it failed */
};

/* Stores what was found and not stored yet. What cannot be stored now is tried again with the next group. */
static void store(struct run *r)
{
    if (!r->pending.n) return;
    enum cg_status before = r->stored;
    r->stored = cg_store_merge(r->path, r->machine, &r->pending, &r->report.stored_total);
    if (r->stored == CG_OK) {
        r->report.stored = r->path;
        r->pending.n = 0;
        return;
    }
    snprintf(r->why, sizeof r->why, "%s", cg_error());
    if (before == CG_OK) cg_warn("%s; trying again", r->why);
}

/* After each group, so that no end of this program, however sudden, loses what was finished. */
static void group_finished(void *ctx, const struct cg_shape *shapes, const struct cg_found *found, size_t n)
{
    struct run *r = ctx;
    (void)shapes;
    for (size_t i = 0; i < n; i++)
        if (found[i].candidates) r->pending.e[r->pending.n++] = found[i].tuned;
    store(r);
}

static enum cg_status print_results(const struct cg_cli_options *o, const struct cg_tune_report *r)
{
    size_t wrong = 0;
    for (size_t i = 0; i < r->shapes->n; i++) wrong += (size_t)r->found[i].wrong;
    if (wrong) cg_warn("%zu plans gave other bits than the default and were not chosen; run grpo-tune verify", wrong);
    if (o->json) return cg_report_json(stdout, r);
    if (!o->quiet) cg_report_table(stdout, r);
    cg_report_total(stdout, r);
    if (r->stored) printf("stored in %s (%zu shapes in all)\n", r->stored, r->stored_total);
    return CG_OK;
}

static enum cg_status finish(const struct cg_cli_options *o, struct run *r)
{
    store(r);
    CG_TRY(print_results(o, &r->report));
    if (r->stored != CG_OK) return cg_fail(r->stored, "%s", r->why);
    if (cg_cli_stop) return cg_fail(CG_ERR_INTERRUPTED, "stopped; what was finished is kept");
    return CG_OK;
}

static enum cg_status tune_shapes(const struct cg_cli_options *o, const struct cg_machine *m, struct cg_shapes *shapes)
{
    double start = cg_now();
    size_t all = shapes->n;
    cg_shapes_sort(shapes);
    cg_shapes_fit(shapes, o->budget);
    struct cg_found *found = cg_alloc_n(shapes->n, sizeof *found);
    char *path = cg_store_path(m);
    struct run r = {.machine = m,
                    .path = path,
                    .pending = {.e = cg_alloc_n(shapes->n, sizeof(struct cg_tuned))},
                    .report = {.shapes = shapes, .found = found, .left_out = all - shapes->n}};
    struct cg_tuner t = {.machine = m,
                         .threads = o->threads ? o->threads : m->cores_usable,
                         .budget = o->budget,
                         .stop = &cg_cli_stop,
                         .progress = show_progress,
                         .finished = group_finished,
                         .ctx = &r};
    enum cg_status st = path ? CG_OK : CG_ERR_USER;
    if (!found || !r.pending.e) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_cli_catch_signals();
    if (st == CG_OK) st = cg_tune(&t, shapes, found, &r.report.stats);
    cg_progress_end();
    r.report.threads = t.threads;
    r.report.interrupted = cg_cli_stop;
    r.report.seconds = cg_now() - start;
    if (st == CG_OK) st = finish(o, &r);
    cg_free(found);
    cg_store_free(&r.pending);
    cg_free(path);
    return st;
}

enum cg_status cg_cli_tune(const struct cg_cli_options *o, const struct cg_machine *m)
{
    struct cg_shapes shapes = {0};
    if (o->ops >> CG_OP_gemm_bf16 & 1 && !cg_plan_default(m, CG_OP_gemm_bf16, CG_FORM_NT, 0, 1, 1, 1, 1).variant)
        return cg_fail(CG_ERR_USER, "--ops bf16: this machine has no native bf16 GEMM; bf16w runs everywhere");
    enum cg_status st = shapes_of(o, &shapes);
    if (st == CG_OK) st = tune_shapes(o, m, &shapes);
    cg_shapes_free(&shapes);
    return st;
}

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
    if (o->model) {
        CG_TRY(cg_sizes_load(o->model, &sizes));
        return cg_shapes_add(shapes, &sizes, o->ops);
    }
    for (size_t i = 0; cg_sizes_known(i, &sizes); i++) CG_TRY(cg_shapes_add(shapes, &sizes, o->ops));
    return CG_OK;
}

/* Stores what was found; r->stored stays NULL when that fails. */
static enum cg_status store(const struct cg_machine *m, struct cg_tune_report *r, const char *path)
{
    struct cg_store add = {.e = cg_alloc_n(r->shapes->n, sizeof *add.e)};
    if (!add.e) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < r->shapes->n; i++)
        if (r->found[i].candidates) add.e[add.n++] = r->found[i].tuned;
    enum cg_status st = add.n ? cg_store_merge(path, m, &add, &r->stored_total) : CG_OK;
    if (add.n && st == CG_OK) r->stored = path;
    cg_store_free(&add);
    return st;
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

static enum cg_status tune_shapes(const struct cg_cli_options *o, const struct cg_machine *m, struct cg_shapes *shapes)
{
    double start = cg_now();
    size_t all = shapes->n;
    cg_shapes_sort(shapes);
    cg_shapes_fit(shapes, o->budget);
    struct cg_tuner t = {.machine = m,
                         .threads = o->threads ? o->threads : m->cores_usable,
                         .budget = o->budget,
                         .stop = &cg_cli_stop,
                         .progress = show_progress};
    struct cg_found *found = cg_alloc_n(shapes->n, sizeof *found);
    char *path = cg_store_path(m);
    enum cg_status stored = CG_OK, st = path ? CG_OK : CG_ERR_USER;
    if (!found) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_cli_catch_signals();
    struct cg_tune_stats stats = {0};
    if (st == CG_OK) st = cg_tune(&t, shapes, found, &stats);
    cg_progress_end();
    if (st == CG_OK) {
        struct cg_tune_report r = {.shapes = shapes,
                                   .found = found,
                                   .left_out = all - shapes->n,
                                   .threads = t.threads,
                                   .interrupted = cg_cli_stop,
                                   .seconds = cg_now() - start,
                                   .stats = stats};
        char why[1024] = "";
        stored = store(m, &r, path);
        if (stored != CG_OK) snprintf(why, sizeof why, "%s", cg_error());
        st = print_results(o, &r);
        if (st == CG_OK && stored != CG_OK) st = cg_fail(stored, "%s", why);
        if (st == CG_OK && cg_cli_stop) st = cg_fail(CG_ERR_INTERRUPTED, "stopped; what was finished is kept");
    }
    cg_free(found);
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

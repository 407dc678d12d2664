/* grpo-tune --dry-run. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/cli/target.h"
#include "autotune/space.h"
#include "autotune/store.h"
#include "autotune/table.h"
#include "common/log.h"

enum { MOST_PLANS = 128 };

/* What would be done for one shape. */
struct step {
    const struct cg_shape *shape;
    int threads;
    double seconds;
    size_t layouts, plans; /* plans of each layout that are timed at first, besides the default */
};

static struct step step_of(const struct cg_machine *m, const struct cg_cli_target *t, size_t round, size_t i)
{
    struct cg_shapes shapes = cg_cli_target_shapes(t, round);
    struct cg_plan plans[MOST_PLANS];
    const struct cg_variant *layouts[CG_MAX_LAYOUTS];
    struct step s = {.shape = &shapes.s[i], .threads = t->threads[round]};
    s.seconds = t->budget / (double)t->n_threads * cg_shapes_share(&shapes, i);
    s.layouts = cg_space_layouts(m, s.shape, s.threads, layouts);
    if (s.layouts) s.plans = cg_space_plans(m, s.shape, layouts[0], s.threads, NULL, plans, t->breadth + 1) - 1;
    if (s.shape->form != CG_FORM_NT && s.layouts) s.layouts = 1;
    return s;
}

static enum cg_status print_json(const struct cg_machine *m, const struct cg_cli_target *t, const char *path)
{
    json_t *shapes = json_array();
    for (size_t r = 0; r < t->n_threads; r++)
        for (size_t i = 0; i < cg_cli_target_shapes(t, r).n; i++) {
            struct step s = step_of(m, t, r, i);
            json_array_append_new(shapes,
                                  json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:i,s:f,s:I,s:I}", "shape", s.shape->what, "op",
                                            cg_op_name(s.shape->op), "form", cg_form_name(s.shape->form), "m",
                                            (json_int_t)s.shape->m, "n", (json_int_t)s.shape->n, "k",
                                            (json_int_t)s.shape->k, "tuned_for_threads", s.threads, "seconds",
                                            s.seconds, "layouts", (json_int_t)s.layouts, "plans", (json_int_t)s.plans));
        }
    json_t *root = json_pack("{s:b,s:o,s:I,s:f,s:s}", "dry_run", 1, "shapes", shapes, "left_out",
                             (json_int_t)t->left_out, "seconds", t->budget, "store", path);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    puts(text);
    free(text);
    return CG_OK;
}

static void print_table(const struct cg_machine *m, const struct cg_cli_target *t)
{
    static const struct cg_column columns[] = {{"shape", 0, 1},   {"op", 0, 0},      {"MxNxK", 0, 0}, {"threads", 1, 3},
                                               {"seconds", 1, 0}, {"layouts", 1, 2}, {"plans", 1, 0}};
    struct cg_table table = {.columns = columns, .n_columns = sizeof columns / sizeof *columns};
    for (size_t r = 0; r < t->n_threads; r++)
        for (size_t i = 0; i < cg_cli_target_shapes(t, r).n; i++) {
            struct step s = step_of(m, t, r, i);
            char(*row)[CG_TABLE_CELL] = cg_table_row(&table);
            if (!row) break;
            snprintf(row[0], CG_TABLE_CELL, "%s", s.shape->what);
            snprintf(row[1], CG_TABLE_CELL, "%s %s", cg_op_name(s.shape->op) + strlen("gemm_"),
                     cg_form_name(s.shape->form));
            snprintf(row[2], CG_TABLE_CELL, "%zux%zux%zu", s.shape->m, s.shape->n, s.shape->k);
            snprintf(row[3], CG_TABLE_CELL, "%d", s.threads);
            snprintf(row[4], CG_TABLE_CELL, "%.2f", s.seconds);
            snprintf(row[5], CG_TABLE_CELL, "%zu", s.layouts);
            snprintf(row[6], CG_TABLE_CELL, "%zu", s.plans);
        }
    if (table.rows) cg_table_print(&table, stdout, cg_terminal_columns(stdout));
    cg_table_free(&table);
}

enum cg_status cg_cli_dry_run(const struct cg_cli_options *o, const struct cg_machine *m, const struct cg_cli_target *t,
                              const char *path)
{
    if (o->json) return print_json(m, t, path);
    if (!o->quiet) print_table(m, t);
    printf("%zu shapes would be tuned in %g s and stored in %s", t->all.n, t->budget, path);
    if (t->left_out) printf("; %zu would be left out for lack of time", t->left_out);
    puts("");
    return CG_OK;
}

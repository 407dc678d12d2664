#include "autotune/cli/target.h"

#include <stdlib.h>
#include <string.h>

#include "autotune/plan.h"
#include "autotune/sizes.h"
#include "common/log.h"

/* What the presets mean. The search takes at most 64 plans of a shape at first. */
static const struct {
    double budget;
    size_t breadth;
} usual = {60, 20}, quick = {15, 8}, thorough = {300, 64};

static enum cg_status add_models(const struct cg_cli_options *o, struct cg_shapes *shapes)
{
    struct cg_sizes sizes;
    for (size_t i = 0; i < o->model.n; i++) {
        CG_TRY(cg_sizes_load(o->model.t[i], &sizes));
        CG_TRY(cg_shapes_add(shapes, &sizes, o->ops));
    }
    for (size_t i = 0; !o->model.n && !o->shapes.n && cg_sizes_known(i, &sizes); i++)
        if (sizes.usual) CG_TRY(cg_shapes_add(shapes, &sizes, o->ops));
    for (size_t i = 0; i < o->shapes.n; i++) CG_TRY(cg_shapes_add_one(shapes, &o->shapes.s[i]));
    return CG_OK;
}

/* Threads that no CPU runs would only wait for each other: that is a mistake; more than this process may use is the
 * user's will, and worth a word. */
static enum cg_status take_threads(const struct cg_cli_options *o, const struct cg_machine *m, struct cg_cli_target *t)
{
    for (size_t i = 0; i < o->threads.n; i++) {
        int n = o->threads.t[i] ? o->threads.t[i] : m->cores_usable, known = 0;
        if (n > m->threads)
            return cg_fail(CG_ERR_USER, "--threads %d: this machine runs %d at once; give at most as many", n,
                           m->threads);
        if (n > m->cores_usable)
            cg_warn("%d threads are more than the %d cores worth a thread here: what is timed is unsteady, and only "
                    "training with threads: %d uses it",
                    n, m->cores_usable, n);
        for (size_t j = 0; j < t->n_threads; j++) known |= t->threads[j] == n;
        if (!known) t->threads[t->n_threads++] = n;
    }
    return CG_OK;
}

static enum cg_status check_ops(const struct cg_machine *m, const struct cg_shapes *shapes)
{
    if (cg_plan_default(m, CG_OP_gemm_bf16, CG_FORM_NT, 0, 1, 1, 1, 1).variant) return CG_OK;
    for (size_t i = 0; i < shapes->n; i++)
        if (shapes->s[i].op == CG_OP_gemm_bf16)
            return cg_fail(CG_ERR_USER, "bf16: this machine has no native bf16 GEMM; bf16w runs everywhere");
    return CG_OK;
}

/* Each number of threads has its own copy of the shapes. */
static enum cg_status repeat(const struct cg_shapes *shapes, struct cg_cli_target *t)
{
    size_t n = shapes->n;
    t->all.s = calloc(n * t->n_threads + 1, sizeof *t->all.s);
    if (!t->all.s) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < t->n_threads; i++) {
        memcpy(t->all.s + t->all.n, shapes->s, n * sizeof *shapes->s);
        t->all.n += n;
        t->first[i + 1] = t->all.n;
    }
    return CG_OK;
}

enum cg_status cg_cli_target(const struct cg_cli_options *o, const struct cg_machine *m, struct cg_cli_target *t)
{
    struct cg_shapes shapes = {0};
    *t = (struct cg_cli_target){.breadth = o->quick      ? quick.breadth
                                           : o->thorough ? thorough.breadth
                                                         : usual.breadth,
                                .budget = o->quick      ? quick.budget
                                          : o->thorough ? thorough.budget
                                                        : usual.budget};
    if (CG_CLI_GIVEN(o, budget)) t->budget = o->budget;
    enum cg_status st = take_threads(o, m, t);
    if (st == CG_OK) st = add_models(o, &shapes);
    if (st == CG_OK) st = check_ops(m, &shapes);
    if (st == CG_OK) {
        size_t all = shapes.n;
        cg_shapes_sort(&shapes);
        cg_shapes_fit(&shapes, t->budget / (double)t->n_threads);
        t->left_out = (all - shapes.n) * t->n_threads;
        st = repeat(&shapes, t);
    }
    cg_shapes_free(&shapes);
    return st;
}

void cg_cli_target_free(struct cg_cli_target *t)
{
    cg_shapes_free(&t->all);
}

struct cg_shapes cg_cli_target_shapes(const struct cg_cli_target *t, size_t i)
{
    return (struct cg_shapes){t->all.s + t->first[i], t->first[i + 1] - t->first[i]};
}

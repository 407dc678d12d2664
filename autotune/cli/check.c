/* grpo-tune --check: is the machine still the one that was tuned? */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/check.h"
#include "autotune/cli/check.h"
#include "autotune/report.h"
#include "common/mem.h"
#include "detect/bind.h"

#define SECONDS 0.1 /* of timing */

static enum cg_status print_json(const struct cg_check *c)
{
    json_t *plans = json_array();
    for (size_t i = 0; i < c->n; i++) {
        const struct cg_checked *e = &c->e[i];
        const struct cg_tuned *t = e->tuned;
        json_array_append_new(
            plans, json_pack("{s:s,s:s,s:I,s:I,s:I,s:f,s:f,s:f,s:f,s:I}", "op", cg_op_name(t->op), "form",
                             cg_form_name(t->form), "m", (json_int_t)t->m, "n", (json_int_t)t->n, "k", (json_int_t)t->k,
                             "gflops", e->gflops, "gflops_stored", t->gflops, "gflops_default", e->gflops_default,
                             "gflops_default_stored", t->gflops_default, "samples", (json_int_t)e->samples));
    }
    json_t *root = json_pack("{s:s,s:f,s:f,s:f,s:f,s:o}", "verdict", cg_check_verdict_name(c->verdict), "speed",
                             c->speed, "gain", c->gain, "gain_stored", c->gain_stored, "disturbed",
                             c->batches ? (double)c->disturbed / (double)c->batches : 0.0, "plans", plans);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    puts(text);
    free(text);
    return CG_OK;
}

static void print_plans(const struct cg_check *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct cg_checked *e = &c->e[i];
        const struct cg_tuned *t = e->tuned;
        if (!e->samples) continue;
        printf("%s %s %zux%zux%zu: %.1f GFLOP/s, %.1f when tuned; %.2f times the default plan, %.2f when tuned\n",
               cg_op_name(t->op), cg_form_name(t->form), t->m, t->n, t->k, e->gflops, t->gflops, 1 / e->ratio,
               cg_tuned_gain(t));
    }
}

/* The last line: what the machine does, and what was in the way. */
static void print_total(const struct cg_check *c)
{
    static const char *const what[CG_CHECK_VERDICTS] = {"unchanged", "too busy to tell", "plans no longer win",
                                                        "slower", "faster"};
    printf("%s: ", what[c->verdict]);
    if (c->speed > 0)
        printf("%.0f%% of the speed when tuned, %.2f times the default plans (%.2f when tuned)", 100 * c->speed,
               c->gain, c->gain_stored);
    else printf("nothing could be timed");
    if (c->disturbed)
        printf("; other programs were in the way of %zu%% of the measurements", 100 * c->disturbed / c->batches);
    if (c->shifts) printf("; the clock has changed meanwhile");
    putchar('\n');
}

static enum cg_status advice(enum cg_check_verdict v)
{
    switch (v) {
    case CG_CHECK_BUSY: return cg_fail(CG_ERR_CHECK, "check again when the machine is idle");
    case CG_CHECK_LOSES: return cg_fail(CG_ERR_CHECK, "run grpo-tune again");
    case CG_CHECK_SLOWER:
        return cg_fail(CG_ERR_CHECK,
                       "the machine is busy, throttled or given less than when it was tuned; run grpo-tune "
                       "again if that is to stay");
    case CG_CHECK_FASTER: return cg_fail(CG_ERR_CHECK, "the machine was slower when it was tuned; run grpo-tune again");
    case CG_CHECK_SAME:
    case CG_CHECK_VERDICTS: break;
    }
    return CG_OK;
}

enum cg_status cg_cli_check(const struct cg_cli_options *o, const struct cg_machine *m)
{
    struct cg_store s = {0};
    struct cg_check c;
    const unsigned long allowed =
        1ul << CG_CLI_OPT_check | 1ul << CG_CLI_OPT_threads | 1ul << CG_CLI_OPT_quiet | 1ul << CG_CLI_OPT_json;
    if (o->given & ~allowed) return cg_fail(CG_ERR_USER, "--check goes with --threads, --quiet and --json only");
    if (o->threads.n > 1) return cg_fail(CG_ERR_USER, "--check looks at the plans for one number of threads");
    int threads = o->threads.n && o->threads.t[0] ? o->threads.t[0] : m->cores_usable;
    char *path = cg_store_path(m);
    if (!path) return CG_ERR_USER;
    cg_cli_catch_signals();
    enum cg_status st = cg_store_read(path, m, &s);
    if (st == CG_OK) st = cg_cli_bind(m, threads); /* as they were when the plans were tuned */
    if (st == CG_OK) st = cg_check_run(m, &s, threads, SECONDS, &cg_cli_stop, &c);
    cg_bind_undo();
    if (st == CG_OK && cg_cli_stop) st = cg_fail(CG_ERR_INTERRUPTED, "stopped");
    if (st == CG_OK && o->json) st = print_json(&c);
    else if (st == CG_OK) {
        if (!o->quiet) print_plans(&c);
        print_total(&c);
    }
    if (st == CG_OK) st = advice(c.verdict);
    cg_store_free(&s);
    cg_free(path);
    return st;
}

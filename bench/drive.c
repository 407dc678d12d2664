#include "bench/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gbench.h"
#include "bench/limits.h"

/* The operands of the case in hand are kept: each case is run several times until the number of calls is settled. */
struct driven {
    const struct cg_plans *plans;
    size_t cold;
    const struct cg_bench_case *c;
    struct current {
        const struct cg_bench_case *c;
        struct cg_operands *o;
    } * current;
};

/* The shares of the two limits: a rate whose unit is what the limit allows in a second. */
static void add_shares(struct cg_gbench_state *state, const struct driven *d, const struct cg_operands *o)
{
    const struct cg_machine *m = cg_plans_machine(d->plans);
    int threads = d->c->plan.threads ? d->c->plan.threads : 1;
    size_t footprint = cg_operands_footprint(o);
    double fma = cg_limit_fma(m, d->c->plan.variant, threads);
    double bandwidth = cg_limit_bandwidth(m, footprint, !cg_op_is_gemm(d->c->op), threads);
    if (fma > 0) cg_gbench_rate(state, "fma", d->c->work / fma);
    if (bandwidth > 0)
        cg_gbench_rate(state, cg_limit_level(m, footprint, threads), (double)cg_operands_traffic(o) / bandwidth);
}

static void run_case(struct cg_gbench_state *state, void *arg)
{
    struct driven *d = arg;
    struct current *now = d->current;
    if (now->c != d->c) {
        cg_operands_close(now->o);
        now->o = NULL;
        now->c = NULL;
        if (cg_operands_open(d->plans, d->c, d->cold, 0, &now->o) != CG_OK) {
            cg_gbench_skip(state, cg_error());
            return;
        }
        now->c = d->c;
    }
    while (cg_gbench_next(state)) cg_operands_call(now->o);
    cg_gbench_rate(state,
                   d->c->op == CG_OP_gemm_s8 ? "OP/s"
                   : cg_op_is_gemm(d->c->op) ? "FLOP/s"
                                             : "elem/s",
                   d->c->work);
    add_shares(state, d, now->o);
}

static void add_context(const struct cg_plans *plans)
{
    const struct cg_machine *m = cg_plans_machine(plans);
    char text[64];
    snprintf(text, sizeof text, "%d", cg_plans_threads(plans));
    cg_gbench_context("cpu", m->model_name[0] ? m->model_name : m->vendor);
    cg_gbench_context("threads", text);
    cg_gbench_context("plans", cg_bench_plans_text(plans));
    snprintf(text, sizeof text, "%016llx", (unsigned long long)m->fingerprint);
    cg_gbench_context("fingerprint", text);
}

/* Google Benchmark answers some mistakes with its usage and success. */
static enum cg_status check_flags(const struct cg_bench_options *o)
{
    static const char *const names[] = {"--benchmark_format=", "--benchmark_out_format="};
    for (int i = 1; i < o->n_flags; i++)
        for (size_t f = 0; f < 2; f++) {
            const char *value = o->flags[i] + strlen(names[f]);
            if (strncmp(o->flags[i], names[f], strlen(names[f])) == 0 && strcmp(value, "console") != 0 &&
                strcmp(value, "json") != 0 && strcmp(value, "csv") != 0)
                return cg_fail(CG_ERR_USER, "%.60s: the formats are console, json and csv", o->flags[i]);
        }
    return CG_OK;
}

enum cg_status cg_bench_drive(const struct cg_bench_options *o, const struct cg_plans *plans,
                              const struct cg_bench_cases *cases, size_t cold)
{
    CG_TRY(check_flags(o));
    int n = o->n_flags;
    cg_gbench_init(&n, o->flags);
    if (n > 1) return cg_fail(CG_ERR_USER, "Google Benchmark does not know %.80s, or not its value", o->flags[1]);
    struct current current = {NULL, NULL};
    struct driven *all = malloc(cases->n * sizeof *all);
    if (!all) return cg_fail(CG_ERR_MEMORY, "out of memory");
    add_context(plans);
    for (size_t i = 0; i < cases->n; i++) {
        all[i] = (struct driven){plans, cold, &cases->c[i], &current};
        cg_gbench_add(cases->c[i].name, run_case, &all[i]);
    }
    size_t ran = cg_gbench_run();
    cg_operands_close(current.o);
    cg_limits_release();
    free(all);
    return ran ? CG_OK : cg_fail(CG_ERR_USER, "no row matches --benchmark_filter; see --benchmark_list_tests");
}

/* What the work of a step costs on a machine whose rates are known. */
#ifndef CG_BENCH_STEP_PRICE_H
#define CG_BENCH_STEP_PRICE_H

#include "autotune/rates.h"
#include "bench/step.h"

#define CG_BOUNDS(X)        \
    X(FMA, "fma")           \
    X(ROWS, "instructions") \
    X(L2, "L2")             \
    X(L3, "L3")             \
    X(DRAM, "DRAM")         \
    X(OVERHEAD, "overhead")

enum cg_bound {
#define X(id, name) CG_BOUND_##id,
    CG_BOUNDS(X)
#undef X
        CG_BOUND_COUNT
};
const char *cg_bound_name(enum cg_bound b);

/* One row of the table: a part of a phase. */
struct cg_step_row {
    double calls, flops, seconds;
    double bound[CG_BOUND_COUNT]; /* seconds of work that each of them binds */
};

struct cg_step_prices {
    struct cg_step_row row[CG_STEP_PHASE_COUNT][CG_STEP_PART_COUNT];
    double flops, seconds, generate_seconds; /* the latter: prefill and decode */
};

/* CG_ERR_USER when the rates lack a kernel that the plans use. */
enum cg_status cg_step_price(const struct cg_step_list *s, const struct cg_plans *plans, const struct cg_rates *rates,
                             struct cg_step_prices *out);

/* Which of a row's bounds binds the most of its time. */
enum cg_bound cg_step_row_bound(const struct cg_step_row *r);

#endif

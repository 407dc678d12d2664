/* What grpo-bench times: an operation, a shape, and the variant that computes it. */
#ifndef CG_BENCH_CASES_H
#define CG_BENCH_CASES_H

#include <stddef.h>

#include "autotune/plan.h"
#include "common/status.h"

/* A layer: y[m][n] = x[m][k] * W[n][k]^T. Its backward products are NN, dx[m][k] = dy[m][n] * W, and TN,
 * dW[n][k] = dy^T * x. */
struct cg_layer {
    size_t m, n, k;
};

struct cg_bench_case {
    enum cg_op op;
    enum cg_form form;   /* of gemm_f32 */
    size_t m, n, k;      /* GEMM: C[m][n], reduction k; row operations: m rows of n */
    struct cg_plan plan; /* row operations: the variant only */
    double work;         /* GEMM: multiplications and additions of a call; row operations: elements */
    char name[96];       /* "gemm_f32_nt/64x576x576/8x48_avx512" */
};

struct cg_bench_cases {
    struct cg_bench_case *c;
    size_t n;
};

/* What the user wants to see; a bit for each of gemm_f32_nt, gemm_f32_nn, gemm_f32_tn and the other operations. */
typedef unsigned long long cg_bench_ops;
#define CG_BENCH_GEMM_F32 7ull
#define CG_BENCH_ALL (~0ull)

/* Reads "gemm_s8,softmax_f32"; "gemm_f32" means its three forms, "rows" all row operations, "all" everything.
 * CG_ERR_USER, naming what there is, for another word. */
enum cg_status cg_bench_parse_ops(const char *text, cg_bench_ops *ops);

/* The cases of `ops` for n layers: GEMMs for each layer, row operations for each of the widths that the layers have.
 * `few` leaves out NN and TN where training does not use them (few rows, or the vocabulary with many). `every`: a case
 * for each variant that this machine runs, not only the one of the plan. CG_ERR_USER when nothing is left. Free c. */
enum cg_status cg_bench_cases_make(const struct cg_plans *plans, cg_bench_ops ops, const struct cg_layer *layers,
                                   size_t n, int few, int every, struct cg_bench_cases *out);

/* Where the plans come from, as a value: without the "plans: " of cg_plans_source. */
const char *cg_bench_plans_text(const struct cg_plans *plans);

/* "GFLOP/s", "GOP/s" (INT8) or "Gelem/s". */
const char *cg_bench_unit(const struct cg_bench_case *c);

/* ---- Running ------------------------------------------------------------------------------------------------------
 */

struct cg_operands; /* a case with its memory */

/* CG_ERR_MEMORY when the machine has not enough. */
enum cg_status cg_operands_open(const struct cg_plans *plans, const struct cg_bench_case *c, struct cg_operands **out);
void cg_operands_close(struct cg_operands *o);
void cg_operands_call(struct cg_operands *o);

/* Plain row-major operands of a gemm_f32 case: *a and *b as the form says (NT: a[m][k], b[n][k]; NN: a[m][k], b[k][n];
 * TN: a[k][m], b[k][n]), and C[m][n]. */
void cg_operands_plain(struct cg_operands *o, const float **a, const float **b, float **c);

#endif

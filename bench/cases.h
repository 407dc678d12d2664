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

/* The bits of all GEMMs, and of a GEMM by its operation (all forms). */
cg_bench_ops cg_bench_gemms(void);
cg_bench_ops cg_bench_op_bits(enum cg_op op);

/* Reads "gemm_s8,softmax_f32"; "gemm" means all GEMMs, "gemm_f32" all of its forms, "rows" all row operations, "all"
 * everything. CG_ERR_USER, naming what there is, for another word. */
enum cg_status cg_bench_parse_ops(const char *text, cg_bench_ops *ops);

/* Reads "nt,tn", forms of gemm_f32. CG_ERR_USER. */
enum cg_status cg_bench_parse_forms(const char *text, cg_bench_ops *forms);

/* The cases of `ops` for n layers: GEMMs for each layer, row operations for each of the widths that the layers have.
 * `few` leaves out NN and TN where training does not use them (few rows, or the vocabulary with many). `every`: a case
 * for each variant that this machine runs, not only the one of the plan. CG_ERR_USER when nothing is left. Free c. */
enum cg_status cg_bench_cases_make(const struct cg_plans *plans, cg_bench_ops ops, const struct cg_layer *layers,
                                   size_t n, int few, int every, struct cg_bench_cases *out);

/* Where the plans come from, as a value: without the "plans: " of cg_plans_source. */
const char *cg_bench_plans_text(const struct cg_plans *plans);

/* "GFLOP/s", "GOP/s" (INT8) or "Gelem/s". */
const char *cg_bench_unit(const struct cg_bench_case *c);

/* Bytes that a row operation reads and writes for each element of its rows. */
size_t cg_bench_row_bytes(enum cg_op op);

/* ---- Running ------------------------------------------------------------------------------------------------------
 */

struct cg_operands; /* a case with its memory */

/* How many copies of `bytes` make at least `cold` bytes; 1 where cold is 0. */
size_t cg_cold_copies(size_t cold, size_t bytes);

/* With `cold` > 0, calls of a GEMM go through copies of B that have that many bytes together, so that none of them is
 * found in a cache that holds less; 0: all calls use the same B. `plain`: cg_operands_plain will be called.
 * CG_ERR_USER when the machine has not enough memory, CG_ERR_MEMORY when there is none. */
enum cg_status cg_operands_open(const struct cg_plans *plans, const struct cg_bench_case *c, size_t cold, int plain,
                                struct cg_operands **out);
void cg_operands_close(struct cg_operands *o);
void cg_operands_call(struct cg_operands *o);

/* Bytes that a call must at least read and write, and those that the calls go through again and again. */
size_t cg_operands_traffic(const struct cg_operands *o);
size_t cg_operands_footprint(const struct cg_operands *o);

/* Plain row-major f32 operands of a GEMM case, as the form says (NT: a[m][k], b[n][k]; NN: a[m][k], b[k][n]; TN:
 * a[k][m], b[k][n]), copy i of b at b + i*b_stride, and C[m][n]. */
struct cg_plain {
    const float *a, *b;
    size_t b_stride, copies;
    size_t *next; /* the copy of b for the next call, whoever makes it */
    float *c;
};
void cg_operands_plain(struct cg_operands *o, struct cg_plain *out);

#endif

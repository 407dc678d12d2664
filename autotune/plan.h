/* Plans: which variant, blocking and thread count run a GEMM shape. From the tuning store where it has the shape, else
 * from an analytic default that is always good. */
#ifndef CG_AUTOTUNE_PLAN_H
#define CG_AUTOTUNE_PLAN_H

#include <stddef.h>

#include "common/status.h"
#include "detect/machine.h"
#include "kernels/registry.h"

/* NT: y = x W^T, B packed before (forward). NN: dX = dY W. TN: dW += dY^T X. NN and TN pack B at every call. */
enum cg_form { CG_FORM_NT, CG_FORM_NN, CG_FORM_TN };

struct cg_plans; /* a machine, the number of threads in use, and what was tuned for it */

/* Plans for `m` with `threads` threads (0: all usable cores). Reads the store of this machine where there is one;
 * whatever is wrong with it costs only the tuning: the reason is in cg_plans_source. */
enum cg_status cg_plans_open(const struct cg_machine *m, int threads, struct cg_plans **out);
void cg_plans_close(struct cg_plans *p);

/* One line for people: "plans: 42 tuned shapes from FILE" or "plans: defaults (no tuning stored; run grpo-tune)". */
const char *cg_plans_source(const struct cg_plans *p);
/* Is there tuning for so many threads, but none of the layer with weights W[n][k]? */
int cg_plans_miss(const struct cg_plans *p, size_t n, size_t k);
const struct cg_machine *cg_plans_machine(const struct cg_plans *p);
int cg_plans_threads(const struct cg_plans *p);
const struct cg_rowops *cg_plans_rows(const struct cg_plans *p);

/* Panel width that weights W[n][k] should be packed with; one width serves every number of rows of x. */
size_t cg_plan_pack_nr(const struct cg_plans *p, size_t n, size_t k);

/* The plan for C[m][n] with reduction k. For NT, the variant has the panel width of cg_plan_pack_nr(p, n, k). */
struct cg_plan cg_plan_gemm_f32(const struct cg_plans *p, enum cg_form form, size_t m, size_t n, size_t k);

/* The same for bf16 weights in f32 arithmetic, which have a panel width of their own. */
size_t cg_plan_bf16w_pack_nr(const struct cg_plans *p, size_t n, size_t k);
struct cg_plan cg_plan_gemm_bf16w(const struct cg_plans *p, size_t m, size_t n, size_t k);

/* The same for native bf16, the declared fast mode; all plans of one (n, k) share one variant, and all plans of one
 * machine one scalar model. The variant is NULL where the machine has no such instructions. */
const struct cg_variant *cg_plan_bf16_variant(const struct cg_plans *p, size_t n, size_t k);
struct cg_plan cg_plan_gemm_bf16(const struct cg_plans *p, size_t m, size_t n, size_t k);

/* The same for the INT8 GEMM; all plans of one (n, k) share one variant, that of cg_plan_s8_variant. */
const struct cg_variant *cg_plan_s8_variant(const struct cg_plans *p, size_t n, size_t k);
struct cg_plan cg_plan_gemm_s8(const struct cg_plans *p, size_t m, size_t n, size_t k);

/* The analytic default, without looking at a store. pack_nr: the panel width asked for, 0 for any. */
struct cg_plan cg_plan_default(const struct cg_machine *m, enum cg_op op, enum cg_form form, size_t pack_nr,
                               size_t rows, size_t n, size_t k, int threads);

#endif

/* Timing of plans on operands like those of training. */
#ifndef CG_AUTOTUNE_MEASURE_H
#define CG_AUTOTUNE_MEASURE_H

#include <stddef.h>

#include "autotune/plan.h"
#include "autotune/shapes.h"
#include "common/status.h"
#include "detect/machine.h"

struct cg_bench; /* the operands of a shape, with B in one layout */

/* Operands for `s` (with up to max_m rows where B is packed before) with B in the layout of `like`. As many copies of
 * the weights are used in turn as it takes for them to leave the caches as they do in the model; `stream` is the most
 * bytes they may take together. CG_ERR_MEMORY when memory is short. */
enum cg_status cg_bench_open(const struct cg_machine *m, const struct cg_shape *s, size_t max_m,
                             const struct cg_variant *like, int threads, size_t stream, struct cg_bench **out);
void cg_bench_close(struct cg_bench *b);

/* Mean seconds of `calls` calls with `rows` rows (NN, TN: those of the shape), after one that is not counted when
 * `warm` is set. Negative when memory is short. */
double cg_bench_time(struct cg_bench *b, const struct cg_plan *plan, size_t rows, size_t calls, int warm);

/* Computes C from a fixed start and returns it (rows * n floats, valid until the next call); NULL when memory is short. */
const float *cg_bench_result(struct cg_bench *b, const struct cg_plan *plan, size_t rows);

/* Sorts x and gives its median, n >= 1. */
double cg_median(double *x, size_t n);

#endif

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

/* The part of the processors' time that the last cg_bench_time got: well below 1 when other programs were in the way.
 */
double cg_bench_share(const struct cg_bench *b);

/* Computes C from a fixed start and returns it (rows * n floats, valid until the next call); NULL when memory is short.
 */
const float *cg_bench_result(struct cg_bench *b, const struct cg_plan *plan, size_t rows);

/* Sorts the times x[n], n >= 1, and gives the one that a third are below: other programs only ever add time, so that it
 * is steadier than the median, and as many samples agree on it as the minimum has not. */
double cg_typical(double *x, size_t n);

#endif

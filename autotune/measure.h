/* Timing of plans on operands like those of training and generation. */
#ifndef CG_AUTOTUNE_MEASURE_H
#define CG_AUTOTUNE_MEASURE_H

#include <stddef.h>

#include "autotune/plan.h"
#include "autotune/shapes.h"
#include "common/status.h"
#include "detect/machine.h"

struct cg_bench; /* the operands of a shape, with B in one layout */

/* Operands for `s` (with up to max_m rows where B is packed before) with B in the layout of `like`, warm and cold as
 * the model has them: activations that were just made stay where they are, while weights (TN: their gradients and the
 * stored inputs) come from as far as the whole model lies, so that calls take copies of them in turn. `stream`: the
 * most bytes that copies may take together. CG_ERR_MEMORY when memory is short. */
enum cg_status cg_bench_open(const struct cg_machine *m, const struct cg_shape *s, size_t max_m,
                             const struct cg_variant *like, int threads, size_t stream, struct cg_bench **out);
void cg_bench_close(struct cg_bench *b);

/* Operands for plans of two variants: *a for `va`, and *b for `vb`, which is *a where both read the same B. Close them
 * with cg_bench_close_two, also when this has failed. */
enum cg_status cg_bench_open_two(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *va,
                                 const struct cg_variant *vb, int threads, size_t stream, struct cg_bench **a,
                                 struct cg_bench **b);
void cg_bench_close_two(struct cg_bench *a, struct cg_bench *b);

/* The bytes that copies of one layout should take on this machine: they pass through the last cache twice over. */
size_t cg_bench_stream(const struct cg_machine *m, const struct cg_shape *s);

/* One batch of calls. */
struct cg_sample {
    double seconds; /* of a call, the mean */
    int disturbed;  /* other programs held processors while the batch wanted them */
};

/* Times `calls` calls with `rows` rows (NN, TN: those of the shape), after one that is not counted when there are
 * several. Ends early after `most` seconds: on a busy machine each of many calls may wait for its threads. 0 when
 * memory is short, else 1. */
int cg_bench_time(struct cg_bench *b, const struct cg_plan *plan, size_t rows, size_t calls, double most,
                  struct cg_sample *out);

/* Computes C from a fixed start and returns it (rows * n floats, valid until the next call); NULL when memory is short.
 */
const float *cg_bench_result(struct cg_bench *b, const struct cg_plan *plan, size_t rows);

#endif

/* The plans worth timing for a shape. */
#ifndef CG_AUTOTUNE_SPACE_H
#define CG_AUTOTUNE_SPACE_H

#include <stddef.h>

#include "autotune/plan.h"
#include "autotune/shapes.h"
#include "detect/machine.h"

struct cg_rates;

enum { CG_MAX_LAYOUTS = 16 };

/* The layouts of B that SIMD variants of the shape's op can read on this machine, as the variant that stands for each
 * (f32 arithmetic: the first of its panel width; dot products: each variant is its own), the default's first. Native
 * bf16 variants of another model than the default's are left out: plans do not change a result. Returns how many. */
size_t cg_space_layouts(const struct cg_machine *m, const struct cg_shape *s, int threads,
                        const struct cg_variant *out[CG_MAX_LAYOUTS]);

/* The default plan for the shape with the layout of `like`. */
struct cg_plan cg_space_default(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *like,
                                int threads);

/* Up to `max` plans for `s` with the layout of `like`: the default first, then, with `rates`, those that the model of
 * autotune/predict.h thinks the fastest; without, plans that differ from the default in one respect, then in two,
 * three... so that any beginning of the list is a sensible search. Returns how many. */
size_t cg_space_plans(const struct cg_machine *m, const struct cg_shape *s, const struct cg_variant *like, int threads,
                      const struct cg_rates *rates, struct cg_plan *out, size_t max);

/* Up to `max` plans that differ from `from` in one respect: by one step, and in any prefetch distance. */
size_t cg_space_neighbours(const struct cg_machine *m, const struct cg_shape *s, const struct cg_plan *from,
                           int threads, struct cg_plan *out, size_t max);

/* Do the weights of this shape come from memory, since those of the whole model do not fit into the last cache? */
int cg_space_is_cold(const struct cg_machine *m, const struct cg_shape *s);

int cg_plan_same(const struct cg_plan *a, const struct cg_plan *b);

#endif

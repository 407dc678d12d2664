/* Robust statistics of timings. */
#ifndef CG_AUTOTUNE_ESTIMATE_H
#define CG_AUTOTUNE_ESTIMATE_H

#include <stddef.h>

struct cg_interval {
    double mid, lo, hi;
};

/* The median of x[n], which is sorted, and the interval of order statistics that holds the true median with at least
 * `confidence` (below 1), whatever the distribution is: x[j] and x[n-1-j] for the largest j with P(Binomial(n, 1/2) <=
 * j) <= (1 - confidence) / 2 (David & Nagaraja, Order Statistics, 2003, section 7.1). Other programs only ever add
 * time, now and then a lot: a mean would follow them, a minimum is one lucky sample. With too few samples for the
 * confidence, lo and hi are infinite; n == 0 gives a median of NaN. */
struct cg_interval cg_median_interval(double *x, size_t n, double confidence);

#endif

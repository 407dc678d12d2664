#include "autotune/estimate.h"

#include <math.h>
#include <stdlib.h>

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

struct cg_interval cg_median_interval(double *x, size_t n, double confidence)
{
    if (n == 0) return (struct cg_interval){NAN, -INFINITY, INFINITY};
    qsort(x, n, sizeof *x, ascending);
    struct cg_interval r = {n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]), -INFINITY, INFINITY};
    double p = pow(0.5, (double)n), below = p; /* P(Binomial(n, 1/2) == 0), and <= 0 */
    for (size_t j = 0; j < n / 2 && below <= 0.5 * (1 - confidence); j++) {
        r.lo = x[j];
        r.hi = x[n - 1 - j];
        p *= (double)(n - j) / (double)(j + 1);
        below += p;
    }
    return r;
}

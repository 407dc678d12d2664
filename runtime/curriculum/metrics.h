/* Metrics between two lines of metrics.jsonl: the mean, or the last, of each over the steps. */
#ifndef CG_RUNTIME_CURRICULUM_METRICS_H
#define CG_RUNTIME_CURRICULUM_METRICS_H

#include <stddef.h>

#define CG_METRICS_MAX 96

struct cg_metric {
    char name[96];
    double sum; /* of n values; LAST: the value, n is 1 */
    size_t n;   /* 0: none was finite */
    int open;   /* had a value, finite or not, since the last line */
};

struct cg_metrics {
    struct cg_metric m[CG_METRICS_MAX];
    size_t n;
};

enum cg_metric_over { CG_METRIC_MEAN, CG_METRIC_LAST };

/* Another value of the metric `name`; one that is not finite counts as none. Metrics beyond CG_METRICS_MAX are left
 * out. */
void cg_metrics_add(struct cg_metrics *x, const char *name, enum cg_metric_over over, double value);

/* What a line says of it: NAN for null. */
double cg_metric_value(const struct cg_metric *m);

/* Nothing is open: a line has been written. */
void cg_metrics_clear(struct cg_metrics *x);

/* sum / n; 0 of nothing. */
double cg_mean_of(double sum, size_t n);

#endif

#include "runtime/curriculum/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct cg_metric *find(struct cg_metrics *x, const char *name)
{
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->m[i].name, name) == 0) return &x->m[i];
    if (x->n == CG_METRICS_MAX) return NULL;
    struct cg_metric *m = &x->m[x->n++];
    *m = (struct cg_metric){.n = 0};
    snprintf(m->name, sizeof m->name, "%s", name);
    return m;
}

void cg_metrics_add(struct cg_metrics *x, const char *name, enum cg_metric_over over, double value)
{
    struct cg_metric *m = find(x, name);
    if (!m) return;
    m->open = 1;
    if (over == CG_METRIC_LAST) m->sum = 0, m->n = 0;
    if (!isfinite(value)) return;
    m->sum += value;
    m->n++;
}

double cg_metric_value(const struct cg_metric *m)
{
    return m->n ? m->sum / (double)m->n : (double)NAN;
}

void cg_metrics_clear(struct cg_metrics *x)
{
    for (size_t i = 0; i < x->n; i++) {
        x->m[i].sum = 0;
        x->m[i].n = 0;
        x->m[i].open = 0;
    }
}

double cg_mean_of(double sum, size_t n)
{
    return n ? sum / (double)n : 0;
}

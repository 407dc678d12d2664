#include "runtime/continual/ewc.h"

#include <string.h>

#include "common/mem.h"

#define CHUNK ((size_t)65536)

enum cg_status cg_ewc_create(const struct cg_params *params, int threads, struct cg_ewc *out)
{
    memset(out, 0, sizeof *out);
    size_t n = params->n;
    out->params = params;
    out->threads = threads;
    out->fisher = cg_alloc_n(n, sizeof(float));
    out->anchor = cg_alloc_n(n, sizeof(float));
    if (out->fisher && out->anchor) return CG_OK;
    cg_ewc_free(out);
    return cg_fail(CG_ERR_MEMORY, "out of memory: EWC needs %.2f GB for Fisher information and anchor",
                   2.0 * (double)n * sizeof(float) / 1e9);
}

void cg_ewc_free(struct cg_ewc *e)
{
    cg_free(e->fisher);
    cg_free(e->anchor);
    memset(e, 0, sizeof *e);
}

void cg_ewc_add_sample(struct cg_ewc *e, const float *grad, float share)
{
    size_t n = e->params->n;
#pragma omp parallel for num_threads(e->threads) if (n > CHUNK)
    for (size_t i = 0; i < n; i++) e->fisher[i] += share * (grad[i] * grad[i]);
}

void cg_ewc_consolidate(struct cg_ewc *e)
{
    const struct cg_params *p = e->params;
    for (size_t i = 0; i < p->n_spans; i++)
        memcpy(e->anchor + p->spans[i].at, p->w + p->spans[i].from, p->spans[i].n * sizeof *p->w);
    e->stages++;
}

/* Entries [from, to) of the gradient; the sum of F d^2. */
static double gradient(const struct cg_ewc *e, float lambda, size_t from, size_t to, float *grad)
{
    const struct cg_params *p = e->params;
    double sum = 0;
    for (size_t k = cg_params_span(p, from), i = from; i < to; k++) {
        const struct cg_param_span *s = &p->spans[k];
        const float *w = p->w + s->from - s->at;
        for (; i < to && i < s->at + s->n; i++) {
            float d = w[i] - e->anchor[i], f = e->fisher[i] * d;
            grad[i] += lambda * f;
            sum += (double)f * (double)d;
        }
    }
    return sum;
}

double cg_ewc_gradient(const struct cg_ewc *e, float lambda, float *grad)
{
    enum { BATCH = 256 };
    double part[BATCH], penalty = 0;
    size_t n = e->params->n;
    if (e->stages == 0) return 0;
    for (size_t first = 0; first < n; first += BATCH * CHUNK) {
        size_t left = n - first, chunks = (left + CHUNK - 1) / CHUNK;
        if (chunks > BATCH) chunks = BATCH;
#pragma omp parallel for num_threads(e->threads) if (chunks > 1)
        for (size_t c = 0; c < chunks; c++) {
            size_t from = first + c * CHUNK, to = n - from < CHUNK ? n : from + CHUNK;
            part[c] = gradient(e, lambda, from, to, grad);
        }
        for (size_t c = 0; c < chunks; c++) penalty += part[c];
    }
    return 0.5 * (double)lambda * penalty;
}

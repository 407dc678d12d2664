#include "runtime/continual/ewc.h"

#include <string.h>

#include "common/mem.h"

#define CHUNK ((size_t)65536)

enum cg_status cg_ewc_create(size_t n, int threads, struct cg_ewc *out)
{
    memset(out, 0, sizeof *out);
    out->n = n;
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
#pragma omp parallel for num_threads(e->threads) if (e->n > CHUNK)
    for (size_t i = 0; i < e->n; i++) e->fisher[i] += share * (grad[i] * grad[i]);
}

void cg_ewc_consolidate(struct cg_ewc *e, const float *w)
{
    memcpy(e->anchor, w, e->n * sizeof *w);
    e->stages++;
}

double cg_ewc_gradient(const struct cg_ewc *e, float lambda, const float *w, float *grad)
{
    enum { BATCH = 256 };
    double part[BATCH], penalty = 0;
    if (e->stages == 0) return 0;
    for (size_t first = 0; first < e->n; first += BATCH * CHUNK) {
        size_t left = e->n - first, chunks = (left + CHUNK - 1) / CHUNK;
        if (chunks > BATCH) chunks = BATCH;
#pragma omp parallel for num_threads(e->threads) if (chunks > 1)
        for (size_t c = 0; c < chunks; c++) {
            size_t from = first + c * CHUNK, to = e->n - from < CHUNK ? e->n : from + CHUNK;
            double sum = 0;
            for (size_t i = from; i < to; i++) {
                float d = w[i] - e->anchor[i], f = e->fisher[i] * d;
                grad[i] += lambda * f;
                sum += (double)f * (double)d;
            }
            part[c] = sum;
        }
        for (size_t c = 0; c < chunks; c++) penalty += part[c];
    }
    return 0.5 * (double)lambda * penalty;
}

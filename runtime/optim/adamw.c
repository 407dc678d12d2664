#include "runtime/optim/adamw.h"

#include <math.h>
#include <string.h>

#include "common/math.h"
#include "common/mem.h"

enum cg_status cg_optimizer_create(const struct cg_model *model, const struct cg_rowops *rows, int threads,
                                   const struct cg_adamw_options *o, struct cg_optimizer *out)
{
    memset(out, 0, sizeof *out);
    out->o = *o;
    out->rows = rows;
    out->threads = threads;
    out->n = model->n_params;
    out->m = cg_alloc_n(out->n, sizeof(float));
    out->v = cg_alloc_n(out->n, sizeof(float));
    if (out->m && out->v) return CG_OK;
    cg_optimizer_free(out);
    return cg_fail(CG_ERR_MEMORY, "out of memory: AdamW needs %.2f GB for its moments",
                   2.0 * (double)model->n_params * sizeof(float) / 1e9);
}

void cg_optimizer_free(struct cg_optimizer *opt)
{
    cg_free(opt->m);
    cg_free(opt->v);
    memset(opt, 0, sizeof *opt);
}

void cg_optimizer_reset(struct cg_optimizer *opt)
{
    memset(opt->m, 0, opt->n * sizeof(float));
    memset(opt->v, 0, opt->n * sizeof(float));
    opt->step = 0;
}

double cg_grad_norm(const struct cg_rowops *rows, const float *grad, size_t n, int threads)
{
    enum { BATCH = 256 };
    float part[BATCH];
    double sum = 0;
    for (size_t first = 0; first < n; first += BATCH * CG_OPTIMIZER_CHUNK) {
        size_t left = n - first, chunks = (left + CG_OPTIMIZER_CHUNK - 1) / CG_OPTIMIZER_CHUNK;
        if (chunks > BATCH) chunks = BATCH;
#pragma omp parallel for num_threads(threads) if (chunks > 4)
        for (size_t i = 0; i < chunks; i++) {
            size_t at = i * CG_OPTIMIZER_CHUNK, len = left - at < CG_OPTIMIZER_CHUNK ? left - at : CG_OPTIMIZER_CHUNK;
            part[i] = rows->sumsq_f32(len, grad + first + at);
        }
        for (size_t i = 0; i < chunks; i++) sum += (double)part[i];
    }
    return sqrt(sum);
}

static void update(struct cg_optimizer *opt, const struct cg_adamw *h, size_t first, size_t n, const float *grad,
                   float *w)
{
#pragma omp parallel for num_threads(opt->threads) if (n > CG_OPTIMIZER_CHUNK)
    for (size_t i = 0; i < n; i += CG_OPTIMIZER_CHUNK) {
        size_t at = first + i, len = n - i < CG_OPTIMIZER_CHUNK ? n - i : CG_OPTIMIZER_CHUNK;
        opt->rows->adamw_f32(len, h, grad + at, w + at, opt->m + at, opt->v + at);
    }
}

enum cg_status cg_optimizer_step(struct cg_optimizer *opt, struct cg_model *model, const float *grad, double lr,
                                 double *norm)
{
    *norm = cg_grad_norm(opt->rows, grad, opt->n, opt->threads);
    if (!isfinite(*norm)) return CG_OK;
    opt->step++;
    double scale = 1.0, max = (double)opt->o.max_grad_norm, b1 = (double)opt->o.beta1, b2 = (double)opt->o.beta2;
    if (max > 0 && *norm > max) scale = max / (*norm + 1e-6);
    struct cg_adamw h = {.gscale = (float)scale,
                         .b1 = opt->o.beta1,
                         .one_minus_b1 = (float)(1.0 - b1),
                         .b2 = opt->o.beta2,
                         .one_minus_b2 = (float)(1.0 - b2),
                         .step_size = (float)(lr / (1.0 - cg_pow(b1, (double)opt->step))),
                         .rsqrt_bc2 = (float)(1.0 / sqrt(1.0 - cg_pow(b2, (double)opt->step))),
                         .eps = opt->o.eps};
    float decay = (float)(lr * (double)opt->o.weight_decay);
    if (decay == 0.0f) {
        update(opt, &h, 0, opt->n, grad, model->w);
        return CG_OK;
    }
    for (size_t i = 0; i < cg_model_tensor_count(model); i++) {
        struct cg_tensor_ref t = cg_model_tensor(model, i);
        h.lr_wd = t.cols ? decay : 0.0f;
        update(opt, &h, t.offset, t.rows * (t.cols ? t.cols : 1), grad, model->w);
    }
    return CG_OK;
}

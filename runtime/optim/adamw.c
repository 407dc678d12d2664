#include "runtime/optim/adamw.h"

#include <math.h>
#include <string.h>

#include "common/math.h"

enum cg_status cg_optimizer_create(const struct cg_params *params, const struct cg_rowops *rows, int threads,
                                   const struct cg_adamw_options *o, struct cg_optimizer *out)
{
    memset(out, 0, sizeof *out);
    out->o = *o;
    out->rows = rows;
    out->threads = threads;
    out->params = params;
    return cg_moments_create(params->n, o->bits8, &out->moments);
}

void cg_optimizer_free(struct cg_optimizer *opt)
{
    cg_moments_free(&opt->moments);
    memset(opt, 0, sizeof *opt);
}

void cg_optimizer_reset(struct cg_optimizer *opt)
{
    cg_moments_reset(&opt->moments);
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

/* Entries [at, at + n) of the trained parameters, their moments at m and v. */
static void update(const struct cg_optimizer *opt, struct cg_adamw h, float decay, size_t at, size_t n,
                   const float *grad, float *m, float *v)
{
    const struct cg_params *p = opt->params;
    for (size_t i = cg_params_span(p, at), done = 0; done < n; i++) {
        const struct cg_param_span *s = &p->spans[i];
        size_t skip = at + done - s->at, len = s->n - skip < n - done ? s->n - skip : n - done;
        h.lr_wd = s->decays ? decay : 0.0f;
        opt->rows->adamw_f32(len, &h, grad + at + done, p->w + s->from + skip, m + done, v + done);
        done += len;
    }
}

/* The same, of one task: whole blocks of moments. */
static void update_chunk(struct cg_optimizer *opt, const struct cg_adamw *h, float decay, size_t at, size_t n,
                         const float *grad)
{
    struct cg_moments *x = &opt->moments;
    if (x->m) {
        update(opt, *h, decay, at, n, grad, x->m + at, x->v + at);
        return;
    }
    for (size_t i = 0; i < n; i += CG_MOMENT_BLOCK) {
        float m[CG_MOMENT_BLOCK], v[CG_MOMENT_BLOCK];
        size_t b = (at + i) / CG_MOMENT_BLOCK, len = n - i < CG_MOMENT_BLOCK ? n - i : CG_MOMENT_BLOCK;
        cg_moments_read(x, b, m, v);
        update(opt, *h, decay, at + i, len, grad, m, v);
        cg_moments_write(x, b, (uint32_t)opt->step, m, v);
    }
}

enum cg_status cg_optimizer_step(struct cg_optimizer *opt, const float *grad, double lr, double *norm)
{
    size_t n = opt->params->n;
    *norm = cg_grad_norm(opt->rows, grad, n, opt->threads);
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
#pragma omp parallel for num_threads(opt->threads) if (n > CG_OPTIMIZER_CHUNK)
    for (size_t at = 0; at < n; at += CG_OPTIMIZER_CHUNK)
        update_chunk(opt, &h, decay, at, n - at < CG_OPTIMIZER_CHUNK ? n - at : CG_OPTIMIZER_CHUNK, grad);
    return CG_OK;
}

/* The probes of rates.c that run row operations, on operands in the nearest caches. */
#include "autotune/rates.h"
#include "autotune/rates_probes.h"
#include "common/clock.h"

enum {
    KV_COLUMNS = 64,
    KV_DEPTH = 64,
    APART = 8192, /* floats from one operand to the next */
    BATCH = 8,    /* calls between two looks at the clock */
};
#define SAMPLE_SECONDS 2e-5

static const struct {
    enum cg_op op;
    size_t few, many;
} rated[] = {
#define X(op, few, many) {CG_OP_##op, few, many},
    CG_RATED_ROWS(X)
#undef X
};

static void call(const struct cg_rates_bench *b, const struct cg_rowops *r, enum cg_op op, size_t n)
{
    const float *x = b->a, *y = x + APART, *z = y + APART;
    float *to = b->out, *o1 = to + APART, *o2 = o1 + APART;
    static const struct cg_adamw adamw = {.gscale = 1,
                                          .b1 = 0.9f,
                                          .one_minus_b1 = 0.1f,
                                          .b2 = 0.999f,
                                          .one_minus_b2 = 0.001f,
                                          .step_size = 1e-6f,
                                          .rsqrt_bc2 = 1,
                                          .eps = 1e-8f};
    switch (op) {
    case CG_OP_add_f32: r->add_f32(n, x, y, to); break;
    case CG_OP_rmsnorm_f32: r->rmsnorm_f32(n, 1e-5f, x, y, to); break;
    case CG_OP_rmsnorm_bwd_f32: r->rmsnorm_bwd_f32(n, 1.0f, x, y, z, to); break;
    case CG_OP_rmsnorm_dw_f32: r->rmsnorm_dw_f32(n, 1e-3f, x, y, to); break;
    case CG_OP_rope_f32: r->rope_f32(n, x, y, z, to); break;
    case CG_OP_swiglu_f32: r->swiglu_f32(n, x, y, to); break;
    case CG_OP_swiglu_bwd_f32: r->swiglu_bwd_f32(n, x, y, z, to, o1); break;
    case CG_OP_softmax_len_f32: r->softmax_len_f32(n, n, 1.0f, x, to); break;
    case CG_OP_softmax_len_bwd_f32: r->softmax_len_bwd_f32(n, n, 1.0f, x, y, to); break;
    case CG_OP_max_f32: to[0] = r->max_f32(n, x); break;
    case CG_OP_sumexp_f32: r->sumexp_f32(n, 1.0f, 1.0f, x, to); break;
    case CG_OP_expmul_f32: r->expmul_f32(n, 1.0f, 1.0f, 1.0f, x, to); break;
    case CG_OP_sumsq_f32: to[0] = r->sumsq_f32(n, x); break;
    case CG_OP_adamw_f32: r->adamw_f32(n, &adamw, x, to, o1, o2); break;
    case CG_OP_kv_f32: r->kv_f32(n, KV_COLUMNS, KV_DEPTH, x, KV_DEPTH, y, 16 * KV_DEPTH, 16, to, KV_COLUMNS, 0); break;
    default: break;
    }
}

size_t cg_rates_rated_row(size_t i, int many, enum cg_op *op)
{
    *op = rated[i].op;
    return many ? rated[i].many : rated[i].few;
}

double cg_rates_row(const struct cg_rates_bench *b, const struct cg_rates_probe *p)
{
    const struct cg_rowops *r = cg_rowops_for(b->m->isa);
    size_t calls = 0;
    call(b, r, p->op, p->size);
    double start = cg_now(), t;
    do {
        for (int i = 0; i < BATCH; i++) call(b, r, p->op, p->size);
        calls += BATCH;
        t = cg_now() - start;
    } while (t < SAMPLE_SECONDS);
    return t / (double)calls / (p->op == CG_OP_kv_f32 ? KV_COLUMNS * KV_DEPTH : 1);
}

/* A straight line through two points; element > 0, call >= 0 (but for rounding). */
void cg_rates_collect_row(struct cg_rate_row *to, size_t i, double of_few, double of_many)
{
    double few = (double)rated[i].few, many = (double)rated[i].many, most = of_many / many;
    to->element = (of_many - of_few) / (many - few);
    if (!(to->element >= most / 2)) to->element = most / 2;
    if (to->element > most) to->element = most;
    to->call = of_many - to->element * many;
}

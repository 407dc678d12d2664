/* What follows a product in the same call has the bits of separate passes, for every GEMM variant, any
 * division among threads and any blocking. */
#define SEED 7u
#include "tests/kernels/fixture.h"

#define MARGIN 19

/* n numbers between margins that no step may touch. */
static float *numbers(size_t n)
{
    float *p = floats(n + 2 * MARGIN);
    for (size_t i = 0; i < n + 2 * MARGIN; i++) p[i] = (float)(int)(rng() % 2001) / 1000.0f - 1.0f;
    return p;
}

struct problem {
    size_t m, n, k, ldc, ldr, lds, q_bytes;
    float *a, *b, *packed, *sa, *bias, *residual, *c, *c_want, *s, *s_want, *scale, *scale_want;
    struct cg_packed_s8 next; /* weights that read the result */
    struct cg_packed_s8 w8;   /* INT8 and native bf16: the weights, and the rows of A */
    struct cg_packed_bf16 w16;
    void *rows;
    unsigned char *q, *q_want;
};

/* Which steps: a bit each. */
enum { BIAS = 1, RESIDUAL = 2, SWIGLU = 4, QUANT = 8 };

/* The INT8 variant of this machine that changes its rows most. */
static const struct cg_variant *next_variant(void)
{
    size_t count;
    const struct cg_variant *v = cg_variants(&count), *best = cg_variant_named("gemm_s8_ref");
    for (size_t i = 0; i < count; i++)
        if (v[i].op == CG_OP_gemm_s8 && cg_variant_runs(&v[i], machine.isa) && v[i].a_offset) best = &v[i];
    return best;
}

static void open_problem(struct problem *p, const struct cg_variant *v, size_t m, size_t n, size_t k, int steps)
{
    *p = (struct problem){.m = m, .n = n, .k = k, .ldc = n + 3, .ldr = n + 1, .lds = n / 2 + 2};
    p->a = numbers(m * k), p->b = numbers(n * k + n), p->bias = numbers(n), p->residual = numbers(m * p->ldr);
    p->c = numbers(m * p->ldc), p->c_want = numbers(m * p->ldc);
    p->s = numbers(m * p->lds), p->s_want = numbers(m * p->lds);
    p->scale = numbers(m), p->scale_want = numbers(m);
    assert_int_equal(cg_pack_s8(next_variant(), cg_rowops_for(0), 1, steps & SWIGLU ? n / 2 : n, p->b, &p->next), 0);
    p->q_bytes = cg_s8_rows_size(&p->next, m);
    p->q = cg_alloc(p->q_bytes), p->q_want = cg_alloc(p->q_bytes);
    assert_true(p->q && p->q_want);
    const struct cg_rowops *ops = cg_rowops_for(0);
    if (v->op == CG_OP_gemm_s8) {
        assert_int_equal(cg_pack_s8(v, ops, n, k, p->b, &p->w8), 0);
        p->rows = cg_alloc(cg_s8_rows_size(&p->w8, m)), p->sa = numbers(m);
        assert_non_null(p->rows);
        cg_s8_rows_quant(&p->w8, ops, m, p->a, k, p->rows, p->sa);
    } else if (v->op == CG_OP_gemm_bf16) {
        assert_int_equal(cg_pack_bf16(v, ops, n, k, p->b, &p->w16), 0);
        p->rows = cg_alloc(cg_bf16_rows_size(&p->w16, m));
        assert_non_null(p->rows);
        cg_bf16_rows_round(&p->w16, ops, m, p->a, k, p->rows);
    } else {
        p->packed = numbers(cg_pack_f32_size(n, k + 1, v->pack_nr));
        if (v->op == CG_OP_gemm_bf16w) cg_pack_bf16w(n, k, p->b, 1, k, v->pack_nr, (uint16_t *)p->packed, 1);
        else cg_pack_f32(n, k, p->b, 1, k, v->pack_nr, p->packed, 1);
    }
}

static void product(const struct problem *p, const struct cg_plan *plan, float *c, const struct cg_epilogue *ep)
{
    if (plan->variant->op == CG_OP_gemm_s8) cg_gemm_s8(plan, p->m, p->rows, p->sa, &p->w8, c, p->ldc, ep);
    else if (plan->variant->op == CG_OP_gemm_bf16) cg_gemm_bf16(plan, p->m, p->rows, &p->w16, c, p->ldc, ep);
    else cg_gemm(plan, p->m, p->n, p->k, p->a, p->k, 1, p->packed, c, p->ldc, 0, ep);
}

static void close_problem(struct problem *p)
{
    cg_packed_s8_free(&p->next);
    cg_packed_s8_free(&p->w8);
    cg_packed_bf16_free(&p->w16);
    void *all[] = {p->a,      p->b,     p->packed,     p->bias, p->residual, p->c,    p->c_want, p->s,
                   p->s_want, p->scale, p->scale_want, p->q,    p->q_want,   p->rows, p->sa};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

/* The product alone, then each step as a pass of its own with the scalar truth. */
static void separately(const struct problem *p, const struct cg_variant *v, int steps)
{
    const struct cg_rowops *rows = cg_rowops_for(0);
    struct cg_plan plan = {.variant = v, .threads = 1};
    product(p, &plan, p->c_want, NULL);
    for (size_t i = 0; i < p->m; i++) {
        float *c = p->c_want + i * p->ldc, *row = c;
        if (steps & BIAS) rows->add_f32(p->n, c, p->bias, c);
        if (steps & RESIDUAL) rows->add_f32(p->n, c, p->residual + i * p->ldr, c);
        if (steps & SWIGLU) {
            row = p->s_want + i * p->lds;
            rows->swiglu_f32(p->n / 2, c, c + p->n / 2, row);
        }
        if (steps & QUANT)
            cg_s8_rows_quant(&p->next, rows, 1, row, 0, p->q_want + cg_s8_rows_size(&p->next, i), p->scale_want + i);
    }
}

static void run(const struct cg_variant *v, size_t m, size_t n, size_t k, int steps)
{
    struct problem p;
    open_problem(&p, v, m, n, k, steps);
    size_t c_floats = m * p.ldc + 2 * MARGIN, s_floats = m * p.lds + 2 * MARGIN;
    struct cg_plan plans[] = {{.variant = v, .threads = 1},
                              {.variant = v, .threads = 1, .mc = v->mr, .kc = 6, .nc = v->nr},
                              {.variant = v, .threads = 2, .prefetch = 8},
                              {.variant = v, .threads = 3, .mc = 2u * v->mr},
                              {.variant = v, .threads = 2, .team = 4, .by_rows = 1}};
    for (size_t t = 0; t < sizeof plans / sizeof *plans; t++) {
        memcpy(p.c_want, p.c, c_floats * sizeof(float));
        memcpy(p.s_want, p.s, s_floats * sizeof(float));
        memcpy(p.scale_want, p.scale, m * sizeof(float));
        memcpy(p.q_want, p.q, p.q_bytes);
        separately(&p, v, steps);
        struct cg_epilogue ep = {.rows = cg_rowops_for(machine.isa),
                                 .bias = steps & BIAS ? p.bias : NULL,
                                 .residual = steps & RESIDUAL ? p.residual : NULL,
                                 .ld_residual = p.ldr,
                                 .swiglu = steps & SWIGLU ? p.s : NULL,
                                 .ld_swiglu = p.lds,
                                 .quant_for = &p.next,
                                 .quant = steps & QUANT ? p.q : NULL,
                                 .quant_scale = p.scale};
        product(&p, &plans[t], p.c, &ep);
        if (memcmp(p.c, p.c_want, c_floats * sizeof(float)) || memcmp(p.s, p.s_want, s_floats * sizeof(float)) ||
            memcmp(p.scale, p.scale_want, m * sizeof(float)) || memcmp(p.q, p.q_want, p.q_bytes))
            fail_msg("%s: m %zu n %zu k %zu steps %d plan %zu, seed %u", v->name, m, n, k, steps, t, SEED);
    }
    close_problem(&p);
}

static void steps_of(const struct cg_variant *v)
{
    for (int steps = 0; steps < 16; steps += some_smoke() ? 5 : 1) {
        run(v, 1, 2 * v->nr, 9, steps);
        run(v, 2u * v->mr + 1u, 2u * v->nr + 6u, 17, steps);
        run(v, 40, 4, 12, steps);
    }
}

static void test_steps(void **state)
{
    (void)state;
    for (int op = 0; op < CG_OP_COUNT; op++)
        if (cg_op_is_gemm((enum cg_op)op)) each_variant((enum cg_op)op, steps_of);
}

int main(void)
{
    RUN_TESTS("epilogue", cmocka_unit_test(test_steps));
}

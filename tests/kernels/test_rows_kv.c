/* The row operations that are small products: rows against a cache of keys or values, and the corners of attention.
 * Every variant against the scalar truth, bit for bit, with every stride apart from the least and all operands up to an
 * unreadable page; and the truth against plain formulas. */
#define SEED 20261130u
#include "tests/kernels/fixture.h"

#include "kernels/bf16.h"

/* C[m][16 * panels] (+)= A[m][k] * B; strides as of kernels/ops.h. */
struct shape {
    size_t m, panels, k, rs_a, ps_b, rs_b, rs_c;
    int accumulate;
};

/* Operands of a shape; b_f32, b_bf16 and b_s8 are the same of one kind each. */
struct operands {
    struct guarded ga, gf, gh, gq, gs;
    float *a, *b_f32, *scale;
    uint16_t *b_bf16;
    int8_t *b_s8;
};

static const struct cg_variant *truth_of(enum cg_op op)
{
    char name[64];
    snprintf(name, sizeof name, "%s_ref", cg_op_name(op));
    return cg_variant_named(name);
}

/* Finite: some are zeros of both signs, denormal or large. */
static float value(void)
{
    static const float odd[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-130f, 0x1p-126f, 1e-20f, -1e10f, 1e10f};
    return rng() % 5 == 0 ? odd[rng() % 8] : uniform(-3, 3);
}

static void operands_open(struct operands *o, const struct shape *s, size_t scales)
{
    size_t na = s->k ? (s->m - 1) * s->rs_a + s->k : 0;
    size_t nb = s->k ? (s->panels - 1) * s->ps_b + (s->k - 1) * s->rs_b + 16 : 0;
    o->a = guarded_open(&o->ga, na * sizeof *o->a);
    o->b_f32 = guarded_open(&o->gf, nb * sizeof *o->b_f32);
    o->b_bf16 = guarded_open(&o->gh, nb * sizeof *o->b_bf16);
    o->b_s8 = guarded_open(&o->gq, nb);
    o->scale = guarded_open(&o->gs, scales * sizeof *o->scale);
    for (size_t i = 0; i < na; i++) o->a[i] = value();
    for (size_t i = 0; i < scales; i++) o->scale[i] = value();
    for (size_t i = 0; i < nb; i++) {
        o->b_f32[i] = value();
        o->b_bf16[i] = cg_bf16_of(value());
        o->b_s8[i] = (int8_t)((int)(rng() % 256) - 128);
    }
}

static void operands_close(struct operands *o)
{
    struct guarded *all[] = {&o->ga, &o->gf, &o->gh, &o->gq, &o->gs};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_close(all[i]);
}

static void call(const struct cg_variant *v, const struct shape *s, const struct operands *o, float *c)
{
    size_t m = s->m, n = 16 * s->panels, k = s->k;
    int acc = s->accumulate;
    switch (v->op) {
    case CG_OP_dot16_f32: v->fn.dot16_f32(m, k, o->a, s->rs_a, o->b_f32, s->rs_b, c, s->rs_c); break;
    case CG_OP_kv_f32: v->fn.kv_f32(m, n, k, o->a, s->rs_a, o->b_f32, s->ps_b, s->rs_b, c, s->rs_c, acc); break;
    case CG_OP_kv_bf16: v->fn.kv_bf16(m, n, k, o->a, s->rs_a, o->b_bf16, s->ps_b, c, s->rs_c, acc); break;
    case CG_OP_kv_keys_s8: v->fn.kv_keys_s8(m, n, k, o->a, s->rs_a, o->b_s8, s->ps_b, o->scale, c, s->rs_c, acc); break;
    case CG_OP_kv_values_s8:
        v->fn.kv_values_s8(m, n, k, o->a, s->rs_a, o->b_s8, s->ps_b, o->scale, c, s->rs_c, acc);
        break;
    default: fail_msg("%s is not a product", v->name);
    }
}

static void one_case(const struct cg_variant *v, const struct shape *s)
{
    size_t n = 16 * s->panels, nc = (s->m - 1) * s->rs_c + n;
    struct operands o;
    float *got = edge_floats(nc), *want = floats(nc);
    operands_open(&o, s, v->op == CG_OP_kv_keys_s8 ? n : v->op == CG_OP_kv_values_s8 ? s->k : 0);
    for (size_t i = 0; i < nc; i++) got[i] = want[i] = i % s->rs_c < n ? value() : bits_float(CANARY);
    call(v, s, &o, got);
    call(truth_of(v->op), s, &o, want);
    if (memcmp(got, want, nc * sizeof *got) != 0)
        fail_msg("%s: m %zu n %zu k %zu, rs_a %zu ps_b %zu rs_b %zu rs_c %zu, accumulate %d, seed %u", v->name, s->m, n,
                 s->k, s->rs_a, s->ps_b, s->rs_b, s->rs_c, s->accumulate, SEED);
    edge_free(got, nc);
    cg_free(want);
    operands_close(&o);
}

static void shapes_of(const struct cg_variant *v)
{
    int dot16 = v->op == CG_OP_dot16_f32, any_rows = dot16 || v->op == CG_OP_kv_f32;
    for (int t = 0; t < (some_smoke() ? 60 : 600); t++) {
        struct shape s = {.m = 1 + rng() % (dot16 ? 6 : 20), .panels = dot16 ? 1 : 1 + rng() % 6, .k = rng() % 70};
        s.rs_a = s.k + rng() % 3 * 5;
        s.rs_b = any_rows && t % 3 == 1 ? 17 + rng() % 9 : 16;
        s.ps_b = s.k * s.rs_b + rng() % 3 * 3;
        if (any_rows && t % 3 == 2) { /* a plain row-major matrix */
            s.rs_b = 16 * s.panels + rng() % 2 * 5;
            s.ps_b = 16;
        }
        s.rs_c = 16 * s.panels + rng() % 2 * 7;
        s.accumulate = rng() % 2 && !dot16;
        one_case(v, &s);
    }
}

static void test_variants(void **state)
{
    static const enum cg_op ops[] = {CG_OP_dot16_f32, CG_OP_kv_f32, CG_OP_kv_bf16, CG_OP_kv_keys_s8,
                                     CG_OP_kv_values_s8};
    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) each_variant(ops[i], shapes_of);
}

/* ---- The scalar truth against plain formulas --------------------------------------------------------------------- */

static void near_to(const char *what, size_t i, float got, double want)
{
    if (!(fabs(got - want) <= 2e-6 * (1 + fabs(want)))) fail_msg("%s[%zu]: %g, not %g", what, i, got, want);
}

static void test_truth_dot16(void **state)
{
    float a[6 * 9], b[9 * 16], c[6 * 16];
    (void)state;
    for (int i = 0; i < 6 * 9; i++) a[i] = uniform(-2, 2);
    for (int i = 0; i < 9 * 16; i++) b[i] = uniform(-2, 2);
    truth_of(CG_OP_dot16_f32)->fn.dot16_f32(6, 9, a, 9, b, 16, c, 16);
    for (int i = 0; i < 6 * 16; i++) {
        double s = 0;
        for (int p = 0; p < 9; p++) s += (double)a[i / 16 * 9 + p] * b[p * 16 + i % 16];
        near_to("dot16", i, c[i], s);
    }
}

/* One element of each kind of cache, in the second panel. */
static void test_truth_kv(void **state)
{
    float a[2] = {3, 5}, scale[32] = {0}, b[64] = {0}, c[32];
    uint16_t half[64] = {0};
    int8_t q[64] = {0};
    (void)state;
    b[32 + 4] = 2, b[32 + 16 + 4] = 0.5f;
    half[32 + 4] = 0x4000, half[32 + 16 + 4] = 0x3f00; /* the same */
    q[32 + 4] = 20, q[32 + 16 + 4] = -100;
    scale[20] = 0.1f, scale[0] = 0.5f, scale[1] = 0.25f;
    truth_of(CG_OP_kv_f32)->fn.kv_f32(1, 32, 2, a, 2, b, 32, 16, c, 32, 0);
    assert_true(c[20] == 8.5f);
    truth_of(CG_OP_kv_f32)->fn.kv_f32(1, 32, 2, a, 2, b, 32, 16, c, 32, 1);
    assert_true(c[20] == 17);
    truth_of(CG_OP_kv_f32)->fn.kv_f32(1, 32, 2, a, 2, b, 16, 32, c, 32, 0); /* row-major: row 1, column 4 */
    assert_true(c[4] == 5 * 2);
    truth_of(CG_OP_kv_bf16)->fn.kv_bf16(1, 32, 2, a, 2, half, 32, c, 32, 0);
    assert_true(c[20] == 8.5f);
    truth_of(CG_OP_kv_keys_s8)->fn.kv_keys_s8(1, 32, 2, a, 2, q, 32, scale, c, 32, 0);
    near_to("kv_keys_s8", 20, c[20], (3 * 20 - 5 * 100) * 0.1);
    truth_of(CG_OP_kv_values_s8)->fn.kv_values_s8(1, 32, 2, a, 2, q, 32, scale, c, 32, 0);
    near_to("kv_values_s8", 20, c[20], 3 * 20 * 0.5 - 5 * 100 * 0.25);
}

int main(void)
{
    RUN_TESTS("rows_kv", cmocka_unit_test(test_truth_dot16), cmocka_unit_test(test_truth_kv),
              cmocka_unit_test(test_variants));
}

/* Every native bf16 GEMM variant that this machine runs against its own scalar model, bit for bit: alone on tiles that
 * end at an unreadable page, and through the driver with every edge, blocking and number of threads; and the models
 * against what is documented of the instructions. */
#define SEED 20261124u
#include "tests/kernels/fixture.h"
#include "kernels/bf16.h"

#define PAD 67 /* floats around every output, odd so that the output itself is not aligned */

/* ORDINARY: numbers whose products round. TINY: products around the least normal number, so that they and their sums
 * are denormal, or just not. HUGE_ONES: products around the largest number. ANY: all bits. */
enum content { ORDINARY, TINY, HUGE_ONES, ANY, CONTENTS };
static const char *const content_names[] = {"ordinary", "tiny", "huge", "any"};

static uint16_t value(enum content what)
{
    uint32_t sign = rng() & 0x8000, mantissa = rng() & 0x7f;
    switch (what) {
    case ORDINARY: return (uint16_t)(sign | (0x78 + rng() % 12) << 7 | mantissa);
    case TINY: return (uint16_t)(rng() % 8 ? sign | (0x3c + rng() % 6) << 7 | mantissa : sign | mantissa);
    case HUGE_ONES: return (uint16_t)(sign | (0xbc + rng() % 6) << 7 | mantissa);
    default: return (uint16_t)rng();
    }
}

/* ---- The micro-kernels alone ------------------------------------------------------------------------------------- */

static void tile_case(const struct cg_variant *v, size_t m, size_t k, enum content what, size_t prefetch)
{
    size_t nr = v->nr, kr = v->kr, rs_a = k + rng() % 2 * v->ku, before = 24;
    struct guarded ga, gb, gc;
    uint16_t *a = guarded_open(&ga, ((m - 1) * rs_a + k) * sizeof *a), *b = guarded_open(&gb, nr * k * sizeof *b);
    float *c = guarded_open(&gc, (before + m * nr) * sizeof *c), *want = floats(before + m * nr);
    uint16_t *column = cg_alloc_n(k + 1, sizeof *column);
    assert_non_null(column);
    for (size_t i = 0; i < (m - 1) * rs_a + k; i++) a[i] = value(what);
    for (size_t i = 0; i < nr * k; i++) b[i] = value(what);
    for (size_t i = 0; i < before + m * nr; i++) c[i] = want[i] = bits_float(CANARY);
    for (size_t j = 0; j < nr; j++) {
        for (size_t p = 0; p < k; p++) column[p] = b[p / kr * nr * kr + j * kr + p % kr];
        for (size_t i = 0; i < m; i++) want[before + i * nr + j] = v->model(k, a + i * rs_a, column);
    }
    v->fn.gemm_bf16(m, k, a, rs_a, b, c + before, nr, prefetch);
    for (size_t i = 0; i < before + m * nr; i++) {
        if (i < before ? memcmp(c + i, want + i, sizeof *c) == 0 : same_bits(c[i], want[i])) continue;
        fail_msg("%s: m %zu k %zu (%s) prefetch %zu, seed %u: float %ld of C is %a, not %a", v->name, m, k,
                 content_names[what], prefetch, SEED, (long)i - (long)before, (double)c[i], (double)want[i]);
    }
    guarded_close(&ga);
    guarded_close(&gb);
    guarded_close(&gc);
    cg_free(want);
    cg_free(column);
}

static void tiles_of(const struct cg_variant *v)
{
    static const size_t groups[] = {0, 1, 2, 3, 5, 17};
    assert_true(v->mr > 0 && v->nr == v->pack_nr && v->ku % v->kr == 0 && v->mr * v->nr <= 4096);
    for (size_t m = 1; m <= v->mr; m++)
        for (size_t i = some_smoke() ? m % 3 : 0; i < sizeof groups / sizeof *groups; i += some_smoke() ? 3 : 1)
            for (enum content what = 0; what < CONTENTS; what++)
                tile_case(v, m, groups[i] * v->ku, what, 50 * (rng() % 3));
}

static void test_tiles(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_bf16, tiles_of);
}

/* Single groups, so that every output is a fresh case of the instruction's arithmetic. */
static void arithmetic_of(const struct cg_variant *v)
{
    for (int i = 0; i < (some_smoke() ? 300 : 3000) / v->mr; i++)
        for (enum content what = 0; what < CONTENTS; what++) tile_case(v, v->mr, v->ku, what, 0);
}

static void test_arithmetic(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_bf16, arithmetic_of);
}

/* ---- Through the driver ------------------------------------------------------------------------------------------ */

struct problem {
    size_t m, n, k, lda, ldc, c_floats;
    float *a, *w, *c, *want;
};

static void problem_open(struct problem *q, const struct cg_variant *v, size_t m, size_t n, size_t k)
{
    *q = (struct problem){.m = m, .n = n, .k = k, .lda = k + rng() % 3, .ldc = n + rng() % 3};
    q->c_floats = m * q->ldc + 2 * PAD;
    q->a = floats(m * q->lda + 1), q->w = floats(n * k + 1);
    q->c = floats(q->c_floats), q->want = floats(q->c_floats);
    size_t kpad = (k + v->ku - 1) / v->ku * v->ku;
    uint16_t *a = cg_alloc_n(m * kpad + 1, sizeof *a), *b = cg_alloc_n(kpad + 1, sizeof *b);
    assert_true(a && b);
    /* All of f32's bits, so that they are rounded. */
    for (size_t i = 0; i < m * q->lda; i++) q->a[i] = cg_bf16_value(value(ORDINARY)) * (1.0f + (float)rng() * 0x1p-33f);
    for (size_t i = 0; i < n * k; i++) q->w[i] = cg_bf16_value(value(ORDINARY)) * (1.0f + (float)rng() * 0x1p-33f);
    for (size_t i = 0; i < q->c_floats; i++) q->want[i] = bits_float(CANARY);
    for (size_t i = 0; i < m; i++)
        for (size_t p = 0; p < k; p++) a[i * kpad + p] = cg_bf16_of(q->a[i * q->lda + p]);
    for (size_t j = 0; j < n; j++) {
        for (size_t p = 0; p < k; p++) b[p] = cg_bf16_of(q->w[j * k + p]);
        for (size_t i = 0; i < m; i++) q->want[PAD + i * q->ldc + j] = v->model(kpad, a + i * kpad, b);
    }
    cg_free(a);
    cg_free(b);
}

static void problem_close(struct problem *q)
{
    float *all[] = {q->a, q->w, q->c, q->want};
    for (size_t i = 0; i < 4; i++) cg_free(all[i]);
}

static void run_problem(const struct cg_variant *v, size_t m, size_t n, size_t k, const struct cg_plan *plans,
                        size_t n_plans)
{
    struct problem q;
    struct cg_packed_bf16 w;
    problem_open(&q, v, m, n, k);
    assert_int_equal(cg_pack_bf16(v, cg_rowops_for(machine.isa), n, k, q.w, &w), 0);
    size_t bytes = cg_bf16_rows_size(&w, m);
    unsigned char *rows = cg_alloc(bytes + 1);
    assert_non_null(rows);
    memset(rows, 0xff, bytes); /* NaN, which must not reach a sum */
    rows[bytes] = 0x5a;
    cg_bf16_rows_round(&w, cg_rowops_for(machine.isa), m, q.a, q.lda, rows);
    assert_int_equal(rows[bytes], 0x5a);
    for (size_t t = 0; t < n_plans; t++) {
        for (size_t i = 0; i < q.c_floats; i++) q.c[i] = bits_float(CANARY);
        cg_gemm_bf16(&plans[t], m, rows, &w, q.c + PAD, q.ldc, NULL);
        for (size_t i = 0; i < q.c_floats; i++)
            if (memcmp(q.c + i, q.want + i, sizeof *q.c) != 0)
                fail_msg("%s: m %zu n %zu k %zu, mc %u threads %u prefetch %u, seed %u: float %ld of C is %a, not %a",
                         v->name, m, n, k, plans[t].mc, plans[t].threads, plans[t].prefetch, SEED, (long)i - PAD,
                         (double)q.c[i], (double)q.want[i]);
    }
    cg_free(rows);
    cg_packed_bf16_free(&w);
    problem_close(&q);
}

static void edges_of(const struct cg_variant *v)
{
    static const size_t ks[] = {0, 1, 2, 3, 7, 17, 64, 100};
    struct cg_plan plan = {.variant = v, .threads = 1, .prefetch = 12};
    for (size_t m = 1; m <= 2u * v->mr + 1; m += some_smoke() ? v->mr : 1)
        for (size_t i = 0; i < 8; i++) run_problem(v, m, 1 + rng() % (2 * v->nr + 2), ks[i], &plan, 1);
    for (size_t n = 1; n <= 2u * v->nr + 1; n += some_smoke() ? v->nr / 2u : 1 + rng() % 5)
        run_problem(v, 1 + rng() % v->mr, n, 21, &plan, 1);
}

static void test_edges(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_bf16, edges_of);
}

static void plans_of(const struct cg_variant *v)
{
    struct cg_plan plans[] = {
        {.variant = v, .threads = 1},           {.variant = v, .threads = 2, .prefetch = 16},
        {.variant = v, .threads = 3, .mc = 1},  {.variant = v, .threads = 1, .mc = v->mr + 1u, .prefetch = 100},
        {.variant = v, .threads = 7, .mc = 20},
    };
    static const size_t ms[] = {1, 2, 7, 16, 45};
    for (size_t i = 0; i < 5; i += some_smoke() ? 4 : 1) {
        run_problem(v, ms[i], 5, 33, plans, 5);
        run_problem(v, ms[i], 4u * v->nr, 64, plans, 5);
        run_problem(v, ms[i], 3u * v->nr + 8, 512, plans, 5); /* rows of 1 KiB: a stride of their own */
    }
}

static void test_plans(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_bf16, plans_of);
}

static void test_nothing(void **state)
{
    (void)state;
    size_t count;
    const struct cg_variant *v = cg_variants(&count);
    for (; count > 0 && v->op != CG_OP_gemm_bf16; count--, v++) {
    }
    if (count == 0) skip();
    struct cg_plan plan = {.variant = v, .threads = 2};
    const struct cg_rowops *rows = cg_rowops_for(machine.isa);
    struct cg_packed_bf16 w;
    float c = 1.5f;
    assert_int_equal(cg_pack_bf16(v, rows, 0, 4, &c, &w), 0);
    cg_gemm_bf16(&plan, 1, &c, &w, &c, 1, NULL);
    cg_packed_bf16_free(&w);
    assert_int_equal(cg_pack_bf16(v, rows, 1, 1, &c, &w), 0);
    cg_bf16_rows_round(&w, rows, 0, &c, 1, NULL);
    cg_gemm_bf16(&plan, 0, NULL, &w, &c, 1, NULL);
    cg_packed_bf16_free(&w);
    assert_true(c == 1.5f);
    assert_int_equal(cg_pack_bf16(v, rows, SIZE_MAX, 1, &c, &w), -1);
    assert_int_equal(cg_pack_bf16(v, rows, 1, SIZE_MAX / 4, &c, &w), -1);
}

/* ---- The models -------------------------------------------------------------------------------------------------- */

extern cg_bf16_dot_fn cg_bf16_dot_x86;

/* One pair, (even, odd) of A and of B, after a pair that leaves `start` (exact in bf16). */
static float x86_pair(float start, float a0, float a1, float b0, float b1)
{
    uint16_t a[] = {cg_bf16_of(start), 0, cg_bf16_of(a0), cg_bf16_of(a1)};
    uint16_t b[] = {cg_bf16_of(1.0f), 0, cg_bf16_of(b0), cg_bf16_of(b1)};
    return cg_bf16_dot_x86(4, a, b);
}

static void test_model_x86(void **state)
{
    (void)state;
    /* The odd element first, each sum rounded to nearest even: 1 + 2^-24 is 1, and so is what the even one finds. */
    assert_true(x86_pair(1.0f, 0x1p-24f, 0x1p-24f, 1.0f, 1.0f) == 1.0f);
    assert_true(x86_pair(1.0f, -1.0f, 0x1p-24f, 1.0f, 1.0f) == 0.0f);
    assert_true(x86_pair(1.0f, 0x1p-24f, -1.0f, 1.0f, 1.0f) == 0x1p-24f);
    /* A product is not rounded by itself. */
    assert_true(x86_pair(-1.0f, 0x1.02p0f, 0.0f, 0x1.02p0f, 0.0f) == 0x1.0404p0f - 1.0f);
    assert_true(x86_pair(0.0f, 0x1p-130f, 0.0f, 0x1p100f, 0.0f) == 0.0f);            /* a denormal counts as 0 */
    assert_true(same_bits(x86_pair(0.0f, 0x1p-120f, 0.0f, -0x1p-10f, 0.0f), -0.0f)); /* and a result as well */
    assert_true(x86_pair(0.0f, 0x1p-126f, 0.0f, 1.0f, 0.0f) == 0x1p-126f);
    /* 2^-126 less 3/4 and 1/4 of the least denormal: the first rounds to less, were there no least exponent. */
    assert_true(x86_pair(0x1p-126f, -0x1.8p-100f, 0.0f, 0x1p-50f, 0.0f) == 0.0f);
    assert_true(x86_pair(0x1p-126f, -0x1p-101f, 0.0f, 0x1p-50f, 0.0f) == 0x1p-126f);
    assert_true(isinf(x86_pair(0.0f, 0x1p100f, 0.0f, 0x1p28f, 0.0f)));
    assert_true(isnan(x86_pair(INFINITY, INFINITY, 0.0f, -1.0f, 0.0f)));
}

int main(void)
{
    RUN_TESTS("gemm_bf16", cmocka_unit_test(test_model_x86), cmocka_unit_test(test_tiles),
              cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_edges), cmocka_unit_test(test_plans),
              cmocka_unit_test(test_nothing));
}

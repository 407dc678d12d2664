/* Every GEMM variant with bf16 weights that this machine runs against the scalar truth, bit for bit: alone on tiles
 * that end at an unreadable page, and through the driver with every edge, blocking and number of threads. */
#define SEED 20261123u
#include "tests/kernels/fixture.h"
#include "kernels/bf16.h"

#define PAD 67 /* floats around every output, odd so that the output itself is not aligned */

/* Values whose products round; with `odd_values` also zeros of both signs, denormals, the largest numbers and, rarely,
 * infinities: one of each sign in a chain makes a NaN, whose sign no contract fixes. */
static float value(int odd_values)
{
    static const uint32_t odd[] = {0x00000000, 0x80000000, 0x00000001, 0x80012345, 0x007fffff, 0x00800000,
                                   0x7f7f0000, 0x3f800000, 0xbf800000, 0x20000000, 0x7f800000};
    if (odd_values && rng() % 3 == 0) return bits_float(odd[rng() % (rng() % 64 == 0 ? 11 : 10)]);
    return ((float)(rng() & 0xffff) - 32768.0f) / (float)(1u << (8 + rng() % 12));
}

static void fill(float *x, size_t n, int odd_values)
{
    for (size_t i = 0; i < n; i++) x[i] = value(odd_values);
}

/* ---- The micro-kernels alone ------------------------------------------------------------------------------------- */

struct tile {
    size_t m, k;
    int transposed_a, accumulate;
    size_t prefetch;
};

/* Panels of pairs of rows; the second row of a last single one must not be used, whatever it holds. */
static void tile_case(const struct cg_variant *v, const struct tile *t)
{
    size_t m = t->m, k = t->k, nr = v->nr, pn = v->pack_nr, pairs = (k + 1) / 2, ps = pairs * 2 * pn;
    size_t rs_a = t->transposed_a ? 1 : k, cs_a = t->transposed_a ? m : 1, before = 24;
    struct guarded ga, gb, gc;
    float *a = guarded_open(&ga, m * k * sizeof *a), *c = guarded_open(&gc, (before + m * nr) * sizeof *c);
    uint16_t *b = guarded_open(&gb, nr / pn * ps * sizeof *b);
    float *want = floats(before + m * nr);
    fill(a, m * k, 0);
    for (size_t i = 0; i < nr / pn * ps; i++) b[i] = cg_bf16_of(value(0));
    for (size_t j = 0; j < nr && k % 2; j++) b[j / pn * ps + (pairs - 1) * 2 * pn + 2 * (j % pn) + 1] = 0x7fc0;
    for (size_t i = 0; i < before + m * nr; i++) want[i] = i < before ? bits_float(CANARY) : value(0);
    memcpy(c, want, (before + m * nr) * sizeof *c);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < nr; j++) {
            float acc = t->accumulate ? want[before + i * nr + j] : 0.0f;
            for (size_t p = 0; p < k; p++)
                acc = fmaf(a[i * rs_a + p * cs_a],
                           cg_bf16_value(b[j / pn * ps + p / 2 * 2 * pn + 2 * (j % pn) + p % 2]), acc);
            want[before + i * nr + j] = acc;
        }
    v->fn.gemm_bf16w(m, k, a, rs_a, cs_a, b, ps, c + before, nr, t->accumulate, t->prefetch);
    if (memcmp(c, want, (before + m * nr) * sizeof *c) != 0)
        fail_msg("%s: m %zu k %zu transposed %d accumulate %d prefetch %zu, seed %u", v->name, m, k, t->transposed_a,
                 t->accumulate, t->prefetch, SEED);
    guarded_close(&ga);
    guarded_close(&gb);
    guarded_close(&gc);
    cg_free(want);
}

static void tiles_of(const struct cg_variant *v)
{
    static const size_t ks[] = {0, 1, 2, 3, 4, 5, 8, 17, 64, 255};
    assert_true(v->mr > 0 && v->pack_nr > 0 && v->nr % v->pack_nr == 0 && v->nr / v->pack_nr <= 4);
    assert_true(v->kr == 2 && v->ku == 2);
    for (size_t m = 1; m <= v->mr; m++)
        for (size_t i = some_smoke() ? m % 3 : 0; i < sizeof ks / sizeof *ks; i += some_smoke() ? 3 : 1)
            for (unsigned f = 0; f < 4; f++) tile_case(v, &(struct tile){m, ks[i], f & 1, f >> 1, 50 * (rng() % 3)});
}

static void test_tiles(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_bf16w, tiles_of);
}

/* ---- Through the driver ------------------------------------------------------------------------------------------ */

struct shape {
    size_t m, n, k;
    unsigned flags; /* 1: A transposed; 2: B likewise; 4: accumulate; 8: odd values */
};

struct problem {
    struct shape s;
    size_t rs_a, cs_a, rs_b, cs_b, ldc, a_floats, b_floats, c_floats;
    float *a, *b, *c, *start, *want;
};

/* C = start before, want after; both with canaries in what is no element of C. */
static void problem_open(struct problem *q, struct shape s)
{
    size_t m = s.m, n = s.n, k = s.k;
    int odd = s.flags >> 3 & 1;
    *q = (struct problem){.s = s, .ldc = n + 5};
    q->rs_a = s.flags & 1 ? 1 : k + 3, q->cs_a = s.flags & 1 ? m + 1 : 1;
    q->rs_b = s.flags & 2 ? n + 2 : 1, q->cs_b = s.flags & 2 ? 1 : k + 1;
    q->c_floats = m * q->ldc + 2 * PAD;
    q->a_floats = k ? (m - 1) * q->rs_a + (k - 1) * q->cs_a + 1 : 0; /* both end at an unreadable page */
    q->b_floats = k ? (n - 1) * q->cs_b + (k - 1) * q->rs_b + 1 : 0;
    q->a = edge_floats(q->a_floats), q->b = edge_floats(q->b_floats);
    q->c = floats(q->c_floats), q->start = floats(q->c_floats), q->want = floats(q->c_floats);
    fill(q->a, q->a_floats, odd);
    fill(q->b, q->b_floats, odd);
    for (size_t i = 0; i < q->c_floats; i++) q->start[i] = bits_float(CANARY);
    for (size_t i = 0; i < m; i++) fill(q->start + PAD + i * q->ldc, n, odd);
    memcpy(q->want, q->start, q->c_floats * sizeof(float));
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float *c = &q->want[PAD + i * q->ldc + j], acc = s.flags & 4 ? *c : 0.0f;
            for (size_t p = 0; p < k; p++)
                acc = fmaf(q->a[i * q->rs_a + p * q->cs_a], cg_bf16_value(cg_bf16_of(q->b[p * q->rs_b + j * q->cs_b])),
                           acc);
            *c = acc;
        }
}

static void problem_close(struct problem *q)
{
    float *all[] = {q->c, q->start, q->want};
    for (size_t i = 0; i < 3; i++) cg_free(all[i]);
    edge_free(q->a, q->a_floats);
    edge_free(q->b, q->b_floats);
}

static void check(const struct problem *q, const struct cg_plan *plan)
{
    const float canary = bits_float(CANARY);
    for (size_t i = 0; i < q->c_floats; i++) {
        int outside = memcmp(&q->want[i], &canary, sizeof canary) == 0;
        if (outside ? memcmp(&q->c[i], &canary, sizeof canary) == 0 : same_bits(q->c[i], q->want[i])) continue;
        long at = (long)i - PAD;
        fail_msg("%s: m %zu n %zu k %zu flags %x, mc %u nc %u kc %u threads %u prefetch %u, seed %u: float %ld of C "
                 "(row %ld, column %ld) is %a, not %a",
                 plan->variant->name, q->s.m, q->s.n, q->s.k, q->s.flags, plan->mc, plan->nc, plan->kc, plan->threads,
                 plan->prefetch, SEED, at, at / (long)q->ldc, at % (long)q->ldc, (double)q->c[i], (double)q->want[i]);
    }
}

static void run_problem(struct shape s, const struct cg_plan *plans, size_t n_plans)
{
    struct problem q;
    problem_open(&q, s);
    size_t nr = plans[0].variant->pack_nr, size = cg_pack_bf16w_size(s.n, s.k, nr);
    struct guarded g;
    uint16_t *packed = guarded_open(&g, size * sizeof *packed);
    for (size_t t = 0; t < n_plans; t++) {
        memset(packed, 0xfe, size * sizeof *packed);
        cg_pack_bf16w(s.n, s.k, q.b, q.rs_b, q.cs_b, nr, packed, plans[t].threads);
        memcpy(q.c, q.start, q.c_floats * sizeof *q.c);
        cg_gemm_bf16w(&plans[t], s.m, s.n, s.k, q.a, q.rs_a, q.cs_a, packed, q.c + PAD, q.ldc, s.flags >> 2 & 1);
        check(&q, &plans[t]);
    }
    guarded_close(&g);
    problem_close(&q);
}

static void edges_of(const struct cg_variant *v)
{
    static const size_t ks[] = {0, 1, 2, 3, 17, 64};
    size_t nr = v->nr, pn = v->pack_nr;
    size_t ns[] = {1, 5, pn - 1, pn, pn + 1, nr - 1, nr, nr + 1, 2 * nr + pn / 2, 3 * nr};
    struct cg_plan plan = {.variant = v, .threads = 1};
    for (size_t m = 1; m <= 2u * v->mr + 1; m += some_smoke() ? v->mr : 1)
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j += some_smoke() ? 3 : 1)
            run_problem((struct shape){m, ns[j], ks[rng() % 6], rng() % 16}, &plan, 1);
}

static void test_edges(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_bf16w, edges_of);
}

static void plans_of(const struct cg_variant *v)
{
    struct cg_plan plans[] = {
        {.variant = v, .threads = 1},
        {.variant = v, .threads = 2, .by_rows = 1},
        {.variant = v, .threads = 3, .by_rows = 3, .prefetch = 8},
        {.variant = v, .threads = 1, .kc = 1},
        {.variant = v, .threads = 1, .mc = 1, .nc = 1, .kc = 16, .prefetch = 3},
        {.variant = v, .threads = 2, .mc = 2u * v->mr, .nc = v->nr, .kc = 11},
        {.variant = v, .threads = 3, .mc = v->mr + 1u, .nc = 2u * v->nr + 1u, .kc = 33, .prefetch = 400},
        {.variant = v, .threads = 7, .mc = 1000, .nc = 100000, .kc = 4096},
    };
    size_t n_plans = sizeof plans / sizeof *plans;
    if (some_smoke()) { /* those with every kind of block */
        plans[0] = plans[5], plans[1] = plans[6];
        n_plans = 2;
    }
    for (unsigned flags = 0; flags < 16; flags += some_smoke() ? 5 : 1) {
        run_problem((struct shape){1, 4 * v->nr, 65, flags}, plans, n_plans);
        run_problem((struct shape){3u * v->mr + 2u, 2 * v->nr + 7, 40, flags}, plans, n_plans);
        run_problem((struct shape){61, 5, 97, flags}, plans, n_plans);
    }
    run_problem((struct shape){3, 9, 3101, 0}, plans, 2); /* longer than the block that a plan leaves open */
    run_problem((struct shape){150, 30, 577, 4}, plans, 2);
}

static void test_plans(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_bf16w, plans_of);
}

/* ---- Packing ----------------------------------------------------------------------------------------------------- */

static void test_packing(void **state)
{
    (void)state;
    static const size_t widths[] = {8, 12, 16, 24, 32, 48};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (unsigned t = 0; t < 30; t++) {
            size_t nr = widths[w], n = 1 + rng() % (3 * nr), k = 1 + rng() % 40, even = (k + 1) / 2 * 2;
            size_t spread = t % 5 == 4 ? 2 : 1; /* then no stride is 1 */
            size_t rs = (t % 2 ? 1 : n + 3) * spread, cs = (t % 2 ? k + 3 : 1) * spread;
            size_t b_floats = (k - 1) * rs + (n - 1) * cs + 1;
            float *b = edge_floats(b_floats);
            for (size_t i = 0; i < b_floats; i++) b[i] = bits_float(rng() << 16 ^ rng());
            size_t size = cg_pack_bf16w_size(n, k, nr), panels = size / (nr * even);
            assert_true(size == panels * nr * even && panels % 4 == 0 && panels * nr >= n);
            struct guarded g;
            uint16_t *out = guarded_open(&g, size * sizeof *out), *want = cg_alloc_n(size, sizeof *want);
            assert_non_null(want);
            memset(out, 0xff, size * sizeof *out);
            for (size_t j = 0; j < n; j++)
                for (size_t p = 0; p < k; p++)
                    want[j / nr * nr * even + p / 2 * 2 * nr + 2 * (j % nr) + p % 2] = cg_bf16_of(b[p * rs + j * cs]);
            cg_pack_bf16w(n, k, b, rs, cs, nr, out, 1 + (int)(t % 3));
            if (memcmp(out, want, size * sizeof *out) != 0)
                fail_msg("packing n %zu k %zu rs %zu cs %zu nr %zu, seed %u", n, k, rs, cs, nr, SEED);
            edge_free(b, b_floats);
            guarded_close(&g);
            cg_free(want);
        }
}

int main(void)
{
    RUN_TESTS("gemm_bf16w", cmocka_unit_test(test_tiles), cmocka_unit_test(test_edges), cmocka_unit_test(test_plans),
              cmocka_unit_test(test_packing));
}

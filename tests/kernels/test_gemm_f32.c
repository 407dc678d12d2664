/* Every f32 GEMM variant that this machine runs against the scalar truth, bit for bit: alone on tiles, and through the
 * driver with every edge, layout, blocking and number of threads. */
#define SEED 20240607u
#include "tests/kernels/fixture.h"

#define PAD 67 /* floats around every output, odd so that the output itself is not aligned */

/* Values whose products round, in a range of magnitudes; with `odd_values` also zeros of both signs, denormals and
 * infinities. */
static void fill(float *x, size_t n, int odd_values)
{
    static const uint32_t odd[] = {0x00000000, 0x80000000, 0x00000001, 0x80000123, 0x007fffff, 0x00800000,
                                   0x7f7fffff, 0x3f800000, 0xbf800000, 0x20000000, 0x7f800000};
    for (size_t i = 0; i < n; i++) {
        x[i] = ((float)(rng() & 0xffff) - 32768.0f) / (float)(1u << (8 + rng() % 12));
        /* Infinities are rare: one of each sign in a chain makes a NaN, whose sign no contract fixes. */
        if (odd_values && rng() % 3 == 0) x[i] = bits_float(odd[rng() % (rng() % 64 == 0 ? 11 : 10)]);
    }
}

/* One output element after another, as the contract says it. */
static void truth(size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                  size_t cs_b, float *c, size_t ldc, int accumulate)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float acc = accumulate ? c[i * ldc + j] : 0.0f;
            for (size_t p = 0; p < k; p++) acc = fmaf(a[i * rs_a + p * cs_a], b[p * rs_b + j * cs_b], acc);
            c[i * ldc + j] = acc;
        }
}

enum layout { NT, NN, TN, STRIDED, LAYOUTS };
static const char *const layout_names[] = {"NT", "NN", "TN", "strided"};

struct shape {
    size_t m, n, k;
    enum layout layout;
    int accumulate, odd_values;
};

struct problem {
    struct shape s;
    size_t rs_a, cs_a, rs_b, cs_b, ldc, a_floats, b_floats, c_floats;
    float *c_mem, *want_mem; /* as allocated */
    float *a, *b, *c, *want;
};

static void problem_open(struct problem *q, struct shape s)
{
    size_t m = s.m, n = s.n, k = s.k;
    memset(q, 0, sizeof *q);
    q->s = s;
    q->ldc = n + 5;
    size_t lda = (s.layout == TN ? m : k) + 3;
    size_t ldb = (s.layout == NT ? k : n) + 1;
    q->rs_a = s.layout == TN ? 1 : lda, q->cs_a = s.layout == TN ? lda : 1;
    q->rs_b = s.layout == NT ? 1 : ldb, q->cs_b = s.layout == NT ? ldb : 1;
    size_t spread = s.layout == STRIDED ? 2 : 1; /* no stride is 1 */
    q->rs_a *= spread, q->cs_a *= spread, q->rs_b *= spread, q->cs_b *= spread;
    q->c_floats = m * q->ldc + 2 * PAD;
    q->a_floats = k ? (m - 1) * q->rs_a + (k - 1) * q->cs_a + 1 : 0; /* both end at an unreadable page */
    q->b_floats = k ? (n - 1) * q->cs_b + (k - 1) * q->rs_b + 1 : 0;
    q->a = edge_floats(q->a_floats), q->b = edge_floats(q->b_floats);
    q->c_mem = floats(q->c_floats), q->want_mem = floats(q->c_floats);
    fill(q->a, q->a_floats, s.odd_values);
    fill(q->b, q->b_floats, s.odd_values);
    q->c = q->c_mem + PAD, q->want = q->want_mem + PAD;
    for (size_t i = 0; i < q->c_floats; i++) q->want_mem[i] = bits_float(CANARY);
    for (size_t i = 0; i < m; i++) fill(q->want + i * q->ldc, n, s.odd_values);
    memcpy(q->c_mem, q->want_mem, q->c_floats * sizeof(float));
    truth(m, n, k, q->a, q->rs_a, q->cs_a, q->b, q->rs_b, q->cs_b, q->want, q->ldc, s.accumulate);
}

/* C again as it was before a run: what truth did not change, and fresh canaries. */
static void problem_reset(struct problem *q, const float *start)
{
    memcpy(q->c_mem, start, q->c_floats * sizeof(float));
}

static void problem_close(struct problem *q)
{
    edge_free(q->a, q->a_floats);
    edge_free(q->b, q->b_floats);
    cg_free(q->c_mem);
    cg_free(q->want_mem);
}

static void check(const struct problem *q, const struct cg_plan *plan, const char *how)
{
    for (size_t i = 0; i < q->c_floats; i++) {
        if (same_bits(q->c_mem[i], q->want_mem[i]) &&
            (memcmp(&q->want_mem[i], &(uint32_t){CANARY}, 4) != 0 || memcmp(&q->c_mem[i], &q->want_mem[i], 4) == 0))
            continue;
        long at = (long)i - PAD;
        fail_msg("%s %s %s: m %zu n %zu k %zu accumulate %d odd %d, mc %u nc %u kc %u threads %u prefetch %u, seed %u: "
                 "float %ld of C (row %ld, column %ld) is %a, not %a",
                 plan->variant->name, how, layout_names[q->s.layout], q->s.m, q->s.n, q->s.k, q->s.accumulate,
                 q->s.odd_values, plan->mc, plan->nc, plan->kc, plan->threads, plan->prefetch, SEED, at,
                 at / (long)q->ldc, at % (long)q->ldc, q->c_mem[i], q->want_mem[i]);
    }
}

/* One problem through the prepacked and the packing entry, under each of the plans. */
static void run_problem(struct shape s, const struct cg_plan *plans, size_t n_plans)
{
    struct problem q;
    problem_open(&q, s);
    const struct cg_variant *v = plans[0].variant;
    float *start = floats(q.c_floats);
    memcpy(start, q.c_mem, q.c_floats * sizeof(float));
    size_t packed_floats = cg_pack_f32_size(s.n, s.k, v->pack_nr);
    float *packed = edge_floats(packed_floats);
    for (size_t t = 0; t < n_plans; t++) {
        for (size_t i = 0; i < packed_floats; i++) packed[i] = bits_float(CANARY);
        cg_pack_f32(s.n, s.k, q.b, q.rs_b, q.cs_b, v->pack_nr, packed, plans[t].threads);
        problem_reset(&q, start);
        cg_gemm_f32(&plans[t], s.m, s.n, s.k, q.a, q.rs_a, q.cs_a, packed, q.c, q.ldc, s.accumulate);
        check(&q, &plans[t], "packed before");

        problem_reset(&q, start);
        size_t scratch_floats = cg_gemm_scratch(&plans[t], s.n, s.k);
        float *scratch = edge_floats(scratch_floats);
        cg_gemm_f32_pack(&plans[t], s.m, s.n, s.k, q.a, q.rs_a, q.cs_a, q.b, q.rs_b, q.cs_b, scratch, q.c, q.ldc,
                         s.accumulate);
        check(&q, &plans[t], "packed on the way");
        edge_free(scratch, scratch_floats);
    }
    edge_free(packed, packed_floats);
    cg_free(start);
    problem_close(&q);
}

/* ---- The micro-kernels alone ------------------------------------------------------------------------------------- */

/* All operands end at an unreadable page. B is packed, or a part of a row-major matrix. */
static void tile_case(const struct cg_variant *v, size_t m, size_t k, int transposed_a, int accumulate, size_t prefetch)
{
    int packed = rng() % 2;
    size_t nr = v->nr, pn = v->pack_nr, panels = nr / pn, ldc = nr + 3;
    size_t rs_b = packed ? pn : nr + rng() % 20, ps = packed ? k * pn + 16 : pn;
    size_t rs_a = transposed_a ? 1 : k + 3, cs_a = transposed_a ? m + 2 : 1;
    size_t c_floats = PAD + (m - 1) * ldc + nr, a_floats = k ? (m - 1) * rs_a + (k - 1) * cs_a + 1 : 0;
    size_t b_floats = k ? (panels - 1) * ps + (k - 1) * rs_b + pn : 0;
    struct guarded ga, gb, gc;
    float *a = guarded_open(&ga, a_floats * sizeof *a), *b = guarded_open(&gb, b_floats * sizeof *b);
    float *c = guarded_open(&gc, c_floats * sizeof *c), *want = floats(c_floats);
    fill(a, a_floats, 0);
    fill(b, b_floats, 0);
    for (size_t i = 0; i < c_floats; i++) want[i] = bits_float(CANARY);
    for (size_t i = 0; i < m; i++) fill(want + PAD + i * ldc, nr, 0);
    memcpy(c, want, c_floats * sizeof *c);
    for (size_t j = 0; j < panels; j++)
        truth(m, pn, k, a, rs_a, cs_a, b + j * ps, rs_b, 1, want + PAD + j * pn, ldc, accumulate);
    v->fn.gemm_f32(m, k, a, rs_a, cs_a, b, rs_b, ps, c + PAD, ldc, accumulate, prefetch);
    if (memcmp(c, want, c_floats * sizeof *c) != 0)
        fail_msg("%s: m %zu k %zu transposed %d rs_b %zu accumulate %d prefetch %zu, seed %u", v->name, m, k,
                 transposed_a, rs_b, accumulate, prefetch, SEED);
    guarded_close(&ga);
    guarded_close(&gb);
    guarded_close(&gc);
    cg_free(want);
}

static void tiles_of(const struct cg_variant *v)
{
    static const size_t ks[] = {0, 1, 2, 3, 4, 5, 7, 8, 17, 64, 577};
    assert_true(v->mr > 0 && v->pack_nr > 0 && v->nr % v->pack_nr == 0 && v->nr / v->pack_nr <= 4);
    for (size_t m = 1; m <= v->mr; m++)
        for (size_t i = some_smoke() ? m % 3 : 0; i < sizeof ks / sizeof *ks; i += some_smoke() ? 3 : 1)
            for (int t = 0; t < 8; t++) tile_case(v, m, ks[i], t & 1, t >> 1 & 1, t & 4 ? (m + i) % 2 ? 12 : 100 : 0);
}

static void test_tiles(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_f32, tiles_of);
}

/* ---- Through the driver ------------------------------------------------------------------------------------------ */

static struct shape shape_of(size_t m, size_t n, size_t k, unsigned flags)
{
    return (struct shape){m, n, k, (enum layout)(flags % LAYOUTS), flags >> 2 & 1, flags >> 3 & 1};
}

static void edges_of(const struct cg_variant *v)
{
    static const size_t ks[] = {0, 1, 3, 17, 64};
    size_t nr = v->nr, pn = v->pack_nr;
    size_t ns[] = {1, 5, pn - 1, pn, pn + 1, nr - 1, nr, nr + 1, 2 * nr + pn / 2, 3 * nr};
    struct cg_plan plan = {.variant = v, .threads = 1};
    for (size_t m = 1; m <= 2u * v->mr + 1; m += some_smoke() ? v->mr : 1)
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j += some_smoke() ? 3 : 1)
            run_problem(shape_of(m, ns[j], ks[rng() % 5], rng()), &plan, 1);
}

static void test_edges(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_f32, edges_of);
}

static void plans_of(const struct cg_variant *v)
{
    struct cg_plan plans[] = {
        {.variant = v, .threads = 1},
        {.variant = v, .threads = 2, .by_rows = 1, .in_place = CG_IN_PLACE_NEVER},
        {.variant = v, .threads = 3, .by_rows = 3, .prefetch = 8, .in_place = CG_IN_PLACE_ALWAYS},
        {.variant = v, .threads = 1, .kc = 1},
        {.variant = v, .threads = 1, .mc = 1, .nc = 1, .kc = 16, .prefetch = 3},
        {.variant = v, .threads = 2, .mc = 2u * v->mr, .nc = v->nr, .kc = 10},
        {.variant = v, .threads = 3, .mc = v->mr + 1u, .nc = 2u * v->nr + 1u, .kc = 33, .prefetch = 400},
        {.variant = v, .threads = 7, .mc = 1000, .nc = 100000, .kc = 4096},
        {.variant = v, .threads = 7, .by_rows = 2, .mc = 1, .in_place = CG_IN_PLACE_ALWAYS},
        {.variant = v, .threads = 2, .team = 3, .by_rows = 9, .nc = 1},
    };
    size_t n_plans = sizeof plans / sizeof *plans;
    if (some_smoke()) { /* those with every kind of block */
        plans[0] = plans[5], plans[1] = plans[6];
        n_plans = 2;
    }
    for (unsigned flags = 0; flags < 16; flags += some_smoke() ? 5 : 1) {
        run_problem(shape_of(1, 4 * v->nr, 65, flags), plans, n_plans);
        run_problem(shape_of(3u * v->mr + 2u, 2 * v->nr + 7, 40, flags), plans, n_plans);
        run_problem(shape_of(61, 5, 97, flags), plans, n_plans);
    }
}

static void test_plans(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_f32, plans_of);
}

/* Long enough for the blocks that a plan leaves open. */
static void blocks_of(const struct cg_variant *v)
{
    struct cg_plan plans[] = {{.variant = v, .threads = 1}, {.variant = v, .threads = 2, .prefetch = 12}};
    for (unsigned layout = 0; layout < LAYOUTS; layout += some_smoke() ? LAYOUTS : 1) {
        run_problem(shape_of(3, 9, 3100, layout), plans, 2);
        run_problem(shape_of(9, 20, 1601, layout | 4), plans, 2);
        run_problem(shape_of(5, 1200, 11, layout | 4), plans, 2);
        run_problem(shape_of(150, 30, 577, layout), plans, 2);
    }
}

static void test_blocks(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_f32, blocks_of);
}

/* ---- Packing ----------------------------------------------------------------------------------------------------- */

static void test_packing(void **state)
{
    (void)state;
    static const size_t widths[] = {8, 12, 16, 24, 48, 64};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (unsigned t = 0; t < 30; t++) {
            size_t nr = widths[w], n = 1 + rng() % (3 * nr), k = 1 + rng() % 40, ld = t % 3 == 0 ? k + 3 : n + 3;
            size_t rs = t % 3 == 0 ? 1 : ld, cs = t % 3 == 0 ? ld : t % 3;
            if (cs == 2) rs *= 2;
            size_t b_floats = (k - 1) * rs + (n - 1) * cs + 1;
            float *b = edge_floats(b_floats);
            fill(b, b_floats, 1);
            size_t size = cg_pack_f32_size(n, k, nr), panels = size / (nr * k);
            assert_true(size == panels * nr * k && panels % 4 == 0 && panels * nr >= n);
            float *out = edge_floats(size), *want = floats(size);
            memset(out, 0xff, size * sizeof *out);
            for (size_t j = 0; j < n; j++)
                for (size_t p = 0; p < k; p++) want[j / nr * nr * k + p * nr + j % nr] = b[p * rs + j * cs];
            cg_pack_f32(n, k, b, rs, cs, nr, out, 1 + (int)(t % 3));
            if (memcmp(out, want, size * sizeof *out) != 0)
                fail_msg("packing n %zu k %zu rs %zu cs %zu nr %zu, seed %u", n, k, rs, cs, nr, SEED);
            edge_free(b, b_floats);
            edge_free(out, size);
            cg_free(want);
        }
}

static void test_nothing(void **state)
{
    (void)state;
    size_t count;
    struct cg_plan plan = {.variant = &cg_variants(&count)[0], .threads = 2};
    float c = 1.5f;
    cg_gemm_f32(&plan, 0, 1, 1, &c, 1, 1, &c, &c, 1, 0);
    cg_gemm_f32(&plan, 1, 0, 1, &c, 1, 1, &c, &c, 1, 0);
    cg_gemm_f32_pack(&plan, 0, 1, 1, &c, 1, 1, &c, 1, 1, &c, &c, 1, 0);
    cg_gemm_f32_pack(&plan, 1, 0, 1, &c, 1, 1, &c, 1, 1, &c, &c, 1, 0);
    assert_true(c == 1.5f);
}

int main(void)
{
    RUN_TESTS("gemm_f32", cmocka_unit_test(test_tiles), cmocka_unit_test(test_edges), cmocka_unit_test(test_plans),
              cmocka_unit_test(test_blocks), cmocka_unit_test(test_packing), cmocka_unit_test(test_nothing));
}

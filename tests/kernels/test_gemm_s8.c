/* Every INT8 GEMM variant that this machine runs against integer arithmetic, bit for bit: each tile alone, and through
 * the driver with every edge, blocking and number of threads. */
#define SEED 20240608u
#include "tests/kernels/fixture.h"

#define PAD 35 /* floats around every output; odd, so that the output itself is not aligned */

/* What A and B hold. EXTREME: -128, 127 or 0; it makes the largest sums and every saturation that an ISA has. */
enum content { RANDOM, LOWEST, HIGHEST, OPPOSED, EXTREME, CONTENTS };
static const char *const content_names[] = {"random", "-128 x -128", "127 x 127", "-128 x 127", "extreme"};

static int8_t value(enum content what, int is_a)
{
    static const int8_t extremes[] = {-128, 127, -128, -127, 0};
    switch (what) {
    case LOWEST: return -128;
    case HIGHEST: return 127;
    case OPPOSED: return is_a ? -128 : 127;
    case EXTREME: return extremes[rng() % 5];
    default: return (int8_t)rng();
    }
}

/* Stands in for quant_s8: the "weights" are small integers already, so that -128 can be packed as well. */
static float quant_as_is(size_t n, const float *x, int8_t *q)
{
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++) {
        q[i] = (int8_t)x[i];
        sum += x[i];
    }
    return 0.001f + sum * 1e-6f;
}

struct problem {
    size_t m, n, k, lda, ldc;
    enum content what;
    int8_t *a;
    float *w, *sa, *c, *want;
};

static size_t c_floats(const struct problem *p)
{
    return PAD + p->m * p->ldc + PAD;
}

static void make(struct problem *p)
{
    p->lda = p->k + rng() % 3;
    p->ldc = p->n + rng() % 3;
    p->a = malloc(p->m * p->lda + 1); /* exact: reading past the end is seen by the sanitizer */
    p->w = malloc(p->n * p->k * sizeof(float) + 1);
    p->sa = malloc(p->m * sizeof(float) + 1);
    p->c = malloc(c_floats(p) * sizeof(float));
    p->want = malloc(c_floats(p) * sizeof(float));
    assert_true(p->a && p->w && p->sa && p->c && p->want);
    for (size_t i = 0; i < p->m * p->lda; i++) p->a[i] = value(p->what, 1);
    for (size_t i = 0; i < p->n * p->k; i++) p->w[i] = value(p->what, 0);
    for (size_t i = 0; i < p->m; i++) p->sa[i] = 0.01f + (float)(rng() % 1000) * 1e-5f;
    const uint32_t canary = CANARY;
    for (size_t i = 0; i < c_floats(p); i++) memcpy(p->want + i, &canary, sizeof canary);
    for (size_t j = 0; j < p->n; j++) {
        int8_t *q = malloc(p->k + 1);
        assert_non_null(q);
        float sb = quant_as_is(p->k, p->w + j * p->k, q);
        for (size_t i = 0; i < p->m; i++) {
            int64_t sum = 0;
            for (size_t x = 0; x < p->k; x++) sum += (int64_t)p->a[i * p->lda + x] * q[x];
            volatile float f = (float)sum; /* volatile: three roundings, whatever the flags */
            f *= p->sa[i];
            f *= sb;
            p->want[PAD + i * p->ldc + j] = f;
        }
        free(q);
    }
}

static void unmake(struct problem *p)
{
    free(p->a);
    free(p->w);
    free(p->sa);
    free(p->c);
    free(p->want);
}

static void run(const struct problem *p, const struct cg_plan *plan, const struct cg_packed_s8 *w, void *rows)
{
    const uint32_t canary = CANARY;
    for (size_t i = 0; i < c_floats(p); i++) memcpy(p->c + i, &canary, sizeof canary);
    cg_s8_rows_copy(w, p->m, p->a, p->lda, rows);
    cg_gemm_s8(plan, p->m, rows, p->sa, w, p->c + PAD, p->ldc, NULL);
    for (size_t i = 0; i < c_floats(p); i++) {
        if (memcmp(p->c + i, p->want + i, sizeof(float)) == 0) continue;
        ptrdiff_t at = (ptrdiff_t)i - PAD;
        fail_msg("%s: seed %u, m %zu n %zu k %zu (%s), mc %u, threads %d, prefetch %d: %s %td is %a, not %a",
                 plan->variant->name, SEED, p->m, p->n, p->k, content_names[p->what], plan->mc, plan->threads,
                 plan->prefetch, at < 0 || i >= c_floats(p) - PAD ? "canary" : "element", at, (double)p->c[i],
                 (double)p->want[i]);
    }
}

/* One problem with a variant, for each blocking and number of threads given. */
static void check(const struct cg_variant *v, size_t m, size_t n, size_t k, enum content what, unsigned most_threads)
{
    static const uint32_t blocks[] = {0, 1, 20};
    const struct cg_rowops rows = {.quant_s8 = quant_as_is};
    struct problem p = {.m = m, .n = n, .k = k, .what = what};
    struct cg_packed_s8 w;
    make(&p);
    assert_int_equal(cg_pack_s8(v, &rows, n, k, p.w, &w), 0);
    size_t bytes = cg_s8_rows_size(&w, m);
    unsigned char *scratch = malloc(bytes + 1);
    assert_non_null(scratch);
    for (unsigned t = 1; t <= most_threads; t++)
        for (size_t b = 0; b < 3; b++) {
            if (m <= 1 && b > 0) continue;
            scratch[bytes] = 0x5a;
            struct cg_plan plan = {.variant = v,
                                   .mc = blocks[b],
                                   .threads = (uint16_t)t,
                                   .by_rows = (uint16_t)b,
                                   .prefetch = (uint16_t)(t == 2 ? 0 : 16)};
            run(&p, &plan, &w, scratch);
            assert_int_equal(scratch[bytes], 0x5a);
        }
    free(scratch);
    cg_packed_s8_free(&w);
    unmake(&p);
}

/* ---- The micro-kernels alone ------------------------------------------------------------------------------------- */

/* All operands end at an unreadable page. */
static void tile_case(const struct cg_variant *v, size_t m, size_t k, enum content what, size_t prefetch)
{
    size_t kpad = (k + v->ku - 1u) / v->ku * v->ku, nr = v->nr, kr = v->kr, rs_a = kpad + rng() % 2 * v->ku,
           before = 24;
    struct guarded ga, gb, gs, gt, gp, gc;
    size_t a_bytes = (m - 1) * rs_a + kpad, floats_c = before + m * nr;
    uint8_t *a = guarded_open(&ga, a_bytes);
    int8_t *b = guarded_open(&gb, nr * kpad);
    float *sa = guarded_open(&gs, m * sizeof *sa), *sb = guarded_open(&gt, nr * sizeof *sb);
    int32_t *comp = guarded_open(&gp, nr * sizeof *comp);
    float *c = guarded_open(&gc, floats_c * sizeof *c), *want = floats(floats_c);
    for (size_t i = 0; i < a_bytes; i++) a[i] = (uint8_t)(i % rs_a < k ? value(what, 1) + (int)v->a_offset : 0);
    for (size_t i = 0; i < nr * kpad; i++) b[i] = (int8_t)(i / (nr * kr) * kr + i % kr < k ? value(what, 0) : 0);
    for (size_t i = 0; i < m; i++) sa[i] = 0.01f + (float)(rng() % 1000) * 1e-5f;
    for (size_t i = 0; i < floats_c; i++) c[i] = want[i] = bits_float(CANARY);
    for (size_t j = 0; j < nr; j++) {
        int64_t column = 0;
        sb[j] = 0.02f + (float)(rng() % 1000) * 1e-5f;
        for (size_t p = 0; p < k; p++) column += b[p / kr * nr * kr + j * kr + p % kr];
        comp[j] = (int32_t)(-128 * column);
        for (size_t i = 0; i < m; i++) {
            int64_t sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += (int8_t)(a[i * rs_a + p] - v->a_offset) * (int64_t)b[p / kr * nr * kr + j * kr + p % kr];
            volatile float f = (float)sum; /* volatile: three roundings, whatever the flags */
            f *= sa[i];
            want[before + i * nr + j] = f * sb[j];
        }
    }
    v->fn.gemm_s8(m, k, a, rs_a, b, v->a_offset ? comp : NULL, sa, sb, c + before, nr, prefetch);
    if (memcmp(c, want, floats_c * sizeof *c) != 0)
        fail_msg("%s: tile of m %zu k %zu (%s) prefetch %zu, seed %u", v->name, m, k, content_names[what], prefetch,
                 SEED);
    struct guarded *all[] = {&ga, &gb, &gs, &gt, &gp, &gc};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_close(all[i]);
    cg_free(want);
}

static void tiles(const struct cg_variant *v)
{
    static const size_t ks[] = {1, 4, 5, 16, 31, 64, 65, 200};
    for (size_t m = 1; m <= v->mr; m++)
        for (size_t i = some_smoke() ? m % 3 : 0; i < sizeof ks / sizeof *ks; i += some_smoke() ? 3 : 1)
            tile_case(v, m, ks[i], rng() % 4 ? RANDOM : EXTREME, 48 * (rng() % 3));
}

static void test_tiles(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_s8, tiles);
}

/* ---- Through the driver ------------------------------------------------------------------------------------------ */

/* Every number of rows and of columns around a tile, with reductions around a group and around the unrolling. */
static void edges(const struct cg_variant *v)
{
    static const size_t ks[] = {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 67};
    for (size_t m = 1; m <= 2 * (size_t)v->mr + 1; m += some_smoke() ? 3 : 1)
        for (size_t x = 0; x < sizeof ks / sizeof *ks; x++) {
            size_t n = 1 + rng() % (2 * v->nr + 2);
            check(v, m, n, ks[x], rng() % 4 ? RANDOM : EXTREME, 1);
        }
    for (size_t n = 1; n <= 2 * (size_t)v->nr + 1; n += some_smoke() ? v->nr / 3u : 1)
        check(v, 1 + rng() % v->mr, n, 1 + rng() % 40, RANDOM, 1);
}

static void extremes(const struct cg_variant *v)
{
    static const size_t ks[] = {1, 510, 511, 512, 513, 1025, 4096};
    for (enum content what = LOWEST; what < CONTENTS; what++)
        for (size_t x = 0; x < sizeof ks / sizeof *ks; x += some_smoke() ? 5 : 1)
            check(v, v->mr, v->nr, ks[x], what, 1);
    for (size_t m = 1; m <= v->mr; m++) check(v, m, 5, 4096, LOWEST, 1);
    check(v, 1, 3, 131071, LOWEST, 1); /* the longest reduction allowed; the offset sum passes through 2^32 */
    check(v, 1, 3, 131071, OPPOSED, 1);
}

static void threads(const struct cg_variant *v)
{
    static const size_t ms[] = {1, 2, 7, 16, 45}, ns[] = {1, 17, 96, 192, 200};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++) check(v, ms[i], ns[j], 30 + rng() % 50, RANDOM, 3);
}

static void test_edges(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_s8, edges);
}

static void test_extremes(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_s8, extremes);
}

static void test_threads(void **state)
{
    (void)state;
    each_variant(CG_OP_gemm_s8, threads);
}

/* Nothing to do is done; too long a reduction is refused. */
static void test_limits(void **state)
{
    (void)state;
    const struct cg_rowops rows = {.quant_s8 = quant_as_is};
    const struct cg_variant *v = cg_variant_named("gemm_s8_ref");
    assert_non_null(v);
    struct cg_packed_s8 w;
    float weight = 1.0f, c = 5.0f, sa = 1.0f;
    int8_t a = 1;
    struct cg_plan plan = {.variant = v, .threads = 1};
    assert_int_equal(cg_pack_s8(v, &rows, 0, 1, &weight, &w), 0);
    cg_gemm_s8(&plan, 1, &a, &sa, &w, &c, 1, NULL);
    cg_packed_s8_free(&w);
    assert_int_equal(cg_pack_s8(v, &rows, 1, 4, (const float[]){1, 1, 1, 1}, &w), 0);
    cg_gemm_s8(&plan, 0, &a, &sa, &w, &c, 1, NULL);
    cg_packed_s8_free(&w);
    assert_true(c == 5.0f);
    assert_int_equal(cg_pack_s8(v, &rows, 1, 131072, &weight, &w), -1);
    assert_int_equal(cg_pack_s8(v, &rows, SIZE_MAX, 1, &weight, &w), -1);
}

int main(void)
{
    RUN_TESTS("gemm_s8", cmocka_unit_test(test_tiles), cmocka_unit_test(test_edges), cmocka_unit_test(test_extremes),
              cmocka_unit_test(test_threads), cmocka_unit_test(test_limits));
}

/* Log-probabilities, entropy, gradient and sampling of a row of logits: bit for bit against plain loops for every set
 * of row operations that runs here, and against formulas in double. */
#define SEED 11u
#include "tests/kernels/fixture.h"

#include "common/math.h"
#include "kernels/head.h"
#include "kernels/logits.h"
#include "kernels/ref/exp.h"
#include "kernels/ref/lanes.h"

#define MAX_N 49152

static const size_t sizes[] = {1, 2, 15, 16, 17, 100, 4095, 4096, 4097, 8200, 10000, MAX_N};
#define N_SIZES (sizeof sizes / sizeof *sizes)

static const struct cg_rowops *sets[CG_ISA_COUNT];
static size_t n_sets;

static float *x, *dx, *want_dx;

/* A row of n logits and its gradients, each up to an unreadable page. */
static void fill(size_t n)
{
    static float *room[3];
    float **at[] = {&x, &dx, &want_dx};
    for (int i = 0; i < 3; i++) {
        if (!room[i]) room[i] = edge_floats(MAX_N);
        *at[i] = room[i] + MAX_N - n;
    }
    for (size_t i = 0; i < n; i++) x[i] = uniform(-12, 12);
}

static void assert_bits(const char *what, const char *isa, size_t n, float got, float want)
{
    if (memcmp(&got, &want, sizeof got) == 0 || (isnan(got) && isnan(want))) return; /* of NaNs one is like another */
    fail_msg("%s, %s, n %zu: %a, not %a", what, isa, n, got, want);
}

/* The contract in plain loops: chunk i has top, sum, dot. */
static struct {
    float top, sum, dot, factor;
} part[16];

static size_t plain_parts(size_t n, float scale, float *max)
{
    size_t count = 0;
    float c = scale * CG_EXP_LOG2E;
    *max = -INFINITY;
    for (size_t i = 0; i < n; i += 4096, count++) {
        float sum[CG_LANES] = {0}, dot[CG_LANES] = {0}, m = -INFINITY;
        size_t end = n - i < 4096 ? n : i + 4096;
        for (size_t j = i; j < end; j++) m = x[j] > m ? x[j] : m;
        for (size_t j = i; j < end; j++) {
            float t = x[j] * c - m * c, e = cg_exp2(t);
            sum[j % CG_LANES] += e;
            dot[j % CG_LANES] = fmaf(e, t, dot[j % CG_LANES]);
        }
        part[count].top = m * c;
        part[count].sum = cg_fold(sum);
        part[count].dot = cg_fold(dot);
        *max = m > *max ? m : *max;
    }
    for (size_t i = 0; i < count; i++) part[i].factor = cg_exp2(part[i].top - *max * c);
    return count;
}

static void plain_stats(size_t n, float scale, float *max, float *lse, float *entropy)
{
    float s = 0, st = 0;
    size_t count = plain_parts(n, scale, max);
    for (size_t i = 0; i < count; i++) {
        float more = part[i].top - *max * (scale * CG_EXP_LOG2E);
        s = fmaf(part[i].sum, part[i].factor, s);
        st = fmaf(fmaf(more, part[i].sum, part[i].dot), part[i].factor, st);
    }
    *lse = cg_logf(s) + *max * scale;
    *entropy = cg_logf(s) - st / s * 0x1.62e430p-1f;
}

static size_t plain_sample(size_t n, float scale, float u)
{
    float max, s = 0, before = 0;
    size_t count = plain_parts(n, scale, &max);
    for (size_t i = 0; i < count; i++) s += part[i].sum * part[i].factor;
    for (size_t i = 0; i < count; i++) {
        if (before + part[i].sum * part[i].factor > u * s) {
            size_t last = 0;
            for (size_t j = i * 4096; j < n && j < (i + 1) * 4096; j++) {
                float e = cg_exp2(x[j] * (scale * CG_EXP_LOG2E) - part[i].top) * part[i].factor;
                before += e;
                if (e > 0) last = j;
                if (before > u * s) return j;
            }
            return last;
        }
        before += part[i].sum * part[i].factor;
    }
    fail_msg("u %g is not below 1", u);
    return 0;
}

/* Log-probability and entropy of a choice are those of the row's statistics. */
static void check_choice(const struct cg_rowops *rows, size_t n, float scale, const float *row,
                         struct cg_logits_choice c)
{
    float max, lse, entropy;
    cg_logits_stats(rows, n, scale, row, &max, &lse, &entropy);
    assert_true(c.token < n);
    assert_bits("logprob of a choice", rows->isa, n, c.logprob, cg_logits_logprob(row, c.token, scale, lse));
    assert_bits("entropy of a choice", rows->isa, n, c.entropy, entropy);
}

static size_t sampled(const struct cg_rowops *rows, size_t n, float scale, const float *row, float u)
{
    struct cg_logits_choice c = cg_logits_sample(rows, n, scale, row, u);
    check_choice(rows, n, scale, row, c);
    return c.token;
}

static size_t plain_argmax(size_t n, const float *row)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++) at = row[i] > row[at] ? i : at;
    return at;
}

static size_t best(const struct cg_rowops *rows, size_t n, const float *row)
{
    size_t token = cg_logits_argmax(rows, n, row);
    if (n == 0) return token;
    struct cg_logits_choice c = cg_logits_greedy(rows, n, 0.7f, row);
    check_choice(rows, n, 0.7f, row, c);
    assert_int_equal(c.token, token);
    return token;
}

static void test_stats(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_SIZES; k++) {
        size_t n = sizes[k];
        float scale = uniform(0.3f, 2), max, lse, entropy, want[3];
        double m = -INFINITY, s = 0, st = 0;
        fill(n);
        for (size_t i = 0; i < n; i++) m = fmax(m, (double)x[i] * scale);
        for (size_t i = 0; i < n; i++) {
            s += exp((double)x[i] * scale - m);
            st += exp((double)x[i] * scale - m) * ((double)x[i] * scale - m);
        }
        plain_stats(n, scale, &want[0], &want[1], &want[2]);
        for (size_t r = 0; r < n_sets; r++) {
            cg_logits_stats(sets[r], n, scale, x, &max, &lse, &entropy);
            assert_bits("max", sets[r]->isa, n, max, want[0]);
            assert_bits("lse", sets[r]->isa, n, lse, want[1]);
            assert_bits("entropy", sets[r]->isa, n, entropy, want[2]);
        }
        assert_true(fabs(lse - (log(s) + m)) < 3e-6 * (1 + fabs(m)));
        assert_true(fabs(entropy - (log(s) - st / s)) < 2e-5);
        for (size_t r = 0; r < n_sets; r++) {
            cg_logits_logsoftmax(sets[r], n, scale, x, dx);
            for (size_t i = 0; i < n; i++) assert_bits("logsoftmax", sets[r]->isa, n, dx[i], x[i] * scale - lse);
        }
        size_t token = n / 2;
        assert_true(fabs(cg_logits_logprob(x, token, scale, lse) - (x[token] * (double)scale - log(s) - m)) < 1e-5);
    }
}

/* What the loss is for in double: coef.logprob * logprob(token) + coef.entropy * entropy, with x[at] moved by `by`. */
static double loss(size_t n, float scale, struct cg_logits_coef coef, size_t token, size_t at, double by)
{
    double s = 0, st = 0;
    for (size_t i = 0; i < n; i++) {
        double t = ((double)x[i] + (i == at ? by : 0)) * scale;
        s += exp(t);
        st += exp(t) * t;
    }
    double logprob = ((double)x[token] + (token == at ? by : 0)) * scale - log(s);
    return coef.logprob * logprob + coef.entropy * (log(s) - st / s);
}

/* Some elements of the gradient, the token's and the largest logit's among them, against central differences. */
static void near_differences(size_t n, float scale, struct cg_logits_coef coef, size_t token, const float *got)
{
    size_t at[] = {token, 0, n - 1, cg_logits_argmax(sets[0], n, x), (size_t)uniform(0, (float)n)};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        size_t j = at[i] < n ? at[i] : n - 1;
        double h = 1e-4, want = (loss(n, scale, coef, token, j, h) - loss(n, scale, coef, token, j, -h)) / (2 * h);
        if (!(fabs(got[j] - want) < 2e-5)) fail_msg("n %zu: dx[%zu] = %g, not %g", n, j, got[j], want);
    }
}

static void plain_grad(size_t n, float scale, float lse, float entropy, struct cg_logits_coef coef, size_t token)
{
    float g = coef.logprob * scale, h = coef.entropy * scale;
    for (size_t i = 0; i < n; i++) {
        float p = cg_exp2(x[i] * (scale * CG_EXP_LOG2E) - lse * CG_EXP_LOG2E);
        want_dx[i] = h == 0 ? p * -g : fmaf(x[i] * -(h * scale) - fmaf(h, entropy - lse, g), p, 0.0f);
    }
    want_dx[token] += g;
}

static void test_grad(void **state)
{
    (void)state;
    for (size_t k = 0; k < 4 * N_SIZES; k++) {
        size_t n = sizes[k % N_SIZES], token = n - 1 - n / 3;
        float scale = uniform(0.3f, 2), max, lse, entropy;
        struct cg_logits_coef coef = {uniform(-2, 2), uniform(-2, 2)};
        if (k / N_SIZES == 0) coef.entropy = 0;
        if (k / N_SIZES == 1) coef.logprob = 0;
        fill(n);
        if (k / N_SIZES == 3) /* many that count: a high entropy */
            for (size_t i = 0; i < n; i++) x[i] *= 0.1f;
        cg_logits_stats(sets[0], n, scale, x, &max, &lse, &entropy);
        plain_grad(n, scale, lse, entropy, coef, token);
        near_differences(n, scale, coef, token, want_dx);
        for (size_t r = 0; r < n_sets; r++) {
            cg_logits_grad(sets[r], n, scale, x, lse, entropy, coef, token, dx);
            assert_memory_equal(dx, want_dx, n * sizeof(float));
            memcpy(dx, x, n * sizeof(float));
            cg_logits_grad(sets[r], n, scale, dx, lse, entropy, coef, token, dx);
            assert_memory_equal(dx, want_dx, n * sizeof(float));
        }
    }
}

static void test_argmax(void **state)
{
    (void)state;
    for (size_t r = 0; r < n_sets; r++) {
        fill(10000);
        assert_int_equal(best(sets[r], 0, x), 0);
        assert_int_equal(best(sets[r], 10000, x), plain_argmax(10000, x));
        x[9000] = x[5000] = x[5001] = 50;
        assert_int_equal(best(sets[r], 10000, x), 5000);
        x[4095] = 50;
        assert_int_equal(best(sets[r], 10000, x), 4095);
        x[9999] = INFINITY;
        x[3] = NAN;
        assert_int_equal(best(sets[r], 10000, x), 9999);
        fill(40);
        for (int i = 0; i < 40; i++) x[i] = i < 7 ? -1.0f : i < 9 ? -0.0f : 0.0f;
        assert_int_equal(best(sets[r], 40, x), 7);
        for (int i = 0; i < 40; i++) x[i] = -INFINITY;
        assert_int_equal(best(sets[r], 40, x), 0);
        for (int i = 0; i < 40; i++) x[i] = NAN;
        assert_int_equal(best(sets[r], 40, x), 0);
    }
}

static void test_sample_bits(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_SIZES; k++) {
        size_t n = sizes[k], before = 0;
        float scale = uniform(0.1f, 1);
        fill(n);
        for (int j = 0; j <= 20; j++) {
            float u = j == 20 ? 1 - 0x1p-24f : (float)j / 20;
            size_t want = plain_sample(n, scale, u);
            assert_true(want >= before && want < n);
            before = want;
            for (size_t r = 0; r < n_sets; r++)
                if (sampled(sets[r], n, scale, x, u) != want) fail_msg("%s: n %zu, u %g", sets[r]->isa, n, u);
        }
    }
}

/* Rows of more chunks than the 256 that a row is cut into at most, and one more than chunks of a multiple hold. */
static void test_long_row(void **state)
{
    enum { LONGEST = 3 * 256 * 4096 + 1 };
    static const size_t lengths[] = {256 * 4096, 256 * 4096 + 1, 256 * 4096 + 5000, 2 * 256 * 4096 + 1, LONGEST};
    float *room = edge_floats(LONGEST);
    (void)state;
    for (size_t i = 0; i < LONGEST; i++) room[i] = uniform(-3, 3);
    for (size_t k = some_smoke() ? 3 : 0; k < (some_smoke() ? 4 : sizeof lengths / sizeof *lengths); k++) {
        size_t n = lengths[k];
        const float *row = room + LONGEST - n;
        float max, lse, entropy, want_lse = 0, want_entropy = 0;
        double s = 0, dot = 0;
        for (size_t i = 0; i < n; i++) {
            double e = exp(row[i]);
            s += e;
            dot += e * row[i];
        }
        for (size_t r = 0; r < n_sets; r++) {
            cg_logits_stats(sets[r], n, 1, row, &max, &lse, &entropy);
            assert_true(fabs(lse - log(s)) < 1e-5);
            assert_true(fabs(entropy - (log(s) - dot / s)) < 2e-5);
            if (r == 0) want_lse = lse, want_entropy = entropy;
            assert_bits("lse", sets[r]->isa, n, lse, want_lse);
            assert_bits("entropy", sets[r]->isa, n, entropy, want_entropy);
            assert_true(sampled(sets[r], n, 1, row, 1 - 0x1p-24f) > n - 5000);
            assert_int_equal(sampled(sets[r], n, 1, row, 0), 0);
            assert_int_equal(best(sets[r], n, row), plain_argmax(n, row));
        }
    }
    edge_free(room, LONGEST);
}

/* An even grid of u must give each index its share. */
static void test_sample_shares(void **state)
{
    enum { N = 9, GRID = 20000 };
    size_t count[N] = {0};
    float max, lse, entropy;
    (void)state;
    fill(N);
    for (int i = 0; i < N; i++) x[i] *= 0.2f;
    cg_logits_stats(sets[n_sets - 1], N, 0.8f, x, &max, &lse, &entropy);
    for (int g = 0; g < GRID; g++) count[sampled(sets[n_sets - 1], N, 0.8f, x, (g + 0.5f) / GRID)]++;
    for (int i = 0; i < N; i++)
        assert_true(fabs((double)count[i] / GRID - exp(cg_logits_logprob(x, i, 0.8f, lse))) < 2.0 / GRID);
}

/* Never an index whose probability is 0, whatever u is; always an index of the row. */
static void test_sample_edges(void **state)
{
    static const float us[] = {0, 1 - 0x1p-24f, 1, 2, NAN};
    (void)state;
    for (size_t r = 0; r < n_sets; r++)
        for (size_t j = 0; j < sizeof us / sizeof *us; j++) {
            fill(MAX_N);
            for (size_t i = 0; i < MAX_N; i++) x[i] = -1e30f;
            x[9001] = 1;
            assert_int_equal(sampled(sets[r], MAX_N, 1, x, us[j]), 9001);
            x[20000] = 1;
            assert_int_equal(sampled(sets[r], MAX_N, 1, x, us[j]), us[j] == 0 ? 9001 : 20000);
            x[7] = NAN;
            assert_int_equal(sampled(sets[r], MAX_N, 1, x, us[j]), 9001);
            x[7] = INFINITY;
            assert_int_equal(sampled(sets[r], MAX_N, 1, x, us[j]), 7);
        }
}

/* The gradient of the head's input: chains of 4096 terms, added in order; as many bits for any number of threads. */
static void test_head_grad(void **state)
{
    static const struct {
        size_t m, vocab, d;
    } shapes[] = {{0, 5000, 16}, {1, 97, 16}, {5, 5000, 48}, {26, 8200, 80}, {70, 4096, 64}};
    (void)state;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        size_t m = shapes[k].m, vocab = shapes[k].vocab, d = shapes[k].d, ld = vocab + 3;
        size_t n_dl = m ? (m - 1) * ld + vocab : 0, ns = cg_head_grad_scratch(m, vocab, d);
        float *dl = edge_floats(n_dl), *w = edge_floats(vocab * d), *want = edge_floats(m * d);
        for (size_t i = 0; i < n_dl; i++) dl[i] = uniform(-1, 1);
        for (size_t i = 0; i < vocab * d; i++) w[i] = uniform(-1, 1);
        for (size_t i = 0; i < m * d; i++)
            for (size_t c = 0; c < vocab; c += 4096) {
                float sum = 0;
                for (size_t v = c; v < vocab && v < c + 4096; v++)
                    sum = fmaf(dl[i / d * ld + v], w[v * d + i % d], sum);
                want[i] = c ? want[i] + sum : sum;
            }
        for (size_t r = 0; r < n_sets; r++)
            for (int threads = 1; threads <= 3; threads++) {
                float *got = edge_floats(m * d), *scratch = edge_floats(ns);
                memset(got, 0x7f, m * d * sizeof *got);
                cg_head_grad(sets[r], threads, m, vocab, d, dl, ld, w, got, scratch);
                if (memcmp(got, want, m * d * sizeof *got))
                    fail_msg("%s: m %zu, vocab %zu, d %zu, %d threads", sets[r]->isa, m, vocab, d, threads);
                edge_free(got, m * d);
                edge_free(scratch, ns);
            }
        edge_free(dl, n_dl);
        edge_free(w, vocab * d);
        edge_free(want, m * d);
    }
}

static int setup(void **state)
{
    (void)state;
    if (cg_machine_detect(&machine) != CG_OK) {
        fprintf(stderr, "%s\n", cg_error());
        return -1;
    }
    sets[n_sets++] = cg_rowops_for(0);
    for (int isa = 1; isa < CG_ISA_COUNT; isa++) {
        const struct cg_rowops *rows = cg_rowops_for(machine.isa & (CG_ISA_BIT(isa) | (CG_ISA_BIT(isa) - 1)));
        if (rows != sets[n_sets - 1]) sets[n_sets++] = rows;
    }
    for (size_t r = 0; r < n_sets; r++) printf("row operations: %s\n", sets[r]->isa);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats),       cmocka_unit_test(test_grad),          cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_sample_bits), cmocka_unit_test(test_sample_shares), cmocka_unit_test(test_sample_edges),
        cmocka_unit_test(test_long_row),    cmocka_unit_test(test_head_grad),
    };
    return cmocka_run_group_tests_name("logits", tests, setup, NULL);
}

/* Sampling with a repetition penalty, top-k, top-p and min-p: bit for bit against a plain sort for every set of row
 * operations that runs here, against formulas in double, and by counting what is drawn. */
#define SEED 17u
#include "tests/kernels/fixture.h"

#include "common/math.h"
#include "kernels/logits.h"
#include "kernels/ref/exp.h"
#include "kernels/sample.h"

#define MAX_N 49152

static const struct cg_rowops *sets[CG_ISA_COUNT];
static size_t n_sets;
static float x[MAX_N], y[MAX_N];
static struct entry {
    float y, e;
    size_t id;
    uint64_t w;
    int kept;
} order[MAX_N];
static void *scratch;

static int by_rank(const void *a, const void *b)
{
    const struct entry *p = a, *q = b;
    if (p->y != q->y) return p->y > q->y ? -1 : 1;
    return p->id < q->id ? -1 : 1;
}

static int by_token(const void *a, const void *b)
{
    const struct entry *p = a, *q = b;
    return p->id < q->id ? -1 : 1;
}

/* Logits into y with the penalty, the long way round. */
static void plain_penalty(size_t n, float penalty, const struct cg_seen seen[2])
{
    for (size_t i = 0; i < n; i++) {
        int found = 0;
        for (size_t s = 0; s < 2; s++)
            for (size_t j = 0; j < seen[s].n; j++) found = found || (size_t)seen[s].tokens[j] == i;
        y[i] = !found ? x[i] : x[i] > 0 ? x[i] / penalty : x[i] * penalty;
    }
}

/* What the header says, by sorting: entries in the order of tokens, `kept` set. */
static void plain_kept(size_t n, const struct cg_sample_options *o, float *max)
{
    float c = o->scale * CG_EXP_LOG2E, lse, entropy;
    cg_logits_stats(sets[0], n, o->scale, y, max, &lse, &entropy);
    for (size_t i = 0; i < n; i++) {
        float e = cg_exp2(y[i] * c - *max * c);
        order[i] = (struct entry){y[i], e, i, (uint64_t)floor((double)e * 0x1p32), 1};
    }
    qsort(order, n, sizeof *order, by_rank);
    if (o->top_k && o->top_k < n)
        for (size_t i = o->top_k; i < n; i++) order[i].kept = order[i].y >= order[o->top_k - 1].y;
    double total = 0, so_far = 0;
    for (size_t i = 0; i < n; i++) total += order[i].kept ? (double)order[i].w : 0;
    if (!o->top_k || o->top_k >= n) total = (double)cg_exp2((lse - *max * o->scale) * CG_EXP_LOG2E) * 0x1p32;
    for (size_t i = 0; i < n && o->top_p < 1; i++) {
        if (i > 0 && !(so_far < (double)o->top_p * total)) order[i].kept = 0;
        so_far += (double)order[i].w;
    }
    for (size_t i = 0; i < n; i++) order[i].kept = order[i].kept && order[i].e >= o->min_p;
    qsort(order, n, sizeof *order, by_token);
}

static struct cg_sampled plain_sample(size_t n, const struct cg_sample_options *o, const struct cg_seen seen[2],
                                      float u)
{
    struct cg_sampled s = {0};
    float max, lse, entropy;
    uint64_t sum = 0, so_far = 0;
    cg_logits_stats(sets[0], n, o->scale, x, &max, &lse, &entropy);
    plain_penalty(n, o->repetition_penalty, seen);
    plain_kept(n, o, &max);
    for (size_t i = 0; i < n; i++) sum += order[i].kept ? order[i].w : 0;
    for (s.token = 0; s.token < n; s.token++) {
        so_far += order[s.token].kept ? order[s.token].w : 0;
        if ((double)so_far > (double)u * (double)sum) break;
    }
    s.sampling_logprob = y[s.token] * o->scale - (cg_logf((float)((double)sum * 0x1p-32)) + max * o->scale);
    s.logprob = x[s.token] * o->scale - lse;
    return s;
}

/* Rows as they come: flat, peaked, with many equals. */
static void fill(size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = kind == 0 ? uniform(-1, 1) : uniform(-9, 9) + uniform(-9, 9);
        if (kind == 2) x[i] = floorf(x[i] / 3);
        if (kind == 3) x[i] = i % 1000 ? uniform(-20, -10) : uniform(5, 9);
    }
}

static const struct cg_sample_options cases[] = {
    {.top_k = 1},
    {.top_k = 40},
    {.top_k = 1000},
    {.top_k = 100000},
    {.top_p = 0.95f},
    {.top_p = 0.3f},
    {.top_p = 0.99999994f},
    {.top_p = 0},
    {.min_p = 0.05f},
    {.min_p = 1},
    {.top_k = 50, .top_p = 0.9f},
    {.top_k = 50, .top_p = 0.9f, .min_p = 0.1f, .repetition_penalty = 1.3f},
    {.top_p = 0.9f, .min_p = 1e-6f, .repetition_penalty = 0.7f},
};
#define N_CASES (sizeof cases / sizeof *cases)

static struct cg_sample_options case_of(size_t i, float scale)
{
    struct cg_sample_options o = cases[i];
    o.scale = scale;
    if (o.top_p == 0 && i != 7) o.top_p = 1;
    if (o.repetition_penalty == 0) o.repetition_penalty = 1;
    return o;
}

static void test_against_sort(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 63, 64, 65, 1000, MAX_N};
    static float keep[MAX_N];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (size_t i = 0; i < N_CASES; i++)
            for (int kind = 0; kind < (sizes[k] == MAX_N && i % 3 ? 2 : 4); kind++) {
                size_t n = sizes[k];
                int32_t tokens[3] = {(int32_t)(rng() % n), (int32_t)(rng() % n), (int32_t)(rng() % n)};
                struct cg_seen seen[2] = {{tokens, 3}, {tokens + 1, 2}}; /* two of them twice */
                struct cg_sample_options o = case_of(i, kind == 0 ? 1.0f : uniform(0.3f, 2));
                float u = uniform(0, 1);
                fill(n, kind);
                memcpy(keep, x, sizeof keep);
                struct cg_sampled want = plain_sample(n, &o, seen, u);
                for (size_t s = 0; s < n_sets; s++) {
                    struct cg_sampled got = cg_sample(sets[s], n, &o, x, seen, u, scratch);
                    if (got.token != want.token || !same_bits(got.logprob, want.logprob) ||
                        !same_bits(got.sampling_logprob, want.sampling_logprob))
                        fail_msg("%s, n %zu, case %zu, kind %d: token %zu, %a, %a; not %zu, %a, %a", sets[s]->isa, n, i,
                                 kind, got.token, got.logprob, got.sampling_logprob, want.token, want.logprob,
                                 want.sampling_logprob);
                    assert_memory_equal(x, keep, sizeof keep); /* the row is as it was */
                }
            }
}

/* Probabilities in double of what transformers would keep: p[i], 0 for the others. */
static void double_reference(size_t n, const struct cg_sample_options *o, const struct cg_seen seen[2], double *p)
{
    double max = -INFINITY, sum = 0, above = 0;
    plain_penalty(n, o->repetition_penalty, seen);
    for (size_t i = 0; i < n; i++) {
        order[i] = (struct entry){.y = y[i], .id = i, .kept = 1};
        max = fmax(max, (double)y[i] * o->scale);
    }
    qsort(order, n, sizeof *order, by_rank);
    for (size_t i = 0; i < n; i++) {
        double e = exp((double)order[i].y * o->scale - max);
        if (o->top_k && o->top_k < n && order[i].y < order[o->top_k - 1].y) e = 0;
        p[order[i].id] = e;
        sum += e;
    }
    for (size_t i = 0; i < n; i++) {
        double e = p[order[i].id];
        if ((i > 0 && above >= o->top_p * sum) || e < o->min_p) p[order[i].id] = 0;
        above += e;
    }
    sum = 0;
    for (size_t i = 0; i < n; i++) sum += p[i];
    for (size_t i = 0; i < n; i++) p[i] /= sum;
}

/* Counts of what is drawn against the probabilities: chi-squared, and nothing that has none. */
static void test_distribution(void **state)
{
    (void)state;
    enum { N = 200, DRAWS = 20000 };
    static double p[N];
    static size_t count[N];
    int32_t tokens[4] = {3, 50, 51, 199};
    struct cg_seen seen[2] = {{tokens, 2}, {tokens + 2, 2}};
    for (size_t i = 0; i < N_CASES; i++) {
        struct cg_sample_options o = case_of(i, 0.4f);
        double chi = 0, expected = 0;
        size_t bins = 0, tail = 0;
        fill(N, 1);
        double_reference(N, &o, seen, p);
        memset(count, 0, sizeof count);
        for (size_t d = 0; d < DRAWS; d++) {
            struct cg_sampled s = cg_sample(sets[d % n_sets], N, &o, x, seen, uniform(0, 1), scratch);
            if (!(p[s.token] > 0)) fail_msg("case %zu: token %zu is not to be drawn", i, s.token);
            if (fabs(exp((double)s.sampling_logprob) - p[s.token]) > 2e-6 * p[s.token] + 1e-9)
                fail_msg("case %zu: token %zu, probability %g, not %g", i, s.token, exp((double)s.sampling_logprob),
                         p[s.token]);
            count[s.token]++;
        }
        for (size_t t = 0; t < N; t++) {
            if (p[t] * DRAWS < 5) { /* too rare for a bin of their own */
                expected += p[t] * DRAWS;
                tail += count[t];
                continue;
            }
            chi += pow((double)count[t] - p[t] * DRAWS, 2) / (p[t] * DRAWS);
            bins++;
        }
        if (expected > 5) {
            chi += pow((double)tail - expected, 2) / expected;
            bins++;
        }
        /* Five standard deviations; the draws are the same every time. */
        if (chi > (double)bins + 5 * sqrt(2.0 * (double)bins)) fail_msg("case %zu: chi^2 %g of %zu bins", i, chi, bins);
    }
}

/* A penalty alone draws as cg_logits_sample does from what it makes of the row; greedy takes the largest of it. */
static void test_penalty(void **state)
{
    (void)state;
    enum { N = 5000 };
    int32_t tokens[2] = {0};
    struct cg_seen seen[2] = {{tokens, 2}, {NULL, 0}};
    fill(N, 1);
    tokens[0] = (int32_t)cg_logits_argmax(sets[0], N, x);
    tokens[1] = (int32_t)((tokens[0] + 1) % N);
    struct cg_sample_options o = {.scale = 0.8f, .repetition_penalty = 2, .top_p = 1};
    assert_true(cg_sample_changes(&o));
    plain_penalty(N, 2, seen);
    assert_true(y[tokens[0]] < x[tokens[0]]);
    for (size_t s = 0; s < n_sets; s++) {
        float u = uniform(0, 1);
        struct cg_logits_choice want = cg_logits_sample(sets[0], N, o.scale, y, u);
        struct cg_sampled got = cg_sample(sets[s], N, &o, x, seen, u, scratch);
        assert_int_equal(got.token, want.token);
        assert_true(same_bits(got.sampling_logprob, want.logprob));
        struct cg_sample_options greedy = o;
        greedy.greedy = 1;
        got = cg_sample(sets[s], N, &greedy, x, seen, u, scratch);
        assert_int_equal(got.token, cg_logits_argmax(sets[0], N, y));
        assert_int_not_equal(got.token, tokens[0]);
        assert_true(got.sampling_logprob == 0 && got.logprob < 0);
    }
    o.repetition_penalty = 1;
    assert_false(cg_sample_changes(&o));
}

/* Rows that no model should make: an index that exists comes out. */
static void test_odd_rows(void **state)
{
    (void)state;
    struct cg_seen seen[2] = {{NULL, 0}, {NULL, 0}};
    static const float odd[] = {NAN, -INFINITY, INFINITY, 0.0f};
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < N_CASES; i++)
            for (size_t s = 0; s < n_sets; s++) {
                struct cg_sample_options o = case_of(i, 1);
                for (size_t j = 0; j < 300; j++) x[j] = odd[k];
                assert_true(cg_sample(sets[s], 300, &o, x, seen, 0.7f, scratch).token < 300);
                for (size_t j = 0; j < 300; j += 2) x[j] = (float)j * 0.01f; /* every other one */
                struct cg_sampled got = cg_sample(sets[s], 300, &o, x, seen, 0.7f, scratch);
                assert_true(got.token < 300);
                if (k < 2) assert_true(got.token % 2 == 0);
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
    scratch = cg_alloc(cg_sample_scratch(MAX_N));
    return scratch ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_sort),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_penalty),
        cmocka_unit_test(test_odd_rows),
    };
    return cmocka_run_group_tests_name("sample", tests, setup, NULL);
}

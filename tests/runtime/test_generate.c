/* Generation: the same bits whatever runs together and how much memory there is; what cuts off the distribution. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/nn/generator_impl.h"
#include "tests/runtime/net_fixture.h"

enum { PROMPTS = 9, GEN = 3, ALL = PROMPTS * GEN, PROMPT = 37, LEN = 19 };

/* What a call gave. */
struct result {
    struct cg_completion c[ALL];
    int32_t tokens[ALL][LEN];
    float lp[ALL][LEN], drawn[ALL][LEN];
};

static struct cg_gen_prompt prompts[PROMPTS]; /* of 1 to PROMPT tokens */
static int32_t prompt_tokens[PROMPTS][PROMPT];

static void make_prompts(void)
{
    for (size_t p = 0; p < PROMPTS; p++) {
        random_tokens((uint32_t)(40 + p), prompt_tokens[p], PROMPT);
        prompts[p] = (struct cg_gen_prompt){prompt_tokens[p], 1 + p * 13 % PROMPT, (uint32_t)p};
    }
}

static void clear(struct result *r)
{
    memset(r, 0, sizeof *r);
    for (size_t i = 0; i < ALL; i++)
        r->c[i] =
            (struct cg_completion){.tokens = r->tokens[i], .logprobs = r->lp[i], .sampling_logprobs = r->drawn[i]};
}

static void assert_same(const char *what, const struct result *want, const struct result *got, size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct cg_completion *a = &want->c[first + i], *b = &got->c[i];
        if (a->len != b->len || a->finished != b->finished || memcmp(a->tokens, b->tokens, a->len * sizeof(int32_t)) ||
            memcmp(a->logprobs, b->logprobs, a->len * sizeof(float)) ||
            memcmp(a->sampling_logprobs, b->sampling_logprobs, a->len * sizeof(float)))
            fail_msg("%s: completion %zu of prompt %zu is another", what, (first + i) % GEN, (first + i) / GEN);
    }
}

/* Distributions that are cut off in different ways, one greedy. */
static const struct cg_gen_options kinds[] = {
    {.temperature = 0.9f},
    {.temperature = 0},
    {.temperature = 1, .top_k = 7},
    {.temperature = 1.3f, .top_p = 0.8f, .repetition_penalty = 1.4f},
    {.temperature = 1, .min_p = 0.2f},
    {.temperature = 0, .repetition_penalty = 2},
    {.temperature = 1, .kv_type = CG_KV_BF16},
    {.temperature = 1, .kv_type = CG_KV_S8, .repetition_penalty = 0.8f},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static struct cg_gen_options options_of(size_t kind)
{
    struct cg_gen_options o = kinds[kind];
    o.max_new_tokens = LEN;
    o.eos = 5; /* one of the 97: some end early */
    o.seed = 3;
    o.step = 8;
    return o;
}

/* One sequence after the other gives what all of them together do, in any places, on any threads. */
static void test_any_batch(void **state)
{
    (void)state;
    static const size_t batches[] = {1, 2, 3, 4, 7, 12, 0}, bytes[] = {0, 1, 40000, 100000, 300000};
    static struct result want[KINDS], got;
    struct net_fixture f;
    make_prompts();
    for (int threads = 1; threads <= 3; threads++) {
        assert_true(fixture_open(&f, NULL, threads, 1));
        struct cg_generator *g; /* one for everything: what a call leaves behind is in nobody's way */
        assert_int_equal(cg_generator_create(&f.net, &g), CG_OK);
        for (size_t kind = 0; kind < KINDS; kind++) {
            struct cg_gen_options o = options_of(kind);
            size_t short_ones = 0;
            if (threads == 1) {
                clear(&want[kind]);
                assert_int_equal(cg_generate(&f.net, &o, PROMPTS, prompts, GEN, want[kind].c), CG_OK);
                for (size_t i = 0; i < ALL; i++) short_ones += want[kind].c[i].finished && want[kind].c[i].len < LEN;
                if (o.temperature > 0) assert_true(short_ones > 0 && short_ones < ALL);
            }
            for (size_t b = threads == 1 ? 0 : (size_t)threads; b < sizeof batches / sizeof *batches;
                 b += threads == 1 ? 1 : 4) {
                o.max_batch = batches[b];
                o.max_kv_bytes = bytes[(b + kind) % (sizeof bytes / sizeof *bytes)];
                o.max_logit_rows = b % 3;
                clear(&got);
                assert_int_equal(cg_generator_run(g, &o, PROMPTS, prompts, GEN, got.c), CG_OK);
                assert_same("batch", &want[kind], &got, 0, ALL);
            }
            o.max_batch = 2;
            for (size_t p = 0; p < PROMPTS; p += 4) { /* alone */
                clear(&got);
                assert_int_equal(cg_generator_run(g, &o, 1, &prompts[p], GEN, got.c), CG_OK);
                assert_same("alone", &want[kind], &got, p * GEN, GEN);
            }
        }
        cg_generator_free(g);
        fixture_close(&f);
    }
}

/* Another ISA, where there is one. */
static void test_any_isa(void **state)
{
    (void)state;
    static const char *const isas[] = {"scalar", "avx2", "avx512", "neon"};
    static struct result want[KINDS], got;
    struct net_fixture f;
    make_prompts();
    assert_true(fixture_open(&f, NULL, 2, 1));
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct cg_gen_options o = options_of(kind);
        clear(&want[kind]);
        assert_int_equal(cg_generate(&f.net, &o, PROMPTS, prompts, GEN, want[kind].c), CG_OK);
    }
    fixture_close(&f);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (!fixture_open(&f, isas[i], 2, 1)) {
            printf("SKIP generation on %s: %s\n", isas[i], cg_error());
            fixture_close(&f);
            continue;
        }
        for (size_t kind = 0; kind < KINDS; kind++) {
            struct cg_gen_options o = options_of(kind);
            clear(&got);
            assert_int_equal(cg_generate(&f.net, &o, PROMPTS, prompts, GEN, got.c), CG_OK);
            assert_same(isas[i], &want[kind], &got, 0, ALL);
        }
        fixture_close(&f);
    }
    unsetenv("CPU_GRPO_ISA");
}

/* The caches stay within what is allowed wherever one sequence fits, and use it. */
static void test_bounds(void **state)
{
    (void)state;
    struct net_fixture f;
    struct cg_gen_sizes s, one, all;
    assert_true(fixture_open(&f, NULL, 1, 1));
    struct cg_gen_options o = options_of(0);
    cg_gen_sizes(&f.model.cfg, &o, PROMPTS, PROMPT, GEN, &all);
    assert_int_equal(all.sequences, ALL);
    assert_int_equal(all.prompts, PROMPTS);
    o.max_batch = 1;
    cg_gen_sizes(&f.model.cfg, &o, PROMPTS, PROMPT, GEN, &one);
    assert_int_equal(one.sequences, 1);
    assert_int_equal(one.prompts, 1);
    o.max_batch = 0;
    for (o.max_kv_bytes = one.kv_bytes; o.max_kv_bytes < all.kv_bytes; o.max_kv_bytes += 1000) {
        cg_gen_sizes(&f.model.cfg, &o, PROMPTS, PROMPT, GEN, &s);
        assert_true(s.kv_bytes <= o.max_kv_bytes && s.kv_bytes >= one.kv_bytes && s.bytes < all.bytes);
        assert_true(s.prompts * GEN >= s.sequences && s.rows >= PROMPT + s.sequences);
        if (o.max_kv_bytes > all.kv_bytes * 2 / 3) assert_true(s.sequences > ALL / 2);
    }
    o.max_kv_bytes = 1;
    cg_gen_sizes(&f.model.cfg, &o, PROMPTS, PROMPT, GEN, &s);
    assert_int_equal(s.sequences, 1);
    fixture_close(&f);
}

/* A second call of the same size finds everything in its place. */
static void test_no_allocation(void **state)
{
    (void)state;
    static struct result r;
    struct net_fixture f;
    struct cg_generator *g;
    make_prompts();
    assert_true(fixture_open(&f, NULL, 2, 1));
    struct cg_gen_options o = options_of(3);
    assert_int_equal(cg_generator_create(&f.net, &g), CG_OK);
    clear(&r);
    assert_int_equal(cg_generator_run(g, &o, PROMPTS, prompts, GEN, r.c), CG_OK);
    struct cg_generator before = *g;
    for (o.step = 9; o.step < 12; o.step++) {
        clear(&r);
        assert_int_equal(cg_generator_run(g, &o, PROMPTS - (o.step == 10), prompts, GEN, r.c), CG_OK);
        assert_true(g->shared.mem == before.shared.mem && g->own.mem == before.own.mem && g->acts == before.acts &&
                    g->logits == before.logits && g->sample == before.sample && g->scratch.p == before.scratch.p &&
                    g->batch.tokens == before.batch.tokens && g->seqs == before.seqs);
    }
    cg_generator_free(g);
    fixture_close(&f);
}

/* Where only the best is left, it is taken with certainty; a penalty keeps a sequence from going round in circles. */
static void test_cut_off(void **state)
{
    (void)state;
    static const struct cg_gen_options best[] = {{.top_k = 1}, {.top_p = 1e-6f}, {.min_p = 1}};
    static struct result greedy, got, free_of;
    struct net_fixture f;
    make_prompts();
    assert_true(fixture_open(&f, NULL, 2, 1));
    struct cg_gen_options o = options_of(1);
    clear(&greedy);
    assert_int_equal(cg_generate(&f.net, &o, PROMPTS, prompts, GEN, greedy.c), CG_OK);
    for (size_t k = 0; k < 3; k++) {
        o = options_of(0);
        o.temperature = 1;
        o.top_k = best[k].top_k;
        o.top_p = best[k].top_p;
        o.min_p = best[k].min_p;
        clear(&got);
        assert_int_equal(cg_generate(&f.net, &o, PROMPTS, prompts, GEN, got.c), CG_OK);
        for (size_t i = 0; i < ALL; i++) {
            assert_int_equal(got.c[i].len, greedy.c[i].len);
            assert_memory_equal(got.tokens[i], greedy.tokens[i], got.c[i].len * sizeof(int32_t));
            assert_memory_equal(got.lp[i], greedy.lp[i], got.c[i].len * sizeof(float)); /* before it is cut off */
            for (size_t j = 0; j < got.c[i].len; j++) assert_true(fabsf(got.drawn[i][j]) < 1e-5f && got.lp[i][j] < 0);
        }
    }
    o = options_of(1);
    o.eos = -1;
    o.repetition_penalty = 1e6f; /* nothing comes twice while there is anything else above 0 */
    clear(&free_of);
    assert_int_equal(cg_generate(&f.net, &o, PROMPTS, prompts, GEN, free_of.c), CG_OK);
    for (size_t i = 0; i < ALL; i++)
        for (size_t j = 0; j < LEN; j++) {
            const struct cg_gen_prompt *p = &prompts[i / GEN];
            for (size_t k = 0; k < p->len; k++) assert_int_not_equal(free_of.tokens[i][j], p->tokens[k]);
            for (size_t k = 0; k < j; k++) assert_int_not_equal(free_of.tokens[i][j], free_of.tokens[i][k]);
        }
    fixture_close(&f);
}

/* Nothing to do, and prompts that cannot be continued. */
static void test_edges(void **state)
{
    (void)state;
    static struct result r;
    struct net_fixture f;
    make_prompts();
    assert_true(fixture_open(&f, NULL, 1, 1));
    struct cg_gen_options o = options_of(0);
    clear(&r);
    assert_int_equal(cg_generate(&f.net, &o, 0, NULL, GEN, NULL), CG_OK);
    o.max_new_tokens = 0;
    assert_int_equal(cg_generate(&f.net, &o, PROMPTS, prompts, GEN, r.c), CG_OK);
    assert_int_equal(r.c[0].len, 0);
    o.max_new_tokens = 1;
    assert_int_equal(cg_generate(&f.net, &o, PROMPTS, prompts, GEN, r.c), CG_OK);
    assert_int_equal(r.c[ALL - 1].len, 1);
    o.max_new_tokens = LEN;
    struct cg_gen_prompt bad = prompts[1];
    bad.len = 0;
    assert_int_equal(cg_generate(&f.net, &o, 1, &bad, GEN, r.c), CG_ERR_USER);
    int32_t unknown = 97;
    bad = (struct cg_gen_prompt){&unknown, 1, 0};
    assert_int_equal(cg_generate(&f.net, &o, 1, &bad, GEN, r.c), CG_ERR_USER);
    o.max_new_tokens = 160;
    assert_int_equal(cg_generate(&f.net, &o, 1, &prompts[0], GEN, r.c), CG_ERR_USER);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_batch),     cmocka_unit_test(test_any_isa), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_cut_off), cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

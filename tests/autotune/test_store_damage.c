/* Ten thousand damaged stores. Each is refused with one line; where somebody has made the checksum right again it is
 * refused or harmless: then every plan runs and gives the bits of the default plan. */
#include "store_fixture.h"

#include "damage.h"
#include "kernels/gemm.h"

enum { UNSIGNED = 5000, SIGNED = 5000, FILES = 400 };

static char good[8192];
static size_t good_size, good_body;

/* This machine, so that plans can be run. */
static int setup_here(void **state)
{
    (void)state;
    make_dir(dir);
    setenv("CPU_GRPO_CACHE", dir, 1);
    assert_int_equal(cg_machine_detect(&machine), CG_OK);
    path = cg_store_path(&machine);
    sound_store(good, sizeof good, &good_size);
    char body[sizeof good];
    strcpy(body, good);
    cut_checksum(body);
    good_body = strlen(body);
    return 0;
}

/* Parses a copy with nothing but a 0 after it, so that a sanitizer sees who reads too far. */
static enum cg_status parse(const char *text, size_t size, struct cg_store *s)
{
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    copy[size] = 0;
    enum cg_status st = cg_store_parse(copy, size, &machine, s);
    free(copy);
    return st;
}

static void one_line(int i, uint32_t kind)
{
    const char *why = cg_error();
    if (!*why || strlen(why) > 300 || strchr(why, '\n'))
        fail_msg("damage %d of kind %u (seed %u) is told as: %s", i, kind, SEED, why);
}

/* As a disk or a careless editor leaves it: the checksum covers every byte. */
static void noticed(void **state)
{
    (void)state;
    static char bad[sizeof good + DAMAGE_ROOM];
    uint32_t at = 0, kind;
    for (int i = 0; i < UNSIGNED;) {
        struct cg_store s;
        memcpy(bad, good, good_size);
        size_t n = damage(bad, good_size, &at, &kind);
        if (n == good_size && memcmp(bad, good, n) == 0) continue; /* nothing has changed */
        if (parse(bad, n, &s) == CG_OK || s.n || s.e || s.rates)
            fail_msg("damage %d of kind %u (seed %u) was not noticed", i, kind, SEED);
        one_line(i, kind);
        i++;
    }
}

/* 1 when the plan was run and gave the bits of the default plan, 0 when it is not for these operands. */
static int runs(const struct cg_tuned *t)
{
    enum { M = 19, N = 70, K = 45 };
    static float a[M * K], b[K * N], want[M * N], c[M * N];
    if (t->op != CG_OP_gemm_f32 || t->form != CG_FORM_NN || t->plan.threads > 8) return 0;
    for (int i = 0; i < M * K; i++) a[i] = (float)(i % 17) / 7 - 1;
    for (int i = 0; i < K * N; i++) b[i] = (float)(i % 23) / 5 - 2;
    struct cg_plan plans[] = {cg_plan_default(&machine, t->op, t->form, 0, M, N, K, 1), t->plan};
    for (int i = 0; i < 2; i++) {
        float *scratch = cg_alloc_n(cg_gemm_scratch(&plans[i], N, K), sizeof *scratch);
        assert_non_null(scratch);
        cg_gemm_f32_pack(&plans[i], M, N, K, a, K, 1, b, N, 1, scratch, i ? c : want, N, 0);
        cg_free(scratch);
    }
    assert_memory_equal(c, want, sizeof c);
    return 1;
}

static void usable(const struct cg_store *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct cg_tuned *t = &s->e[i];
        assert_true(cg_variant_runs(t->plan.variant, machine.isa));
        assert_int_equal(t->plan.variant->op, t->op);
        assert_in_range(t->plan.threads, 1, t->threads);
        assert_ptr_equal(cg_store_find(s, t->op, t->form, t->m, t->n, t->k, t->threads), t);
    }
}

/* Under a right checksum. */
static void harmless(void **state)
{
    (void)state;
    static char bad[sizeof good + DAMAGE_ROOM + 64];
    uint32_t at = 1 << 30, kind;
    int taken = 0, run = 0;
    for (int i = 0; i < SIGNED; i++) {
        struct cg_store s;
        memcpy(bad, good, good_body);
        size_t n = damage(bad, good_body, &at, &kind);
        n += (size_t)sprintf(bad + n, "checksum %016" PRIx64 "\n", (uint64_t)XXH3_64bits(bad, n));
        if (parse(bad, n, &s) == CG_OK) {
            taken++;
            usable(&s);
            for (size_t j = 0; j < s.n && taken % 16 == 0; j++) run += runs(&s.e[j]);
        } else {
            assert_null(s.e);
            one_line(i, kind);
        }
        cg_store_free(&s);
    }
    assert_true(taken > 100 && taken < SIGNED / 2);
    assert_true(run > 10);
}

/* Through the file, as programs meet it. */
static void as_files(void **state)
{
    (void)state;
    static char bad[sizeof good + DAMAGE_ROOM];
    uint32_t at = 2u << 30, kind;
    for (int i = 0; i < FILES; i++) {
        memcpy(bad, good, good_size);
        size_t n = damage(bad, good_size, &at, &kind);
        if (n == good_size && memcmp(bad, good, n) == 0) continue;
        write_file(path, bad, n);
        expect_defaults("run grpo-tune to make it again");
    }
}

static void never_text(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "\n",
                                        "c",
                                        "cpu-grpo plans ",
                                        "cpu-grpo plans 2\n",
                                        "cpu-grpo plans 2",
                                        "checksum 0123456789abcdef\n",
                                        "cpu-grpo plans 2\nchecksum 0123456789abcdef\n"};
    struct cg_store s;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t n = 0; n <= strlen(texts[i]); n++) assert_int_equal(parse(texts[i], n, &s), CG_ERR_USER);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_here, teardown)
    const struct CMUnitTest tests[] = {TEST(noticed), TEST(harmless), TEST(as_files), TEST(never_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

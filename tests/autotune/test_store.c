/* The tuning store: what was written is read again; anything else costs the tuning and nothing more. */
#include "store_fixture.h"

#include "autotune/fields.h"

static void round_trip(void **state)
{
    (void)state;
    struct cg_tuned e[16];
    size_t n = some(e);
    write_some();
    struct cg_plans *p = open_plans();
    char text[32];
    snprintf(text, sizeof text, "%zu tuned shapes from ", n);
    assert_non_null(strstr(cg_plans_source(p), text));
    assert_non_null(strstr(cg_plans_source(p), path));
    for (size_t i = 0; i < n; i++) {
        struct cg_plan got = e[i].op == CG_OP_gemm_s8      ? cg_plan_gemm_s8(p, e[i].m, e[i].n, e[i].k)
                             : e[i].op == CG_OP_gemm_bf16w ? cg_plan_gemm_bf16w(p, e[i].m, e[i].n, e[i].k)
                             : e[i].op == CG_OP_gemm_bf16  ? cg_plan_gemm_bf16(p, e[i].m, e[i].n, e[i].k)
                                                           : cg_plan_gemm_f32(p, e[i].form, e[i].m, e[i].n, e[i].k);
        assert_true(cg_plan_same(&got, &e[i].plan));
        assert_int_equal(got.team, 2);
    }
    assert_int_equal(cg_plan_pack_nr(p, 960, 576), e[0].plan.variant->pack_nr);
    assert_int_equal(cg_plan_pack_nr(p, 576, 1536), e[3].plan.variant->pack_nr);
    assert_ptr_equal(cg_plan_s8_variant(p, 960, 576), e[6].plan.variant);
    assert_int_equal(cg_plan_bf16w_pack_nr(p, 960, 576), e[7].plan.variant->pack_nr);
    if (n > 8) assert_ptr_equal(cg_plan_bf16_variant(p, 960, 576), e[8].plan.variant);
    cg_plans_close(p);
}

/* Tokens are looked up by bucket, sizes of the model exactly, and other rows keep the layout of the weight. */
static void lookup(void **state)
{
    (void)state;
    struct cg_tuned e[16];
    some(e);
    write_some();
    struct cg_plans *p = open_plans();
    static const size_t like_64[] = {17, 30, 33, 63, 64};
    for (size_t i = 0; i < 5; i++) {
        struct cg_plan got = cg_plan_gemm_f32(p, CG_FORM_NT, like_64[i], 960, 576);
        assert_true(cg_plan_same(&got, &e[0].plan));
    }
    struct cg_plan far = cg_plan_gemm_f32(p, CG_FORM_NT, 50000, 960, 576),
                   few = cg_plan_gemm_f32(p, CG_FORM_NT, 4, 960, 576);
    assert_true(cg_plan_same(&far, &e[2].plan));
    assert_int_equal(few.variant->pack_nr, e[0].plan.variant->pack_nr);
    assert_int_not_equal(few.mc, 96);
    struct cg_plan tn = cg_plan_gemm_f32(p, CG_FORM_TN, 960, 576, 700),
                   other = cg_plan_gemm_f32(p, CG_FORM_TN, 961, 576, 700);
    assert_true(cg_plan_same(&tn, &e[5].plan));
    assert_int_not_equal(other.nc, 480);
    struct cg_plans *one = NULL;
    assert_int_equal(cg_plans_open(&machine, 1, &one), CG_OK);
    assert_non_null(strstr(cg_plans_source(one), "run grpo-tune --threads 1"));
    assert_true(!cg_plans_miss(p, 960, 576) && cg_plans_miss(p, 960, 577));
    assert_true(!cg_plans_miss(one, 960, 577)); /* nothing at all is tuned for one thread, as its source says */
    struct cg_plan single = cg_plan_gemm_f32(one, CG_FORM_NT, 64, 960, 576);
    assert_int_equal(single.threads, 1);
    cg_plans_close(one);
    cg_plans_close(p);
}

/* A later run replaces its keys, keeps the others, and drops what would contradict its layout. */
static void merging(void **state)
{
    (void)state;
    size_t n = write_some();
    struct cg_tuned add = entry(CG_FORM_NT, 64, 960, 576, variant_of(CG_OP_gemm_f32, 0));
    add.plan.mc = 1234;
    size_t total;
    assert_int_equal(merge_one(&add, &total), CG_OK);
    assert_int_equal(total, n);
    add.plan.variant = variant_of_other_width();
    assert_int_not_equal(add.plan.variant->pack_nr, variant_of(CG_OP_gemm_f32, 0)->pack_nr);
    assert_int_equal(merge_one(&add, &total), CG_OK);
    assert_int_equal(total, n - 2);
    struct cg_plans *p = open_plans();
    assert_int_equal(cg_plan_pack_nr(p, 960, 576), add.plan.variant->pack_nr);
    cg_plans_close(p);
}

static void absent(void **state)
{
    (void)state;
    expect_defaults("no tuning stored; run grpo-tune");
    setenv("CPU_GRPO_CACHE", "/dev/null/nowhere", 1);
    expect_defaults("no tuning stored");
    setenv("CPU_GRPO_CACHE", dir, 1);
    char command[128];
    snprintf(command, sizeof command, "mkdir -p '%s'", path);
    assert_int_equal(system(command), 0);
    expect_defaults("is a folder");
}

/* Replaces the first `from` by `to`, signs the result and expects a refusal that says `why`. */
static void forged(const char *from, const char *to, const char *why)
{
    static char text[8192], out[8192];
    size_t size;
    if (!*text) {
        sound_store(text, sizeof text, &size);
        cut_checksum(text);
    }
    const char *at = strstr(text, from);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    write_signed(out);
    expect_defaults(why);
}

/* A native bf16 plan whose variant has another scalar model than the machine's default. */
static void other_model(void)
{
    struct cg_tuned e[16];
    size_t n = some(e), count;
    const struct cg_variant *have = e[n - 1].plan.variant, *v = cg_variants(&count);
    if (have->op != CG_OP_gemm_bf16) return;
    for (size_t i = 0; i < count; i++) {
        char from[96], to[96];
        if (v[i].op != CG_OP_gemm_bf16 || v[i].model == have->model || !cg_variant_runs(&v[i], machine.isa)) continue;
        snprintf(from, sizeof from, " %s ", have->name);
        snprintf(to, sizeof to, " %s ", v[i].name);
        forged(from, to, "would change results");
    }
}

static void forgeries(void **state)
{
    (void)state;
    const char *v = variant_of(CG_OP_gemm_f32, 0)->name, *w = variant_of_other_width()->name;
    char line[256];
    forged("plans 2\n", "plans 1\n", "version \"1\", this program reads 2");
    forged("plans 2\n", "plans 3\n", "version \"3\", this program reads 2");
    forged("cpu-grpo plans", "something else", "not a store of tuned plans");
    forged("fingerprint 1", "fingerprint 2", "tuned on another machine");
    forged("machine ", "person ", "does not name its machine");
    forged("variants ", "variants 0", "other kernels");
    forged("compiler ", "compiler of ", "another compiler");
    forged(" gflops_default\n", "\n", "other fields");
    forged(" gflops_default\n", " gflops_default watts\n", "other fields");
    forged(" mc nc ", " nc mc ", "other fields");
    forged("rate fma", "rate \x01", "has characters that do not belong");
    forged("rate fma", "speed fma", "unknown operation");
    forged(v, "gemm_f32_9x99_none", "unknown variant");
    forged(v, "softmax_f32_ref", "does not compute");
    forged("gemm_s8 NT", "gemm_s9 NT", "unknown operation");
    forged("gemm_s8 NT", "gemm_s8 TN", "NT only");
    forged("gemm_bf16w NT", "gemm_bf16w NN", "NT only");
    other_model();
    forged("NT 64 960", "XX 64 960", "unknown form");
    forged("NT 64 960", "NT 65 960", "are no bucket");
    forged("NT 64 960", "NT 0 960", "m is \"0\"");
    forged("NT 64 960", "NT 64 99999999999999999999999", "not a number from 1 to");
    forged("NT 64 960", "NT 64 -960", "not a number");
    forged(" 96 480 0 2 1 7 1 ", " 96 480 0 0 1 7 1 ", "threads is \"0\"");
    forged(" 96 480 0 2 1 7 1 ", " 96 480 0 3 1 7 1 ", "impossible number of threads");
    forged(" 96 480 0 2 1 7 1 ", " 96 480 0 2 3 7 1 ", "impossible number of threads");
    forged(" 96 480 0 2 1 7 1 ", " 96 480 0 2 1 70000 1 ", "prefetch is");
    forged(" 96 480 0 2 1 7 1 ", " 96 480 0 2 1 7 3 ", "in_place is");
    forged(" 96 480 0 2 1 7 1 ", " 96 4294967296 0 2 1 7 1 ", "nc is");
    forged("NN 256 576 960 2 ", "NN 256 576 960 2 x ", "unknown variant");
    forged(" 101.25 ", " 101.25 1 ", "more than");
    forged(" 101.25 ", " ", "fields");
    forged(" 101.25 ", " nan ", "gflops is");
    forged(" 101.25 ", " 1e400 ", "gflops is");
    forged(" 101.25 ", " -1 ", "gflops is");
    forged("NT 64 960", "NT 1 960", "two plans for one shape");
    snprintf(line, sizeof line, "NT 64 960 576 2 %s", v);
    char other[256];
    snprintf(other, sizeof other, "NT 64 960 576 2 %s", w);
    forged(line, other, "disagree about the layout");
    /* Blocks that would ask for absurd scratch memory. */
    snprintf(line, sizeof line, "NN 256 576 960 2 %s 96 480 0", w);
    snprintf(other, sizeof other, "NN 256 576 960 2 %s 1048576 480 1048576", w);
    forged(line, other, "impossible blocks");
}

/* The rates are kept as they are, by tunings that measure none as well, and replaced by those that do. */
static void kept_rates(void **state)
{
    (void)state;
    struct cg_store s;
    size_t n = write_some(), total;
    struct cg_tuned add = entry(CG_FORM_NT, 64, 960, 64, variant_of(CG_OP_gemm_f32, 0));
    assert_int_equal(merge_one(&add, &total), CG_OK);
    assert_int_equal(cg_store_read(path, &machine, &s), CG_OK);
    assert_string_equal(s.rates, some_rates);
    cg_store_free(&s);
    char other[] = "rate fma f32 2 99\n", wrong[] = "rate 1\nspeed 2\n";
    assert_int_equal(cg_store_merge(path, &machine, &(struct cg_store){.rates = other}, &total), CG_OK);
    assert_int_equal(total, n + 1);
    assert_int_equal(cg_store_merge(path, &machine, &(struct cg_store){.rates = wrong}, &total), CG_ERR_INTERNAL);
    assert_int_equal(cg_store_read(path, &machine, &s), CG_OK);
    assert_string_equal(s.rates, other);
    assert_int_equal(s.n, n + 1);
    cg_store_free(&s);
}

/* The page about the format says what each field is. */
static void documented(void **state)
{
    (void)state;
    const char *page = getenv("CG_FILE_FORMATS");
    char *text, row[256];
    size_t size, n;
    if (!page) skip();
    assert_int_equal(cg_file_read(page, 1 << 20, &text, &size), CG_OK);
    const struct cg_field *f = cg_fields(&n);
    for (size_t i = 0; i < n; i++) {
        snprintf(row, sizeof row, "\n| `%s` | %s |\n", f[i].name, f[i].meaning);
        if (!strstr(text, row)) fail_msg("docs/file-formats.md lacks the line%s", row);
    }
    cg_free(text);
}

/* A plan of a store made without a mask names variants that the masked machine must not run. */
static void masked_isa(void **state)
{
    (void)state;
    write_some();
    machine.isa = 0;
    struct cg_plans *p = open_plans();
    assert_non_null(strstr(cg_plans_source(p), "does not run on this machine"));
    assert_int_equal(cg_plan_gemm_f32(p, CG_FORM_NT, 64, 960, 576).variant->isa, 0);
    cg_plans_close(p);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(round_trip), TEST(lookup),     TEST(merging),    TEST(absent),
        TEST(forgeries),  TEST(kept_rates), TEST(documented), TEST(masked_isa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Default plans: they can run wherever they are asked for, whatever the machine says of itself. */
#include "fixture.h"

#include "autotune/plan.h"
#include "autotune/space.h"

static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 16, 47, 48, 49, 64, 128, 576, 1000, 1024, 4096, 49152, 151936};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

/* Every prefix of the ISA lists that CPU_GRPO_ISA can leave, and some sets without an order. */
static size_t masks(uint64_t out[64])
{
    size_t n = 0;
    uint64_t sofar = 0;
    out[n++] = 0;
    for (int i = 1; i < CG_ISA_COUNT; i++) out[n++] = sofar |= CG_ISA_BIT(i);
    for (int i = 1; i < CG_ISA_COUNT; i++) out[n++] = CG_ISA_BIT(i);
    return n;
}

static void check_plan(const struct cg_machine *m, enum cg_op op, size_t pack_nr, size_t rows, size_t n, size_t k,
                       int threads)
{
    size_t count;
    const struct cg_variant *all = cg_variants_for(m->arch, &count);
    struct cg_plan p = cg_plan_default(m, op, CG_FORM_NT, pack_nr, rows, n, k, threads);
    if (!p.variant || p.variant < all || p.variant >= all + count || p.variant->op != op ||
        !cg_variant_runs(p.variant, m->isa) || p.threads < 1 || p.threads > threads || p.team != threads ||
        (pack_nr && p.variant->pack_nr != pack_nr) || (p.kc && p.kc >= k) ||
        (p.mc && (p.mc >= rows || p.mc < p.variant->mr)))
        fail_msg("isa %llx op %s rows %zu n %zu k %zu threads %d pack_nr %zu: %s mc %u nc %u kc %u threads %u",
                 (unsigned long long)m->isa, cg_op_name(op), rows, n, k, threads, pack_nr,
                 p.variant ? p.variant->name : "no variant", p.mc, p.nc, p.kc, p.threads);
}

/* Has the machine a native bf16 GEMM? If not, there is no plan. */
static int has_bf16(const struct cg_machine *m)
{
    size_t count, runs = 0;
    const struct cg_variant *v = cg_variants_for(m->arch, &count);
    for (size_t i = 0; i < count; i++) runs += v[i].op == CG_OP_gemm_bf16 && cg_variant_runs(&v[i], m->isa);
    assert_int_equal(runs > 0, cg_plan_default(m, CG_OP_gemm_bf16, CG_FORM_NT, 0, 8, 64, 64, 1).variant != NULL);
    return runs > 0;
}

static void every_machine(void **state)
{
    (void)state;
    static const uint32_t caches[][3] = {{32, 256, 8192}, {64, 1024, 0}, {0, 0, 0}, {1, 1, 1}, {48, 2048, 4000000}};
    uint64_t isa[64];
    size_t n_isa = masks(isa);
    uint32_t at = 0;
    for (size_t i = 0; i < 2 * n_isa; i++)
        for (size_t c = 0; c < 5; c++) {
            struct cg_machine m = machine_with(isa[i / 2], caches[c][0], caches[c][1], caches[c][2]);
            m.arch = i % 2 ? CG_ARCH_X86_64 : CG_ARCH_AARCH64;
            for (int r = 0; r < 100; r++) {
                size_t rows = sizes[draw(&at, N_SIZES)], n = sizes[draw(&at, N_SIZES)], k = sizes[draw(&at, N_SIZES)];
                int threads = 1 + (int)draw(&at, 64);
                struct cg_plan any = cg_plan_default(&m, CG_OP_gemm_f32, CG_FORM_NT, 0, CG_FORM_NT, n, k, threads);
                check_plan(&m, CG_OP_gemm_f32, 0, rows, n, k, threads);
                check_plan(&m, CG_OP_gemm_f32, any.variant->pack_nr, rows, n, k, threads);
                check_plan(&m, CG_OP_gemm_s8, 0, rows, n, k, threads);
                any = cg_plan_default(&m, CG_OP_gemm_bf16w, CG_FORM_NT, 0, rows, n, k, threads);
                check_plan(&m, CG_OP_gemm_bf16w, 0, rows, n, k, threads);
                check_plan(&m, CG_OP_gemm_bf16w, any.variant->pack_nr, rows, n, k, threads);
                if (has_bf16(&m)) check_plan(&m, CG_OP_gemm_bf16, 0, rows, n, k, threads);
            }
        }
}

/* One packed weight serves every number of rows: the width follows from n and k only. */
static void one_layout(void **state)
{
    (void)state;
    setenv("CPU_GRPO_CACHE", "/dev/null/nowhere", 1);
    uint64_t isa[64];
    size_t n_isa = masks(isa);
    for (size_t i = 0; i < n_isa; i++) {
        struct cg_machine m = machine_with(isa[i], 32, 512, 8192);
        struct cg_plans *p = NULL;
        assert_int_equal(cg_plans_open(&m, 3, &p), CG_OK);
        assert_int_equal(cg_plans_threads(p), 3);
        const struct cg_variant *native = cg_plan_bf16_variant(p, 64, 64);
        for (size_t a = 0; a < N_SIZES; a++)
            for (size_t b = 0; b < N_SIZES; b++) {
                size_t n = sizes[a], k = sizes[b], width = cg_plan_pack_nr(p, n, k);
                size_t width16 = cg_plan_bf16w_pack_nr(p, n, k);
                const struct cg_variant *s8 = cg_plan_s8_variant(p, n, k), *bf16 = cg_plan_bf16_variant(p, n, k);
                assert_true(width > 0 && width16 > 0 && s8 && !bf16 == !native);
                if (bf16) assert_true(bf16->model == native->model); /* whatever the shape */
                for (size_t r = 0; r < N_SIZES; r++) {
                    assert_int_equal(cg_plan_gemm_f32(p, CG_FORM_NT, sizes[r], n, k).variant->pack_nr, width);
                    assert_ptr_equal(cg_plan_gemm_s8(p, sizes[r], n, k).variant, s8);
                    assert_int_equal(cg_plan_gemm_bf16w(p, sizes[r], n, k).variant->pack_nr, width16);
                    assert_ptr_equal(cg_plan_gemm_bf16(p, sizes[r], n, k).variant, bf16);
                }
            }
        cg_plans_close(p);
    }
}

/* A machine of either architecture gets the kernels of its own, whatever this program runs on. */
static void either_architecture(void **state)
{
    (void)state;
    static const struct {
        enum cg_arch arch;
        uint64_t isa;
        const char *f32, *s8;
    } cases[] = {
        {CG_ARCH_X86_64, CG_ISA_BIT(CG_ISA_AVX2), "gemm_f32_4x24_avx2", "gemm_s8_6x16_avx2"},
        {CG_ARCH_X86_64, CG_ISA_BIT(CG_ISA_AVX2) | CG_ISA_BIT(CG_ISA_AVX512), "gemm_f32_8x48_avx512",
         "gemm_s8_6x16_avx2"},
        {CG_ARCH_AARCH64, CG_ISA_BIT(CG_ISA_NEON), "gemm_f32_8x12_neon", "gemm_s8_4x4_neon"},
        {CG_ARCH_AARCH64, CG_ISA_BIT(CG_ISA_NEON) | CG_ISA_BIT(CG_ISA_SVE_256) | CG_ISA_BIT(CG_ISA_SVE),
         "gemm_f32_8x24_sve256", "gemm_s8_8x24_sve256"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cg_machine m = machine_with(cases[i].isa, 32, 1024, 32768);
        m.arch = cases[i].arch;
        struct cg_plan f32 = cg_plan_default(&m, CG_OP_gemm_f32, CG_FORM_NT, 0, 64, 576, 576, 2);
        struct cg_plan s8 = cg_plan_default(&m, CG_OP_gemm_s8, CG_FORM_NT, 0, 64, 576, 576, 2);
        assert_string_equal(f32.variant->name, cases[i].f32);
        assert_string_equal(s8.variant->name, cases[i].s8);
    }
}

static void threads(void **state)
{
    (void)state;
    struct cg_machine m = machine_with(~UINT64_C(0), 32, 1024, 32768);
    /* A region costs more than this product. */
    assert_int_equal(cg_plan_default(&m, CG_OP_gemm_f32, CG_FORM_NT, 0, 4, 48, 48, 8).threads, 1);
    assert_int_equal(cg_plan_default(&m, CG_OP_gemm_f32, CG_FORM_NT, 0, 1024, 960, 576, 8).threads, 8);
    struct cg_plans *p = NULL;
    assert_int_equal(cg_plans_open(&m, 0, &p), CG_OK);
    assert_int_equal(cg_plans_threads(p), m.cores_usable);
    cg_plans_close(p);
    assert_int_equal(cg_plans_open(&m, -1, &p), CG_ERR_USER);
    assert_int_equal(cg_plans_open(&m, 1 << 30, &p), CG_ERR_USER);
    assert_null(p);
}

/* Fewer rows than a tile has must not cost passes, and no rows, columns or depth must not divide by zero. */
static void small(void **state)
{
    (void)state;
    struct cg_machine m = machine_with(~UINT64_C(0), 32, 1024, 32768);
    size_t tallest = cg_plan_default(&m, CG_OP_gemm_f32, CG_FORM_NT, 0, 1024, 960, 576, 1).variant->mr;
    for (size_t rows = 1; rows <= 2 * tallest; rows++) {
        struct cg_plan p = cg_plan_default(&m, CG_OP_gemm_f32, CG_FORM_NT, 0, rows, 960, 576, 1);
        assert_true(p.variant->mr >= (rows < tallest ? rows : tallest));
    }
    for (int zero = 0; zero < 8; zero++)
        check_plan(&m, CG_OP_gemm_f32, 0, zero & 1 ? 0 : 8, zero & 2 ? 0 : 8, zero & 4 ? 0 : 8, 2);
}

/* All candidates can run, no two are the same, and the default comes first. */
static void candidates(void **state)
{
    (void)state;
    static struct cg_plan plans[400];
    uint64_t isa[64];
    size_t n_isa = masks(isa);
    static const struct cg_shape shapes[] = {
        {.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .m = 64, .n = 960, .k = 576},
        {.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .m = 1, .n = 49152, .k = 576},
        {.op = CG_OP_gemm_f32, .form = CG_FORM_NN, .m = 256, .n = 576, .k = 3072},
        {.op = CG_OP_gemm_f32, .form = CG_FORM_TN, .m = 576, .n = 1536, .k = 1024},
        {.op = CG_OP_gemm_s8, .form = CG_FORM_NT, .m = 32, .n = 960, .k = 576},
        {.op = CG_OP_gemm_bf16w, .form = CG_FORM_NT, .m = 64, .n = 49152, .k = 1024},
        {.op = CG_OP_gemm_bf16, .form = CG_FORM_NT, .m = 32, .n = 960, .k = 576},
    };
    for (size_t i = 0; i < n_isa; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            struct cg_machine m = machine_with(isa[i], 32, 1024, 32768);
            const struct cg_variant *layouts[CG_MAX_LAYOUTS];
            size_t n_layouts = cg_space_layouts(&m, &shapes[s], 2, layouts);
            assert_true(n_layouts >= 1 || (shapes[s].op == CG_OP_gemm_bf16 && !has_bf16(&m)));
            for (size_t l = 0; l < n_layouts; l++) {
                size_t n = cg_space_plans(&m, &shapes[s], layouts[l], 2, NULL, plans, 400);
                struct cg_plan first = cg_space_default(&m, &shapes[s], layouts[l], 2);
                assert_true(n > 4 && plans[0].variant == first.variant && plans[0].threads == first.threads);
                for (size_t a = 0; a < n; a++) {
                    assert_true(cg_variant_runs(plans[a].variant, m.isa));
                    assert_in_range(plans[a].threads, 1, 2);
                    assert_true(plans[a].by_rows <= plans[a].threads && plans[a].in_place < CG_IN_PLACE_COUNT);
                    assert_true(plans[a].variant->model == layouts[0]->model);
                    if (cg_op_is_dot(shapes[s].op)) assert_ptr_equal(plans[a].variant, layouts[l]);
                    else if (shapes[s].form == CG_FORM_NT)
                        assert_int_equal(plans[a].variant->pack_nr, layouts[l]->pack_nr);
                    for (size_t b = 0; b < a; b++) assert_false(cg_plan_same(&plans[a], &plans[b]));
                }
            }
        }
}

/* Where cores are of two kinds, plans for the fast ones alone are tried. */
static void kinds_of_cores(void **state)
{
    (void)state;
    struct cg_machine m = machine_with(CG_ISA_BIT(CG_ISA_AVX2), 32, 1024, 32768);
    m.n_kinds = 2;
    m.n_cpus = 14;
    for (int i = 0; i < 14; i++) m.cpus[i] = (struct cg_cpu){.os_index = i, .core = i, .kind = i >= 6};
    const struct cg_shape s = {.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .m = 64, .n = 960, .k = 576};
    struct cg_plan plans[60];
    size_t n = cg_space_plans(&m, &s, NULL, 14, NULL, plans, 60);
    int six = 0, all = 0;
    for (size_t i = 0; i < n; i++) six += plans[i].threads == 6, all += plans[i].threads == 14;
    assert_true(six > 0 && all > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_machine),
        cmocka_unit_test(one_layout),
        cmocka_unit_test(threads),
        cmocka_unit_test(small),
        cmocka_unit_test(candidates),
        cmocka_unit_test(kinds_of_cores),
        cmocka_unit_test(either_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

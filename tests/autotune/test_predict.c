/* The model of a GEMM's time: it counts the work that the GEMMs do, and its times are sensible for any shape, plan and
 * machine. Whether they are right, grpo-bench accuracy measures. */
#include "fixture.h"

#include <math.h>
#include <omp.h>

#include "autotune/predict.h"
#include "common/mem.h"
#include "kernels/gemm.h"

/* ---- Counting ---------------------------------------------------------------------------------------------------- */

enum { THREADS = 5, MAX_SIZE = 300 };

/* What micro-kernels that compute nothing were asked for. */
static struct cg_predict_work done[THREADS];
static size_t units; /* to which the reduction is padded */

static void count(size_t m, size_t k)
{
    struct cg_predict_work *w = &done[omp_get_thread_num()];
    k = (k + units - 1) / units * units;
    w->tiles++;
    w->steps += (double)k;
    w->row_steps += (double)(m * k);
}

static void count_f32(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t rs_b,
                      size_t ps_b, float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    (void)a, (void)rs_a, (void)cs_a, (void)b, (void)rs_b, (void)ps_b, (void)c, (void)rs_c, (void)accumulate;
    (void)prefetch;
    count(m, k);
}

static void count_bf16w(size_t m, size_t k, const float *a, size_t rs_a, size_t cs_a, const uint16_t *b, size_t ps_b,
                        float *c, size_t rs_c, int accumulate, size_t prefetch)
{
    (void)a, (void)rs_a, (void)cs_a, (void)b, (void)ps_b, (void)c, (void)rs_c, (void)accumulate, (void)prefetch;
    count(m, k);
}

static void count_bf16(size_t m, size_t k, const uint16_t *a, size_t rs_a, const uint16_t *b, float *c, size_t rs_c,
                       size_t prefetch)
{
    (void)a, (void)rs_a, (void)b, (void)c, (void)rs_c, (void)prefetch;
    count(m, k);
}

static void count_s8(size_t m, size_t k, const void *a, size_t rs_a, const int8_t *b, const int32_t *comp,
                     const float *sa, const float *sb, float *c, size_t rs_c, size_t prefetch)
{
    (void)a, (void)rs_a, (void)b, (void)comp, (void)sa, (void)sb, (void)c, (void)rs_c, (void)prefetch;
    count(m, k);
}

/* A variant of any tile. */
static struct cg_variant counting(uint32_t *at)
{
    static const uint16_t panels[] = {4, 12, 16, 48}, depths[] = {4, 16, 64};
    struct cg_variant v = {.op = (enum cg_op)draw(at, CG_OP_gemm_s8 + 1), .name = "counting", .isa = 1};
    v.mr = (uint16_t)(1 + draw(at, 14));
    v.pack_nr = panels[draw(at, 4)];
    v.nr = cg_op_is_dot(v.op) ? v.pack_nr : (uint16_t)(v.pack_nr << draw(at, 3)); /* as many panels as there are */
    v.kr = v.ku = 1;
    if (v.op == CG_OP_gemm_f32) v.fn.gemm_f32 = count_f32;
    else if (v.op == CG_OP_gemm_bf16w) v.fn.gemm_bf16w = count_bf16w, v.kr = v.ku = 2;
    else v.kr = 2, v.ku = depths[draw(at, 3)];
    if (v.op == CG_OP_gemm_bf16) v.fn.gemm_bf16 = count_bf16;
    if (v.op == CG_OP_gemm_s8) v.fn.gemm_s8 = count_s8;
    return v;
}

static struct cg_plan random_plan(const struct cg_variant *v, uint32_t *at)
{
    struct cg_plan p = {.variant = v, .threads = (uint16_t)(1 + draw(at, THREADS))};
    if (draw(at, 2)) p.mc = 1 + draw(at, MAX_SIZE);
    if (draw(at, 2)) p.nc = 1 + draw(at, MAX_SIZE);
    if (draw(at, 2)) p.kc = 1 + draw(at, MAX_SIZE);
    if (draw(at, 2)) p.by_rows = (uint16_t)(1 + draw(at, THREADS));
    p.in_place = (uint16_t)draw(at, CG_IN_PLACE_COUNT);
    return p;
}

static void run(const struct cg_plan *p, enum cg_form form, size_t m, size_t n, size_t k, void *memory, float *scratch)
{
    const struct cg_variant *v = p->variant;
    float *c = (float *)memory + MAX_SIZE;
    if (v->op == CG_OP_gemm_s8)
        cg_gemm_s8(p, m, memory, memory, &(struct cg_packed_s8){v, n, k, memory, NULL, memory}, c, n, NULL);
    else if (v->op == CG_OP_gemm_bf16)
        cg_gemm_bf16(p, m, memory, &(struct cg_packed_bf16){v, n, k, memory}, c, n, NULL);
    else if (form == CG_FORM_NT) cg_gemm(p, m, n, k, memory, k, 1, memory, c, n, 0, NULL);
    else if (form == CG_FORM_NN) cg_gemm_f32_pack(p, m, n, k, memory, k, 1, memory, n, 1, scratch, c, n, 0);
    else cg_gemm_f32_pack(p, m, n, k, memory, 1, m, memory, n, 1, scratch, c, n, 1);
}

/* The model's counts are those of micro-kernels that count, for every thread. */
static void counts(void **state)
{
    (void)state;
    uint32_t at = 0;
    float *memory = cg_alloc_n((size_t)4 * MAX_SIZE * MAX_SIZE, sizeof *memory);
    assert_non_null(memory);
    for (int i = 0; i < 5000; i++) {
        struct cg_variant v = counting(&at);
        struct cg_plan p = random_plan(&v, &at);
        enum cg_form form = v.op == CG_OP_gemm_f32 ? (enum cg_form)draw(&at, 3) : CG_FORM_NT;
        size_t m = draw(&at, 8) ? 1 + draw(&at, 100) : draw(&at, MAX_SIZE), n = draw(&at, MAX_SIZE);
        size_t k = draw(&at, 8) ? draw(&at, MAX_SIZE) : draw(&at, 3);
        if (form == CG_FORM_TN && m == 1) m = 2; /* a single column is not transposed */
        float *scratch = form == CG_FORM_NT ? NULL : cg_alloc_n(cg_gemm_scratch(&p, n, k), sizeof *scratch);
        memset(done, 0, sizeof done);
        units = v.op == CG_OP_gemm_f32 || v.op == CG_OP_gemm_bf16w ? 1 : v.ku;
        run(&p, form, m, n, k, memory, scratch);
        cg_free(scratch);
        double packed = 0;
        for (size_t t = 0; t < p.threads; t++) {
            struct cg_predict_work w;
            cg_predict_count(form, &p, m, n, k, t, &w);
            if (w.tiles != done[t].tiles || w.steps != done[t].steps || w.row_steps != done[t].row_steps)
                fail_msg("%s form %d %zux%zux%zu tile %ux%u(%u) mc %u nc %u kc %u threads %u by_rows %u in_place %u, "
                         "thread %zu: %g tiles, %g steps, %g row steps; counted %g, %g, %g",
                         cg_op_name(v.op), (int)form, m, n, k, v.mr, v.nr, v.pack_nr, p.mc, p.nc, p.kc, p.threads,
                         p.by_rows, p.in_place, t, w.tiles, w.steps, w.row_steps, done[t].tiles, done[t].steps,
                         done[t].row_steps);
            packed += w.packed_b;
            assert_true(w.edges >= 0 && w.edges <= w.tiles * v.mr && (n % v.nr || w.edges == 0));
        }
        if (form == CG_FORM_NT) assert_true(packed == 0);
        if (form != CG_FORM_NT && p.in_place == CG_IN_PLACE_NEVER && p.threads == 1 && m > 0)
            assert_true(packed == (double)(n * k));
    }
    cg_free(memory);
}

#define ROUNDED (1 - 1e-9)

/* ---- Times ------------------------------------------------------------------------------------------------------- */

/* Rates of a machine that nobody has, with every GEMM of its architecture. */
static struct cg_rates rates_for(enum cg_arch arch)
{
    static const struct cg_curve curve = {.n = 10, .v = {1e11, 9e10, 5e10, 5e10, 4e10, 3e10, 3e10, 2e10, 1e10, 1e10}};
    struct cg_rates r = {
        .threads = 4, .call = 5e-8, .region = 2e-6, .edge = 5e-9, .pack_b = 1e10, .pack_a = 2e10, .pack_odd = 1e10};
    for (int t = 0; t < 2; t++) {
        r.read[t][0] = r.read[t][1] = r.strided[t] = r.write[t] = r.copy[t] = r.tiles[t][0] = r.tiles[t][1] = curve;
        for (size_t i = 0; t && i < curve.n; i++) r.read[t][0].v[i] = r.read[t][1].v[i] = r.write[t].v[i] *= 0.6;
    }
    r.pack_w = r.pack_far = 1e10;
    for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++) r.rows[i] = (struct cg_rate_row){1e-8, 1e-10};
    size_t count;
    const struct cg_variant *v = cg_variants_for(arch, &count);
    for (size_t i = 0; i < count; i++) {
        if (!cg_op_is_gemm(v[i].op)) continue;
        assert_true(r.n_variants < CG_RATE_VARIANTS);
        struct cg_rate_variant *to = &r.variants[r.n_variants++];
        *to = (struct cg_rate_variant){.variant = &v[i]};
        uint16_t rows[CG_RATE_ROWS] = {1, (uint16_t)((v[i].mr + 1) / 2), v[i].mr};
        for (size_t j = 0; j < CG_RATE_ROWS; j++) {
            if (j && rows[j] == rows[j - 1]) continue;
            to->rows[to->n] = rows[j];
            to->step[to->n] = 1e-11 * (v[i].nr + rows[j] * v[i].nr / 2.0);
            to->tile[to->n++] = 1e-9 * rows[j];
        }
    }
    return r;
}

static double predict(const struct cg_rates *r, const struct cg_plan *p, enum cg_form form, size_t m, size_t n,
                      size_t k, int cold)
{
    static const struct cg_machine any;
    double t = cg_predict_gemm(&any, r, form, p, m, n, k, cold);
    if (!(t >= 0 && t < INFINITY))
        fail_msg("%s form %d %zux%zux%zu cold %d: %g seconds", p->variant->name, (int)form, m, n, k, cold, t);
    return t;
}

static const struct cg_variant *any_gemm(const struct cg_rates *r, uint32_t *at)
{
    return r->variants[draw(at, (uint32_t)r->n_variants)].variant;
}

/* Any shape, plan and variant of either architecture: a time, neither negative nor beyond number. */
static void any_shape(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 3, 63, 64, 65, 1000, 4096, 151936, 1000000};
    enum { N = sizeof sizes / sizeof *sizes };
    uint32_t at = 0;
    for (int arch = CG_ARCH_X86_64; arch <= CG_ARCH_AARCH64; arch++) {
        struct cg_rates r = rates_for((enum cg_arch)arch);
        for (int i = 0; i < 10000; i++) {
            const struct cg_variant *v = any_gemm(&r, &at);
            struct cg_plan p = random_plan(v, &at);
            p.threads = draw(&at, 4) ? p.threads : 300;
            p.prefetch = (uint16_t)draw(&at, 13);
            enum cg_form form = v->op == CG_OP_gemm_f32 ? (enum cg_form)draw(&at, 3) : CG_FORM_NT;
            predict(&r, &p, form, sizes[draw(&at, N)], sizes[draw(&at, N)], sizes[draw(&at, N)], (int)draw(&at, 2));
        }
        r.n_variants--;
        struct cg_plan unknown = {.variant = r.variants[r.n_variants].variant, .threads = 1};
        static const struct cg_machine any;
        assert_true(cg_predict_gemm(&any, &r, CG_FORM_NT, &unknown, 8, 64, 64, 0) < 0);
    }
}

/* With one plan, twice the rows, columns or reduction never take less, and cold weights never less than warm ones.
 * (Panels that are read as they lie need not be packed, whole tiles need no detour, more tiles can be divided more
 * evenly, and usual heights are packed faster: a little more work can really save time, so all that is left out.) */
static void more_takes_longer(void **state)
{
    (void)state;
    uint32_t at = 0;
    struct cg_rates r = rates_for(CG_ARCH_HERE);
    r.edge = 0;
    r.pack_odd = r.pack_a;
    for (int i = 0; i < 10000; i++) {
        const struct cg_variant *v = any_gemm(&r, &at);
        struct cg_plan p = random_plan(v, &at);
        p.in_place = CG_IN_PLACE_NEVER;
        enum cg_form form = v->op == CG_OP_gemm_f32 ? (enum cg_form)draw(&at, 3) : CG_FORM_NT;
        size_t m = 1 + draw(&at, 500), n = 1 + draw(&at, 2000), k = 1 + draw(&at, 2000);
        double t = predict(&r, &p, form, m, n, k, 0), cold = predict(&r, &p, form, m, n, k, 1);
        if (t * ROUNDED > cold)
            fail_msg("%s form %d %zux%zux%zu threads %u by_rows %u: %g warm, %g cold", v->name, (int)form, m, n, k,
                     p.threads, p.by_rows, t, cold);
        p.threads = 1;
        t = predict(&r, &p, form, m, n, k, 0), cold = predict(&r, &p, form, m, n, k, 1);
        double rows = predict(&r, &p, form, 2 * m, n, k, 0), columns = predict(&r, &p, form, m, 2 * n, k, 0);
        double depth = predict(&r, &p, form, m, n, 2 * k, 0);
        t *= ROUNDED;
        if (t > cold || t > rows || t > columns || t > depth)
            fail_msg(
                "%s form %d %zux%zux%zu mc %u nc %u kc %u threads %u by_rows %u in_place %u: %g; cold %g, twice the "
                "rows %g, columns %g, reduction %g",
                v->name, (int)form, m, n, k, p.mc, p.nc, p.kc, p.threads, p.by_rows, p.in_place, t, cold, rows, columns,
                depth);
    }
}

/* What a record of a machine says is enough to plan for it and to predict it, whatever this program runs on. */
static void machine_elsewhere(void **state)
{
    (void)state;
    for (int arch = CG_ARCH_X86_64; arch <= CG_ARCH_AARCH64; arch++) {
        struct cg_rates made = rates_for((enum cg_arch)arch), r;
        char *text = NULL;
        size_t length;
        FILE *f = open_memstream(&text, &length);
        assert_int_equal(cg_rates_print(f, &made), CG_OK);
        fclose(f);
        assert_int_equal(cg_rates_parse(text, (enum cg_arch)arch, &r), CG_OK);
        free(text);
        struct cg_machine m = machine_with(
            arch == CG_ARCH_X86_64 ? CG_ISA_BIT(CG_ISA_AVX2) : CG_ISA_BIT(CG_ISA_NEON) | CG_ISA_BIT(CG_ISA_DOTPROD), 32,
            512, 8192);
        m.arch = (enum cg_arch)arch;
        static const enum cg_op ops[] = {CG_OP_gemm_f32, CG_OP_gemm_bf16w, CG_OP_gemm_s8};
        for (size_t i = 0; i < 3; i++) {
            struct cg_plan p = cg_plan_default(&m, ops[i], CG_FORM_NT, 0, 64, 1536, 576, 4);
            assert_true(predict(&r, &p, CG_FORM_NT, 64, 1536, 576, 1) > 1e-7);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(any_shape),
        cmocka_unit_test(more_takes_longer),
        cmocka_unit_test(machine_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

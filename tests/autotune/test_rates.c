/* What a machine reaches: measured, written, read again; and text that is not what it should be. */
#include "fixture.h"

#include <math.h>

#include "autotune/rates.h"
#include "common/mem.h"
#include "kernels/peak.h"

static struct cg_machine here;
static struct cg_rates rates;
static char *text; /* of `rates` */
static size_t length;

static char *print(const struct cg_rates *r)
{
    char *out = NULL;
    FILE *f = open_memstream(&out, &length);
    assert_non_null(f);
    assert_int_equal(cg_rates_print(f, r), CG_OK);
    assert_int_equal(fclose(f), 0);
    return out;
}

static int measure(void **state)
{
    (void)state;
    if (cg_machine_detect(&here) != CG_OK) return -1;
    if (cg_rates_measure(&here, 2, 0.1, INFINITY, NULL, &rates) != CG_OK) return -1;
    text = print(&rates);
    return 0;
}

static int release(void **state)
{
    (void)state;
    free(text);
    return 0;
}

static void check_curve(const struct cg_curve *c)
{
    assert_in_range(c->n, 1, CG_RATE_SIZES);
    for (size_t i = 0; i < c->n; i++) assert_true(c->v[i] >= 1e3 && c->v[i] <= (i ? c->v[i - 1] : 1e18));
}

/* Every GEMM and every instruction of this machine was measured, and the figures are of this world. */
static void measured(void **state)
{
    (void)state;
    size_t count, gemms = 0;
    const struct cg_variant *v = cg_variants(&count);
    for (size_t i = 0; i < count; i++) {
        const struct cg_rate_variant *r = cg_rates_of(&rates, &v[i]);
        if (!cg_op_is_gemm(v[i].op) || !cg_variant_runs(&v[i], here.isa)) {
            assert_null(r);
            continue;
        }
        gemms++;
        assert_non_null(r);
        assert_int_equal(r->rows[0], 1);
        assert_int_equal(r->rows[r->n - 1], v[i].mr);
        for (size_t j = 0; j < r->n; j++) {
            assert_true(r->step[j] > 1e-12 && r->step[j] < 1e-2 && r->tile[j] >= 0 && r->tile[j] < 1e-1);
            assert_true(j == 0 || (r->rows[j] > r->rows[j - 1] && r->step[j] >= r->step[j - 1]));
        }
        size_t peaks = 0;
        for (size_t j = 0; j < rates.n_peaks; j++)
            peaks +=
                rates.peaks[j].level == cg_peak_level(&v[i]) &&
                (rates.peaks[j].op == v[i].op || (v[i].op == CG_OP_gemm_bf16w && rates.peaks[j].op == CG_OP_gemm_f32));
        assert_int_equal(peaks, cg_peak_level(&v[i]) != CG_ISA_SCALAR);
    }
    assert_int_equal(rates.n_variants, gemms);
    assert_int_equal(rates.threads, 2);
    assert_true(rates.region > 0 && rates.region < 1 && rates.pack_a > 1e3 && rates.pack_odd > 1e3 &&
                rates.pack_b > 1e3);
    assert_true(rates.pack_w > 1e3 && rates.pack_far > 1e3);
    for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++)
        assert_true(rates.rows[i].call >= 0 && rates.rows[i].element > 1e-13 && rates.rows[i].element < 1e-2);
    for (int t = 0; t < 2; t++) {
        check_curve(&rates.read[t][0]);
        check_curve(&rates.read[t][1]);
        check_curve(&rates.strided[t]);
        check_curve(&rates.tiles[t][0]);
        check_curve(&rates.tiles[t][1]);
        check_curve(&rates.write[t]);
        check_curve(&rates.copy[t]);
    }
    static volatile sig_atomic_t stop = 1;
    struct cg_rates none;
    assert_int_equal(cg_rates_measure(&here, 1, 5, INFINITY, &stop, &none), CG_ERR_INTERRUPTED);
}

/* Where the first samples alone take too long, there are no rates, and nothing is left half done. */
static void too_slow(void **state)
{
    (void)state;
    struct cg_rates r, untouched;
    memset(&r, 0x55, sizeof r);
    untouched = r;
    assert_int_equal(cg_rates_measure(&here, 1, 0.1, 1e-9, NULL, &r), CG_ERR_CHECK);
    assert_non_null(strstr(cg_error(), "takes too long"));
    assert_memory_equal(&r, &untouched, sizeof r);
    assert_int_equal(cg_rates_measure(&here, 1, 0.1, -1, NULL, &r), CG_ERR_CHECK);
}

static void change(double *x, uint32_t *at)
{
    static const double beyond[] = {0, -0.0, -1e-23, 1e-300, 1e-14, 1, 11, 200, 999, 1e20, INFINITY, -INFINITY, NAN};
    const uint32_t n = sizeof beyond / sizeof *beyond;
    uint32_t i = draw(at, 2 * n);
    if (i < n) *x = beyond[i];
}

/* Whatever was measured, also beyond all reason, is read again once it is bounded. */
static void bounded(void **state)
{
    (void)state;
    uint32_t at = 0;
    for (int round = 0; round < 2000; round++) {
        struct cg_rates r = rates, again;
        change(&r.call, &at), change(&r.region, &at), change(&r.edge, &at), change(&r.pack_a, &at),
            change(&r.pack_odd, &at), change(&r.pack_b, &at), change(&r.pack_w, &at), change(&r.pack_far, &at);
        for (int t = 0; t < 2; t++)
            for (size_t i = 0; i < r.copy[t].n; i++) {
                change(&r.read[t][0].v[i], &at), change(&r.read[t][1].v[i], &at), change(&r.strided[t].v[i], &at),
                    change(&r.tiles[t][0].v[i], &at), change(&r.tiles[t][1].v[i], &at), change(&r.write[t].v[i], &at),
                    change(&r.copy[t].v[i], &at);
            }
        for (size_t i = 0; i < r.n_peaks; i++) change(&r.peaks[i].one, &at), change(&r.peaks[i].all, &at);
        for (size_t i = 0; i < r.n_variants; i++)
            for (size_t j = 0; j < r.variants[i].n; j++)
                change(&r.variants[i].step[j], &at), change(&r.variants[i].tile[j], &at);
        for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++) change(&r.rows[i].call, &at), change(&r.rows[i].element, &at);
        cg_rates_bound(&r);
        char *all = cg_rates_text(&r);
        assert_non_null(all);
        if (cg_rates_parse(all, here.arch, &again) != CG_OK) fail_msg("%s in:\n%s", cg_error(), all);
        cg_free(all);
    }
}

static void round_trip(void **state)
{
    (void)state;
    struct cg_rates again;
    assert_int_equal(cg_rates_parse(text, here.arch, &again), CG_OK);
    char *second = print(&again);
    assert_string_equal(text, second);
    free(second);
    /* Amid the lines of others. */
    char *amid = cg_alloc(length + 100);
    snprintf(amid, length + 100, "machine something\n%splan rate 12\nrates of old\n", text);
    assert_int_equal(cg_rates_parse(amid, here.arch, &again), CG_OK);
    cg_free(amid);
}

/* One line: where it begins, and where the next does. */
static const char *line_end(const char *p)
{
    return strchr(p, '\n') + 1;
}

/* Without any of its lines, or with one of them twice, it is refused; but there may be fewer GEMMs and peaks. */
static void whole_or_not_at_all(void **state)
{
    (void)state;
    struct cg_rates r, untouched;
    char *other = cg_alloc(2 * length + 2);
    memset(&r, 0x55, sizeof r);
    untouched = r;
    for (const char *p = text; *p; p = line_end(p)) {
        size_t before = (size_t)(p - text), one = (size_t)(line_end(p) - p);
        int optional = strncmp(p, "rate gemm ", 10) == 0 || strncmp(p, "rate peak ", 10) == 0;
        sprintf(other, "%.*s%s", (int)before, text, line_end(p));
        if (!optional) assert_int_equal(cg_rates_parse(other, here.arch, &r), CG_ERR_USER);
        sprintf(other, "%s%.*s", text, (int)one, p);
        assert_int_equal(cg_rates_parse(other, here.arch, &r), CG_ERR_USER);
    }
    assert_memory_equal(&r, &untouched, sizeof r);
    static const char *const wrong[] = {
        "rate \n",
        "rate unheard-of 3\n",
        "rate threads 2 2\n",
        "rate gemm gemm_f32_ref\n",
        "rate gemm softmax_f32_ref 1 1e-9 1e-9\n",
        "rate gemm gemm_f32_ref 1 1e-9 1e-9 9 1e-9 1e-9\n",
        "rate peak gemm_bf16w avx2 1e9 1e9\n",
        "rate peak gemm_f32 scalar 1e9 1e9\n",
        "rate read one plain\n",
        "rate read few plain 1e9\n",
        "rate row add_f32 1e-9\n",
        "rate row gemm_f32 1e-9 1e-9\n",
        "rate row quant_s8 1e-9 1e-9\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sprintf(other, "%s%s", text, wrong[i]);
        assert_int_equal(cg_rates_parse(other, here.arch, &r), CG_ERR_USER);
        assert_true(strlen(cg_error()) > 10 && !strchr(cg_error(), '\n'));
    }
    assert_int_equal(cg_rates_parse("", here.arch, &r), CG_ERR_USER);
    assert_int_equal(cg_rates_parse("no rate at all\n", here.arch, &r), CG_ERR_USER);
    assert_memory_equal(&r, &untouched, sizeof r);
    cg_free(other);
}

/* Bits flipped, bytes cut out, lines swapped, huge numbers: refused, or figures that are within their limits. */
static void mutations(void **state)
{
    (void)state;
    static const char *const numbers[] = {"1e999", "-1", "nan", "0x10", "1e-400", "99999999999999999999",
                                          "",      "1e", " "};
    char *other = cg_alloc(2 * length + 64);
    uint32_t at = 0, accepted = 0;
    for (int i = 0; i < 20000; i++) {
        struct cg_rates r;
        size_t n = length, where = draw(&at, (uint32_t)length);
        memcpy(other, text, length + 1);
        switch (draw(&at, 4)) {
        case 0: other[where] ^= (char)(1u << draw(&at, 8)); break;
        case 1: other[where] = '\0'; break;
        case 2: {
            size_t cut = 1 + draw(&at, 40);
            if (cut > n - where) cut = n - where;
            memmove(other + where, other + where + cut, n - where - cut + 1);
            break;
        }
        default: {
            const char *number = numbers[draw(&at, sizeof numbers / sizeof *numbers)];
            size_t end = where + strcspn(other + where, " \n"), size = strlen(number);
            memmove(other + where + size, other + end, n - end + 1);
            memcpy(other + where, number, size);
        }
        }
        if (cg_rates_parse(other, here.arch, &r) != CG_OK) continue;
        accepted++;
        assert_in_range(r.threads, 1, 4096);
        assert_true(r.call >= 0 && r.call <= 10 && r.region >= 0 && r.region <= 10 && r.edge >= 0 && r.edge <= 10);
        assert_true(r.pack_a >= 1e3 && r.pack_a <= 1e18 && r.pack_odd >= 1e3 && r.pack_b >= 1e3 && r.pack_b <= 1e18);
        check_curve(&r.read[0][0]), check_curve(&r.read[0][1]), check_curve(&r.read[1][0]), check_curve(&r.read[1][1]);
        check_curve(&r.strided[0]), check_curve(&r.strided[1]);
        check_curve(&r.tiles[0][0]), check_curve(&r.tiles[0][1]), check_curve(&r.tiles[1][0]),
            check_curve(&r.tiles[1][1]);
        check_curve(&r.write[0]), check_curve(&r.write[1]), check_curve(&r.copy[0]), check_curve(&r.copy[1]);
        for (size_t v = 0; v < CG_RATED_ROW_COUNT; v++) assert_true(r.rows[v].call >= 0 && r.rows[v].element > 0);
        for (size_t v = 0; v < r.n_variants; v++)
            for (size_t j = 0; j < r.variants[v].n; j++)
                assert_true(r.variants[v].step[j] > 0 && r.variants[v].step[j] <= 10 && r.variants[v].tile[j] >= 0);
    }
    assert_true(accepted < 10000); /* a changed digit is no fault that anybody could see */
    cg_free(other);
}

/* Between two sizes that were measured the cost is between theirs; outside, it is that of the nearest. */
static void curves(void **state)
{
    (void)state;
    const struct cg_curve c = {.n = 3, .v = {4e9, 2e9, 1e9}}; /* 16, 24 and 32 KiB */
    assert_true(cg_curve_cost(&c, 0) == 1 / 4e9 && cg_curve_cost(&c, 16384) == 1 / 4e9);
    assert_true(fabs(cg_curve_cost(&c, 20480) - 0.5 * (1 / 4e9 + 1 / 2e9)) < 1e-15);
    assert_true(cg_curve_cost(&c, 24576) == 1 / 2e9 && cg_curve_cost(&c, 32768) == 1 / 1e9);
    assert_true(cg_curve_cost(&c, 1e30) == 1 / 1e9 && cg_curve_cost(&c, INFINITY) == 1 / 1e9);
    struct cg_curve whole = {.n = CG_RATE_SIZES};
    for (size_t i = 0; i < CG_RATE_SIZES; i++) whole.v[i] = 1e9 / (double)(i + 1);
    for (size_t i = 0; i < CG_RATE_SIZES; i++) {
        double size = (double)cg_rate_size(i);
        assert_true(fabs(cg_curve_cost(&whole, size) * whole.v[i] - 1) < 1e-12);
        if (i == 0) continue;
        assert_true(size > (double)cg_rate_size(i - 1) && size <= 2 * (double)cg_rate_size(i - 1));
        double middle = cg_curve_cost(&whole, 0.5 * (size + (double)cg_rate_size(i - 1)));
        assert_true(fabs(middle * 1e9 - ((double)i + 0.5)) < 1e-9);
    }
    double last = 0;
    for (double bytes = 1; bytes < 1e6; bytes *= 1.01) {
        assert_true(cg_curve_cost(&c, bytes) >= last);
        last = cg_curve_cost(&c, bytes);
    }
    const struct cg_curve one = {.n = 1, .v = {5e9}};
    assert_true(cg_curve_cost(&one, 1e9) == 1 / 5e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured),
        cmocka_unit_test(too_slow),
        cmocka_unit_test(bounded),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(whole_or_not_at_all),
        cmocka_unit_test(mutations),
        cmocka_unit_test(curves),
    };
    return cmocka_run_group_tests(tests, measure, release);
}

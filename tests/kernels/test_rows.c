/* Every row operation of every variant that this machine can run, against the scalar truth: bit for bit, with arrays
 * that end (or begin) at an unreadable page; and the scalar truth against plain formulas in double. */
#define SEED 20260101u
#include "tests/kernels/fixture.h"
#include "kernels/kv_case.h"

#include "kernels/ref/exp.h"

#define ARRAYS 6 /* five of floats and, last, one of bytes: int8_t or bf16 */
#define MAX_N 4097
#define FILLING 0xA5
#define CANARIES 512 /* bytes of them, on the side where the row has no unreadable page */

/* ---- Arrays beside unreadable pages ------------------------------------------------------------------------------ */

static uint8_t *area_canaries(const struct guarded *a, size_t bytes, int at_end)
{
    return at_end ? a->data + a->size - bytes - CANARIES : a->data + bytes;
}

/* `bytes` at the end of the area (at_end) or at its start, filled with canaries like what is beside it. */
static void *area_place(struct guarded *a, size_t bytes, int at_end)
{
    uint8_t *p = at_end ? a->data + a->size - bytes : a->data;
    memset(area_canaries(a, bytes, at_end), FILLING, CANARIES);
    memset(p, FILLING, bytes);
    return p;
}

static int area_intact(const struct guarded *a, size_t bytes, int at_end)
{
    const uint8_t *p = area_canaries(a, bytes, at_end);
    for (size_t i = 0; i < CANARIES; i++)
        if (p[i] != FILLING) return 0;
    return 1;
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

static float value(int special)
{
    static const float odd[] = {0.0f,   -0.0f,   0x1p-149f, -0x1p-140f, 0x1p-126f, 1e-30f,   -1e-20f,   88.0f, -88.5f,
                                103.9f, -103.9f, 1e20f,     -1e30f,     3e38f,     INFINITY, -INFINITY, NAN};
    static const float zeros[] = {0.0f, -0.0f, -0x1p-149f, -1.0f}; /* their maximum is a zero of either sign */
    if (special == 3) return zeros[rng() % 4];
    if (special == 2 && rng() % 8 == 0) return odd[rng() % (sizeof odd / sizeof *odd)];
    if (special && rng() % 4 == 0) return odd[rng() % 11];
    return uniform(-6.0f, 6.0f);
}

/* ---- One call of an operation ------------------------------------------------------------------------------------ */

struct params {
    float scale, sub, mul;
    struct cg_adamw adamw;
};

static struct params random_params(void)
{
    struct params p = {.scale = uniform(0.05f, 1.5f), .sub = uniform(-2, 2), .mul = uniform(-1, 1)};
    p.adamw =
        (struct cg_adamw){uniform(0, 1), 0.9f, 1 - 0.9f, 0.999f, 1 - 0.999f, 1e-4f, uniform(0, 0.1f), 1.3f, 1e-8f};
    return p;
}

/* Arrays hold n elements, rope's cos and sin n/2. In-place calls give a[1] == a[0]. */
static void call(const struct cg_variant *v, size_t n, const struct params *h, void *const arrays[ARRAYS], float out[2])
{
    float *a[5];
    struct cg_kv_case kv = cg_kv_case_of(n);
    for (int i = 0; i < 5; i++) a[i] = arrays[i];
    switch (v->op) {
    case CG_OP_softmax_f32: v->fn.softmax_f32(n, h->scale, a[0], a[1]); break;
    case CG_OP_softmax_bwd_f32: v->fn.softmax_bwd_f32(n, h->scale, a[2], a[0], a[1]); break;
    case CG_OP_softmax_len_f32: v->fn.softmax_len_f32(n, n - n / 3, h->scale, a[0], a[1]); break;
    case CG_OP_softmax_len_bwd_f32: v->fn.softmax_len_bwd_f32(n, n - n / 3, h->scale, a[2], a[0], a[1]); break;
    case CG_OP_softmax_mask_f32: v->fn.softmax_mask_f32(n, h->scale, a[2], a[0], a[1]); break;
    case CG_OP_logsoftmax_f32: v->fn.logsoftmax_f32(n, h->scale, h->sub, a[0], a[1]); break;
    case CG_OP_logsoftmax_bwd_f32: v->fn.logsoftmax_bwd_f32(n, h->scale, a[2], a[0], a[1]); break;
    case CG_OP_max_f32: out[0] = v->fn.max_f32(n, a[0]); break;
    case CG_OP_sumexp_f32: v->fn.sumexp_f32(n, h->scale, h->sub, a[0], out); break;
    case CG_OP_expmul_f32: v->fn.expmul_f32(n, h->scale, h->sub, h->mul, a[0], a[1]); break;
    case CG_OP_rmsnorm_f32: out[0] = v->fn.rmsnorm_f32(n, 1e-5f, a[0], a[2], a[1]); break;
    case CG_OP_rmsnorm_bwd_f32: v->fn.rmsnorm_bwd_f32(n, h->scale, a[0], a[2], a[3], a[1]); break;
    case CG_OP_rmsnorm_dw_f32: v->fn.rmsnorm_dw_f32(n, h->scale, a[0], a[2], a[1]); break;
    case CG_OP_rope_f32: v->fn.rope_f32(n, a[2], a[3], a[0], a[1]); break;
    case CG_OP_swiglu_f32: v->fn.swiglu_f32(n, a[0], a[2], a[1]); break;
    case CG_OP_swiglu_bwd_f32: v->fn.swiglu_bwd_f32(n, a[0], a[2], a[3], a[1], a[4]); break;
    case CG_OP_add_f32: v->fn.add_f32(n, a[0], a[2], a[1]); break;
    case CG_OP_axpy_f32: v->fn.axpy_f32(n, h->mul, a[0], a[1]); break;
    case CG_OP_sumsq_f32: out[0] = v->fn.sumsq_f32(n, a[0]); break;
    case CG_OP_adamw_f32: v->fn.adamw_f32(n, &h->adamw, a[0], a[2], a[3], a[4]); break;
    case CG_OP_quant_s8: out[0] = v->fn.quant_s8(n, a[0], arrays[5]); break;
    case CG_OP_dequant_s8: v->fn.dequant_s8(n, h->mul, arrays[5], a[1]); break;
    case CG_OP_kv_f32: v->fn.kv_f32(kv.m, kv.cols, kv.k, a[2], kv.k, a[3], 16 * kv.k, 16, a[1], kv.cols, n % 2); break;
    case CG_OP_kv_bf16:
        v->fn.kv_bf16(kv.m, kv.cols, kv.k, a[2], kv.k, arrays[5], 16 * kv.k, a[1], kv.cols, n % 2);
        break;
    case CG_OP_kv_keys_s8:
        v->fn.kv_keys_s8(kv.m, kv.cols, kv.k, a[2], kv.k, arrays[5], 16 * kv.k, a[3], a[1], kv.cols, n % 2);
        break;
    case CG_OP_kv_values_s8:
        v->fn.kv_values_s8(kv.m, kv.cols, kv.k, a[2], kv.k, arrays[5], 16 * kv.k, a[3], a[1], kv.cols, n % 2);
        break;
    case CG_OP_dot16_f32: v->fn.dot16_f32(n / 16 < 6 ? n / 16 : 6, n / 16, a[2], n / 16, a[3], 16, a[1], 16); break;
    case CG_OP_to_bf16: v->fn.to_bf16(n, a[0], arrays[5]); break;
    case CG_OP_from_bf16: v->fn.from_bf16(n, arrays[5], a[1]); break;
    default: fail_msg("%s is not a row operation", v->name);
    }
}

static size_t array_bytes(enum cg_op op, int array, size_t n)
{
    if (array == 5) return op == CG_OP_to_bf16 || op == CG_OP_from_bf16 || op == CG_OP_kv_bf16 ? 2 * n : n;
    return (op == CG_OP_rope_f32 && (array == 2 || array == 3) ? n / 2 : n) * sizeof(float);
}

static int same_array(int array, size_t bytes, const void *x, const void *y)
{
    if (array == 5) return memcmp(x, y, bytes) == 0;
    const float *a = x, *b = y;
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        if (!same_bits(a[i], b[i])) return 0;
    return 1;
}

static const struct cg_variant *truth_of(enum cg_op op)
{
    char name[64];
    snprintf(name, sizeof name, "%s_ref", cg_op_name(op));
    return cg_variant_named(name);
}

struct bench {
    struct guarded area[ARRAYS], copy[ARRAYS];
};

static void one_case(struct bench *b, const struct cg_variant *v, size_t n, int special, int at_end, int in_place)
{
    uint64_t seed = rng_state;
    struct params h = random_params();
    void *got[ARRAYS], *want[ARRAYS];
    float got_out[2] = {0}, want_out[2] = {0};
    for (int i = 0; i < ARRAYS; i++) {
        size_t bytes = array_bytes(v->op, i, n);
        got[i] = area_place(&b->area[i], bytes, at_end);
        want[i] = area_place(&b->copy[i], bytes, at_end);
        float *x = got[i];
        uint8_t *byte = got[i];
        for (size_t j = 0; i < 5 && j < bytes / sizeof(float); j++) x[j] = value(special);
        for (size_t j = 0; i == 5 && j < bytes; j++) byte[j] = (uint8_t)rng();
        memcpy(want[i], got[i], bytes);
    }
    if (in_place) {
        got[1] = got[0];
        want[1] = want[0];
    }
    call(v, n, &h, got, got_out);
    call(truth_of(v->op), n, &h, want, want_out);
    int ok = same_bits(got_out[0], want_out[0]) && same_bits(got_out[1], want_out[1]);
    for (int i = 0; i < ARRAYS; i++) {
        size_t bytes = array_bytes(v->op, i, n);
        ok = ok && same_array(i, bytes, got[i], want[i]);
        ok = ok && area_intact(&b->area[i], bytes, at_end) && area_intact(&b->copy[i], bytes, at_end);
    }
    if (!ok)
        fail_msg("%s: n %zu, special %d, at_end %d, in_place %d, state %#llx", v->name, n, special, at_end, in_place,
                 (unsigned long long)seed);
}

static void test_variants(void **state)
{
    static const size_t large[] = {576, 1536, MAX_N};
    static struct bench b;
    size_t count, checked = 0;
    const struct cg_variant *v = cg_variants(&count);
    (void)state;
    for (int i = 0; i < ARRAYS; i++) {
        guarded_open(&b.area[i], MAX_N * sizeof(float) + CANARIES);
        guarded_open(&b.copy[i], MAX_N * sizeof(float) + CANARIES);
    }
    for (const struct cg_variant *e = v + count; v < e; v++) {
        if (cg_op_is_gemm(v->op) || v == truth_of(v->op) || !some_wanted(v)) continue;
        if (!cg_variant_runs(v, machine.isa)) {
            printf("SKIP %s: %s\n", v->name, why_not(v));
            continue;
        }
        rng_state = SEED;
        for (size_t k = 0; k < 71 + 3; k++)
            for (int mode = 0; mode < 16; mode++) {
                size_t n = k < 71 ? k : large[k - 71];
                if (v->op == CG_OP_rope_f32) n &= ~(size_t)1;
                one_case(&b, v, n, mode % 4, mode / 4 % 2, mode / 8);
            }
        checked++;
    }
    printf("%zu row variants checked\n", checked);
    for (int i = 0; i < ARRAYS; i++) {
        guarded_close(&b.area[i]);
        guarded_close(&b.copy[i]);
    }
}

/* ---- exp --------------------------------------------------------------------------------------------------------- */

static void check_exp(const char *what, float t, float got, double want)
{
    int e;
    if (isinf((float)want) || isinf(got)) {
        assert_true(same_bits(got, (float)want));
        return;
    }
    frexp(want, &e);
    double ulp = ldexp(1.0, (e < -125 ? -125 : e) - 24);
    if (!(fabs(got - want) <= ulp)) fail_msg("%s(%a) = %a is %.3f ulp off", what, t, got, fabs(got - want) / ulp);
}

/* Samples of all floats from -151 to 129, at most 1 ulp off, and the same bits from the best variants as from the
 * truth: exp inside SwiGLU, exp2 inside expmul. */
static void test_exp(void **state)
{
    const struct cg_rowops *rows = cg_rowops_for(machine.isa), *ref = cg_rowops_for(0);
    float x[512], one[512], y[512], want[512];
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < 512; i++) one[i] = 1;
    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t bits = 0; bits <= 0x43170000u; bits += 4093) {
            uint32_t u = bits | sign << 31;
            float t;
            memcpy(&t, &u, sizeof t);
            if (t > 129) break;
            check_exp("exp", t, cg_exp(t), exp((double)t));
            check_exp("exp2", t, cg_exp2(t), exp2((double)t));
            x[n++] = t;
            if (n < 512) continue;
            rows->swiglu_f32(n, x, one, y);
            ref->swiglu_f32(n, x, one, want);
            for (size_t i = 0; i < n; i++) assert_true(same_bits(y[i], want[i]));
            rows->expmul_f32(n, 1.0f, 0.0f, 1.0f, x, y);
            ref->expmul_f32(n, 1.0f, 0.0f, 1.0f, x, want);
            for (size_t i = 0; i < n; i++) assert_true(same_bits(y[i], want[i]));
            n = 0;
        }
    assert_true(same_bits(cg_exp(-INFINITY), 0.0f));
    assert_true(same_bits(cg_exp(INFINITY), INFINITY));
    assert_true(isnan(cg_exp(NAN)));
    assert_true(same_bits(cg_exp(-0.0f), 1.0f));
    assert_true(cg_exp(-103.9f) == 0x1p-149f);
    assert_true(cg_exp(-104.0f) == 0.0f);
    assert_true(same_bits(cg_exp2(-INFINITY), 0.0f));
    assert_true(same_bits(cg_exp2(INFINITY), INFINITY));
    assert_true(isnan(cg_exp2(NAN)));
    assert_true(same_bits(cg_exp2(-0.0f), 1.0f));
    for (int e = -149; e < 128; e++) assert_true(same_bits(cg_exp2((float)e), ldexpf(1.0f, e)));
    assert_true(cg_exp2(-149.9f) == 0x1p-149f);
    assert_true(cg_exp2(-150.0f) == 0.0f);
}

/* ---- The scalar truth against plain formulas ----------------------------------------------------------------------
 */

#define N 77

static void near_to(const char *what, size_t i, float got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want)))) fail_msg("%s[%zu]: %g, not %g", what, i, got, want);
}

static struct cg_rowops truth; /* all by the scalar truth */

static void fill(float *x, size_t n, float lo, float hi)
{
    for (size_t i = 0; i < n; i++) x[i] = uniform(lo, hi);
}

static void test_truth_softmax(void **state)
{
    float x[N], y[N], dp[N], dx[N], out[2];
    double m = -INFINITY, s = 0, dot = 0, sx = 0, st = 0;
    (void)state;
    fill(x, N, -4, 4);
    fill(dp, N, -1, 1);
    for (int i = 0; i < N; i++) m = fmax(m, x[i]);
    for (int i = 0; i < N; i++) s += exp(0.7 * (x[i] - m));
    truth.softmax_f32(N, 0.7f, x, y);
    truth.softmax_bwd_f32(N, 0.7f, y, dp, dx);
    for (int i = 0; i < N; i++) dot += exp(0.7 * (x[i] - m)) / s * dp[i];
    for (int i = 0; i < N; i++) {
        double p = exp(0.7 * (x[i] - m)) / s;
        near_to("softmax", i, y[i], p, 1e-6);
        near_to("softmax_bwd", i, dx[i], p * (dp[i] - dot) * 0.7, 1e-6);
        double t = 0.7 / log(2) * x[i] - 1.5;
        sx += exp2(t);
        st += exp2(t) * t;
    }
    truth.sumexp_f32(N, 0.7f, 1.5f, x, out);
    near_to("sumexp", 0, out[0], sx, 1e-6);
    near_to("sumexp", 1, out[1], st, 1e-6);
    assert_true(truth.max_f32(N, x) == (float)m);
    assert_true(same_bits(truth.max_f32(0, x), -INFINITY));
    truth.softmax_mask_f32(N, 0.7f, dp, x, y);
    truth.logsoftmax_f32(N, 0.7f, 1.5f, x, dx);
    for (int i = 0; i < N; i++) {
        double masked = 0;
        for (int j = 0; j < N; j++) masked += exp(0.7 * x[j] + dp[j] - 0.7 * x[i] - dp[i]);
        near_to("softmax_mask", i, y[i], 1 / masked, 1e-6);
        near_to("logsoftmax", i, dx[i], 0.7 * x[i] - 1.5, 1e-6);
    }
    truth.expmul_f32(N, 0.7f, 1.5f, -2.0f, x, y);
    for (int i = 0; i < N; i++) near_to("expmul", i, y[i], exp2(0.7 / log(2) * x[i] - 1.5) * -2, 1e-6);
}

/* Masks: what is masked is 0 and the rest a softmax of its own; nothing left is a row of zeros. The gradient of
 * log-softmax is that of x - log(sum exp(x)), element by element. */
static void test_truth_masked(void **state)
{
    float x[N], y[N], want[N], mask[N], dy[N], dx[N];
    double s = 0, sum = 0;
    (void)state;
    fill(x, N, -4, 4);
    fill(dy, N, -1, 1);
    for (int i = 0; i < N; i++) mask[i] = i < 50 ? 0 : -INFINITY;
    truth.softmax_f32(50, 0.7f, x, want);
    for (int i = 50; i < N; i++) want[i] = 0;
    truth.softmax_mask_f32(N, 0.7f, mask, x, y);
    assert_memory_equal(y, want, sizeof y);
    truth.softmax_len_f32(N, 50, 0.7f, x, y);
    assert_memory_equal(y, want, sizeof y);
    for (int i = 0; i < N; i++) mask[i] = -INFINITY;
    truth.softmax_mask_f32(N, 0.7f, mask, x, y);
    for (int i = 0; i < N; i++) assert_true(same_bits(y[i], 0.0f));
    truth.softmax_bwd_f32(50, 0.7f, want, dy, y);
    truth.softmax_len_bwd_f32(N, 50, 0.7f, want, dy, dx);
    assert_memory_equal(y, dx, 50 * sizeof *y);
    for (int i = 50; i < N; i++) assert_true(same_bits(dx[i], 0.0f));
    for (int i = 0; i < N; i++) {
        s += exp(0.7 * x[i]);
        sum += dy[i];
    }
    truth.logsoftmax_f32(N, 0.7f, (float)log(s), x, y);
    truth.logsoftmax_bwd_f32(N, 0.7f, y, dy, dx);
    for (int i = 0; i < N; i++) near_to("logsoftmax_bwd", i, dx[i], (dy[i] - exp(0.7 * x[i]) / s * sum) * 0.7, 2e-6);
}

static void test_truth_rmsnorm(void **state)
{
    float x[N], w[N], y[N], dy[N], dx[N] = {0}, dw[N] = {0};
    double ss = 0, dot = 0;
    (void)state;
    fill(x, N, -2, 2);
    fill(w, N, -2, 2);
    fill(dy, N, -1, 1);
    for (int i = 0; i < N; i++) ss += (double)x[i] * x[i];
    double inv = 1 / sqrt(ss / N + 1e-5);
    near_to("rmsnorm", 0, truth.rmsnorm_f32(N, 1e-5f, x, w, y), inv, 1e-6);
    truth.rmsnorm_bwd_f32(N, (float)inv, x, w, dy, dx);
    truth.rmsnorm_dw_f32(N, (float)inv, x, dy, dw);
    for (int i = 0; i < N; i++) dot += (double)dy[i] * w[i] * x[i];
    for (int i = 0; i < N; i++) {
        near_to("rmsnorm", i, y[i], x[i] * inv * w[i], 1e-6);
        near_to("rmsnorm_bwd", i, dx[i], dy[i] * w[i] * inv - x[i] * dot * inv * inv * inv / N, 2e-6);
        near_to("rmsnorm_dw", i, dw[i], dy[i] * x[i] * inv, 1e-6);
    }
}

static void test_truth_elementwise(void **state)
{
    float g[N], u[N], dy[N], y[N], dg[N], du[N], c[N], s[N];
    (void)state;
    fill(g, N, -9, 9);
    fill(u, N, -2, 2);
    fill(dy, N, -1, 1);
    truth.swiglu_f32(N, g, u, y);
    truth.swiglu_bwd_f32(N, g, u, dy, dg, du);
    for (int i = 0; i < N; i++) {
        double sg = 1 / (1 + exp(-g[i]));
        near_to("swiglu", i, y[i], g[i] * sg * u[i], 1e-6);
        near_to("swiglu_bwd du", i, du[i], dy[i] * g[i] * sg, 1e-6);
        near_to("swiglu_bwd dg", i, dg[i], dy[i] * u[i] * sg * (1 + g[i] * (1 - sg)), 1e-6);
    }
    for (int i = 0; i < N; i++) {
        c[i] = cosf((float)i);
        s[i] = sinf((float)i);
    }
    truth.rope_f32(N - 1, c, s, g, y);
    for (int i = 0, h = N / 2; i < h; i++) { /* a rotation by i radians */
        near_to("rope", i, y[i], g[i] * cos(i) - g[i + h] * sin(i), 2e-6);
        near_to("rope", i + h, y[i + h], g[i + h] * cos(i) + g[i] * sin(i), 2e-6);
    }
    truth.add_f32(N, g, u, y);
    truth.axpy_f32(N, 0.3f, g, u);
    for (int i = 0; i < N; i++) near_to("add, axpy", i, y[i] - u[i], 0.7 * g[i], 2e-6);
}

static void test_truth_adamw(void **state)
{
    float g = 0.8f, p = 0.5f, m = 0.1f, v = 0.04f;
    struct cg_adamw h = {0.5f, 0.9f, 0.1f, 0.99f, 0.01f, 0.001f, 0.02f, 1.1f, 1e-3f};
    (void)state;
    truth.adamw_f32(1, &h, &g, &p, &m, &v);
    double m1 = 0.9 * 0.1 + 0.1 * 0.4, v1 = 0.99 * 0.04 + 0.01 * 0.16;
    near_to("adamw m", 0, m, m1, 1e-7);
    near_to("adamw v", 0, v, v1, 1e-7);
    near_to("adamw p", 0, p, 0.5 * 0.999 - 0.02 * m1 / (sqrt(v1) * 1.1 + 1e-3), 1e-7);
}

static void test_truth_quant(void **state)
{
    float x[] = {0.5f, -1.27f, 1.0f, 0.0049f, 0.0151f, -0.0f}, zero[] = {0, -0.0f};
    int8_t q[6], want[] = {50, -127, 100, 0, 2, 0};
    (void)state;
    near_to("quant_s8", 0, truth.quant_s8(6, x, q), 0.01, 1e-8);
    assert_memory_equal(q, want, 6);
    assert_true(same_bits(truth.quant_s8(2, zero, q), 0.0f));
    assert_true(q[0] == 0 && q[1] == 0);
    float back[6];
    truth.dequant_s8(6, 0.25f, want, back);
    for (int i = 0; i < 6; i++) assert_true(same_bits(back[i], 0.25f * (float)want[i]));
}

static void test_truth_bf16(void **state)
{
    /* Exact; the nearest; ties to even, down and up; up to infinity; denormals; infinity. */
    static const float x[] = {-1.5f,     0x1.02p0f + 0x1p-20f, 0x1.01p0f, 0x1.03p0f, 0x1.fffp127f,
                              0x1p-133f, -0x1.8p-134f,         -INFINITY};
    static const uint16_t want[] = {0xbfc0, 0x3f81, 0x3f80, 0x3f82, 0x7f80, 0x0001, 0x8001, 0xff80};
    static const uint32_t nans[] = {0x7f800001, 0xffffffff, 0x7fc00000};
    static const uint16_t quiet[] = {0x7fc0, 0xffff, 0x7fc0};
    uint16_t y[8];
    float back[8];
    (void)state;
    truth.to_bf16(8, x, y);
    assert_memory_equal(y, want, sizeof want);
    memcpy(back, nans, sizeof nans);
    truth.to_bf16(3, back, y);
    assert_memory_equal(y, quiet, sizeof quiet);
    truth.from_bf16(8, want, back);
    const float values[] = {-1.5f, 0x1.02p0f, 1.0f, 0x1.04p0f, INFINITY, 0x1p-133f, -0x1p-133f, -INFINITY};
    assert_memory_equal(back, values, sizeof values);
}

/* 16 lanes, folded 8, 4, 2, 1: one sum whose value shows the order. Lane 0 is 2^24 and loses what is added one by one.
 */
static void test_truth_lanes(void **state)
{
    float x[17] = {4096};
    (void)state;
    for (int i = 1; i < 17; i++) x[i] = 1;
    assert_true(truth.sumsq_f32(17, x) == 16777230.0f);
}

int main(void)
{
#define X(op_, isas, suffix) truth.op_ = truth_of(CG_OP_##op_)->fn.op_;
    CG_ROW_OPS(X, , )
#undef X
    RUN_TESTS("rows", cmocka_unit_test(test_truth_lanes), cmocka_unit_test(test_truth_softmax),
              cmocka_unit_test(test_truth_masked), cmocka_unit_test(test_truth_rmsnorm),
              cmocka_unit_test(test_truth_elementwise), cmocka_unit_test(test_truth_adamw),
              cmocka_unit_test(test_truth_quant), cmocka_unit_test(test_truth_bf16), cmocka_unit_test(test_exp),
              cmocka_unit_test(test_variants));
}

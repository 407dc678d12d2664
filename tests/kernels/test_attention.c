/* Attention against plain loops, bit for bit, for every f32 GEMM variant that it can use here; a token alone against
 * the same token within its sequence; gradients against finite differences in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "detect/machine.h"
#include "kernels/attention.h"
#include "tests/kernels/some.h"

#define CANARY 123.25f
#define CANARIES 16

static struct cg_machine machine;
static const struct cg_variant *gemms[64];
static size_t n_gemms;

static uint64_t rng_state = 5;

static float uniform(float lo, float hi)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return lo + (hi - lo) * (float)(rng_state >> 40) * 0x1p-24f;
}

/* n floats, canaries behind them. */
static float *floats(size_t n)
{
    float *p = cg_alloc_n(n + CANARIES, sizeof(float));
    assert_non_null(p);
    for (size_t i = 0; i < CANARIES; i++) p[n + i] = CANARY;
    return p;
}

static void check_and_free(float *p, size_t n)
{
    for (size_t i = 0; i < CANARIES; i++) assert_true(p[n + i] == CANARY);
    cg_free(p);
}

struct shape {
    size_t hd, group, tq, pos0;
};

static const struct shape shapes[] = {
    {8, 1, 1, 0}, {8, 2, 5, 0}, {16, 3, 4, 3}, {24, 1, 17, 0}, {64, 3, 33, 20}, {64, 3, 1, 52}, {40, 2, 50, 7},
};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

/* A problem: random q, k, v, dout; ldq and ldo leave a gap. */
struct problem {
    struct shape s;
    size_t tk, ldq, ldo;
    float scale;
    float *q, *k, *v, *dout; /* [tq][ldq], [tk][hd], [tk][hd], [tq][ldo] */
};

static struct problem problem_make(struct shape s)
{
    struct problem p = {.s = s, .tk = s.pos0 + s.tq, .ldq = s.group * s.hd + 5, .ldo = s.group * s.hd + 3};
    p.scale = 1.0f / sqrtf((float)s.hd);
    p.q = floats(s.tq * p.ldq);
    p.k = floats(p.tk * s.hd);
    p.v = floats(p.tk * s.hd);
    p.dout = floats(s.tq * p.ldo);
    for (size_t i = 0; i < s.tq * p.ldq; i++) p.q[i] = uniform(-2, 2);
    for (size_t i = 0; i < p.tk * s.hd; i++) {
        p.k[i] = uniform(-2, 2);
        p.v[i] = uniform(-2, 2);
    }
    for (size_t i = 0; i < s.tq * p.ldo; i++) p.dout[i] = uniform(-1, 1);
    return p;
}

static void problem_free(struct problem *p)
{
    check_and_free(p->q, p->s.tq * p->ldq);
    check_and_free(p->k, p->tk * p->s.hd);
    check_and_free(p->v, p->tk * p->s.hd);
    check_and_free(p->dout, p->s.tq * p->ldo);
}

static struct cg_attention attention(const struct problem *p, const struct cg_variant *gemm,
                                     const struct cg_rowops *rows)
{
    return (struct cg_attention){gemm, rows, p->s.hd, p->s.group, p->scale};
}

static float chain(size_t n, const float *a, size_t sa, const float *b, size_t sb, float acc)
{
    for (size_t i = 0; i < n; i++) acc = fmaf(a[i * sa], b[i * sb], acc);
    return acc;
}

/* Probabilities of row t of head h over its seen keys, by the scalar truth. */
static void plain_row(const struct problem *p, size_t h, size_t t, float *prob)
{
    size_t hd = p->s.hd, seen = p->s.pos0 + t + 1;
    for (size_t j = 0; j < seen; j++) prob[j] = chain(hd, p->q + t * p->ldq + h * hd, 1, p->k + j * hd, 1, 0);
    cg_rowops_for(0)->softmax_f32(seen, p->scale, prob, prob);
}

static void plain_forward(const struct problem *p, float *out)
{
    size_t hd = p->s.hd;
    float *prob = floats(p->tk);
    for (size_t h = 0; h < p->s.group; h++)
        for (size_t t = 0; t < p->s.tq; t++) {
            plain_row(p, h, t, prob);
            for (size_t i = 0; i < hd; i++) /* + 0: a zero has no sign */
                out[t * p->ldo + h * hd + i] = chain(p->s.pos0 + t + 1, prob, 1, p->v + i, hd, 0) + 0.0f;
        }
    check_and_free(prob, p->tk);
}

/* Rows [from, from + n) of the problem through the kernels, keys and values put one position at a time. */
static void run_forward(const struct problem *p, const struct cg_attention *at, size_t from, size_t n, float *out)
{
    size_t pos0 = p->s.pos0 + from, tk = pos0 + n, cap = cg_attention_pad(at, p->tk + 1), hd = p->s.hd;
    size_t nk = cg_attention_keys_size(at, cap), nv = cg_attention_values_size(at, cap);
    size_t ns = cg_attention_forward_scratch(at, n, tk);
    float *keys = floats(nk), *values = floats(nv), *scratch = floats(ns);
    for (size_t i = 0; i < nk; i++) keys[i] = NAN; /* nothing is read, to effect, before it is written */
    for (size_t i = 0; i < nv; i++) values[i] = NAN;
    for (size_t i = 0; i < ns; i++) scratch[i] = NAN;
    for (size_t j = 0, put; j < p->tk; j += put) { /* in pieces of 1 to 9 positions */
        put = 1 + j % 9 < p->tk - j ? 1 + j % 9 : p->tk - j;
        cg_attention_put_keys(at, keys, j, put, p->k + j * hd, hd);
        cg_attention_put_values(at, values, cap, j, put, p->v + j * hd, hd);
    }
    cg_attention_forward(at, n, pos0, p->q + from * p->ldq, p->ldq, keys, values, cap, out + from * p->ldo, p->ldo,
                         scratch);
    check_and_free(keys, nk);
    check_and_free(values, nv);
    check_and_free(scratch, ns);
}

/* Everything at once, in two parts and token by token: always the bits of the plain loops. */
static void check_forward(const struct problem *p, const struct cg_variant *gemm, const struct cg_rowops *rows)
{
    size_t n = p->s.tq * p->ldo, half = p->s.tq / 2;
    struct cg_attention at = attention(p, gemm, rows);
    float *want = floats(n), *got = floats(n);
    plain_forward(p, want);
    for (int how = 0; how < 3; how++) {
        memset(got, 0, n * sizeof(float));
        if (how == 0) run_forward(p, &at, 0, p->s.tq, got);
        if (how == 1 && half) run_forward(p, &at, 0, half, got);
        if (how == 1) run_forward(p, &at, half, p->s.tq - half, got);
        for (size_t t = 0; how == 2 && t < p->s.tq; t++) run_forward(p, &at, t, 1, got);
        if (memcmp(got, want, n * sizeof(float)))
            fail_msg("forward by %s, %s: head_dim %zu, group %zu, tq %zu, pos0 %zu, how %d", gemm->name, rows->isa,
                     p->s.hd, p->s.group, p->s.tq, p->s.pos0, how);
    }
    check_and_free(want, n);
    check_and_free(got, n);
}

static void test_forward(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        struct problem p = problem_make(shapes[i]);
        for (size_t g = 0; g < n_gemms; g++) {
            check_forward(&p, gemms[g], cg_rowops_for(0));
            check_forward(&p, gemms[g], cg_rowops_for(machine.isa));
        }
        problem_free(&p);
    }
}

/* Outputs that underflow to -0 must not change sign with the number of query rows: products of a zero probability with
 * later values follow them in a sequence, and none do alone. */
static void test_forward_underflow(void **state)
{
    (void)state;
    struct problem p = problem_make((struct shape){16, 2, 6, 0});
    for (size_t j = 0; j < p.tk; j++)
        for (size_t i = 0; i < 16; i++) p.v[j * 16 + i] = j < 3 ? -0x1p-149f : 1.0f;
    memset(p.k, 0, p.tk * 16 * sizeof(float)); /* equal scores: probabilities 1, 1/2, 1/3... */
    for (size_t g = 0; g < n_gemms; g++) check_forward(&p, gemms[g], cg_rowops_for(machine.isa));
    problem_free(&p);
}

/* The backward pass in plain loops; rows are tk long, 0 past the keys that are seen. */
static void plain_backward(const struct problem *p, float *dq, size_t lddq, float *dk, float *dv, size_t ldd)
{
    size_t hd = p->s.hd, tq = p->s.tq, tk = p->tk;
    float *prob = floats(tq * tk), *ds = floats(tq * tk);
    for (size_t h = 0; h < p->s.group; h++) {
        const float *q = p->q + h * hd, *dout = p->dout + h * hd;
        memset(prob, 0, tq * tk * sizeof(float));
        memset(ds, 0, tq * tk * sizeof(float));
        for (size_t t = 0; t < tq; t++) {
            float *pr = prob + t * tk, *d = ds + t * tk;
            plain_row(p, h, t, pr);
            for (size_t j = 0; j <= p->s.pos0 + t; j++) d[j] = chain(hd, dout + t * p->ldo, 1, p->v + j * hd, 1, 0);
            cg_rowops_for(0)->softmax_bwd_f32(p->s.pos0 + t + 1, p->scale, pr, d, d);
        }
        for (size_t j = 0; j < tk; j++)
            for (size_t i = 0; i < hd; i++) {
                size_t t = j < p->s.pos0 ? 0 : j - p->s.pos0; /* the first row that sees key j */
                const float *rows_q = q + t * p->ldq + i, *rows_o = dout + t * p->ldo + i;
                dv[j * ldd + i] = chain(tq - t, prob + t * tk + j, tk, rows_o, p->ldo, dv[j * ldd + i]);
                dk[j * ldd + i] = chain(tq - t, ds + t * tk + j, tk, rows_q, p->ldq, dk[j * ldd + i]);
            }
        for (size_t t = 0; t < tq; t++)
            for (size_t i = 0; i < hd; i++)
                dq[t * lddq + h * hd + i] = chain(p->s.pos0 + t + 1, ds + t * tk, 1, p->k + i, hd, 0) + 0.0f;
    }
    for (size_t j = 0; j < tk; j++)
        for (size_t i = 0; i < hd; i++) { /* + 0: a zero has no sign */
            dk[j * ldd + i] += 0.0f;
            dv[j * ldd + i] += 0.0f;
        }
    check_and_free(prob, tq * tk);
    check_and_free(ds, tq * tk);
}

static void run_backward(const struct problem *p, const struct cg_attention *at, float *dq, size_t lddq, float *dk,
                         float *dv)
{
    size_t n = cg_attention_backward_scratch(at, p->s.tq, p->tk), cap = cg_attention_pad(at, p->tk + 1), hd = p->s.hd;
    size_t nk = cg_attention_keys_size(at, cap), nv = cg_attention_values_size(at, cap);
    float *scratch = floats(n), *keys = floats(nk), *keys_t = floats(nv), *values_t = floats(nk);
    for (size_t i = 0; i < nk; i++) keys[i] = values_t[i] = NAN;
    for (size_t i = 0; i < nv; i++) keys_t[i] = NAN;
    cg_attention_put_keys(at, keys, 0, p->tk, p->k, hd);
    cg_attention_put_values(at, keys_t, cap, 0, p->tk, p->k, hd);
    cg_attention_put_keys(at, values_t, 0, p->tk, p->v, hd);
    for (size_t i = 0; i < n; i++) scratch[i] = NAN;
    cg_attention_backward(at, p->s.tq, p->s.pos0, p->q, p->ldq, (struct cg_attention_kv){keys, keys_t, values_t, cap},
                          p->dout, p->ldo, dq, lddq, dk, dv, scratch);
    check_and_free(keys, nk);
    check_and_free(keys_t, nv);
    check_and_free(values_t, nk);
    check_and_free(scratch, n);
}

static void check_backward(const struct problem *p, const struct cg_variant *gemm, const struct cg_rowops *rows)
{
    struct cg_attention at = attention(p, gemm, rows);
    size_t ldd = cg_attention_pad(&at, p->s.hd), lddq = p->s.group * p->s.hd + 2, hd = p->s.hd;
    size_t nq = p->s.tq * lddq, nk = p->tk * ldd;
    float *dq[2], *dk[2], *dv[2];
    for (int r = 0; r < 2; r++) {
        dq[r] = floats(nq);
        dk[r] = floats(nk);
        dv[r] = floats(nk);
        for (size_t i = 0; i < nk; i++) dk[r][i] = dv[r][i] = i % ldd < hd ? (float)(i % 7) - 3.1f : 0; /* added to */
    }
    run_backward(p, &at, dq[0], lddq, dk[0], dv[0]);
    plain_backward(p, dq[1], lddq, dk[1], dv[1], ldd);
    int ok = !memcmp(dq[0], dq[1], nq * sizeof(float));
    for (size_t j = 0; j < p->tk; j++)
        ok = ok && !memcmp(dk[0] + j * ldd, dk[1] + j * ldd, hd * sizeof(float)) &&
             !memcmp(dv[0] + j * ldd, dv[1] + j * ldd, hd * sizeof(float));
    if (!ok)
        fail_msg("backward by %s, %s: head_dim %zu, group %zu, tq %zu, pos0 %zu", gemm->name, rows->isa, hd, p->s.group,
                 p->s.tq, p->s.pos0);
    for (int r = 0; r < 2; r++) {
        check_and_free(dq[r], nq);
        check_and_free(dk[r], nk);
        check_and_free(dv[r], nk);
    }
}

static void test_backward(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        struct problem p = problem_make(shapes[i]);
        for (size_t g = 0; g < n_gemms; g++) {
            check_backward(&p, gemms[g], cg_rowops_for(0));
            check_backward(&p, gemms[g], cg_rowops_for(machine.isa));
        }
        problem_free(&p);
    }
}

/* sum(dout * attention) in double, with element `at` of array x moved by `by`. */
static double loss(const struct problem *p, const float *x, size_t at, double by)
{
    size_t hd = p->s.hd;
    double total = 0, w[64];
#define AT(array, i) ((array)[i] + ((array) == x && (i) == at ? by : 0.0))
    for (size_t h = 0; h < p->s.group; h++)
        for (size_t t = 0; t < p->s.tq; t++) {
            size_t seen = p->s.pos0 + t + 1;
            double sum = 0;
            for (size_t j = 0; j < seen; j++) {
                double s = 0;
                for (size_t i = 0; i < hd; i++) s += AT(p->q, t * p->ldq + h * hd + i) * AT(p->k, j * hd + i);
                sum += w[j] = exp(s / sqrt((double)hd));
            }
            for (size_t j = 0; j < seen; j++)
                for (size_t i = 0; i < hd; i++)
                    total += w[j] / sum * AT(p->v, j * hd + i) * p->dout[t * p->ldo + h * hd + i];
        }
#undef AT
    return total;
}

static void near_difference(const struct problem *p, const char *what, const float *x, size_t at, float got)
{
    double h = 1e-5, want = (loss(p, x, at, h) - loss(p, x, at, -h)) / (2 * h);
    if (!(fabs(got - want) < 1e-5 * (1 + fabs(want)))) fail_msg("d%s[%zu] = %g, not %g", what, at, got, want);
}

static void test_finite_differences(void **state)
{
    (void)state;
    struct problem p = problem_make((struct shape){8, 2, 4, 3});
    struct cg_attention at = attention(&p, gemms[n_gemms - 1], cg_rowops_for(machine.isa));
    size_t ldd = cg_attention_pad(&at, 8), nq = p.s.tq * p.ldq, nk = p.tk * ldd;
    float *dq = floats(nq), *dk = floats(nk), *dv = floats(nk);
    run_backward(&p, &at, dq, p.ldq, dk, dv);
    for (size_t t = 0; t < p.s.tq; t++)
        for (size_t i = 0; i < 16; i++) near_difference(&p, "q", p.q, t * p.ldq + i, dq[t * p.ldq + i]);
    for (size_t j = 0; j < p.tk; j++)
        for (size_t i = 0; i < 8; i++) {
            near_difference(&p, "k", p.k, j * 8 + i, dk[j * ldd + i]);
            near_difference(&p, "v", p.v, j * 8 + i, dv[j * ldd + i]);
        }
    check_and_free(dq, nq);
    check_and_free(dk, nk);
    check_and_free(dv, nk);
    problem_free(&p);
}

/* ---- Caches and decoding ----------------------------------------------------------------------------------------- */

/* What the cache of `type` gives back for a row, by the definitions. */
static void stored(enum cg_kv_type type, size_t hd, float *x)
{
    int8_t q[64];
    float s = type == CG_KV_S8 ? cg_rowops_for(0)->quant_s8(hd, x, q) : 0;
    for (size_t i = 0; i < hd; i++) {
        uint32_t u;
        memcpy(&u, &x[i], sizeof u);
        u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u; /* no NaN here */
        if (type == CG_KV_BF16) memcpy(&x[i], &u, sizeof u);
        if (type == CG_KV_S8) x[i] = (float)q[i] * s;
    }
}

struct decoding {
    enum cg_kv_type type;
    size_t hd, group, shared, n; /* n sequences */
    size_t tq[4], own[4];
};

static const struct decoding decodings[] = {
    {CG_KV_F32, 16, 2, 0, 1, {5}, {30}},
    {CG_KV_F32, 64, 3, 70, 4, {1, 1, 1, 1}, {1, 66, 20, 128}},
    {CG_KV_F32, 24, 1, 9, 3, {2, 60, 1}, {4, 61, 17}},
    {CG_KV_BF16, 64, 3, 130, 3, {1, 2, 1}, {1, 80, 20}},
    {CG_KV_BF16, 40, 1, 0, 2, {1, 9}, {100, 9}},
    {CG_KV_S8, 64, 3, 129, 3, {1, 1, 4}, {3, 90, 64}},
    {CG_KV_S8, 24, 2, 0, 2, {30, 1}, {31, 65}},
};

/* Puts positions from .. from+n-1 of the problem into a new cache, in two pieces. */
static struct cg_kv cache(const struct cg_attention *at, enum cg_kv_type type, const struct problem *p, size_t from,
                          size_t n, float **mem, size_t *floats_used)
{
    size_t hd = p->s.hd, cap = (n + 15) / 16 * 16, half = n / 2;
    *floats_used = cg_kv_bytes(at, type, cap) / sizeof(float);
    *mem = floats(*floats_used);
    memset(*mem, 0x7f, *floats_used * sizeof(float)); /* read to no effect */
    struct cg_kv kv = cg_kv_at(at, type, cap, *mem);
    const float *k = p->k + from * hd, *v = p->v + from * hd;
    cg_kv_put(at, &kv, 0, half, k, hd, v, hd);
    cg_kv_put(at, &kv, half, n - half, k + half * hd, hd, v + half * hd, hd);
    return kv;
}

static void check_decode(const struct decoding *d, struct problem *p, float *const *want, const struct cg_variant *gemm,
                         const struct cg_rowops *rows)
{
    struct cg_attention at = attention(&p[0], gemm, rows);
    struct cg_decode_seq seqs[4];
    struct cg_kv own[4], shared = {0};
    float *mem[5] = {0}, *out[4];
    size_t used[5] = {0}, longest = 0;
    if (d->shared) shared = cache(&at, d->type, &p[0], 0, d->shared, &mem[4], &used[4]);
    for (size_t i = 0; i < d->n; i++) {
        own[i] = cache(&at, d->type, &p[i], d->shared, d->own[i], &mem[i], &used[i]);
        out[i] = floats(d->tq[i] * p[i].ldo);
        memset(out[i], 0, d->tq[i] * p[i].ldo * sizeof(float));
        seqs[i] = (struct cg_decode_seq){p[i].q, out[i], p[i].ldq, p[i].ldo, d->tq[i], d->own[i], &own[i]};
        if (d->own[i] > longest) longest = d->own[i];
    }
    size_t ns = cg_attention_decode_scratch(&at, d->shared, longest);
    float *scratch = floats(ns);
    for (size_t i = 0; i < ns; i++) scratch[i] = NAN;
    cg_attention_decode(&at, d->shared ? &shared : NULL, d->shared, d->n, seqs, longest, scratch);
    check_and_free(scratch, ns);
    for (size_t i = 0; i < d->n; i++) {
        if (memcmp(out[i], want[i], d->tq[i] * p[i].ldo * sizeof(float)))
            fail_msg("decoding by %s, %s: type %d, head_dim %zu, shared %zu, sequence %zu", gemm->name, rows->isa,
                     (int)d->type, d->hd, d->shared, i);
        check_and_free(out[i], d->tq[i] * p[i].ldo);
        check_and_free(mem[i], used[i]);
    }
    if (d->shared) check_and_free(mem[4], used[4]);
}

static void test_decode(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof decodings / sizeof *decodings; c++) {
        const struct decoding *d = &decodings[c];
        struct problem p[4], q[4]; /* as given, and as stored */
        float *want[4];
        for (size_t i = 0; i < d->n; i++) {
            p[i] = problem_make((struct shape){d->hd, d->group, d->tq[i], d->shared + d->own[i] - d->tq[i]});
            memmove(p[i].k, p[0].k, d->shared * d->hd * sizeof(float));
            memmove(p[i].v, p[0].v, d->shared * d->hd * sizeof(float));
            q[i] = p[i];
            q[i].k = floats(p[i].tk * d->hd);
            q[i].v = floats(p[i].tk * d->hd);
            memcpy(q[i].k, p[i].k, p[i].tk * d->hd * sizeof(float));
            memcpy(q[i].v, p[i].v, p[i].tk * d->hd * sizeof(float));
            for (size_t j = 0; j < p[i].tk; j++) {
                stored(d->type, d->hd, q[i].k + j * d->hd);
                stored(d->type, d->hd, q[i].v + j * d->hd);
            }
            want[i] = floats(d->tq[i] * p[i].ldo);
            memset(want[i], 0, d->tq[i] * p[i].ldo * sizeof(float));
            plain_forward(&q[i], want[i]);
        }
        for (size_t g = 0; g < n_gemms; g++) {
            check_decode(d, p, want, gemms[g], cg_rowops_for(0));
            check_decode(d, p, want, gemms[g], cg_rowops_for(machine.isa));
        }
        for (size_t i = 0; i < d->n; i++) {
            check_and_free(q[i].k, p[i].tk * d->hd);
            check_and_free(q[i].v, p[i].tk * d->hd);
            check_and_free(want[i], d->tq[i] * p[i].ldo);
            problem_free(&p[i]);
        }
    }
}

static int setup(void **state)
{
    size_t n;
    const struct cg_variant *v = cg_variants(&n);
    (void)state;
    if (cg_machine_detect(&machine) != CG_OK) {
        fprintf(stderr, "%s\n", cg_error());
        return -1;
    }
    for (const struct cg_variant *e = v + n; v < e && n_gemms < sizeof gemms / sizeof *gemms; v++) {
        if (v->op != CG_OP_gemm_f32 || !some_wanted(v)) continue;
        if (!cg_variant_runs(v, machine.isa)) printf("SKIP %s: this machine has not its ISA\n", v->name);
        else if (v->nr == v->pack_nr) gemms[n_gemms++] = v;
    }
    return n_gemms ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),  cmocka_unit_test(test_forward_underflow),
        cmocka_unit_test(test_backward), cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_decode),
    };
    return cmocka_run_group_tests_name("attention", tests, setup, NULL);
}

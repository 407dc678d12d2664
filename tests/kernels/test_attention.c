/* Attention against plain loops, bit for bit, for every f32 GEMM variant that it can use here; a token alone against
 * the same token within its sequence; gradients against finite differences in double. */
#define SEED 5u
#include "tests/kernels/fixture.h"

#include "kernels/attention.h"

static const struct cg_variant *gemms[64];
static size_t n_gemms;

struct shape {
    size_t hd, group, tq, pos0;
};

static const struct shape shapes[] = {
    {8, 1, 1, 0}, {8, 2, 5, 0}, {16, 3, 4, 3}, {24, 1, 17, 0}, {64, 3, 33, 20}, {64, 3, 1, 52}, {40, 2, 50, 7},
};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

/* A problem: random q, k, v, dout; ldq and ldo leave a gap. All arrays end at an unreadable page, also those below. */
struct problem {
    struct shape s;
    size_t tk, ldq, ldo;
    float scale;
    float *q, *k, *v, *dout; /* [tq][ldq], [tk][hd], [tk][hd], [tq][ldo] */
    size_t nq, no;           /* floats of q and of dout, up to the end of their last row */
};

static struct problem problem_make(struct shape s)
{
    struct problem p = {.s = s, .tk = s.pos0 + s.tq, .ldq = s.group * s.hd + 5, .ldo = s.group * s.hd + 3};
    p.scale = 1.0f / sqrtf((float)s.hd);
    p.nq = (s.tq - 1) * p.ldq + s.group * s.hd;
    p.no = (s.tq - 1) * p.ldo + s.group * s.hd;
    p.q = edge_floats(p.nq);
    p.k = edge_floats(p.tk * s.hd);
    p.v = edge_floats(p.tk * s.hd);
    p.dout = edge_floats(p.no);
    for (size_t i = 0; i < p.nq; i++) p.q[i] = uniform(-2, 2);
    for (size_t i = 0; i < p.tk * s.hd; i++) {
        p.k[i] = uniform(-2, 2);
        p.v[i] = uniform(-2, 2);
    }
    for (size_t i = 0; i < p.no; i++) p.dout[i] = uniform(-1, 1);
    return p;
}

static void problem_free(struct problem *p)
{
    edge_free(p->q, p->nq);
    edge_free(p->k, p->tk * p->s.hd);
    edge_free(p->v, p->tk * p->s.hd);
    edge_free(p->dout, p->no);
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
    float *prob = edge_floats(p->tk);
    for (size_t h = 0; h < p->s.group; h++)
        for (size_t t = 0; t < p->s.tq; t++) {
            plain_row(p, h, t, prob);
            for (size_t i = 0; i < hd; i++) /* + 0: a zero has no sign */
                out[t * p->ldo + h * hd + i] = chain(p->s.pos0 + t + 1, prob, 1, p->v + i, hd, 0) + 0.0f;
        }
    edge_free(prob, p->tk);
}

/* Rows [from, from + n) of the problem through the kernels, keys and values put one position at a time. */
static void run_forward(const struct problem *p, const struct cg_attention *at, size_t from, size_t n, float *out)
{
    size_t pos0 = p->s.pos0 + from, tk = pos0 + n, cap = cg_attention_pad(at, p->tk + 1), hd = p->s.hd;
    size_t nk = cg_attention_keys_size(at, cap), nv = cg_attention_values_size(at, cap);
    size_t ns = cg_attention_forward_scratch(at, n, tk);
    float *keys = edge_floats(nk), *values = edge_floats(nv), *scratch = edge_floats(ns);
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
    edge_free(keys, nk);
    edge_free(values, nv);
    edge_free(scratch, ns);
}

/* Everything at once, in two parts and token by token: always the bits of the plain loops. */
static void check_forward(const struct problem *p, const struct cg_variant *gemm, const struct cg_rowops *rows)
{
    size_t n = p->no, half = p->s.tq / 2;
    struct cg_attention at = attention(p, gemm, rows);
    float *want = edge_floats(n), *got = edge_floats(n);
    plain_forward(p, want);
    for (int how = 0; how < 3; how++) {
        memset(got, 0, n * sizeof(float));
        if (how == 0) run_forward(p, &at, 0, p->s.tq, got);
        if (how == 1 && half) run_forward(p, &at, 0, half, got);
        if (how == 1) run_forward(p, &at, half, p->s.tq - half, got);
        for (size_t t = 0; how == 2 && t < p->s.tq; t++) run_forward(p, &at, t, 1, got);
        if (memcmp(got, want, n * sizeof(float)))
            fail_msg("forward by %s, %s: head_dim %zu, group %zu, tq %zu, pos0 %zu, how %d, seed %u", gemm->name,
                     rows->isa, p->s.hd, p->s.group, p->s.tq, p->s.pos0, how, SEED);
    }
    edge_free(want, n);
    edge_free(got, n);
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
    float *prob = edge_floats(tq * tk), *ds = edge_floats(tq * tk);
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
    edge_free(prob, tq * tk);
    edge_free(ds, tq * tk);
}

static void run_backward(const struct problem *p, const struct cg_attention *at, float *dq, size_t lddq, float *dk,
                         float *dv)
{
    size_t n = cg_attention_backward_scratch(at, p->s.tq, p->tk), cap = cg_attention_pad(at, p->tk + 1), hd = p->s.hd;
    size_t nk = cg_attention_keys_size(at, cap), nv = cg_attention_values_size(at, cap);
    float *scratch = edge_floats(n), *keys = edge_floats(nk), *keys_t = edge_floats(nv), *values_t = edge_floats(nk);
    for (size_t i = 0; i < nk; i++) keys[i] = values_t[i] = NAN;
    for (size_t i = 0; i < nv; i++) keys_t[i] = NAN;
    cg_attention_put_keys(at, keys, 0, p->tk, p->k, hd);
    cg_attention_put_values(at, keys_t, cap, 0, p->tk, p->k, hd);
    cg_attention_put_keys(at, values_t, 0, p->tk, p->v, hd);
    for (size_t i = 0; i < n; i++) scratch[i] = NAN;
    cg_attention_backward(at, p->s.tq, p->s.pos0, p->q, p->ldq, (struct cg_attention_kv){keys, keys_t, values_t, cap},
                          p->dout, p->ldo, dq, lddq, dk, dv, scratch);
    edge_free(keys, nk);
    edge_free(keys_t, nv);
    edge_free(values_t, nk);
    edge_free(scratch, n);
}

static void check_backward(const struct problem *p, const struct cg_variant *gemm, const struct cg_rowops *rows)
{
    struct cg_attention at = attention(p, gemm, rows);
    size_t ldd = cg_attention_pad(&at, p->s.hd), lddq = p->s.group * p->s.hd + 2, hd = p->s.hd;
    size_t nq = (p->s.tq - 1) * lddq + p->s.group * hd, nk = p->tk * ldd;
    float *dq[2], *dk[2], *dv[2];
    for (int r = 0; r < 2; r++) {
        dq[r] = edge_floats(nq);
        dk[r] = edge_floats(nk);
        dv[r] = edge_floats(nk);
        for (size_t i = 0; i < nk; i++) dk[r][i] = dv[r][i] = i % ldd < hd ? (float)(i % 7) - 3.1f : 0; /* added to */
    }
    run_backward(p, &at, dq[0], lddq, dk[0], dv[0]);
    plain_backward(p, dq[1], lddq, dk[1], dv[1], ldd);
    int ok = !memcmp(dq[0], dq[1], nq * sizeof(float));
    for (size_t j = 0; j < p->tk; j++)
        ok = ok && !memcmp(dk[0] + j * ldd, dk[1] + j * ldd, hd * sizeof(float)) &&
             !memcmp(dv[0] + j * ldd, dv[1] + j * ldd, hd * sizeof(float));
    if (!ok)
        fail_msg("backward by %s, %s: head_dim %zu, group %zu, tq %zu, pos0 %zu, seed %u", gemm->name, rows->isa, hd,
                 p->s.group, p->s.tq, p->s.pos0, SEED);
    for (int r = 0; r < 2; r++) {
        edge_free(dq[r], nq);
        edge_free(dk[r], nk);
        edge_free(dv[r], nk);
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
    size_t ldd = cg_attention_pad(&at, 8), nq = p.nq, nk = p.tk * ldd;
    float *dq = edge_floats(nq), *dk = edge_floats(nk), *dv = edge_floats(nk);
    run_backward(&p, &at, dq, p.ldq, dk, dv);
    for (size_t t = 0; t < p.s.tq; t++)
        for (size_t i = 0; i < 16; i++) near_difference(&p, "q", p.q, t * p.ldq + i, dq[t * p.ldq + i]);
    for (size_t j = 0; j < p.tk; j++)
        for (size_t i = 0; i < 8; i++) {
            near_difference(&p, "k", p.k, j * 8 + i, dk[j * ldd + i]);
            near_difference(&p, "v", p.v, j * 8 + i, dv[j * ldd + i]);
        }
    edge_free(dq, nq);
    edge_free(dk, nk);
    edge_free(dv, nk);
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

struct cache {
    struct cg_kv kv;
    float *mem[4];
    size_t floats[4];
};

/* Positions from .. from+n-1 of the problem in a new cache, put in two pieces; in one block or, `apart`, with an
 * unreadable page behind each of its arrays. */
static struct cache cache_open(const struct cg_attention *at, enum cg_kv_type type, const struct problem *p,
                               size_t from, size_t n, int apart)
{
    size_t hd = p->s.hd, cap = (n + 15) / 16 * 16, half = n / 2;
    size_t size = type == CG_KV_F32 ? 4 : type == CG_KV_BF16 ? 2 : 1;
    struct cache c = {.floats = {cg_kv_bytes(at, type, cap) / sizeof(float)}};
    if (apart) {
        c.floats[0] = cap * hd * size / sizeof(float);
        c.floats[1] = cap * ((hd + 15) / 16 * 16) * size / sizeof(float);
        c.floats[2] = c.floats[3] = cap;
    }
    for (int i = 0; i < 4; i++) {
        c.mem[i] = edge_floats(c.floats[i]);
        memset(c.mem[i], 0x7f, c.floats[i] * sizeof(float)); /* read to no effect */
    }
    c.kv = cg_kv_at(at, type, cap, c.mem[0]);
    if (apart) c.kv = (struct cg_kv){type, cap, c.mem[0], c.mem[1], c.mem[2], c.mem[3]};
    const float *k = p->k + from * hd, *v = p->v + from * hd;
    cg_kv_put(at, &c.kv, 0, half, k, hd, v, hd);
    cg_kv_put(at, &c.kv, half, n - half, k + half * hd, hd, v + half * hd, hd);
    return c;
}

static void cache_close(struct cache *c)
{
    for (int i = 0; i < 4; i++) edge_free(c->mem[i], c->floats[i]);
}

static void check_decode(const struct decoding *d, struct problem *p, float *const *want, const struct cg_variant *gemm,
                         const struct cg_rowops *rows, int apart)
{
    struct cg_attention at = attention(&p[0], gemm, rows);
    struct cg_decode_seq seqs[4];
    struct cache own[4], shared;
    float *out[4];
    size_t longest = 0;
    if (d->shared) shared = cache_open(&at, d->type, &p[0], 0, d->shared, apart);
    for (size_t i = 0; i < d->n; i++) {
        own[i] = cache_open(&at, d->type, &p[i], d->shared, d->own[i], apart);
        out[i] = edge_floats(p[i].no);
        seqs[i] = (struct cg_decode_seq){p[i].q, out[i], p[i].ldq, p[i].ldo, d->tq[i], d->own[i], &own[i].kv};
        if (d->own[i] > longest) longest = d->own[i];
    }
    size_t ns = cg_attention_decode_scratch(&at, d->shared, longest);
    float *scratch = edge_floats(ns);
    assert_int_equal((uintptr_t)scratch % 64, 0);
    for (size_t i = 0; i < ns; i++) scratch[i] = NAN;
    cg_attention_decode(&at, d->shared ? &shared.kv : NULL, d->shared, d->n, seqs, longest, scratch);
    edge_free(scratch, ns);
    for (size_t i = 0; i < d->n; i++) {
        if (memcmp(out[i], want[i], p[i].no * sizeof(float)))
            fail_msg("decoding by %s, %s: type %d, head_dim %zu, shared %zu, sequence %zu, seed %u", gemm->name,
                     rows->isa, (int)d->type, d->hd, d->shared, i, SEED);
        edge_free(out[i], p[i].no);
        cache_close(&own[i]);
    }
    if (d->shared) cache_close(&shared);
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
            q[i].k = edge_floats(p[i].tk * d->hd);
            q[i].v = edge_floats(p[i].tk * d->hd);
            memcpy(q[i].k, p[i].k, p[i].tk * d->hd * sizeof(float));
            memcpy(q[i].v, p[i].v, p[i].tk * d->hd * sizeof(float));
            for (size_t j = 0; j < p[i].tk; j++) {
                stored(d->type, d->hd, q[i].k + j * d->hd);
                stored(d->type, d->hd, q[i].v + j * d->hd);
            }
            want[i] = edge_floats(p[i].no);
            plain_forward(&q[i], want[i]);
        }
        for (size_t g = 0; g < n_gemms; g++) {
            check_decode(d, p, want, gemms[g], cg_rowops_for(0), g % 2);
            check_decode(d, p, want, gemms[g], cg_rowops_for(machine.isa), 0);
            check_decode(d, p, want, gemms[g], cg_rowops_for(machine.isa), 1);
        }
        for (size_t i = 0; i < d->n; i++) {
            edge_free(q[i].k, p[i].tk * d->hd);
            edge_free(q[i].v, p[i].tk * d->hd);
            edge_free(want[i], p[i].no);
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
        if (!cg_variant_runs(v, machine.isa)) printf("SKIP %s: %s\n", v->name, why_not(v));
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

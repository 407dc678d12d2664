#include "kernels/sample.h"

#include <math.h>

#include "common/math.h"
#include "kernels/logits.h"
#include "kernels/ref/exp.h"
#include "kernels/util.h"

/* Nothing is sorted: the maxima of blocks tell what must be looked at, and a selection by parts finds the last token
 * that is kept. */
#define BLOCK 64
#define UNIT 0x1p32
#define MARGIN 0.01f /* in powers of 2: more than the rounding of what it bounds */

struct candidate {
    float y;
    uint32_t id;
    uint64_t w;
};

/* A logit that a penalty has changed. */
struct saved {
    uint32_t id;
    float x;
};

struct work {
    const struct cg_rowops *rows;
    const struct cg_sample_options *o;
    size_t n;
    const float *y;
    float max, lse;
    struct candidate *c; /* [n] */
    struct saved *saved; /* [n] */
    float *block_max;    /* [ceil(n / BLOCK)] */
    uint64_t *marks;     /* a bit a token, all 0 between calls */
};

/* The last candidate kept, in the order of struct order. */
struct bound {
    float y;
    uint32_t id;
};

static size_t round16(size_t bytes)
{
    return round_up(bytes, 16);
}

size_t cg_sample_scratch(size_t n)
{
    return n * sizeof(struct candidate) + round16(n * sizeof(struct saved)) +
           round16(ceil_div(n, BLOCK) * sizeof(float)) + round16(ceil_div(n, 64) * sizeof(uint64_t));
}

static struct work work_at(size_t n, void *scratch)
{
    struct work w = {.n = n, .c = scratch};
    char *p = (char *)scratch + n * sizeof *w.c;
    w.saved = (struct saved *)(void *)p;
    p += round16(n * sizeof *w.saved);
    w.block_max = (float *)(void *)p;
    p += round16(ceil_div(n, BLOCK) * sizeof *w.block_max);
    w.marks = (uint64_t *)(void *)p;
    return w;
}

static int truncates(const struct cg_sample_options *o)
{
    return o->top_k > 0 || o->top_p < 1.0f || o->min_p > 0.0f;
}

int cg_sample_changes(const struct cg_sample_options *o)
{
    return o->repetition_penalty != 1.0f || (!o->greedy && truncates(o));
}

/* ---- Repetition penalty ------------------------------------------------------------------------------------------ */

/* Each token once, however often it was seen; returns how many. */
static size_t penalise(const struct work *w, float *x, const struct cg_seen seen[2])
{
    float penalty = w->o->repetition_penalty;
    size_t count = 0;
    if (penalty == 1.0f) return 0;
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < seen[s].n; i++) {
            uint32_t id = (uint32_t)seen[s].tokens[i];
            uint64_t bit = (uint64_t)1 << id % 64;
            if (w->marks[id / 64] & bit) continue;
            w->marks[id / 64] |= bit;
            w->saved[count++] = (struct saved){id, x[id]};
            x[id] = x[id] > 0 ? x[id] / penalty : x[id] * penalty;
        }
    return count;
}

static void restore(const struct work *w, float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        x[w->saved[i].id] = w->saved[i].x;
        w->marks[w->saved[i].id / 64] = 0;
    }
}

/* ---- Candidates -------------------------------------------------------------------------------------------------- */

/* Every logit of at least `from`, in ascending order of tokens. */
static size_t gather(const struct work *w, float from)
{
    size_t count = 0;
    for (size_t b = 0; b * BLOCK < w->n; b++) {
        if (!(w->block_max[b] >= from)) continue;
        size_t end = min_size(w->n, (b + 1) * BLOCK);
        for (size_t i = b * BLOCK; i < end; i++) { /* written always, kept where it counts: no branch to guess */
            w->c[count].y = w->y[i];
            w->c[count].id = (uint32_t)i;
            count += w->y[i] >= from;
        }
    }
    return count;
}

/* Weights of n candidates; those with e below min_e go. Returns how many stay. */
static size_t weigh(const struct work *w, size_t n, float min_e)
{
    float scale = w->o->scale, top = w->max * (scale * CG_EXP_LOG2E), y[256], e[256];
    size_t kept = 0;
    for (size_t i = 0; i < n; i += 256) {
        size_t len = min_size(n - i, 256);
        for (size_t j = 0; j < len; j++) y[j] = w->c[i + j].y;
        w->rows->expmul_f32(len, scale, top, 1.0f, y, e);
        for (size_t j = 0; j < len; j++) {
            struct candidate c = {w->c[i + j].y, w->c[i + j].id, (uint64_t)((double)e[j] * UNIT)};
            w->c[kept] = c;
            kept += e[j] >= min_e;
        }
    }
    return kept;
}

static uint64_t total(const struct work *w, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += w->c[i].w;
    return sum;
}

/* Of two candidates the one that is kept longer: larger, or of equals the lower token. */
static int before(struct candidate a, struct candidate b)
{
    return a.y > b.y || (a.y == b.y && a.id < b.id);
}

/* c[0..n), n > 0, in two parts: what comes before one of them in front, that one between. Returns where it is. The one
 * is chosen by a hash of n, so that no row is known beforehand to be slow. */
static size_t split(struct candidate *c, size_t n)
{
    size_t at = 0, pick = (size_t)((n * 0x9e3779b97f4a7c15u) >> 33) % n;
    struct candidate pivot = c[pick];
    c[pick] = c[n - 1];
    for (size_t i = 0; i + 1 < n; i++) {
        struct candidate t = c[i];
        int front = before(t, pivot);
        c[i] = c[at];
        c[at] = t;
        at += (size_t)front;
    }
    c[n - 1] = c[at];
    c[at] = pivot;
    return at;
}

/* In the order of before(): the last of n > 0 candidates that has less than `limit` before it, in number or in weight
 * (*enough: 1 where all of them together reach it). The first is always kept. */
static struct bound last_kept(struct candidate *c, size_t n, double limit, int by_weight, int *enough)
{
    struct bound last = {c[0].y, c[0].id};
    uint64_t sum = 0; /* of what is known to come before all of c[0..n) */
    int any = 0;
    *enough = 0;
    while (n > 0) {
        uint64_t front = 0;
        size_t at = split(c, n);
        for (size_t i = 0; i < at; i++) front += by_weight ? c[i].w : 1;
        if ((double)(sum + front) < limit || (at == 0 && !any)) {
            last = (struct bound){c[at].y, c[at].id};
            any = 1;
            sum += front + (by_weight ? c[at].w : 1);
            *enough |= (double)sum >= limit;
            c += at + 1;
            n -= at + 1;
        } else {
            *enough = 1;
            n = at;
        }
    }
    return last;
}

/* ---- Truncation -------------------------------------------------------------------------------------------------- */

/* The k-th largest logit: it is no smaller than the k-th largest of the blocks' maxima. k < n. */
static float kth_largest(const struct work *w, size_t k)
{
    size_t blocks = ceil_div(w->n, BLOCK);
    float from = -INFINITY;
    int enough;
    if (k <= blocks) {
        for (size_t b = 0; b < blocks; b++) w->c[b] = (struct candidate){w->block_max[b], (uint32_t)b, 0};
        from = last_kept(w->c, blocks, (double)k, 0, &enough).y;
    }
    size_t n = gather(w, from);
    return n ? last_kept(w->c, n, (double)k, 0, &enough).y : from;
}

/* A logit below every one that has e of at least `e`. */
static float logit_below(const struct work *w, float e)
{
    float c = w->o->scale * CG_EXP_LOG2E;
    return e > 0 ? w->max + (cg_logf(e) * CG_EXP_LOG2E - MARGIN) / c - fabsf(w->max) * 0x1p-20f : -INFINITY;
}

/* What top_p keeps of everything. All tokens below a share of (1 - top_p) / n each cannot matter together. */
static struct bound bound_of_all(const struct work *w)
{
    float s = cg_exp2((w->lse - w->max * w->o->scale) * CG_EXP_LOG2E);
    double limit = (double)w->o->top_p * ((double)s * UNIT);
    struct bound b;
    int enough;
    for (float from = logit_below(w, (1.0f - w->o->top_p) * s / (float)w->n);; from = -INFINITY) {
        b = last_kept(w->c, weigh(w, gather(w, from), -1.0f), limit, 1, &enough);
        if (enough || !(from > -INFINITY)) return b;
    }
}

/* What top_k and top_p keep. */
static struct bound find_bound(const struct work *w)
{
    const struct cg_sample_options *o = w->o;
    if (o->top_k == 0 || o->top_k >= w->n)
        return o->top_p < 1.0f ? bound_of_all(w) : (struct bound){-INFINITY, UINT32_MAX};
    struct bound b = {kth_largest(w, o->top_k), UINT32_MAX};
    if (!(o->top_p < 1.0f)) return b;
    size_t n = weigh(w, gather(w, b.y), -1.0f);
    int enough;
    return last_kept(w->c, n, (double)o->top_p * (double)total(w, n), 1, &enough);
}

static struct cg_sampled truncated(struct work *w, float u)
{
    const struct cg_sample_options *o = w->o;
    for (size_t i = 0; i < w->n; i += BLOCK)
        w->block_max[i / BLOCK] = w->rows->max_f32(min_size(w->n - i, BLOCK), w->y + i);
    struct bound b = find_bound(w);
    float from = logit_below(w, o->min_p);
    size_t n = gather(w, b.y > from ? b.y : from), kept = 0;
    for (size_t i = 0; i < n; i++) {
        w->c[kept] = w->c[i];
        kept += w->c[i].y > b.y || w->c[i].id <= b.id;
    }
    kept = weigh(w, kept, o->min_p);
    uint64_t sum = total(w, kept), so_far = 0;
    double target = (double)u * (double)sum;
    size_t at = 0;
    while (at + 1 < kept && !((double)(so_far += w->c[at].w) > target)) at++;
    float lse = cg_logf((float)((double)sum / UNIT)) + w->max * o->scale;
    return (struct cg_sampled){.token = w->c[at].id, .sampling_logprob = w->c[at].y * o->scale - lse};
}

struct cg_sampled cg_sample(const struct cg_rowops *rows, size_t n, const struct cg_sample_options *o, float *x,
                            const struct cg_seen seen[2], float u, void *scratch)
{
    struct work w = work_at(n, scratch);
    struct cg_sampled s = {0};
    float lse, entropy, unused;
    w.rows = rows;
    w.o = o;
    w.y = x;
    cg_logits_stats(rows, n, o->scale, x, &w.max, &lse, &entropy);
    w.lse = lse;
    size_t changed = penalise(&w, x, seen);
    if (changed && !o->greedy && truncates(o)) cg_logits_stats(rows, n, o->scale, x, &w.max, &w.lse, &unused);
    if (o->greedy || !isfinite(w.max)) {
        s.token = cg_logits_argmax(rows, n, x);
    } else if (truncates(o)) {
        s = truncated(&w, u);
    } else {
        struct cg_logits_choice c = cg_logits_sample(rows, n, o->scale, x, u);
        s.token = c.token;
        s.sampling_logprob = c.logprob;
    }
    restore(&w, x, changed);
    s.entropy = entropy;
    s.logprob = cg_logits_logprob(x, s.token, o->scale, lse);
    return s;
}

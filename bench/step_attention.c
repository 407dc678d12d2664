/* The attention of a step, counted block by block as kernels/attention.c and attention_decode.c work: tiles that reach
 * past the keys that a row sees are executed in full. */
#include <math.h>

#include "bench/step_impl.h"
#include "kernels/attention_impl.h"
#include "runtime/nn/generate.h"

#define LINE 64 /* bytes */

/* What one task (a prompt with its completions, one key/value head) does in one layer. */
struct tally {
    double tiles, executed; /* calls of the micro-kernel, multiply-adds of these */
    double useful;          /* multiply-adds that matter */
    double rows, elements;  /* of softmax */
    double packed;          /* floats */
    double copied;          /* rows of a head */
};

static void add_times(struct tally *t, const struct tally *other, double times)
{
    t->tiles += times * other->tiles;
    t->executed += times * other->executed;
    t->useful += times * other->useful;
    t->rows += times * other->rows;
    t->elements += times * other->elements;
    t->packed += times * other->packed;
    t->copied += times * other->copied;
}

/* One call: fewer than half of a tile's rows take as long as half of them, the chains wait for themselves. */
static void tile(const struct cg_attention *at, struct tally *t, size_t rows, size_t cols, size_t k)
{
    size_t least = (at->gemm->mr + 1u) / 2;
    t->tiles++;
    t->executed += (double)((rows < least ? least : rows) * cols) * (double)k;
}

/* As cg_attention_scores: whole panels, or at the diagonal 16 columns at a time. */
static void scores(const struct cg_attention *at, struct tally *t, size_t m, struct cg_span sp)
{
    size_t mr = at->gemm->mr, nr = at->gemm->nr, hd = at->head_dim;
    for (size_t j = 0; j < cg_span_seen(sp, m - 1); j += nr)
        for (size_t i = 0; i < m; i += mr) {
            size_t rows = m - i < mr ? m - i : mr, seen = cg_span_seen(sp, i + rows - 1);
            if (j >= seen) continue;
            if (seen - j + 16 <= nr)
                for (size_t c = 0; c < seen - j; c += 16) tile(at, t, rows, 16, hd);
            else tile(at, t, rows, nr, hd);
        }
}

static void mix(const struct cg_attention *at, struct tally *t, size_t m, struct cg_span sp)
{
    size_t mr = at->gemm->mr, nr = at->gemm->nr, wd = cg_attention_pad(at, at->head_dim);
    for (size_t i = 0; i < m; i += mr) {
        size_t rows = m - i < mr ? m - i : mr;
        for (size_t j = 0; j < wd; j += nr) tile(at, t, rows, nr, cg_span_seen(sp, i + rows - 1));
    }
}

/* Softmax of m rows; returns how many keys they see together. */
static double softmax(struct tally *t, size_t m, struct cg_span sp)
{
    double seen = 0;
    for (size_t r = 0; r < m; r++) seen += (double)cg_span_seen(sp, r);
    t->rows += (double)m;
    t->elements += seen;
    return seen;
}

static struct tally forward_segment(const struct cg_attention *at, size_t len, size_t pos0)
{
    struct tally t = {0};
    size_t rows = len * at->group, block = cg_attention_block(at);
    t.packed = (double)(len * at->head_dim);
    t.copied = (double)len + 2.0 * (double)rows; /* values; queries and results */
    for (size_t i = 0; i < rows; i += block) {
        size_t m = rows - i < block ? rows - i : block;
        struct cg_span sp = {pos0 + 1, i, at->group};
        scores(at, &t, m, sp);
        t.useful += 2.0 * (double)at->head_dim * softmax(&t, m, sp);
        mix(at, &t, m, sp);
    }
    return t;
}

/* As add_keys: m rows that see `seen0` keys and on. */
static void add_keys(const struct cg_attention *at, struct tally *t, size_t m, struct cg_span sp)
{
    size_t mr = at->gemm->mr, nr = at->gemm->nr, wd = cg_attention_pad(at, at->head_dim);
    size_t seen = cg_span_seen(sp, m - 1);
    for (size_t i = 0; i < seen; i += mr) {
        size_t keys = seen - i < mr ? seen - i : mr, r0 = i < sp.seen0 ? 0 : i + 1 - sp.seen0;
        for (size_t j = 0; j < wd; j += nr) tile(at, t, keys, nr, m - r0);
    }
}

static struct tally backward_segment(const struct cg_attention *at, size_t len, size_t pos0)
{
    struct tally t = {0};
    size_t hd = at->head_dim, block = cg_attention_block(at), wd = cg_attention_pad(at, hd);
    for (size_t i = 0; i < len; i += block) {
        size_t m = len - i < block ? len - i : block;
        struct cg_span sp = {pos0 + i + 1, 0, 1};
        scores(at, &t, m, sp);
        scores(at, &t, m, sp);
        t.useful += 5.0 * (double)hd * softmax(&t, m, sp);
        add_keys(at, &t, m, sp);
        add_keys(at, &t, m, sp);
        mix(at, &t, m, sp);
        t.copied += 3.0 * (double)m; /* Q and dO into columns, dQ out */
    }
    struct tally group = {0};
    add_times(&group, &t, (double)at->group);
    group.packed = 2.0 * (double)(len * hd); /* keys, and values as if they were keys */
    group.copied += 3.0 * (double)len;       /* keys as if they were values; gradients of keys and values out */
    group.copied += 2.0 * (double)(pos0 + len) * (double)wd / (double)hd; /* zeros lose their sign */
    return group;
}

/* Puts a section of all layers: `tasks` alike tasks in one parallel region. */
static void section(struct cg_lister *l, const struct tally *t, size_t tasks, int backward, double bytes,
                    double footprint)
{
    double calls = l->calls;
    size_t rows = (size_t)llround(t->rows), mean = rows ? (size_t)llround(t->elements / t->rows) : 0;
    struct cg_work w = {.part = CG_PART_OF_ATTENTION, .tasks = tasks};
    l->calls *= (double)l->s->layers;
    w.kind = CG_WORK_SPLIT;
    w.m = 1;
    if (tasks > 1) cg_step_put(l, w);
    w.kind = CG_WORK_ROWS;
    w.op = CG_OP_softmax_len_f32;
    w.m = rows;
    w.n = mean;
    cg_step_put(l, w);
    w.op = CG_OP_softmax_len_bwd_f32;
    if (backward) cg_step_put(l, w);
    w = (struct cg_work){.part = CG_PART_OF_ATTENTION, .tasks = tasks, .kind = CG_WORK_PACK};
    w.m = (size_t)llround(t->packed);
    cg_step_put(l, w);
    w.kind = CG_WORK_TILES;
    w.m = (size_t)llround(t->tiles);
    w.n = l->s->head_dim;
    w.k = (size_t)llround(t->executed);
    w.flops = 2 * t->useful * (double)tasks;
    cg_step_put(l, w);
    /* A row is copied about as fast as it is added to. */
    w = (struct cg_work){.part = CG_PART_OF_ATTENTION, .tasks = tasks, .kind = CG_WORK_ROWS, .op = CG_OP_add_f32};
    w.m = (size_t)llround(t->copied);
    w.n = l->s->head_dim;
    w.bytes = bytes;
    w.footprint = footprint;
    cg_step_put(l, w);
    l->calls = calls;
}

static struct tally group_of(const struct cg_lister *l, size_t own, double completions,
                             struct tally segment(const struct cg_attention *, size_t, size_t))
{
    struct tally t = segment(&l->at, l->w->prompt_length, 0);
    if (own) {
        struct tally child = segment(&l->at, own, l->w->prompt_length);
        add_times(&t, &child, completions);
    }
    return t;
}

static double tokens_of(const struct cg_lister *l, size_t groups, size_t own, double completions)
{
    return (double)groups * ((double)l->w->prompt_length + completions * (double)own);
}

void cg_step_attention(struct cg_lister *l, size_t groups, size_t own, double completions)
{
    struct tally t = group_of(l, own, completions, forward_segment);
    double bytes = 4.0 * tokens_of(l, groups, own, completions) * (double)(l->qkv + l->att);
    section(l, &t, groups * l->s->kv_heads, 0, bytes, bytes);
}

void cg_step_attention_backward(struct cg_lister *l, size_t groups, size_t own, double completions)
{
    struct tally t = group_of(l, own, completions, backward_segment);
    double bytes = 4.0 * tokens_of(l, groups, own, completions) * (double)(2 * l->qkv + l->att);
    section(l, &t, groups * l->s->kv_heads, 1, bytes, l->saved);
}

/* ---- Decoding ---------------------------------------------------------------------------------------------------- */

static void rows_of_cache(struct cg_lister *l, size_t tasks, size_t m, size_t n, size_t k, double count)
{
    if (!m || !n || !k) return;
    cg_step_put(l, (struct cg_work){.part = CG_PART_OF_ATTENTION,
                                    .kind = CG_WORK_ROWS,
                                    .op = CG_OP_kv_f32,
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .tasks = tasks,
                                    .calls = count,
                                    .flops = 0});
}

void cg_step_attention_decode(struct cg_lister *l, size_t active, size_t own)
{
    const struct cg_sizes *s = l->s;
    size_t hd = s->head_dim, group = l->at.group, prompt = l->w->prompt_length, block = cg_attention_block(&l->at);
    /* Runs of one prompt's sequences, as find_runs cuts them. */
    size_t most = (active * s->kv_heads + 4 * l->threads - 1) / (4 * l->threads), alive = l->w->prompts;
    if (most > CG_DECODE_TASK) most = CG_DECODE_TASK;
    if (alive > active) alive = active;
    size_t each = (active + alive - 1) / alive, cuts = (each + most - 1) / most, runs = alive * cuts;
    double sequences = (double)active / (double)runs, calls = l->calls, rows = sequences * (double)group;
    size_t tasks = runs * s->kv_heads, in_block = rows < (double)block ? (size_t)ceil(rows) : block;
    double blocks = rows / (double)in_block;
    double cache = 8.0 * (double)s->kv_heads * (double)hd;
    double bytes = cache * ((double)(alive * cuts * prompt) + (double)(active * own));
    double all = cache * (double)s->layers * (double)(alive * prompt + active * own);
    l->calls *= (double)s->layers;
    cg_step_put(l, (struct cg_work){.part = CG_PART_OF_ATTENTION, .kind = CG_WORK_SPLIT, .m = 1, .tasks = tasks});
    rows_of_cache(l, tasks, in_block, round_up(prompt, 16), hd, blocks);
    rows_of_cache(l, tasks, group, round_up(own, 16), hd, sequences);
    rows_of_cache(l, tasks, in_block, round_up(hd, 16), prompt, blocks);
    rows_of_cache(l, tasks, group, round_up(hd, 16), own, sequences);
    struct cg_work w = {.part = CG_PART_OF_ATTENTION,
                        .tasks = tasks,
                        .kind = CG_WORK_ROWS,
                        .op = CG_OP_softmax_len_f32,
                        .m = 1,
                        .n = prompt + own,
                        .calls = rows};
    cg_step_put(l, w);
    /* Queries, results and values are copied; a new key's numbers go to a line each. */
    w = (struct cg_work){.part = CG_PART_OF_ATTENTION, .tasks = tasks, .kind = CG_WORK_ROWS, .op = CG_OP_add_f32};
    w.m = (size_t)ceil(sequences * (double)(1 + 2 * group));
    w.n = hd;
    w.bytes = bytes + 2.0 * LINE * (double)(active * s->kv_heads * hd);
    w.footprint = all;
    w.flops = 4.0 * (double)(active * s->heads * hd) * (double)(prompt + own);
    cg_step_put(l, w);
    l->calls = calls;
}

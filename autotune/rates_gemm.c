/* Small products through the real entry points, with operands that stay in L1. */
#include <math.h>
#include <string.h>

#include "autotune/rates_probes.h"
#include "common/clock.h"
#include "common/mem.h"
#include "kernels/gemm.h"
#include "kernels/pack_f32.h"

enum {
    B_BYTES = 16 << 10, /* of B that is gone through: in L1, so that the memory's part is not counted twice */
    PACK_BYTES = 96 << 10,
    LONG_STEPS = 512,
    SHORT_PART = 8, /* of the long steps */
    MAX_STEPS = LONG_STEPS + 64,
    MAX_COLUMNS = 1 << 14,
    OPERAND_BYTES = 1 << 20,
    PACK_STEPS = 256,
    PACK_ROWS = 224, /* tiles of CG_PACK_HEIGHT and of one row less */
    TIMES = 3,
    FAR_COLUMNS = 384, /* of weights in memory; not a power of two, as those of models are not */
    FAR_STEPS = 576,
};
#define SAMPLE_SECONDS 1.5e-4

static size_t bytes_of(const struct cg_variant *v)
{
    return v->op == CG_OP_gemm_f32 ? 4 : v->op == CG_OP_gemm_s8 ? 1 : 2;
}

size_t cg_rates_steps(const struct cg_variant *v, enum cg_rates_kind kind)
{
    size_t steps = B_BYTES / (v->nr * bytes_of(v));
    steps = (steps < LONG_STEPS ? steps : LONG_STEPS) / (kind == CG_PROBE_LONG ? 1 : SHORT_PART);
    return steps < v->ku ? v->ku : steps / v->ku * v->ku;
}

size_t cg_rates_tiles(const struct cg_variant *v, enum cg_rates_kind kind)
{
    size_t tiles = B_BYTES / (v->nr * bytes_of(v) * cg_rates_steps(v, kind)), most = MAX_COLUMNS / v->nr;
    if (kind != CG_PROBE_TILES) return 1;
    return tiles < 2 ? 2 : tiles < most ? tiles : most;
}

/* Words whose bytes, halves and whole are all ordinary numbers: denormals would be slow. */
static void fill(void *p)
{
    uint32_t r = 1, *w = p;
    for (size_t i = 0; i < OPERAND_BYTES / sizeof *w; i++) {
        r ^= r << 13, r ^= r >> 17, r ^= r << 5;
        w[i] = 0x3f003f00u | (r & 0x807f807fu);
    }
}

int cg_rates_bench_open(struct cg_rates_bench *b)
{
    b->a = cg_alloc(OPERAND_BYTES);
    b->b = cg_alloc(OPERAND_BYTES);
    b->out = cg_alloc(OPERAND_BYTES);
    b->c = cg_alloc_n((size_t)64 * MAX_COLUMNS, sizeof *b->c);
    b->scale = cg_alloc_n(MAX_COLUMNS, sizeof *b->scale);
    b->comp = cg_alloc_n(MAX_COLUMNS, sizeof *b->comp);
    if (!b->a || !b->b || !b->out || !b->c || !b->scale || !b->comp) return 0;
    fill(b->a);
    fill(b->b);
    for (size_t i = 0; i < MAX_COLUMNS; i++) b->scale[i] = 1;
    return 1;
}

void cg_rates_bench_close(struct cg_rates_bench *b)
{
    void *all[] = {b->a, b->b, b->out, b->c, b->scale, b->comp};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

/* What is timed: a product, or packing. */
struct work {
    struct cg_rates_bench *b;
    const struct cg_variant *v;
    size_t m, n, k; /* k = 0: packing of B, by columns with m = 0; n = 0: of A in tiles of m rows */
};

static void run(const struct work *w)
{
    struct cg_rates_bench *b = w->b;
    const struct cg_variant *v = w->v;
    const struct cg_plan plan = {.variant = v, .threads = 1};
    if (w->k == 0) {
        if (w->m) cg_pack_f32(w->n, PACK_STEPS, b->b, w->n, 1, v->pack_nr, b->out, 1);
        else cg_pack_f32(w->n, PACK_STEPS, b->b, 1, PACK_STEPS, v->pack_nr, b->out, 1);
    } else if (w->n == 0) {
        cg_pack_rows(PACK_ROWS, w->m, w->k, (struct operand){b->a, 1, PACK_ROWS}, b->out);
    } else if (v->op == CG_OP_gemm_s8) {
        struct cg_packed_s8 p = {v, w->n, w->k, b->b, v->a_offset ? b->comp : NULL, b->scale};
        cg_gemm_s8(&plan, w->m, b->a, b->scale, &p, b->c, w->n, NULL);
    } else if (v->op == CG_OP_gemm_bf16) {
        struct cg_packed_bf16 p = {v, w->n, w->k, b->b};
        cg_gemm_bf16(&plan, w->m, b->a, &p, b->c, w->n, NULL);
    } else {
        cg_gemm(&plan, w->m, w->n, w->k, b->a, w->k, 1, b->b, b->c, w->n, 0, NULL);
    }
}

/* Seconds of one run: as many as the clock needs, after one that brings the operands near; the best of a few times in a
 * row, since one of them may be interrupted. */
static double time_of(const struct work *w)
{
    run(w);
    double start = cg_now(), best = INFINITY;
    run(w);
    double once = cg_now() - start;
    size_t runs = once > 0 ? (size_t)fmin(SAMPLE_SECONDS / TIMES / once, 1000) + 1 : 1000;
    for (int i = 0; i < TIMES; i++) {
        start = cg_now();
        for (size_t j = 0; j < runs; j++) run(w);
        best = fmin(best, (cg_now() - start) / (double)runs);
    }
    return best;
}

/* Weights that were not looked at for as long as it takes to go through half of the arena. */
static double pack_far(struct cg_rates_bench *b, const struct cg_variant *v)
{
    const size_t bytes = (size_t)FAR_COLUMNS * FAR_STEPS * sizeof(float), half = b->arena_size / 2 / 64 * 64;
    if (b->far + 2 * bytes > half) b->far = 0; /* panels are rounded up to a multiple of four */
    float *from = (float *)(void *)(b->arena + b->far), *to = (float *)(void *)(b->arena + half + b->far);
    b->far += bytes;
    double start = cg_now();
    cg_pack_f32(FAR_COLUMNS, FAR_STEPS, from, 1, FAR_STEPS, v->pack_nr, to, 1);
    return (cg_now() - start) / (double)bytes;
}

double cg_rates_gemm(struct cg_rates_bench *b, const struct cg_rates_probe *p)
{
    const struct cg_variant *v = p->variant;
    size_t steps = cg_rates_steps(v, p->kind), tiles = cg_rates_tiles(v, p->kind);
    size_t columns = PACK_BYTES / sizeof(float) / PACK_STEPS / v->pack_nr * v->pack_nr;
    switch (p->kind) {
    case CG_PROBE_LONG:
    case CG_PROBE_BRIEF:
    case CG_PROBE_TILES: return time_of(&(struct work){b, v, p->rows, tiles * v->nr, steps});
    case CG_PROBE_CALL: return time_of(&(struct work){b, v, 1, v->nr, 1});
    case CG_PROBE_CALLS: return time_of(&(struct work){b, v, 1, (size_t)CG_PROBE_MANY * v->nr, 1});
    case CG_PROBE_WHOLE: return time_of(&(struct work){b, v, v->mr, v->nr, 8});
    case CG_PROBE_EDGE: return time_of(&(struct work){b, v, v->mr, v->nr - 1u, 8});
    case CG_PROBE_PACK_B:
    case CG_PROBE_PACK_W:
        if (columns < v->pack_nr) columns = v->pack_nr;
        return time_of(&(struct work){b, v, p->kind == CG_PROBE_PACK_B, columns, 0}) /
               (double)(columns * PACK_STEPS * sizeof(float));
    case CG_PROBE_PACK_FAR: return pack_far(b, v);
    case CG_PROBE_PACK_A:
    case CG_PROBE_PACK_ODD:
        steps = p->kind == CG_PROBE_PACK_A ? CG_PACK_HEIGHT : CG_PACK_HEIGHT - 1;
        return time_of(&(struct work){b, v, steps, 0, PACK_STEPS}) / (double)(PACK_ROWS * PACK_STEPS * sizeof(float));
    default: return 0;
    }
}

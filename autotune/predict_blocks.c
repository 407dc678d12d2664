/* What one thread does in a GEMM, block by block, and what that costs. */
#include <math.h>

#include "autotune/predict_parts.h"

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static double cost_of(const struct cg_model *m, const struct cg_curve curve[2], double bytes)
{
    double one = cg_curve_cost(&curve[CG_RATE_ONE], bytes);
    if (m->others <= 0) return one;
    return one + m->others * (cg_curve_cost(&curve[CG_RATE_ALL], bytes) - one);
}

/* Seconds to read a byte that was last used `bytes` ago, by each of `share` threads. What one of them has fetched, the
 * others find in the shared cache. */
static double read_cost(const struct cg_model *m, const struct cg_curve curve[2], double bytes, size_t share)
{
    if (share <= 1) return cost_of(m, curve, bytes);
    return fmax(cg_curve_cost(&curve[CG_RATE_ONE], bytes), cost_of(m, curve, bytes / (double)share));
}

static double plain_cost(const struct cg_model *m, double bytes, size_t share)
{
    return read_cost(m, (const struct cg_curve[2]){m->r->read[0][0], m->r->read[1][0]}, bytes, share);
}

/* The same for panels of B: prefetches matter as far ahead as they were measured. */
static double panel_cost(const struct cg_model *m, double bytes, size_t share, int in_place)
{
    double plain = plain_cost(m, bytes, share);
    if (in_place) return plain + m->apart * (read_cost(m, m->r->strided, bytes, share) - plain);
    if (m->ahead <= 0) return plain;
    const struct cg_curve curve[2] = {m->r->read[0][1], m->r->read[1][1]};
    return plain + m->ahead * (read_cost(m, curve, bytes, share) - plain);
}

/* The same for tiles of C, written or read and written: what they cost more than in L1, where the micro-kernels were
 * measured. */
static double tile_cost(const struct cg_model *m, double bytes, int update)
{
    const struct cg_curve curve[2] = {m->r->tiles[0][update], m->r->tiles[1][update]};
    return fmax(0, cost_of(m, curve, bytes) - cost_of(m, curve, 0));
}

/* Computing and fetching side by side: the longer hides the shorter, all but a rest where they take about as long. What
 * is left over is more the nearer the fetching is to memory's cost, whose latency the core's window does not span: a
 * norm of exponent 5 for caches, of 3 for memory. cost: of a byte that is fetched. */
static double together(const struct cg_model *m, double compute, double fetch, double cost)
{
    double from_cache = pow(pow(compute, 5) + pow(fetch, 5), 0.2);
    double from_memory = cbrt(compute * compute * compute + fetch * fetch * fetch);
    double far = fmin(1, cost / m->memory_cost);
    return from_cache + far * far * (from_memory - from_cache);
}

/* ---- A block: rows against column tiles -------------------------------------------------------------------------- */

/* Where the operands of a block were when they are first needed, in bytes that passed by since. */
struct block {
    size_t rows, tiles, depth;
    int edge;     /* the last tile reaches past the last column */
    double times; /* so many such blocks */
    double from_b, from_a, from_c;
    size_t share_b;
    int reads_c;
    int in_place; /* B is read as it lies */
};

/* Seconds of a tile of `rows` rows beside its memory. Few rows take as long as loading the panel does, more of them as
 * long as multiplying. */
static double tile_compute(const struct cg_model *m, size_t rows, size_t depth)
{
    const struct cg_rate_variant *v = m->rates;
    size_t i = 0;
    while (i + 1 < v->n && v->rows[i + 1] < rows) i++;
    double step = v->step[i], tile = v->tile[i];
    if (i + 1 < v->n && rows > v->rows[i]) {
        step = fmax(step, v->step[i + 1] * (double)rows / v->rows[i + 1]);
        tile += (double)(rows - v->rows[i]) / (v->rows[i + 1] - v->rows[i]) * (v->tile[i + 1] - tile);
    }
    return m->slower * (step * (double)depth + tile);
}

static void visit_block(struct cg_model *m, const struct block *b)
{
    const struct cg_variant *v = m->plan->variant;
    size_t passes = ceil_div(b->rows, v->mr), more = b->rows % passes, low = b->rows / passes;
    double tiles = (double)b->tiles, depth = (double)b->depth, all = b->times * tiles;
    m->work.tiles += all * (double)passes;
    m->work.steps += all * (double)passes * depth;
    m->work.row_steps += all * (double)b->rows * depth;
    if (b->edge) m->work.edges += b->times * (double)b->rows;
    if (!m->rates) return;
    double panel = (double)v->nr * depth * (double)m->bytes_b, strip = depth * (double)m->bytes_a;
    double again = panel + strip * (double)v->mr; /* before the next tile of rows reads the panel again */
    double near_b = panel_cost(m, again, 1, b->in_place), far_b = panel_cost(m, b->from_b, b->share_b, b->in_place);
    double near_a = plain_cost(m, (double)b->rows * strip + panel, 1), far_a = plain_cost(m, b->from_a, m->share_a);
    double a = strip * (near_a + (far_a - near_a) / tiles); /* of a row */
    /* C that is added to is there before a tile begins; what is written, stores hide behind the next. */
    double c = sizeof(float) * (double)v->nr * tile_cost(m, b->from_c, b->reads_c);
    double before = b->reads_c ? c * (double)b->rows : 0;
    if (b->reads_c) c = 0;
    if (near_b > far_b) near_b = far_b;
    double of_low = tile_compute(m, low, b->depth), of_high = more ? tile_compute(m, low + 1, b->depth) : 0;
    double rows = (double)(low + (more > 0));
    double first = together(m, more ? of_high : of_low, panel * far_b + rows * (a + c), far_b), rest = 0;
    double again_b = panel * near_b;
    if (more > 1) rest += (double)(more - 1) * together(m, of_high, again_b + (double)(low + 1) * (a + c), near_b);
    if (passes > more + !more)
        rest += (double)(passes - more - !more) * together(m, of_low, again_b + (double)low * (a + c), near_b);
    m->seconds += all * (first + rest + before);
    if (b->edge) m->seconds += b->times * (double)b->rows * m->r->edge * m->slower;
}

/* `count` things in pieces of `size`: how many whole ones, and what is left for the last. */
static size_t whole_pieces(size_t count, size_t size, size_t *rest)
{
    *rest = count % size;
    return count / size;
}

/* ---- B packed before --------------------------------------------------------------------------------------------- */

/* One row block of a part, `times` times; first: B comes from its home, not from the row block before. */
static void visit_row_block(struct cg_model *m, struct cg_part part, const struct cg_blocks *s, size_t rows,
                            double times, int first)
{
    const struct cg_variant *v = m->plan->variant;
    size_t tiles = part.t1 - part.t0, left, tc = min_size(s->tc, tiles), last_depth;
    size_t chunks = whole_pieces(tiles, tc, &left), depths = whole_pieces(m->k, s->kc, &last_depth);
    int edge = part.t1 * v->nr > m->n;
    double part_b = (double)tiles * (double)v->nr * (double)m->k * (double)m->bytes_b;
    double block_a = (double)rows * (double)m->k * (double)m->bytes_a;
    for (int last_chunk = 0; last_chunk < 2; last_chunk++) {
        size_t width = last_chunk ? left : tc;
        double n_chunks = last_chunk ? 1 : (double)chunks;
        if (width == 0 || n_chunks <= 0) continue;
        double c = (double)rows * (double)(width * v->nr) * sizeof(float);
        /* The edge is in the last chunk, whichever that is. */
        int has_edge = edge && (last_chunk || left == 0);
        for (int last = 0; last < 2; last++) {
            size_t depth = last ? last_depth : s->kc;
            double n_depths = last ? (depth > 0 || m->k == 0) : (double)depths;
            if (n_depths <= 0) continue;
            double chunk_b = (double)(width * v->nr) * (double)depth * (double)m->bytes_b;
            struct block b = {.rows = rows,
                              .tiles = width,
                              .depth = depth,
                              .times = times * n_chunks * n_depths,
                              .from_b = first ? m->home_b : part_b + block_a + c,
                              .share_b = m->share_b,
                              .from_a = m->all,
                              .from_c = m->k > s->kc ? chunk_b + c : m->home_c,
                              .reads_c = m->accumulate || m->k > s->kc};
            if (has_edge && n_chunks > 1) { /* only the last of them */
                b.times = times * (n_chunks - 1) * n_depths;
                visit_block(m, &b);
                b.times = times * n_depths;
            }
            b.edge = has_edge;
            visit_block(m, &b);
        }
    }
}

static void visit_packed(struct cg_model *m, struct cg_part part)
{
    struct cg_blocks s;
    if (cg_op_is_dot(m->plan->variant->op))
        s = (struct cg_blocks){cg_dot_mc(m->plan, m->plan->variant, part.i1 - part.i0), part.t1 - part.t0,
                               m->k ? m->k : 1};
    else s = cg_blocks_packed(m->plan, part, m->k);
    size_t rows = part.i1 - part.i0, rest, blocks = whole_pieces(rows, s.mc, &rest);
    if (blocks > 0) visit_row_block(m, part, &s, s.mc, 1, 1);
    if (blocks > 1) visit_row_block(m, part, &s, s.mc, (double)(blocks - 1), 0);
    if (rest > 0) visit_row_block(m, part, &s, rest, 1, blocks == 0);
}

/* ---- B packed on the way ----------------------------------------------------------------------------------------- */

/* A transposed A into tiles: step by step, a few rows at a time, the usual heights faster. */
static void visit_pack_a(struct cg_model *m, size_t rows, size_t depth, double times)
{
    size_t tiles = ceil_div(rows, m->plan->variant->mr), low = rows / tiles;
    double bytes = (double)rows * (double)depth * sizeof(float);
    m->work.packed_a += times * (double)rows * (double)depth;
    if (!m->rates) return;
    double copied = low < CG_PACK_HEIGHT ? bytes / (double)low * CG_PACK_HEIGHT : bytes;
    double rate = low == 4 || low == 6 || low == 8 ? m->r->pack_a : m->r->pack_odd;
    double from = plain_cost(m, m->all, m->share_a);
    m->seconds += times * together(m, copied / rate * m->slower, bytes * from, from);
}

/* All rows of a part against `cols` columns of a block of B, from its panels or as it lies. */
static void visit_rows(struct cg_model *m, struct cg_part part, const struct cg_pack_blocks *s, size_t cols,
                       size_t depth, double times, int in_place)
{
    const struct cg_variant *v = m->plan->variant;
    size_t mc = cg_even_block(part.i1 - part.i0, s->mc, v->mr), tiles = ceil_div(cols, v->nr), rest;
    size_t blocks = whole_pieces(part.i1 - part.i0, mc, &rest);
    int packs_a = m->form == CG_FORM_TN && tiles > 1;
    double block_b = (double)cols * (double)depth * sizeof(float);
    for (int last = 0; last < 2; last++) {
        size_t rows = last ? rest : mc;
        double n_blocks = last ? 1 : (double)blocks, bytes_a = (double)rows * (double)depth * sizeof(float);
        if (rows == 0 || n_blocks <= 0) continue;
        double c = (double)rows * (double)m->n * sizeof(float);
        struct block b = {.rows = rows,
                          .tiles = tiles,
                          .depth = depth,
                          .edge = tiles * v->nr > cols,
                          .times = times * n_blocks,
                          .from_b = block_b + bytes_a,
                          .share_b = 1,
                          .from_a = packs_a ? bytes_a : m->all,
                          .from_c = m->k > s->kc ? block_b + c : m->home_c,
                          .reads_c = m->accumulate || m->k > s->kc,
                          .in_place = in_place};
        if (packs_a) visit_pack_a(m, rows, depth, b.times);
        if (in_place && (!last || blocks == 0)) { /* the first rows fetch B, the others find it where they left it */
            b.times = times;
            b.from_b = m->home_b;
            visit_block(m, &b);
            b.times = times * (n_blocks - 1);
            b.from_b = block_b + bytes_a;
        }
        if (b.times > 0) visit_block(m, &b);
    }
}

/* B's columns into panels, and zeros where the panels are padded. */
static void visit_pack(struct cg_model *m, size_t cols, size_t depth, double times)
{
    const struct cg_variant *v = m->plan->variant;
    double read = (double)cols * (double)depth * sizeof(float);
    double all = (double)(round_up(ceil_div(cols, v->pack_nr), 4) * v->pack_nr) * (double)depth * sizeof(float);
    m->work.packed_b += times * (double)cols * (double)depth;
    if (!m->rates) return;
    double from = read_cost(m, m->r->strided, m->home_b, m->share_b), write = cost_of(m, m->r->write, all);
    m->seconds +=
        times * (together(m, read / m->r->pack_b * m->slower, read * (from + write), from) + (all - read) * write);
}

static void visit_packing(struct cg_model *m, struct cg_part part)
{
    const struct cg_variant *v = m->plan->variant;
    struct cg_pack_blocks s = cg_blocks_packing(m->plan, m->n, m->k);
    int in_place = cg_reads_in_place(m->plan, part.i1 - part.i0, m->n, m->k);
    size_t columns = min_size(part.t1 * v->nr, m->n) - part.t0 * v->nr, last_cols, last_depth;
    size_t nc = cg_even_block(columns, s.nc, v->nr), chunks = whole_pieces(columns, nc, &last_cols);
    size_t depths = whole_pieces(m->k, s.kc, &last_depth);
    for (int last_j = 0; last_j < 2; last_j++)
        for (int last_p = 0; last_p < 2; last_p++) {
            size_t cols = last_j ? last_cols : nc, depth = last_p ? last_depth : s.kc;
            double times = (last_j ? cols > 0 : (double)chunks);
            times *= last_p ? (depth > 0 || m->k == 0) : (double)depths;
            if (times <= 0) continue;
            size_t whole = in_place ? cols / v->nr * v->nr : 0, rest = cols - whole;
            if (whole) visit_rows(m, part, &s, whole, depth, times, 1);
            if (rest) {
                visit_pack(m, rest, depth, times);
                visit_rows(m, part, &s, rest, depth, times, 0);
            }
        }
}

/* ---- A part ------------------------------------------------------------------------------------------------------ */

void cg_model_visit(struct cg_model *m, struct cg_part part)
{
    m->work = (struct cg_predict_work){0};
    m->seconds = 0;
    if (cg_part_is_empty(part)) return;
    double rows = (double)(part.i1 - part.i0), cols = (double)(part.t1 - part.t0) * m->plan->variant->nr;
    m->all = (double)m->bytes_b * cols * (double)m->k + (double)m->bytes_a * rows * (double)m->k +
             sizeof(float) * rows * cols;
    if (m->home_b < m->all) m->home_b = m->all;
    if (m->home_c < m->all) m->home_c = m->all;
    if (m->rates) m->memory_cost = plain_cost(m, INFINITY, 1);
    if (m->form == CG_FORM_NT) visit_packed(m, part);
    else visit_packing(m, part);
}

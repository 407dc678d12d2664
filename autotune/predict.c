#include "autotune/predict.h"

#include <math.h>
#include <string.h>

#include "kernels/gemm_parts.h"

/* Everything that does not change within a call; bytes are those of one thread. */
struct model {
    const struct cg_rates *r;
    const struct cg_rate_variant *rates; /* of the plan's variant; NULL: only counting */
    const struct cg_plan *plan;
    enum cg_form form;
    size_t n, k;
    size_t bytes_b; /* of an element of B; of A too for dot products */
    size_t bytes_a;
    double others;           /* 0 with one thread, 1 with all: how much threads are in each other's way */
    double slower;           /* a thread's instructions when so many run */
    size_t share_b, share_a; /* threads that read the same B, the same A */
    double all;              /* the operands of the call */
    double home_b;           /* what passes by before B is read again */
    int accumulate;
    struct cg_predict_work work;
    double seconds;
};

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static double cost_of(const struct model *m, const struct cg_curve curve[2], double bytes)
{
    double one = cg_curve_cost(&curve[CG_RATE_ONE], bytes);
    if (m->others <= 0) return one;
    return one + m->others * (cg_curve_cost(&curve[CG_RATE_ALL], bytes) - one);
}

/* Seconds to read a byte that was last used `bytes` ago, by each of `share` threads. What one of them has fetched, the
 * others find in the shared cache. */
static double read_cost(const struct model *m, double bytes, size_t share)
{
    const struct cg_curve curve[2] = {m->r->read[0][m->plan->prefetch > 0], m->r->read[1][m->plan->prefetch > 0]};
    if (share <= 1) return cost_of(m, curve, bytes);
    return fmax(cg_curve_cost(&curve[CG_RATE_ONE], bytes), cost_of(m, curve, bytes / (double)share));
}

/* Of two things that a core does side by side, the longer one hides the shorter one but for the part that the
 * out-of-order window cannot move: an exponent of CG_OVERLAP. */
static double together(double a, double b)
{
    double x = a * a, y = b * b;
    return sqrt(sqrt(x * x + y * y));
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
    double stride; /* more expensive by: B read as it lies */
};

/* Seconds of a tile of `rows` rows beside its memory. */
static double tile_compute(const struct model *m, size_t rows, size_t depth)
{
    const struct cg_rate_variant *v = m->rates;
    size_t i = 0;
    while (i + 1 < v->n && v->rows[i + 1] < rows) i++;
    double step = v->step[i], tile = v->tile[i];
    if (i + 1 < v->n && rows > v->rows[i]) {
        double part = (double)(rows - v->rows[i]) / (v->rows[i + 1] - v->rows[i]);
        step += part * (v->step[i + 1] - step);
        tile += part * (v->tile[i + 1] - tile);
    }
    return m->slower * (step * (double)depth + tile);
}

static void visit_block(struct model *m, const struct block *b)
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
    double near_b = read_cost(m, again, 1), far_b = read_cost(m, b->from_b, b->share_b) * b->stride;
    double near_a = read_cost(m, (double)b->rows * strip + panel, 1), far_a = read_cost(m, b->from_a, m->share_a);
    double a = strip * (near_a + (far_a - near_a) / tiles); /* of a row */
    double c = sizeof(float) * (double)v->nr * cost_of(m, m->r->write, b->from_c);
    if (b->reads_c) c += sizeof(float) * (double)v->nr * read_cost(m, b->from_c, 1);
    if (near_b * b->stride > far_b) near_b = far_b / b->stride;
    double of_low = tile_compute(m, low, b->depth), of_high = more ? tile_compute(m, low + 1, b->depth) : 0;
    double rows = (double)(low + (more > 0));
    double first = together(more ? of_high : of_low, panel * far_b + rows * (a + c)), rest = 0;
    near_b *= panel * b->stride;
    if (more > 1) rest += (double)(more - 1) * together(of_high, near_b + (double)(low + 1) * (a + c));
    if (passes > more + !more)
        rest += (double)(passes - more - !more) * together(of_low, near_b + (double)low * (a + c));
    m->seconds += all * (first + rest);
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
static void visit_row_block(struct model *m, struct cg_part part, const struct cg_blocks *s, size_t rows, double times,
                            int first)
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
                              .from_c = m->k > s->kc ? chunk_b + c : m->all,
                              .reads_c = m->accumulate || m->k > s->kc,
                              .stride = 1};
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

static void visit_packed(struct model *m, struct cg_part part)
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

/* B read as it lies comes row by row, each in another page. */
#define CG_STRIDE 1.3

/* All rows of a part against `cols` columns of a block of B, from its panels or as it lies. */
static void visit_rows(struct model *m, struct cg_part part, const struct cg_pack_blocks *s, size_t cols, size_t depth,
                       double times, int in_place)
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
                          .from_c = m->k > s->kc ? block_b + c : m->all,
                          .reads_c = m->accumulate || m->k > s->kc,
                          .stride = in_place ? CG_STRIDE : 1};
        if (packs_a) {
            m->work.packed_a += b.times * (double)rows * (double)depth;
            if (m->rates)
                m->seconds +=
                    b.times * together(bytes_a / m->r->pack_a * m->slower, bytes_a * read_cost(m, m->all, m->share_a));
        }
        if (in_place && !last) { /* the first rows fetch B, the others find it where they left it */
            b.times = times;
            b.from_b = m->home_b;
            visit_block(m, &b);
            b.times = times * (n_blocks - 1);
            b.from_b = block_b + bytes_a;
        }
        if (b.times > 0) visit_block(m, &b);
    }
}

static void visit_pack(struct model *m, size_t cols, size_t depth, double times)
{
    const struct cg_variant *v = m->plan->variant;
    double read = (double)cols * (double)depth * sizeof(float);
    double written = (double)(round_up(ceil_div(cols, v->pack_nr), 4) * v->pack_nr) * (double)depth * sizeof(float);
    m->work.packed_b += times * (double)cols * (double)depth;
    if (!m->rates) return;
    m->seconds += times * together(written / m->r->pack_b * m->slower, read * read_cost(m, m->home_b, m->share_b) +
                                                                           written * cost_of(m, m->r->write, written));
}

static void visit_packing(struct model *m, struct cg_part part)
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

/* ---- A call ------------------------------------------------------------------------------------------------------ */

static void visit_part(struct model *m, struct cg_part part)
{
    m->work = (struct cg_predict_work){0};
    m->seconds = 0;
    if (cg_part_is_empty(part)) return;
    double rows = (double)(part.i1 - part.i0), cols = (double)(part.t1 - part.t0) * m->plan->variant->nr;
    m->all = (double)m->bytes_b * cols * (double)m->k + (double)m->bytes_a * rows * (double)m->k +
             sizeof(float) * rows * cols;
    if (m->home_b < m->all) m->home_b = m->all;
    if (m->form == CG_FORM_NT) visit_packed(m, part);
    else visit_packing(m, part);
}

static int is_dot(const struct model *m)
{
    return cg_op_is_dot(m->plan->variant->op);
}

/* Threads that have a part, as those that divide the rows times those that divide the columns. */
static struct cg_grid grid_of(const struct model *m, size_t rows, size_t threads)
{
    const struct cg_variant *v = m->plan->variant;
    if (!is_dot(m))
        return cg_grid_of(m->plan, rows, ceil_div(m->n, v->nr), threads, m->form == CG_FORM_NN ? CG_PACK_COST : 1);
    if (cg_dot_by_rows(m->plan, v, rows, m->n, threads))
        return (struct cg_grid){min_size(threads, ceil_div(rows, v->mr)), 1};
    return (struct cg_grid){1, min_size(threads, ceil_div(m->n, v->pack_nr))};
}

static struct cg_part part_of(const struct model *m, size_t rows, struct cg_grid grid, size_t threads, size_t thread)
{
    const struct cg_variant *v = m->plan->variant;
    if (is_dot(m)) return cg_dot_divide(m->plan, v, rows, m->n, threads, thread);
    return cg_part_of(v, rows, ceil_div(m->n, v->nr), grid, thread);
}

static struct model model_of(enum cg_form form, const struct cg_plan *plan, size_t n, size_t k)
{
    const struct cg_variant *v = plan->variant;
    size_t bytes = v->op == CG_OP_gemm_f32 ? sizeof(float) : v->op == CG_OP_gemm_s8 ? 1 : 2;
    int dot = cg_op_is_dot(v->op);
    return (struct model){.plan = plan,
                          .form = form,
                          .n = n,
                          .k = dot ? round_up(k, v->ku) : k,
                          .bytes_b = bytes,
                          .bytes_a = dot ? bytes : sizeof(float),
                          .share_b = 1,
                          .share_a = 1,
                          .accumulate = form == CG_FORM_TN};
}

void cg_predict_count(enum cg_form form, const struct cg_plan *plan, size_t rows, size_t n, size_t k, size_t thread,
                      struct cg_predict_work *work)
{
    struct model m = model_of(form, plan, n, k);
    size_t threads = plan->threads > 1 ? plan->threads : 1;
    if (rows > 0 && n > 0) visit_part(&m, part_of(&m, rows, grid_of(&m, rows, threads), threads, thread));
    *work = m.work;
}

/* How much slower each thread multiplies when all do: shared cores, and clocks that go down. */
static double slowdown(const struct cg_rates *r, const struct cg_variant *v)
{
    double worst = 1;
    enum cg_op op = v->op == CG_OP_gemm_bf16w ? CG_OP_gemm_f32 : v->op;
    for (size_t i = 0; i < r->n_peaks; i++)
        if (r->peaks[i].op == op && (v->isa & CG_ISA_BIT(r->peaks[i].level)))
            worst = fmax(1, r->peaks[i].one * r->threads / r->peaks[i].all);
    return worst;
}

/* f32 arithmetic gives the first thread most; dot products a later one. */
static size_t largest_part(const struct model *m, size_t rows, struct cg_grid grid, size_t threads)
{
    size_t best = 0, most = 0;
    for (size_t id = 0; is_dot(m) && id < threads; id++) {
        struct cg_part p = part_of(m, rows, grid, threads, id);
        if (cg_part_is_empty(p) || (p.i1 - p.i0) * (p.t1 - p.t0) <= most) continue;
        most = (p.i1 - p.i0) * (p.t1 - p.t0);
        best = id;
    }
    return best;
}

/* 0 with one thread, 1 with all that the rates are of. */
static double part_of_all(const struct cg_rates *r, size_t threads)
{
    if (threads <= 1) return 0;
    return r->threads > 1 ? fmin(1, (double)(threads - 1) / (r->threads - 1)) : 1;
}

double cg_predict_gemm(const struct cg_machine *machine, const struct cg_rates *r, enum cg_form form,
                       const struct cg_plan *plan, size_t rows, size_t n, size_t k, int cold)
{
    (void)machine;
    struct model m = model_of(form, plan, n, k);
    const struct cg_variant *v = plan->variant;
    size_t threads = plan->threads > 1 ? plan->threads : 1;
    m.r = r;
    m.rates = cg_rates_of(r, v);
    if (!m.rates) return -1;
    if (rows == 0 || n == 0) return r->call;
    struct cg_grid grid = grid_of(&m, rows, threads);
    double opened = part_of_all(r, threads > 1 && plan->team > threads ? plan->team : threads), busiest = 0;
    m.others = part_of_all(r, grid.by_rows * grid.by_cols);
    m.slower = 1 + m.others * (slowdown(r, v) - 1);
    m.home_b = cold ? INFINITY : 0;
    m.share_b = grid.by_rows;
    m.share_a = grid.by_cols;
    /* The part with most outputs, and one that has the last column's tile. */
    size_t candidates[2] = {largest_part(&m, rows, grid, threads), is_dot(&m) ? threads - 1 : grid.by_cols - 1};
    for (int i = 0; i < 2; i++) {
        if (i && candidates[1] == candidates[0]) break;
        struct model one = m;
        visit_part(&one, part_of(&m, rows, grid, threads, candidates[i]));
        busiest = fmax(busiest, one.seconds);
    }
    return r->call + opened * r->region + busiest;
}

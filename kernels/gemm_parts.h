/* How the GEMMs cut a product into blocks and parts: for their loops, and for the model that predicts their time. */
#ifndef CG_KERNELS_GEMM_PARTS_H
#define CG_KERNELS_GEMM_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/pack_f32.h"
#include "kernels/registry.h"
#include "kernels/util.h"

/* Blocks where a plan leaves them open, chosen for the smallest L2 in use (256 KiB to 2 MiB): the rows of A that stay
 * resident while panels of B stream past them, the longest piece of the reduction, the columns packed at a time. */
#define CG_A_BLOCK_FLOATS 65536
#define CG_KC_PREPACKED 3072
#define CG_KC_PACK 768
#define CG_NC_PACK 1152
/* Up to so many rows, and B of so many floats (from memory, long rows come faster), panels of whole cache lines are
 * read from a row-major B as it lies. */
#define CG_IN_PLACE_ROWS 256
#define CG_IN_PLACE_FLOATS (4u << 20)
#define CG_PACK_COST 3 /* to read, write and read again, against reading once */

/* The size of pieces when `n` is cut into the fewest pieces of at most `max`, all of about one size that is a multiple
 * of `unit`. */
static inline size_t cg_even_block(size_t n, size_t max, size_t unit)
{
    if (max < unit) max = unit;
    size_t pieces = ceil_div(n, max / unit * unit);
    return pieces == 0 ? unit : ceil_div(ceil_div(n, pieces), unit) * unit;
}

/* ---- One thread's rectangle of C --------------------------------------------------------------------------------- */

struct cg_part {
    size_t i0, i1; /* rows */
    size_t t0, t1; /* column tiles of NR */
};

static inline int cg_part_is_empty(struct cg_part r)
{
    return r.i0 >= r.i1 || r.t0 >= r.t1;
}

/* Into how many parts the rows are divided where the plan leaves it open: the grid whose largest part has the fewest
 * tiles, and of those the one that reads the least of A and B, where a float of B costs b_cost times one of A. */
static inline size_t cg_best_by_rows(const struct cg_variant *v, size_t row_tiles, size_t tiles, size_t threads,
                                     size_t b_cost)
{
    size_t best_rows = 1, best = SIZE_MAX, best_reads = SIZE_MAX;
    for (size_t by_rows = 1; by_rows <= threads && by_rows <= row_tiles; by_rows++) {
        size_t by_cols = threads / by_rows;
        size_t r = ceil_div(row_tiles, by_rows), t = ceil_div(tiles, by_cols);
        size_t reads = r * v->mr + b_cost * t * v->nr;
        if (r * t < best || (r * t == best && reads < best_reads)) {
            best = r * t;
            best_reads = reads;
            best_rows = by_rows;
        }
    }
    return best_rows;
}

/* The parts that m rows and the columns are divided into, as a grid. */
struct cg_grid {
    size_t by_rows, by_cols;
};

/* f32 arithmetic: m >= 1 rows and `tiles` >= 1 column tiles among `threads`. */
static inline struct cg_grid cg_grid_of(const struct cg_plan *plan, size_t m, size_t tiles, size_t threads,
                                        size_t b_cost)
{
    const struct cg_variant *v = plan->variant;
    size_t row_tiles = ceil_div(m, v->mr);
    size_t by_rows = plan->by_rows ? min_size(plan->by_rows, min_size(threads, row_tiles))
                                   : cg_best_by_rows(v, row_tiles, tiles, threads, b_cost);
    return (struct cg_grid){by_rows, min_size(threads / by_rows, tiles)};
}

/* The part of `id`. Empty for threads that are left over. */
static inline struct cg_part cg_part_of(const struct cg_variant *v, size_t m, size_t tiles, struct cg_grid grid,
                                        size_t id)
{
    size_t row_tiles = ceil_div(m, v->mr), r = id / grid.by_cols, t = id % grid.by_cols;
    if (r >= grid.by_rows) return (struct cg_part){0, 0, 0, 0};
    size_t first, count = piece(row_tiles, grid.by_rows, r, &first);
    size_t t0, t_count = piece(tiles, grid.by_cols, t, &t0);
    struct cg_part part = {0, 0, t0, t0 + t_count};
    /* Cut rows evenly over all row tiles first, so that the tiles of all parts have about one height. */
    piece(m, row_tiles, first, &part.i0);
    size_t i_last, last = piece(m, row_tiles, first + count - 1, &i_last);
    part.i1 = i_last + last;
    return part;
}

static inline struct cg_part cg_divide(const struct cg_plan *plan, size_t m, size_t tiles, size_t threads, size_t id,
                                       size_t b_cost)
{
    return cg_part_of(plan->variant, m, tiles, cg_grid_of(plan, m, tiles, threads, b_cost), id);
}

/* Dot products: is it better to deal out rows (in steps of MR) than panels? What is better balanced is; else what reads
 * less, since each thread reads its part of one operand and all of the other. */
static inline int cg_dot_by_rows(const struct cg_plan *plan, const struct cg_variant *v, size_t m, size_t n,
                                 size_t threads)
{
    if (plan->by_rows) return plan->by_rows > 1;
    size_t tiles = ceil_div(m, v->mr), panels = ceil_div(n, v->pack_nr);
    size_t rows = ceil_div(tiles, threads) * panels, columns = ceil_div(panels, threads) * tiles;
    return rows != columns ? rows < columns : m > n;
}

/* Dot products: the part of `id`; panels are its tiles. Empty for threads that are left over. */
static inline struct cg_part cg_dot_divide(const struct cg_plan *plan, const struct cg_variant *v, size_t m, size_t n,
                                           size_t threads, size_t id)
{
    size_t tiles = ceil_div(m, v->mr), panels = ceil_div(n, v->pack_nr);
    if (cg_dot_by_rows(plan, v, m, n, threads))
        return (struct cg_part){tiles * id / threads * v->mr, min_size(tiles * (id + 1) / threads * v->mr, m), 0,
                                panels};
    return (struct cg_part){0, m, panels * id / threads, panels * (id + 1) / threads};
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

/* f32 arithmetic, B packed before: rows, column tiles and reduction of the blocks of `part`. */
struct cg_blocks {
    size_t mc, tc, kc;
};

static inline struct cg_blocks cg_blocks_packed(const struct cg_plan *plan, struct cg_part part, size_t k)
{
    const struct cg_variant *v = plan->variant;
    size_t kc = plan->kc ? ceil_div(plan->kc, v->kr) * v->kr : cg_even_block(k, CG_KC_PREPACKED, v->kr);
    size_t mc = plan->mc ? plan->mc : CG_A_BLOCK_FLOATS / min_size(kc, k ? k : 1);
    return (struct cg_blocks){.mc = cg_even_block(part.i1 - part.i0, mc, v->mr),
                              .tc = plan->nc ? ceil_div(plan->nc, v->nr) : part.t1 - part.t0,
                              .kc = kc};
}

/* Dot products: the rows of a block. */
static inline size_t cg_dot_mc(const struct cg_plan *plan, const struct cg_variant *v, size_t rows)
{
    return plan->mc ? round_up(plan->mc, v->mr) : rows;
}

/* f32, B packed on the way: blocks from the plan and from n and k only, since the size of the scratch follows from
 * them. */
struct cg_pack_blocks {
    size_t kc, nc, mc;
};

static inline struct cg_pack_blocks cg_blocks_packing(const struct cg_plan *plan, size_t n, size_t k)
{
    const struct cg_variant *v = plan->variant;
    struct cg_pack_blocks s;
    s.kc = plan->kc ? min_size(plan->kc, k) : cg_even_block(k, CG_KC_PACK, 1);
    if (s.kc == 0) s.kc = 1;
    s.nc = cg_even_block(n, plan->nc ? plan->nc : CG_NC_PACK, v->nr);
    s.mc = plan->mc ? plan->mc : CG_A_BLOCK_FLOATS / s.kc;
    s.mc = s.mc < v->mr ? v->mr : s.mc / v->mr * v->mr;
    return s;
}

/* Does a thread with so many rows read whole panels of a row-major B[k][n] as they lie? */
static inline int cg_reads_in_place(const struct cg_plan *plan, size_t rows, size_t n, size_t k)
{
    if (plan->variant->pack_nr % CG_LINE_FLOATS != 0) return 0;
    if (plan->in_place != CG_IN_PLACE_AUTO) return plan->in_place == CG_IN_PLACE_ALWAYS;
    return rows <= CG_IN_PLACE_ROWS && n * k <= CG_IN_PLACE_FLOATS;
}

#endif

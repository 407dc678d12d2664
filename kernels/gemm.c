#include "kernels/gemm.h"

#include <string.h>

#include "kernels/epilogue.h"
#include "kernels/gemm_parts.h"
#include "kernels/pack_f32.h"
#include "kernels/team.h"

/* ---- One thread's rectangle of C --------------------------------------------------------------------------------- */

/* Panels of B, of f32 or bf16 as the variant reads them: row p (a multiple of KR) of panel j begins at element j*ps +
 * p*rs. Packed: rs is PACK_NR; f32 as it lies, row-major: ps is. */
struct panels {
    const void *b;
    size_t rs, ps;
};

static inline const void *element(const struct cg_variant *v, const void *b, size_t i)
{
    return (const char *)b + i * (v->op == CG_OP_gemm_bf16w ? sizeof(uint16_t) : sizeof(float));
}

struct target {
    float *c;
    size_t ld, cols;              /* columns that exist */
    const struct cg_epilogue *ep; /* NULL, or what follows a finished tile */
    size_t row, col;              /* of C: what c points to */
};

static inline void call(const struct cg_variant *v, size_t m, size_t k, struct operand a, struct panels b, float *c,
                        size_t ldc, int accumulate, size_t prefetch)
{
    if (v->op == CG_OP_gemm_bf16w) v->fn.gemm_bf16w(m, k, a.a, a.rs, a.cs, b.b, b.ps, c, ldc, accumulate, prefetch);
    else v->fn.gemm_f32(m, k, a.a, a.rs, a.cs, b.b, b.rs, b.ps, c, ldc, accumulate, prefetch);
}

/* One tile that reaches past the last column: through a tile on the stack, so that nothing outside C is written. */
static void edge_tile(const struct cg_variant *v, size_t m, size_t cols, size_t k, struct operand a, struct panels b,
                      float *c, size_t ldc, int accumulate, size_t prefetch)
{
    size_t nr = v->nr;
    _Alignas(64) float tile[CG_MAX_TILE];
    if (accumulate)
        for (size_t i = 0; i < m; i++) {
            memcpy(tile + i * nr, c + i * ldc, cols * sizeof *tile);
            memset(tile + i * nr + cols, 0, (nr - cols) * sizeof *tile);
        }
    call(v, m, k, a, b, tile, nr, accumulate, prefetch);
    for (size_t i = 0; i < m; i++) memcpy(c + i * ldc, tile + i * nr, cols * sizeof *tile);
}

/* C[m][columns of tiles t0..t1] (+)= A[m][k] * B, tile by tile; a panel of B stays near while the rows pass it. While
 * the last of them pass, the next panel comes to L2: without that, memory would rest as long as a panel is reused. With
 * `packed`, the rows of each tile lie together: tile of `rows` rows at a.a + i0*k, element (i, p) at [p*rows + i]. */
static void block(const struct cg_plan *plan, size_t m, size_t t0, size_t t1, size_t k, struct operand a, int packed,
                  struct panels b, struct target c, int accumulate)
{
    const struct cg_variant *v = plan->variant;
    size_t nr = v->nr, tiles = ceil_div(m, v->mr);
    size_t to_next =
        b.rs == v->pack_nr ? nr / v->pack_nr * (b.ps / v->pack_nr) : plan->prefetch; /* in rows of a panel */
    for (size_t t = t0; t < t1; t++) {
        size_t j = t * nr, cols = min_size(nr, c.cols - j);
        struct panels bt = {element(v, b.b, j / v->pack_nr * b.ps), b.rs, b.ps};
        for (size_t r = 0; r < tiles; r++) {
            size_t i, rows = piece(m, tiles, r, &i);
            size_t prefetch = r > 0 && r + 1 == tiles && t + 1 < t1 ? to_next : plan->prefetch;
            struct operand at =
                packed ? (struct operand){a.a + i * k, 1, rows} : (struct operand){a.a + i * a.rs, a.rs, a.cs};
            float *ct = c.c + i * c.ld + j;
            if (cols == nr) call(v, rows, k, at, bt, ct, c.ld, accumulate, prefetch);
            else edge_tile(v, rows, cols, k, at, bt, ct, c.ld, accumulate, prefetch);
            if (c.ep) cg_epilogue_tile(c.ep, c.row + i, rows, c.col + j, cols, ct, c.ld);
        }
    }
}

/* ---- B packed before --------------------------------------------------------------------------------------------- */

struct job {
    const struct cg_plan *plan;
    size_t m, n, k;
    struct operand a;
    const void *b; /* packed; or for cg_gemm_f32_pack floats, element (p, j) at b[p*rs_b + j*cs_b] */
    size_t rs_b, cs_b;
    float *scratch;
    float *c;
    size_t ldc;
    int accumulate;
    const struct cg_epilogue *ep;
};

static void run_packed(const struct job *g, struct cg_part part)
{
    const struct cg_plan *plan = g->plan;
    const struct cg_variant *v = plan->variant;
    int all_columns = part.t0 == 0 && part.t1 == ceil_div(g->n, v->nr);
    struct cg_blocks s = cg_blocks_packed(plan, part, g->k);
    size_t ps = ceil_div(g->k, v->kr) * v->kr * v->pack_nr;
    for (size_t i = part.i0; i < part.i1; i += s.mc) {
        size_t rows = min_size(s.mc, part.i1 - i);
        for (size_t t = part.t0; t < part.t1; t += s.tc) {
            size_t p = 0;
            do { /* also once when k is 0: C is cleared then */
                size_t depth = min_size(s.kc, g->k - p);
                struct operand a = {g->a.a + i * g->a.rs + p * g->a.cs, g->a.rs, g->a.cs};
                block(plan, rows, t, min_size(t + s.tc, part.t1), depth, a, 0,
                      (struct panels){element(v, g->b, p * v->pack_nr), v->pack_nr, ps},
                      (struct target){g->c + i * g->ldc, g->ldc, g->n, p + depth == g->k ? g->ep : NULL, i, 0},
                      g->accumulate || p > 0);
                p += depth;
            } while (p < g->k);
        }
        if (all_columns && cg_epilogue_needs_rows(g->ep)) cg_epilogue_rows(g->ep, i, i + rows, g->n, g->c, g->ldc);
    }
}

static struct cg_part part_of(const struct job *g, size_t parts, size_t part)
{
    return cg_divide(g->plan, g->m, ceil_div(g->n, g->plan->variant->nr), parts, part, 1);
}

static void packed_part(const void *job, size_t parts, size_t part)
{
    struct cg_part mine = part_of(job, parts, part);
    if (!cg_part_is_empty(mine)) run_packed(job, mine);
}

static void rows_part(const void *job, size_t parts, size_t part)
{
    const struct job *g = job;
    size_t first, rows = piece(g->m, parts, part, &first);
    cg_epilogue_rows(g->ep, first, first + rows, g->n, g->c, g->ldc);
}

void cg_gemm(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a,
             const void *bp, float *c, size_t ldc, int accumulate, const struct cg_epilogue *ep)
{
    if (m == 0 || n == 0) return;
    struct job g = {plan, m, n, k, {a, rs_a, cs_a}, bp, 0, 0, NULL, c, ldc, accumulate, ep};
    /* Where only rows are divided, each part has finished its own. */
    int rest = cg_epilogue_needs_rows(ep) && part_of(&g, cg_team_parts(plan), 0).t1 < ceil_div(n, plan->variant->nr);
    cg_team_run(plan, packed_part, rest ? rows_part : NULL, &g);
}

void cg_gemm_f32(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a,
                 const float *bp, float *c, size_t ldc, int accumulate)
{
    cg_gemm(plan, m, n, k, a, rs_a, cs_a, bp, c, ldc, accumulate, NULL);
}

void cg_gemm_bf16w(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a,
                   const uint16_t *bp, float *c, size_t ldc, int accumulate)
{
    cg_gemm(plan, m, n, k, a, rs_a, cs_a, bp, c, ldc, accumulate, NULL);
}

/* ---- B packed on the way ----------------------------------------------------------------------------------------- */

struct blocking {
    struct cg_pack_blocks in;
    size_t b_floats, a_floats; /* of a packed block of B and of A: each part has its own */
};

static struct blocking blocking_of(const struct cg_plan *plan, size_t n, size_t k)
{
    struct blocking s = {.in = cg_blocks_packing(plan, n, k)};
    s.b_floats = ceil_div(cg_pack_f32_size(s.in.nc, s.in.kc, plan->variant->pack_nr), 16) * 16;
    s.a_floats = ceil_div(s.in.mc * s.in.kc, 16) * 16;
    return s;
}

size_t cg_gemm_scratch(const struct cg_plan *plan, size_t n, size_t k)
{
    struct blocking s = blocking_of(plan, n, k);
    return (s.b_floats + s.a_floats) * cg_team_parts(plan);
}

/* The rows of `part` against a block of B: `cols` columns from j, rows p..p+depth. */
static void rows_against_block(const struct job *g, const struct blocking *s, struct cg_part part, size_t j,
                               size_t cols, size_t p, size_t depth, struct panels b, float *a_block)
{
    const struct cg_epilogue *ep = p + depth == g->k ? g->ep : NULL;
    const struct cg_variant *v = g->plan->variant;
    size_t mc = cg_even_block(part.i1 - part.i0, s->in.mc, v->mr), tiles = ceil_div(cols, v->nr);
    int pack = g->a.rs == 1 && g->a.cs != 1 && tiles > 1;
    for (size_t i = part.i0; i < part.i1; i += mc) {
        size_t rows = min_size(mc, part.i1 - i);
        struct operand a = {g->a.a + i * g->a.rs + p * g->a.cs, g->a.rs, g->a.cs};
        if (pack) {
            cg_pack_rows(rows, v->mr, depth, a, a_block);
            a.a = a_block;
        }
        block(g->plan, rows, 0, tiles, depth, a, pack, b,
              (struct target){g->c + i * g->ldc + j, g->ldc, cols, ep, i, j}, g->accumulate || p > 0);
    }
}

static size_t pack_cost(const struct job *g)
{
    return g->a.rs == 1 ? 1 : CG_PACK_COST;
}

/* Each part packs what it needs of B by itself: that is in its thread's own caches then, and nobody waits for anybody.
 * Few rows read a row-major B as it lies, but for a last tile that reaches past it: packing would not be paid back. */
static void packing_part(const void *job, size_t parts, size_t id)
{
    const struct job *g = job;
    const struct cg_variant *v = g->plan->variant;
    struct blocking s = blocking_of(g->plan, g->n, g->k);
    float *b_block = g->scratch + id * (s.b_floats + s.a_floats), *a_block = b_block + s.b_floats;
    struct cg_part part = cg_divide(g->plan, g->m, ceil_div(g->n, v->nr), parts, id, pack_cost(g));
    if (cg_part_is_empty(part)) return;
    int in_place = g->cs_b == 1 && cg_reads_in_place(g->plan, part.i1 - part.i0, g->n, g->k);
    size_t end = min_size(part.t1 * v->nr, g->n), nc = cg_even_block(end - part.t0 * v->nr, s.in.nc, v->nr);
    for (size_t j = part.t0 * v->nr; j < end; j += nc) {
        size_t cols = min_size(nc, end - j), whole = in_place ? cols / v->nr * v->nr : 0, rest = cols - whole, p = 0;
        size_t panels = ceil_div(ceil_div(rest, v->pack_nr), 4) * 4;
        do { /* also once when k is 0: C is cleared then */
            size_t depth = min_size(s.in.kc, g->k - p);
            const float *b = (const float *)g->b + p * g->rs_b + j * g->cs_b;
            if (whole)
                rows_against_block(g, &s, part, j, whole, p, depth, (struct panels){b, g->rs_b, v->pack_nr}, a_block);
            if (rest) {
                cg_pack_panels(0, panels, rest, depth, b + whole * g->cs_b, g->rs_b, g->cs_b, v->pack_nr, b_block);
                rows_against_block(g, &s, part, j + whole, rest, p, depth,
                                   (struct panels){b_block, v->pack_nr, depth * v->pack_nr}, a_block);
            }
            p += depth;
        } while (p < g->k);
    }
    if (part.t0 == 0 && end == g->n && cg_epilogue_needs_rows(g->ep))
        cg_epilogue_rows(g->ep, part.i0, part.i1, g->n, g->c, g->ldc);
}

void cg_gemm_pack(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a, size_t cs_a,
                  const float *b, size_t rs_b, size_t cs_b, float *scratch, float *c, size_t ldc, int accumulate,
                  const struct cg_epilogue *ep)
{
    if (m == 0 || n == 0) return;
    struct job g = {plan, m, n, k, {a, rs_a, cs_a}, b, rs_b, cs_b, scratch, c, ldc, accumulate, ep};
    struct cg_part first = cg_divide(plan, m, ceil_div(n, plan->variant->nr), cg_team_parts(plan), 0, pack_cost(&g));
    int rest = cg_epilogue_needs_rows(ep) && first.t1 < ceil_div(n, plan->variant->nr);
    cg_team_run(plan, packing_part, rest ? rows_part : NULL, &g);
}

void cg_gemm_f32_pack(const struct cg_plan *plan, size_t m, size_t n, size_t k, const float *a, size_t rs_a,
                      size_t cs_a, const float *b, size_t rs_b, size_t cs_b, float *scratch, float *c, size_t ldc,
                      int accumulate)
{
    cg_gemm_pack(plan, m, n, k, a, rs_a, cs_a, b, rs_b, cs_b, scratch, c, ldc, accumulate, NULL);
}

#include "kernels/pack_f32.h"

#include <omp.h>
#include <string.h>

#include "kernels/gemm.h"

size_t cg_pack_f32_size(size_t n, size_t k, size_t nr)
{
    return round_up(ceil_div(n, nr), 4) * nr * k;
}

/* One panel from columns that are contiguous in memory (rs_b == 1). A cache line of every column at a time, so that the
 * panel is written in order; so many streams are more than hardware follows, hence the prefetch. */
static void pack_transposed(size_t cols, size_t k, const float *b, size_t ld, size_t nr, float *out)
{
    enum { LINE = 16, AHEAD = 4 * LINE };
    size_t cols4 = cols / 4 * 4, k4 = k / 4 * 4;
    for (size_t p0 = 0; p0 < k4; p0 += LINE) {
        size_t p1 = min_size(p0 + LINE, k4);
        for (size_t j = 0; j < cols4; j += 4) {
            if (p0 + AHEAD < k4)
                for (size_t i = j; i < j + 4; i++) __builtin_prefetch(b + i * ld + p0 + AHEAD, 0, 2);
            for (size_t p = p0; p < p1; p += 4) transpose_4x4(b + j * ld + p, ld, out + p * nr + j, nr);
        }
        for (size_t p = p0; p < p1; p++)
            for (size_t j = cols4; j < cols; j++) out[p * nr + j] = b[j * ld + p];
    }
    for (size_t p = k4; p < k; p++)
        for (size_t j = 0; j < cols; j++) out[p * nr + j] = b[j * ld + p];
}

/* Streams written side by side while packing: more would meet in one set of L1, since panels and tiles often lie a
 * multiple of 4 KiB apart. */
#define STREAMS 4

/* `panels` whole panels from rows that are contiguous in memory (cs_b == 1). */
static void pack_rows(size_t panels, size_t k, const float *b, size_t ld, size_t nr, float *out)
{
    enum { LINE = 16, AHEAD = 8 };
    for (size_t p = 0; p < k; p++) {
        const float *src = b + p * ld;
        if (p + AHEAD < k)
            for (size_t i = 0; i < panels * nr; i += LINE) __builtin_prefetch(src + AHEAD * ld + i, 0, 2);
        for (size_t j = 0; j < panels; j++, src += nr) {
            float *dst = out + j * nr * k + p * nr;
            size_t i = 0;
            for (; i + 4 <= nr; i += 4) memcpy(dst + i, src + i, 4 * sizeof *dst);
            for (; i < nr; i++) dst[i] = src[i];
        }
    }
}

/* One panel: rows p < k, columns j < cols of b; columns cols..nr are 0. */
static void pack_panel(size_t cols, size_t k, const float *b, size_t rs_b, size_t cs_b, size_t nr, float *out)
{
    if (cols < nr)
        for (size_t p = 0; p < k; p++) memset(out + p * nr + cols, 0, (nr - cols) * sizeof *out);
    if (rs_b == 1) {
        pack_transposed(cols, k, b, cs_b, nr, out);
    } else {
        for (size_t p = 0; p < k; p++)
            for (size_t j = 0; j < cols; j++) out[p * nr + j] = b[p * rs_b + j * cs_b];
    }
}

void cg_pack_panels(size_t first, size_t last, size_t n, size_t k, const float *b, size_t rs_b, size_t cs_b, size_t nr,
                    float *out)
{
    size_t whole = n / nr, used = ceil_div(n, nr), j = first;
    if (rs_b != 1 && cs_b == 1)
        for (size_t group; j < min_size(last, whole); j += group) {
            group = min_size(STREAMS, min_size(last, whole) - j);
            pack_rows(group, k, b + j * nr, rs_b, nr, out + j * nr * k);
        }
    for (; j < min_size(last, used); j++)
        pack_panel(min_size(nr, n - j * nr), k, b + j * nr * cs_b, rs_b, cs_b, nr, out + j * nr * k);
    if (j < last) memset(out + j * nr * k, 0, (last - j) * nr * k * sizeof *out);
}

void cg_pack_f32(size_t n, size_t k, const float *b, size_t rs_b, size_t cs_b, size_t nr, float *out, int threads)
{
    size_t panels = round_up(ceil_div(n, nr), 4);
    if (threads <= 1) {
        cg_pack_panels(0, panels, n, k, b, rs_b, cs_b, nr, out);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        size_t first;
        size_t count = piece(panels, (size_t)omp_get_num_threads(), (size_t)omp_get_thread_num(), &first);
        cg_pack_panels(first, first + count, n, k, b, rs_b, cs_b, nr, out);
    }
}

/* dst[p*rows + i] = src[p*cs + i]. */
static inline __attribute__((always_inline)) void copy_tile(size_t rows, size_t k, const float *src, size_t cs,
                                                            float *dst)
{
    for (size_t p = 0; p < k; p++) memcpy(dst + p * rows, src + p * cs, rows * sizeof *dst);
}

/* A few tiles at a time take a line or two of a column before the next column is touched: columns can lie pages apart,
 * hence the prefetch. */
void cg_pack_rows(size_t m, size_t mr, size_t k, struct operand a, float *out)
{
    enum { LINE = 16, DEPTH = 32 };
    size_t tiles = ceil_div(m, mr);
    for (size_t t0 = 0; t0 < tiles; t0 += STREAMS) {
        size_t t1 = min_size(t0 + STREAMS, tiles), first, end;
        piece(m, tiles, t0, &first);
        end = t1 == tiles ? m : (piece(m, tiles, t1, &end), end);
        for (size_t p = 0; p < k; p += DEPTH) {
            size_t depth = min_size(DEPTH, k - p);
            for (size_t q = p + DEPTH; q < min_size(p + 2 * DEPTH, k); q++)
                for (size_t i = first; i < end; i += LINE) __builtin_prefetch(a.a + i + q * a.cs, 0, 2);
            for (size_t t = t0; t < t1; t++) {
                size_t i, rows = piece(m, tiles, t, &i);
                const float *src = a.a + i + p * a.cs;
                float *dst = out + i * k + p * rows;
                switch (rows) { /* the usual heights of tiles, as moves instead of calls */
                case 4: copy_tile(4, depth, src, a.cs, dst); break;
                case 6: copy_tile(6, depth, src, a.cs, dst); break;
                case 8: copy_tile(8, depth, src, a.cs, dst); break;
                default: copy_tile(rows, depth, src, a.cs, dst);
                }
            }
        }
    }
}

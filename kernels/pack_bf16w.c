/* Packing of weights in bf16: pairs of rows, the two elements of a column together. */
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/gemm.h"
#include "kernels/util.h"

typedef int32_t int4 __attribute__((vector_size(16)));

size_t cg_pack_bf16w_size(size_t n, size_t k, size_t nr)
{
    return cg_pack_f32_size(n, (k + 1) / 2 * 2, nr);
}

/* cg_bf16_of of four floats, in the upper halves; the lower are whatever. */
static inline bits4 round4(bits4 u)
{
    bits4 nan = (bits4)((int4)(u & 0x7fffffff) > 0x7f800000);
    return ((u + 0x7fff + (u >> 16 & 1)) & ~nan) | ((u | 0x400000) & nan);
}

/* Four columns of an even and an odd row. */
static inline void store_pairs(bits4 even, bits4 odd, uint16_t *out)
{
    bits4 pairs = round4(even) >> 16 | (round4(odd) & 0xffff0000);
    memcpy(out, &pairs, sizeof pairs);
}

/* Rows p..p+4 of 4 columns that are each contiguous, `ld` apart; b and out point there. */
static inline void pairs_4x4(const float *b, size_t ld, uint16_t *out, size_t nr)
{
    bits4 row[4];
    load_turned(b, ld, row);
    store_pairs(row[0], row[1], out);
    store_pairs(row[2], row[3], out + 2 * nr);
}

/* Rows [p0, p1) of columns [j0, j1), p0 even, one by one. */
static void pack_singly(size_t j0, size_t j1, size_t p0, size_t p1, const float *b, size_t rs_b, size_t cs_b, size_t nr,
                        uint16_t *out)
{
    for (size_t p = p0; p < p1; p++)
        for (size_t j = j0; j < j1; j++) out[p / 2 * 2 * nr + 2 * j + p % 2] = cg_bf16_of(b[p * rs_b + j * cs_b]);
}

/* Columns that are contiguous in memory: a cache line of every column at a time, so that the panel is written in order;
 * so many streams are more than hardware follows, hence the prefetch. */
static void pack_columns(size_t cols, size_t k, const float *b, size_t ld, size_t nr, uint16_t *out)
{
    enum { LINE = 16, AHEAD = 4 * LINE };
    size_t cols4 = cols / 4 * 4, k4 = k / 4 * 4;
    for (size_t p0 = 0; p0 < k4; p0 += LINE) {
        size_t p1 = min_size(p0 + LINE, k4);
        for (size_t j = 0; j < cols4; j += 4) {
            if (p0 + AHEAD < k4)
                for (size_t i = j; i < j + 4; i++) __builtin_prefetch(b + i * ld + p0 + AHEAD, 0, 2);
            for (size_t p = p0; p < p1; p += 4) pairs_4x4(b + j * ld + p, ld, out + p * nr + 2 * j, nr);
        }
        pack_singly(cols4, cols, p0, p1, b, 1, ld, nr, out);
    }
    pack_singly(0, cols, k4, k, b, 1, ld, nr, out);
}

/* Rows that are contiguous in memory. */
static void pack_rows(size_t cols, size_t k, const float *b, size_t ld, size_t nr, uint16_t *out)
{
    enum { LINE = 16, AHEAD = 8 };
    size_t cols4 = cols / 4 * 4, k2 = k / 2 * 2;
    for (size_t p = 0; p < k2; p += 2) {
        const float *even = b + p * ld, *odd = even + ld;
        if (p + AHEAD + 1 < k)
            for (size_t i = 0; i < cols; i += LINE) {
                __builtin_prefetch(even + AHEAD * ld + i, 0, 2);
                __builtin_prefetch(odd + AHEAD * ld + i, 0, 2);
            }
        for (size_t j = 0; j < cols4; j += 4) store_pairs(load4(even + j), load4(odd + j), out + p * nr + 2 * j);
    }
    pack_singly(cols4, cols, 0, k2, b, ld, 1, nr, out);
    pack_singly(0, cols, k2, k, b, ld, 1, nr, out);
}

/* One panel: rows p < k, columns j < cols of b; what is beyond them is 0. */
static void pack_panel(size_t cols, size_t k, const float *b, size_t rs_b, size_t cs_b, size_t nr, uint16_t *out)
{
    size_t even = (k + 1) / 2 * 2;
    if (cols < nr) memset(out, 0, even * nr * sizeof *out);
    else if (k % 2) memset(out + (k - 1) * nr, 0, 2 * nr * sizeof *out);
    if (rs_b == 1) pack_columns(cols, k, b, cs_b, nr, out);
    else if (cs_b == 1) pack_rows(cols, k, b, rs_b, nr, out);
    else pack_singly(0, cols, 0, k, b, rs_b, cs_b, nr, out);
}

void cg_pack_bf16w(size_t n, size_t k, const float *b, size_t rs_b, size_t cs_b, size_t nr, uint16_t *out, int threads)
{
    size_t panels = ceil_div(n, 4 * nr) * 4, ps = (k + 1) / 2 * 2 * nr;
#pragma omp parallel for num_threads(threads > 1 ? threads : 1) if (threads > 1) schedule(static)
    for (size_t j = 0; j < panels; j++) {
        size_t cols = j * nr < n ? min_size(nr, n - j * nr) : 0;
        pack_panel(cols, k, cols ? b + j * nr * cs_b : b, rs_b, cs_b, nr, out + j * ps);
    }
}

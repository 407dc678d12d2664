#include "autotune/limits.h"

#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "kernels/peak.h"

/* Larger blocks are no slower. */
#define MAX_BLOCK ((size_t)512 << 20)

enum { FMA_ROUNDS = 1000, FMA_SAMPLES = 30, PASSES = 4, MOST_RUNS = 2000 };

/* Operations a second: of so many rounds, or of as many as a coarse clock sees; 0 when it stands still. */
static double fma_rate(const struct cg_machine *m, const struct cg_variant *v)
{
    double start = cg_now(), ops = 0, t = 0;
    for (int i = 0; i < MOST_RUNS && !(t > 0); i++) {
        ops += cg_peak_run(v, m->sve_bytes, FMA_ROUNDS);
        t = cg_now() - start;
    }
    return t > 0 ? ops / t : 0;
}

double cg_limit_fma(const struct cg_machine *m, const struct cg_variant *v, int threads)
{
    double best = 0;
    if (cg_peak_run(v, m->sve_bytes, 1) == 0) return 0;
    /* Each thread tells its own rate: what the threads reach together, without the time to start them. */
    for (int sample = 0; sample < (threads > 1 ? 5 : 1); sample++) {
        double sum = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sum)
        {
            double mine = 0;
            for (int i = 0; i < FMA_SAMPLES; i++) {
                double rate = fma_rate(m, v);
                if (!(rate > 0)) break;
                if (rate > mine) mine = rate;
            }
            sum += mine;
        }
        if (sum > best) best = sum;
    }
    return best;
}

static char *block;
static size_t block_size;

void cg_limits_release(void)
{
    cg_free(block);
    block = NULL;
    block_size = 0;
}

/* Four streams at once, as kernels that read several panels have. */
static void read_streams(const struct cg_machine *m, const char *p, size_t n)
{
    size_t quarter = n / 4 / 512 * 512;
    for (size_t i = 0; i < quarter; i += 512)
        for (size_t s = 0; s < 4; s++) cg_peak_read(m->isa, p + s * quarter + i, 512, 1);
}

/* A matrix whose rows lie a page and more apart, as those of most weights and results do. */
enum { PIECE = 512, TILE_PIECE = 192, ROW = 13 * PIECE };

/* As a weight that is read where it lies. Returns the bytes read. */
static size_t read_rows(const struct cg_machine *m, const char *p, size_t n)
{
    size_t rows = n / ROW;
    for (size_t at = 0; at + PIECE <= ROW; at += PIECE)
        for (size_t i = 0; i < rows; i++) cg_peak_read(m->isa, p + i * ROW + at, PIECE, 0);
    return rows * ROW;
}

typedef long long lanes __attribute__((vector_size(64)));

/* As a product's result. Returns the bytes gone through. */
static size_t go_over_tiles(char *p, size_t n, int update)
{
    size_t rows = n / ROW, columns = ROW / TILE_PIECE;
    for (size_t j = 0; j < columns; j++)
        for (size_t i = 0; i < rows; i++)
            for (size_t at = 0; at < TILE_PIECE; at += sizeof(lanes)) {
                lanes x = {0};
                char *to = p + i * ROW + j * TILE_PIECE + at;
                if (update) memcpy(&x, to, sizeof x);
                x ^= 1;
                memcpy(to, &x, sizeof x);
            }
    return rows * columns * TILE_PIECE;
}

/* Plain stores: memset and memcpy of large blocks go past the caches, as kernels do not. */
static void write_all(char *p, size_t n)
{
    lanes zero = {0};
    for (size_t i = 0; i + sizeof zero <= n; i += sizeof zero) {
        memcpy(p + i, &zero, sizeof zero);
        __asm__ volatile("" ::: "memory"); /* or it becomes memset */
    }
}

double cg_limit_pass(const struct cg_machine *m, char *p, size_t n, enum cg_way way)
{
    size_t half = n / 2 / 512 * 512, bytes = 0, rows = 0; /* of a pass, where they are not all */
    double start = cg_now(), t;
    n = n / 2048 * 2048;
    do {
        if (way == CG_COPY) memcpy(p + half, p, half);
        else if (way == CG_READ_ROWS) rows = read_rows(m, p, n);
        else if (way >= CG_WRITE_TILES) rows = go_over_tiles(p, n, way == CG_UPDATE_TILES);
        else if (way == CG_WRITE) write_all(p, n);
        else if (way == CG_READ_STREAMS) read_streams(m, p, n);
        else cg_peak_read(m->isa, p, n, way == CG_READ_PREFETCH);
        bytes += way == CG_COPY ? 2 * half : rows ? rows : n;
        t = cg_now() - start;
    } while (t < 5e-5);
    return t / (double)bytes;
}

double cg_limit_bandwidth(const struct cg_machine *m, size_t footprint, int copy, int threads)
{
    size_t each = (footprint < MAX_BLOCK ? footprint : MAX_BLOCK) / (size_t)threads / 2048 * 2048;
    if (each < 2048) each = 2048;
    if (each * (size_t)threads > block_size) {
        cg_limits_release();
        block = cg_alloc(each * (size_t)threads);
        if (!block) return 0;
        block_size = each * (size_t)threads;
    }
    double best = 0;
    for (int way = copy ? CG_COPY : CG_READ; way <= (copy ? CG_COPY : CG_READ_STREAMS); way++)
        for (int i = 0; i < PASSES; i++) {
            double sum = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum)
            for (int t = 0; t < threads; t++)
                sum += 1 / cg_limit_pass(m, block + each * (size_t)t, each, (enum cg_way)way);
            if (i && sum > best) best = sum; /* the first pass brings the block to where it lives */
        }
    return best;
}

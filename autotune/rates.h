/* What a machine reaches: a few figures, measured in a second or two, that the time of a GEMM plan is predicted from
 * (autotune/predict.h, docs/tuning-model.md). Kept as text in machine records and in the tuning store. */
#ifndef CG_AUTOTUNE_RATES_H
#define CG_AUTOTUNE_RATES_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/status.h"
#include "detect/machine.h"
#include "kernels/registry.h"

enum {
    CG_RATE_SIZES = 22,    /* working sets of a thread: see cg_rate_size */
    CG_RATE_ROWS = 3,      /* of a variant: one, half of its tile, its tile */
    CG_RATE_VARIANTS = 96, /* more than any architecture has GEMMs */
    CG_RATE_PEAKS = 16,
    CG_PACK_HEIGHT = 8,
};

/* Bytes a second of each thread by its working set of cg_rate_size(i) bytes, through which it goes again and again; n
 * >= 1 are known, larger working sets are as the largest known. Never ascending. */
struct cg_curve {
    size_t n;
    double v[CG_RATE_SIZES];
};

/* 16, 24, 32, 48 KiB and so on to 4 MiB, since an edge of L1 or L2 may be anywhere; then 8, 16... 128 MiB. */
size_t cg_rate_size(size_t i);

/* An instruction that variants multiply with (cg_peak_level): operations a second of all threads together. */
struct cg_rate_peak {
    enum cg_op op; /* gemm_f32 also stands for bf16w */
    enum cg_isa level;
    double one, all;
};

/* A variant whose operands are in the nearest caches: seconds of a step of the reduction in one tile of rows[i] rows
 * and NR columns, and seconds that such a tile costs beside its steps. Neither
 * falls with the rows. */
struct cg_rate_variant {
    const struct cg_variant *variant;
    size_t n;
    uint16_t rows[CG_RATE_ROWS]; /* ascending */
    double step[CG_RATE_ROWS], tile[CG_RATE_ROWS];
};

/* A row operation on one thread, its operands in the nearest caches: a call with n elements takes call + n * element
 * seconds. kv_f32 with m rows, n columns and a reduction of k: n * k * (call + m * element). */
struct cg_rate_row {
    double call, element;
};

/* Those that training in f32 uses: X(op, elements of a short call, of a long one); of kv_f32: rows. */
#define CG_RATED_ROWS(X)             \
    X(add_f32, 64, 2048)             \
    X(rmsnorm_f32, 64, 2048)         \
    X(rmsnorm_bwd_f32, 64, 2048)     \
    X(rmsnorm_dw_f32, 64, 2048)      \
    X(rope_f32, 64, 1024)            \
    X(swiglu_f32, 64, 2048)          \
    X(swiglu_bwd_f32, 64, 1024)      \
    X(softmax_len_f32, 64, 1024)     \
    X(softmax_len_bwd_f32, 64, 1024) \
    X(max_f32, 64, 4096)             \
    X(sumexp_f32, 64, 4096)          \
    X(expmul_f32, 64, 2048)          \
    X(sumsq_f32, 64, 4096)           \
    X(adamw_f32, 64, 1024)           \
    X(kv_f32, 3, 24)
#define CG_ONE(op, few, many) +1
enum { CG_RATED_ROW_COUNT = CG_RATED_ROWS(CG_ONE) };
#undef CG_ONE

enum { CG_RATE_ONE, CG_RATE_ALL }; /* one thread alone; each of all */

struct cg_rates {
    int threads;                       /* "all" */
    double call;                       /* seconds of a call of a GEMM beside its tiles */
    double region;                     /* seconds to open and close a parallel region of all threads; 0 with one */
    double edge;                       /* seconds more for a row of a tile that reaches past the last column */
    double pack_b;                     /* bytes a second that one thread packs of a row-major B */
    double pack_a, pack_odd;           /* and of a transposed A in tiles of CG_PACK_HEIGHT rows, and of one row less */
    double pack_w, pack_far;           /* and of weights W[n][k], the B of NT, in the near caches and in memory */
    struct cg_curve read[2][2];        /* [CG_RATE_ONE or _ALL][0 or with prefetches] */
    struct cg_curve strided[2];        /* read 512 bytes of each row of a matrix, then the next 512 */
    struct cg_curve tiles[2][2];       /* [.][0: written, 1: read and written] piece by piece, as the tiles of C are */
    struct cg_curve write[2], copy[2]; /* copy: read and written bytes together */
    size_t n_peaks, n_variants;
    struct cg_rate_peak peaks[CG_RATE_PEAKS];
    struct cg_rate_variant variants[CG_RATE_VARIANTS];
    struct cg_rate_row rows[CG_RATED_ROW_COUNT]; /* in the order of CG_RATED_ROWS */
};

/* Measures this machine with one and with `threads` threads in about `seconds` (2 are good, 0.5 usable; the least it
 * takes is one sample of everything, a third of a second, or minutes where the machine is emulated). Interleaved, each
 * figure the typical of its samples. CG_ERR_CHECK, with *r left alone, when even that one sample is not to be had
 * within `most` seconds (INFINITY: however long it takes). *stop (or NULL) ends it early, with CG_ERR_INTERRUPTED.
 * CG_ERR_MEMORY. */
enum cg_status cg_rates_measure(const struct cg_machine *m, int threads, double seconds, double most,
                                const volatile sig_atomic_t *stop, struct cg_rates *r);

/* Moves every figure to where cg_rates_parse takes it: what a program that was stopped for minutes has measured, or one
 * whose clock is coarse, may be beyond what any machine reaches. */
void cg_rates_bound(struct cg_rates *r);

/* As lines that start with "rate ". */
enum cg_status cg_rates_print(FILE *f, const struct cg_rates *r);

/* The same in fresh memory (cg_free it); NULL without memory. */
char *cg_rates_text(const struct cg_rates *r);

/* Reads the lines of `text` that start with "rate " (others are somebody else's); the names are of the variants of
 * `arch`. All or nothing: anything doubtful is CG_ERR_USER with the line in its message, and *r is left alone. No such
 * line at all is CG_ERR_USER too. */
enum cg_status cg_rates_parse(const char *text, enum cg_arch arch, struct cg_rates *r);

/* The figures of `v`; NULL where it was not measured. */
const struct cg_rate_variant *cg_rates_of(const struct cg_rates *r, const struct cg_variant *v);

/* The rate of a row operation; NULL for one that is not measured. */
const struct cg_rate_row *cg_rates_row_of(const struct cg_rates *r, enum cg_op op);

/* Seconds a byte at a working set of `bytes`, between the sizes that were measured. */
double cg_curve_cost(const struct cg_curve *c, double bytes);

#endif

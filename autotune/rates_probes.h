/* The probes of rates.c that run GEMMs (rates_gemm.c). */
#ifndef CG_AUTOTUNE_RATES_PROBES_H
#define CG_AUTOTUNE_RATES_PROBES_H

#include <stddef.h>

#include "autotune/limits.h"
#include "autotune/rates.h"
#include "detect/machine.h"
#include "kernels/registry.h"

/* Memory that all probes share. */
struct cg_rates_bench {
    const struct cg_machine *m;
    char *arena;            /* working sets; its content does not matter */
    size_t arena_size, far; /* far: where the next weights to be packed lie in it */
    void *a, *b, *out;      /* operands of GEMMs, numbers in every format */
    float *c, *scale;
    int32_t *comp;
};

enum cg_rates_kind {
    CG_PROBE_PEAK,   /* seconds an operation, of all threads together */
    CG_PROBE_PASS,   /* seconds a byte of each thread, of its working set of `size` bytes */
    CG_PROBE_REGION, /* seconds of a parallel region */
    CG_PROBE_LONG,   /* seconds of a call of one tile of `rows` rows and many steps */
    CG_PROBE_BRIEF,  /* and of few */
    CG_PROBE_TILES,  /* and of several tiles of few steps */
    CG_PROBE_CALL,   /* seconds of a call of one tile of one step */
    CG_PROBE_CALLS,  /* and of CG_PROBE_MANY of them */
    CG_PROBE_WHOLE,  /* seconds of a call of one tile of few steps */
    CG_PROBE_EDGE,   /* and one column less */
    CG_PROBE_PACK_B, /* seconds a byte */
    CG_PROBE_PACK_A,
    CG_PROBE_PACK_ODD, /* of tiles with an odd number of rows */
    CG_PROBE_PACK_W,
    CG_PROBE_PACK_FAR,
    CG_PROBE_ROW, /* seconds of a row operation of `size` elements */
};

enum { CG_PROBE_MANY = 8 };

struct cg_rates_probe {
    enum cg_rates_kind kind;
    int threads, all; /* all: these are all threads */
    size_t size, rows;
    enum cg_way way;
    const struct cg_variant *variant;
    enum cg_op op; /* of ROW */
};

enum { CG_RATES_SAMPLES = 32 };

/* A probe with its samples: at least one. */
struct cg_rates_taken {
    struct cg_rates_probe is;
    double sample[CG_RATES_SAMPLES];
    size_t n;
};

/* The operation whose peak is that of `v`: bf16w multiplies as f32 does. */
static inline enum cg_op cg_rates_peak_op(const struct cg_variant *v)
{
    return v->op == CG_OP_gemm_bf16w ? CG_OP_gemm_f32 : v->op;
}

/* The rates that n probes of rates.c give; their samples are sorted. */
void cg_rates_collect(struct cg_rates_taken *p, size_t n, int threads, struct cg_rates *r);

/* 0 when memory is short. */
int cg_rates_bench_open(struct cg_rates_bench *b);
void cg_rates_bench_close(struct cg_rates_bench *b);

/* One sample of a probe of a GEMM (LONG and those after it). */
double cg_rates_gemm(struct cg_rates_bench *b, const struct cg_rates_probe *p);

/* The steps of a tile and the tiles of a call of LONG, BRIEF and TILES. */
size_t cg_rates_steps(const struct cg_variant *v, enum cg_rates_kind kind);
size_t cg_rates_tiles(const struct cg_variant *v, enum cg_rates_kind kind);

/* The elements that the i-th row operation of CG_RATED_ROWS is measured with, and which it is; one sample of it; and
 * its rate from the times of few and of many elements. */
size_t cg_rates_rated_row(size_t i, int many, enum cg_op *op);
double cg_rates_row(const struct cg_rates_bench *b, const struct cg_rates_probe *p);
void cg_rates_collect_row(struct cg_rate_row *to, size_t i, double of_few, double of_many);

#endif

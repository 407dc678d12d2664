/* Other libraries to compare with, opened while running: any that has a CBLAS sgemm. */
#ifndef CG_BENCH_PEERS_H
#define CG_BENCH_PEERS_H

#include <stddef.h>

#include "bench/cases.h"
#include "common/status.h"

/* cblas_sgemm(order, transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc), 32-bit integers. */
typedef void cg_sgemm_fn(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                         int);

#define CG_MAX_PEERS 8

struct cg_peer {
    char name[24];
    char library[512];
    char symbol[64];
    cg_sgemm_fn *sgemm;
};

/* Reads "NAME=LIBRARY:SYMBOL" or "NAME=LIBRARY" (cblas_sgemm). CG_ERR_USER. */
enum cg_status cg_peer_parse(const char *text, struct cg_peer *out);

/* Opens the library for `threads` threads (told by the environment variables that BLAS libraries read) and checks that
 * its function multiplies matrices. CG_ERR_USER. The library stays open until the process ends. */
enum cg_status cg_peer_open(struct cg_peer *p, int threads);

/* C = A * B of a gemm_f32 case, on the plain operands. */
void cg_peer_call(const struct cg_peer *p, const struct cg_bench_case *c, const float *a, const float *b, float *out);

#endif

/* Other libraries to compare with, opened while running: any that has a CBLAS sgemm, and oneDNN. */
#ifndef CG_BENCH_PEERS_H
#define CG_BENCH_PEERS_H

#include <stddef.h>

#include "bench/cases.h"
#include "bench/onednn.h"
#include "common/status.h"

/* cblas_sgemm(order, transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc), 32-bit integers. */
typedef void cg_sgemm_fn(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                         int);

#define CG_MAX_PEERS 8

struct cg_peer {
    char name[24];
    char library[512];
    char symbol[64];
    cg_sgemm_fn *sgemm;       /* NULL for oneDNN */
    struct cg_onednn *onednn; /* NULL for CBLAS */
};

/* Reads "NAME=LIBRARY:SYMBOL" or "NAME=LIBRARY" (cblas_sgemm; dnnl where the library is called libdnnl). CG_ERR_USER.
 */
enum cg_status cg_peer_parse(const char *text, struct cg_peer *out);

/* Opens the library for `threads` threads (told by the environment variables that BLAS libraries read) and checks that
 * it multiplies matrices. CG_ERR_USER. The library stays open until the process ends. */
enum cg_status cg_peer_open(struct cg_peer *p, int threads);

/* One way in which a peer computes an operation: a column of the table. oneDNN has two for INT8. */
struct cg_rival {
    const struct cg_peer *peer;
    enum cg_onednn_type type; /* of oneDNN */
    char name[32];            /* "mkl", "onednn u8s8" */
};

#define CG_MAX_RIVALS (2 * CG_MAX_PEERS)

/* The rivals at `op` that n peers offer; how many. */
int cg_rivals(const struct cg_peer *peers, int n, enum cg_op op, struct cg_rival out[CG_MAX_RIVALS]);

/* A rival at work on a case. */
struct cg_rival_run {
    const struct cg_rival *rival;
    const struct cg_bench_case *c;
    struct cg_plain plain;
    struct cg_onednn_matmul *matmul;
};

/* Prepares what may be prepared once: for oneDNN the primitive, and the weights of NT in the layout that it asks for.
 * `cold`: as for cg_operands_open. The operands must outlive the run. */
enum cg_status cg_rival_open(const struct cg_rival *r, const struct cg_bench_case *c, const struct cg_plain *plain,
                             size_t cold, struct cg_rival_run *out);
void cg_rival_call(struct cg_rival_run *run);
void cg_rival_close(struct cg_rival_run *run);

#endif

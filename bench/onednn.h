/* oneDNN's matrix product by its C interface, versions 2 and 3, without its headers: found while running. */
#ifndef CG_BENCH_ONEDNN_H
#define CG_BENCH_ONEDNN_H

#include <stddef.h>

#include "bench/cases.h"
#include "common/status.h"

struct cg_onednn;        /* an open library with an engine and a stream */
struct cg_onednn_matmul; /* a product made ready */

/* What A and B hold; C is f32. */
enum cg_onednn_type { CG_ONEDNN_F32, CG_ONEDNN_BF16, CG_ONEDNN_S8S8, CG_ONEDNN_U8S8, CG_ONEDNN_TYPES };

/* `library` comes from dlopen. CG_ERR_USER when it is no oneDNN of version 2 or 3, or multiplies wrongly. */
enum cg_status cg_onednn_open(void *library, struct cg_onednn **out);
void cg_onednn_close(struct cg_onednn *o);

/* Does it have this kind of product on this machine? */
int cg_onednn_has(const struct cg_onednn *o, enum cg_onednn_type type);

/* Makes the product of a GEMM case ready: primitive and memory objects are created, A and B converted to `type`, B of
 * NT is brought once into the layout that oneDNN chooses (its compensation for s8 included), B of NN and TN stays
 * row-major. With `cold`, calls go through copies of B of that many bytes together. plain->c is written. */
enum cg_status cg_onednn_matmul_open(struct cg_onednn *o, enum cg_onednn_type type, const struct cg_bench_case *c,
                                     const struct cg_plain *plain, size_t cold, struct cg_onednn_matmul **out);
void cg_onednn_matmul_call(struct cg_onednn_matmul *m);
void cg_onednn_matmul_close(struct cg_onednn_matmul *m);

#endif

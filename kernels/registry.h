/* The variants of every op, and which of them this process may run. */
#ifndef CG_KERNELS_REGISTRY_H
#define CG_KERNELS_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "detect/machine.h"
#include "kernels/ops.h"

/* MR * NR of the largest tile: edge tiles pass through one of this size on the stack. */
#define CG_MAX_TILE 4096

struct cg_variant {
    enum cg_op op;
    const char *name;    /* "gemm_f32_8x48_avx512" */
    uint64_t isa;        /* CG_ISA_BIT()s of detect/isa.h that it needs; 0 for the scalar truth */
    uint16_t mr, nr, kr; /* tile, and the rows of B that lie together; 0 for row operations */
    uint16_t ku;         /* the reduction is padded to a multiple of it */
    uint16_t pack_nr;    /* columns of a packed panel */
    uint16_t a_offset;   /* s8 GEMM: 128 when A is read as u8 */
    union {
        void (*any)(void);
        cg_gemm_f32_fn *gemm_f32;
        cg_gemm_bf16w_fn *gemm_bf16w;
        cg_gemm_bf16_fn *gemm_bf16;
        cg_gemm_s8_fn *gemm_s8;
#define X(op, isas, suffix) cg_##op##_fn *op;
        CG_ROW_OPS(X, , )
#undef X
    } fn;
    cg_bf16_dot_fn *model; /* of a native bf16 GEMM: what one output is; else NULL */
};

/* Where B is packed at every call (NN, TN): may whole panels be read from a row-major B as it lies instead? Only panels
 * of whole cache lines are, whose width is a multiple of so many floats. */
#define CG_LINE_FLOATS 16
enum cg_in_place {
    CG_IN_PLACE_AUTO, /* the GEMM chooses, by the rows and the size of B */
    CG_IN_PLACE_NEVER,
    CG_IN_PLACE_ALWAYS,
    CG_IN_PLACE_COUNT
};

/* How to run one GEMM shape: a variant, its blocking, and how its outputs are divided among threads. */
struct cg_plan {
    const struct cg_variant *variant;
    uint32_t mc, nc, kc; /* blocks in rows, columns, reduction; 0: the GEMM chooses */
    uint16_t threads;    /* >= 1 */
    uint16_t team;       /* threads of the process's parallel regions. One with more threads than the plan uses opens
                            with all of them, since OpenMP runtimes (GCC's) end those that a region leaves out and make
                            new ones for the next; less than threads: with those of the plan */
    uint16_t by_rows;    /* parts that the rows are divided into, the columns into threads / by_rows; INT8 and native
                            bf16: 1 divides the columns only, more the rows only; 0: the GEMM chooses */
    uint16_t prefetch;   /* rows ahead; 0: none */
    uint16_t in_place;   /* enum cg_in_place */
};

/* The row operations chosen for this process. */
struct cg_rowops {
#define X(op, isas, suffix) cg_##op##_fn *op;
    CG_ROW_OPS(X, , )
#undef X
    const char *isa; /* suffix of the variants in use: "avx512" */
};

/* Those of the architecture that this program runs on. */
const struct cg_variant *cg_variants(size_t *count);
/* Those of `arch`. Where this program runs on another one they have no functions (fn is NULL, of the scalar truth too):
 * they are for plans and predictions of machines that are elsewhere, never to be called. */
const struct cg_variant *cg_variants_for(enum cg_arch arch, size_t *count);
const struct cg_variant *cg_variant_named(const char *name); /* NULL when unknown */
const char *cg_op_name(enum cg_op op);
int cg_op_is_gemm(enum cg_op op); /* else a row operation */
/* INT8 or native bf16, which sum dot products: packed weights serve one variant only, not all of a panel width. */
int cg_op_is_dot(enum cg_op op);
/* XXH3 of names and tiles: part of the key of a tuning store. */
uint64_t cg_variants_hash(void);

/* May `v` run where the usable ISA is `isa` (cg_machine.isa)? The levels of different architectures have different
 * bits, so no vector variant of another architecture runs here; of the scalar truth, take that of cg_variants. */
int cg_variant_runs(const struct cg_variant *v, uint64_t isa);

/* Do both variants of a GEMM read a B that was packed before in the same layout? In f32 arithmetic all panels of one
 * width are alike, for dot products each variant has its own. */
int cg_variant_same_layout(const struct cg_variant *a, const struct cg_variant *b);

/* The best row operations for `isa`. The result lives as long as the process. */
const struct cg_rowops *cg_rowops_for(uint64_t isa);

#endif

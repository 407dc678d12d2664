/* The GEMM shapes that training and generation with a model use. */
#ifndef CG_AUTOTUNE_SHAPES_H
#define CG_AUTOTUNE_SHAPES_H

#include <stddef.h>

#include "autotune/plan.h"
#include "autotune/sizes.h"

struct cg_shape {
    enum cg_op op;
    enum cg_form form;
    size_t m, n, k;     /* C[m][n], reduction k */
    size_t model_bytes; /* of f32 weights of the whole model: what else passes through the caches between two calls */
    double weight;      /* importance: about the share of a training step's arithmetic */
    char what[32];      /* "tiny gate-up" */
};

struct cg_shapes {
    struct cg_shape *s;
    size_t n;
};

/* The operations that training uses, as bits 1 << op. */
#define CG_SHAPES_TRAINING (1u << CG_OP_gemm_f32 | 1u << CG_OP_gemm_s8)

/* Adds the shapes of a model with the GEMMs of `ops` (bits 1 << op), leaving out those that are there already (their
 * importance adds up). CG_ERR_MEMORY. */
enum cg_status cg_shapes_add(struct cg_shapes *all, const struct cg_sizes *model, unsigned ops);

/* The same for one shape. */
enum cg_status cg_shapes_add_one(struct cg_shapes *all, const struct cg_shape *s);

/* A call of more multiply-adds than this is not tuned. */
#define CG_SHAPE_MAX_WORK 20e9

/* Adds the shapes that `text` names: "MxNxK" or "OP:FORM:MxNxK" (f32, s8, bf16w, bf16; nt, nn, tn; f32 and nt may be
 * left out), with commas or white space between them; # begins a comment. Numbers of tokens are rounded up to what the
 * store keeps. CG_ERR_USER with a message for anything else. cg_shapes_read: the text of a file. */
enum cg_status cg_shapes_parse(struct cg_shapes *all, const char *text);
enum cg_status cg_shapes_read(struct cg_shapes *all, const char *path);

/* Orders by importance: groups that share the layout of a weight stay together, the most important group first. */
void cg_shapes_sort(struct cg_shapes *all);

/* Drops the least important shapes while a search of all would take much longer than `seconds`. */
void cg_shapes_fit(struct cg_shapes *all, double seconds);

/* The part of the whole time that goes to the i-th. */
double cg_shapes_share(const struct cg_shapes *all, size_t i);

void cg_shapes_free(struct cg_shapes *all);

/* Do two shapes work on one packed weight (op, form NT, n, k)? */
int cg_shapes_share_layout(const struct cg_shape *a, const struct cg_shape *b);

/* Multiply-adds count two. */
double cg_shape_flops(const struct cg_shape *s);

#endif

/* The steps of a struct cg_epilogue, for the loops around the micro-kernels only. */
#ifndef CG_KERNELS_EPILOGUE_H
#define CG_KERNELS_EPILOGUE_H

#include "kernels/gemm.h"

/* Bias and residual of a finished tile, while it is in L1: rows i.. and columns j.. of C, at `tile`. */
void cg_epilogue_tile(const struct cg_epilogue *ep, size_t i, size_t rows, size_t j, size_t cols, float *tile,
                      size_t ldc);

/* Is there a step that needs whole rows? */
static inline int cg_epilogue_needs_rows(const struct cg_epilogue *ep)
{
    return ep && (ep->swiglu || ep->quant);
}

/* The steps that need whole rows, for rows i0..i1 of c[..][n]. */
void cg_epilogue_rows(const struct cg_epilogue *ep, size_t i0, size_t i1, size_t n, const float *c, size_t ldc);

#endif

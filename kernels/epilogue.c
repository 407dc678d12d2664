#include "kernels/epilogue.h"

void cg_epilogue_tile(const struct cg_epilogue *ep, size_t i, size_t rows, size_t j, size_t cols, float *tile,
                      size_t ldc)
{
    for (size_t r = 0; r < rows; r++, tile += ldc) {
        if (ep->bias) ep->rows->add_f32(cols, tile, ep->bias + j, tile);
        if (ep->residual) ep->rows->add_f32(cols, tile, ep->residual + (i + r) * ep->ld_residual + j, tile);
    }
}

void cg_epilogue_rows(const struct cg_epilogue *ep, size_t i0, size_t i1, size_t n, const float *c, size_t ldc)
{
    for (size_t i = i0; i < i1; i++) {
        const float *row = c + i * ldc;
        if (ep->swiglu) {
            ep->rows->swiglu_f32(n / 2, row, row + n / 2, ep->swiglu + i * ep->ld_swiglu);
            row = ep->swiglu + i * ep->ld_swiglu;
        }
        if (ep->quant)
            cg_s8_rows_quant(ep->quant_for, ep->rows, 1, row, 0, (char *)ep->quant + cg_s8_rows_size(ep->quant_for, i),
                             ep->quant_scale + i);
    }
}

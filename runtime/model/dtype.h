/* Number formats of weight files, to f32. All files are little-endian, as every machine this runs on is. */
#ifndef CG_RUNTIME_MODEL_DTYPE_H
#define CG_RUNTIME_MODEL_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/* IEEE half precision, exactly (NaN payloads are kept). */
float cg_f16_to_f32(uint16_t h);

/* n values at `src` (any alignment) into out[n]. */
void cg_from_f32(const unsigned char *src, size_t n, float *out);
void cg_from_f16(const unsigned char *src, size_t n, float *out);
void cg_from_bf16(const unsigned char *src, size_t n, float *out);

/* Blocks of 32 values of ggml; n is a multiple of 32. The products and sums are rounded one by one, as ggml's are. */
void cg_from_q4_0(const unsigned char *src, size_t n, float *out);
void cg_from_q4_1(const unsigned char *src, size_t n, float *out);
void cg_from_q8_0(const unsigned char *src, size_t n, float *out);

/* Whether all of x[0..n) are finite. */
int cg_all_finite(const float *x, size_t n);

#endif

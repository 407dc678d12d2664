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

/* Blocks of ggml, of 32 values and (K) of 256; n is a multiple of that. The products and sums are rounded one by one,
 * as those of ggml's dequantize_row functions are. */
void cg_from_q4_0(const unsigned char *src, size_t n, float *out);
void cg_from_q4_1(const unsigned char *src, size_t n, float *out);
void cg_from_q5_0(const unsigned char *src, size_t n, float *out);
void cg_from_q5_1(const unsigned char *src, size_t n, float *out);
void cg_from_q8_0(const unsigned char *src, size_t n, float *out);
void cg_from_q4_k(const unsigned char *src, size_t n, float *out);
void cg_from_q5_k(const unsigned char *src, size_t n, float *out);
void cg_from_q6_k(const unsigned char *src, size_t n, float *out);

/* The other way, n values into the bytes of a file (any alignment). Rounded to nearest, ties to even; q8_0 as ggml's
 * reference does it (ties away from zero), n a multiple of 32. */
void cg_to_f32(const float *x, size_t n, unsigned char *out);
void cg_to_bf16(const float *x, size_t n, unsigned char *out);
void cg_to_q8_0(const float *x, size_t n, unsigned char *out);

/* Whether all of x[0..n) are finite. */
int cg_all_finite(const float *x, size_t n);

#endif

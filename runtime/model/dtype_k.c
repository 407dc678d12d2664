/* ggml's K formats: 256 values in sub-blocks that have scales (and minima) of their own, themselves quantised. */
#include <string.h>

#include "runtime/model/dtype.h"

#define BLOCK_K 256
#define SUB 32

static float read_half(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return cg_f16_to_f32(v);
}

/* Scale and minimum of sub-block j of 8, 6 bits each: of the first four in 8 whole bytes, whose upper bits together
 * with the last 4 bytes are those of the others. */
static void scale_and_min(int j, const unsigned char *s, int *scale, int *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *min = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

/* Q4_K and Q5_K: sub-blocks j and j + 1 in the halves of the same 32 bytes; `fifth` (or NULL): 32 bytes of which bit j
 * belongs to sub-block j. */
static void from_4_or_5(const unsigned char *head, const unsigned char *fifth, const unsigned char *q, float *out)
{
    float d = read_half(head), dmin = read_half(head + 2);
    for (int j = 0; j < BLOCK_K / SUB; j++, out += SUB) {
        int scale, min;
        scale_and_min(j, head + 4, &scale, &min);
        float step = d * (float)scale, below = dmin * (float)min;
        for (int l = 0; l < SUB; l++) {
            int v = j % 2 ? q[j / 2 * SUB + l] >> 4 : q[j / 2 * SUB + l] & 15;
            if (fifth) v |= (fifth[l] >> j & 1) << 4;
            out[l] = step * (float)v - below;
        }
    }
}

void cg_from_q4_k(const unsigned char *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK_K; b++, src += 144, out += BLOCK_K) from_4_or_5(src, NULL, src + 16, out);
}

void cg_from_q5_k(const unsigned char *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK_K; b++, src += 176, out += BLOCK_K) from_4_or_5(src, src + 16, src + 48, out);
}

/* 128 bytes of lower halves, 64 of upper two bits, 16 scales of 16 values each, the scale of them all. Within each half
 * of the block, quarter k takes its upper bits from bits 2k and 2k + 1. */
void cg_from_q6_k(const unsigned char *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / BLOCK_K; b++, src += 210) {
        float d = read_half(src + 208);
        for (int half = 0; half < 2; half++)
            for (int k = 0; k < 4; k++)
                for (int l = 0; l < SUB; l++, out++) {
                    int low = src[half * 64 + k % 2 * SUB + l], high = src[128 + half * SUB + l];
                    int v = (k < 2 ? low & 15 : low >> 4) | (high >> (2 * k) & 3) << 4;
                    int scale = (signed char)src[192 + half * 8 + k * 2 + l / 16];
                    *out = d * (float)scale * (float)(v - 32);
                }
    }
}

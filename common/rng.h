/* Random numbers by counter (Philox4x32-10, Salmon et al. 2011): a draw depends on what it is for, never on when it
 * is made, so that batching, threads and resuming cannot change it. */
#ifndef CG_COMMON_RNG_H
#define CG_COMMON_RNG_H

#include <stddef.h>
#include <stdint.h>

/* What a draw is for; keeps the streams of different uses apart. */
enum cg_rng_use {
    CG_RNG_INIT = 1, /* weights */
    CG_RNG_DATA,     /* problems and their order */
    CG_RNG_SAMPLE,   /* tokens */
    CG_RNG_SPLIT,    /* held-out sets */
    CG_RNG_TEST,
    CG_RNG_ADAPTER, /* LoRA */
};

/* Four 32-bit words for (seed, use; a, b, c). */
void cg_rng4(uint64_t seed, enum cg_rng_use use, uint32_t a, uint32_t b, uint32_t c, uint32_t out[4]);

/* Uniform in [0, 1) with 24 bits, from the first word of cg_rng4. */
float cg_rng_uniform(uint64_t seed, enum cg_rng_use use, uint32_t a, uint32_t b, uint32_t c);

/* Uniform integer in [0, n), n > 0, without bias worth the name (64-bit multiply-shift). */
uint32_t cg_rng_below(uint64_t seed, enum cg_rng_use use, uint32_t a, uint32_t b, uint32_t c, uint32_t n);

/* A hash of 32 bits that mixes every bit into every other (Wellons 2018, lowbias32): for roundings at random, where a
 * draw must cost no more than the rounding. Derive x from a counter. */
static inline uint32_t cg_rng_mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* Fills x[0..n) with normal(0, std) numbers of stream (seed, use, a), by Box-Muller on SLEEF's deterministic log, sin
 * and cos: the same bits on every machine. */
void cg_rng_normal(uint64_t seed, enum cg_rng_use use, uint32_t a, float std, float *x, size_t n);

/* Element i of the permutation of 0..n-1 that (seed, a) gives: a Feistel network on Philox with cycle walking, so any
 * size needs no memory. */
uint64_t cg_permute(uint64_t seed, uint32_t a, uint64_t n, uint64_t i);

#endif

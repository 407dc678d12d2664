#include "common/rng.h"

#include <math.h>
#include <Random123/philox.h>

#include "common/math.h"

void cg_rng4(uint64_t seed, enum cg_rng_use use, uint32_t a, uint32_t b, uint32_t c, uint32_t out[4])
{
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t ctr = {{(uint32_t)use, a, b, c}};
    philox4x32_ctr_t r = philox4x32(ctr, key);
    for (int i = 0; i < 4; i++) out[i] = r.v[i];
}

static float to_unit(uint32_t w)
{
    return (float)(w >> 8) * 0x1p-24f;
}

float cg_rng_uniform(uint64_t seed, enum cg_rng_use use, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t w[4];
    cg_rng4(seed, use, a, b, c, w);
    return to_unit(w[0]);
}

uint32_t cg_rng_below(uint64_t seed, enum cg_rng_use use, uint32_t a, uint32_t b, uint32_t c, uint32_t n)
{
    uint32_t w[4];
    cg_rng4(seed, use, a, b, c, w);
    return (uint32_t)(((uint64_t)w[0] * n) >> 32);
}

void cg_rng_normal(uint64_t seed, enum cg_rng_use use, uint32_t a, float std, float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        uint32_t w[4];
        cg_rng4(seed, use, a, (uint32_t)(i >> 32), (uint32_t)i, w);
        for (int h = 0; h < 4; h += 2) {
            float u = to_unit(w[h]) + 0x1p-25f, t = to_unit(w[h + 1]) * 6.2831853f;
            float r = sqrtf(-2.0f * cg_logf(u)) * std;
            if (i + (size_t)h < n) x[i + (size_t)h] = r * cg_cosf(t);
            if (i + (size_t)h + 1 < n) x[i + (size_t)h + 1] = r * cg_sinf(t);
        }
    }
}

uint64_t cg_permute(uint64_t seed, uint32_t a, uint64_t n, uint64_t i)
{
    unsigned half = 1;
    while (half < 32 && (UINT64_C(1) << (2 * half)) < n) half++;
    uint64_t mask = (UINT64_C(1) << half) - 1;
    do { /* walks until it is back inside 0..n-1: at most about four rounds of it on average */
        uint64_t l = i >> half, r = i & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint32_t w[4];
            cg_rng4(seed, CG_RNG_SPLIT, a, round, (uint32_t)r, w);
            uint64_t next = l ^ (w[0] & mask);
            l = r;
            r = next;
        }
        i = l << half | r;
    } while (i >= n);
    return i;
}

#include "runtime/optim/moments.h"

#include <string.h>

#include "common/mem.h"
#include "common/rng.h"

/* A code c of `e` bits of exponent and 3 of mantissa stands for 2^(1-E) * (c & 7)/8 where its exponent is 0, else for
 * 2^((c >> 3) - E) * (1 + (c & 7)/8), E = 2^e - 1. The largest is 1.875, which the largest of a block is scaled to. */
#define LARGEST 1.875f
#define E_M 15u
#define E_V 31u

/* Below, squares and their scales would leave f32; AdamW's epsilon is far above. */
#define NOTHING 1e-30f

size_t cg_moments_blocks(size_t n)
{
    return (n + CG_MOMENT_BLOCK - 1) / CG_MOMENT_BLOCK;
}

enum cg_status cg_moments_create(size_t n, int bits8, struct cg_moments *out)
{
    memset(out, 0, sizeof *out);
    out->n = n;
    int ok;
    if (bits8) {
        out->m8 = cg_alloc(n);
        out->v8 = cg_alloc(n);
        out->m_scale = cg_alloc_n(cg_moments_blocks(n), sizeof(float));
        out->v_scale = cg_alloc_n(cg_moments_blocks(n), sizeof(float));
        ok = out->m8 && out->v8 && out->m_scale && out->v_scale;
    } else {
        out->m = cg_alloc_n(n, sizeof(float));
        out->v = cg_alloc_n(n, sizeof(float));
        ok = out->m && out->v;
    }
    if (ok) return CG_OK;
    cg_moments_free(out);
    return cg_fail(CG_ERR_MEMORY, "out of memory: AdamW needs %.2f GB for its moments%s",
                   2.0 * (double)n * (bits8 ? 1.0 : sizeof(float)) / 1e9,
                   bits8 ? "" : " (optim: adamw_8bit: a quarter)");
}

void cg_moments_free(struct cg_moments *x)
{
    void *all[] = {x->m, x->v, x->m8, x->v8, x->m_scale, x->v_scale};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
    memset(x, 0, sizeof *x);
}

void cg_moments_reset(struct cg_moments *x)
{
    if (x->m) {
        memset(x->m, 0, x->n * sizeof *x->m);
        memset(x->v, 0, x->n * sizeof *x->v);
        return;
    }
    memset(x->m8, 0, x->n);
    memset(x->v8, 0, x->n);
    memset(x->m_scale, 0, cg_moments_blocks(x->n) * sizeof *x->m_scale);
    memset(x->v_scale, 0, cg_moments_blocks(x->n) * sizeof *x->v_scale);
}

static inline uint32_t bits(float x)
{
    const union {
        float x;
        uint32_t u;
    } as = {x};
    return as.u;
}

static inline float value(uint32_t u)
{
    const union {
        uint32_t u;
        float x;
    } as = {u};
    return as.x;
}

/* 2^k. */
static inline float power(int k)
{
    return value((uint32_t)(127 + k) << 23);
}

static inline float decode(uint32_t c, uint32_t e)
{
    float small = (float)(int32_t)c * power(-2 - (int)e);
    return c < 8 ? small : value((c << 20) + ((127 - e) << 23));
}

/* y in [0, 1.875]; r: 16 random bits. What lies between two codes becomes the upper one as often as it is near it. */
static inline uint32_t encode(float y, uint32_t r, uint32_t e)
{
    float least = power(1 - (int)e), small = y < least ? y : least;
    uint32_t low = (uint32_t)(int32_t)(small * power(2 + (int)e) + (float)(int32_t)r * 0x1p-16f);
    uint32_t high = (bits(y) - ((127 - e) << 23) + (r << 4)) >> 20, c = y < least ? low : high, most = 8 * e + 7;
    return c < most ? c : most;
}

void cg_moments_read(const struct cg_moments *x, size_t b, float m[CG_MOMENT_BLOCK], float v[CG_MOMENT_BLOCK])
{
    size_t first = b * CG_MOMENT_BLOCK, n = x->n - first < CG_MOMENT_BLOCK ? x->n - first : CG_MOMENT_BLOCK;
    const uint8_t *m8 = x->m8 + first, *v8 = x->v8 + first;
    float ms = x->m_scale[b], vs = x->v_scale[b];
    for (size_t i = 0; i < n; i++) {
        uint32_t c = m8[i], sign = (c & 0x80) << 24;
        m[i] = value(bits(decode(c & 0x7f, E_M) * ms) | sign);
        v[i] = decode(v8[i], E_V) * vs;
    }
}

/* The scale of a block, and in *inv what its values are multiplied by; both 0 where it holds nothing. */
static float scale_of(size_t n, const float *x, float *inv)
{
    uint32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits(x[i]) & 0x7fffffff;
        max = u > max ? u : max;
    }
    float largest = value(max);
    *inv = largest < NOTHING ? 0.0f : LARGEST / largest;
    return largest < NOTHING ? 0.0f : largest / LARGEST;
}

void cg_moments_write(struct cg_moments *x, size_t b, uint32_t key, const float m[CG_MOMENT_BLOCK],
                      const float v[CG_MOMENT_BLOCK])
{
    size_t first = b * CG_MOMENT_BLOCK, n = x->n - first < CG_MOMENT_BLOCK ? x->n - first : CG_MOMENT_BLOCK;
    uint8_t *m8 = x->m8 + first, *v8 = x->v8 + first;
    float mi, vi;
    uint32_t seed = cg_rng_mix(key ^ cg_rng_mix((uint32_t)b ^ cg_rng_mix((uint32_t)((uint64_t)b >> 32))));
    x->m_scale[b] = scale_of(n, m, &mi);
    x->v_scale[b] = scale_of(n, v, &vi);
    uint32_t r[CG_MOMENT_BLOCK];
    for (uint32_t i = 0; i < CG_MOMENT_BLOCK; i++) r[i] = cg_rng_mix(seed + i * 0x9e3779b9u);
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits(m[i]);
        m8[i] = (uint8_t)(encode(value(u & 0x7fffffff) * mi, r[i] & 0xffff, E_M) | (u >> 24 & 0x80));
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t c = encode(v[i] * vi, r[i] >> 16, E_V);
        v8[i] = (uint8_t)(c + (c == 0 && v[i] > 0.0f));
    }
}

/* AMX without AMX: the software model of tiles faults where the hardware does and computes what the manual says, and
 * the AMX kernels, compiled against it, give the bits of the scalar truth within guard pages. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/mem.h"
#include "kernels/bf16.h"
#include "kernels/gemm.h"
#include "kernels/x86/amx_model.h"

#define SEED 20241123u
#define CANARY 0x7fc0dead

extern cg_gemm_s8_fn cg_gemm_s8_32x32_amx_model, cg_gemm_s8_16x64_amx_model;
extern cg_gemm_bf16_fn cg_gemm_bf16_32x32_amx_model, cg_gemm_bf16_16x64_amx_model;
extern cg_bf16_dot_fn cg_bf16_dot_amx;

static const struct cg_variant variants[] = {
    {CG_OP_gemm_s8, "gemm_s8_32x32_amx", 0, 32, 32, 4, 64, 32, 0, {.gemm_s8 = cg_gemm_s8_32x32_amx_model}, NULL},
    {CG_OP_gemm_s8, "gemm_s8_16x64_amx", 0, 16, 64, 4, 64, 64, 0, {.gemm_s8 = cg_gemm_s8_16x64_amx_model}, NULL},
    {CG_OP_gemm_bf16,
     "gemm_bf16_32x32_amx",
     0,
     32,
     32,
     2,
     32,
     32,
     0,
     {.gemm_bf16 = cg_gemm_bf16_32x32_amx_model},
     cg_bf16_dot_amx},
    {CG_OP_gemm_bf16,
     "gemm_bf16_16x64_amx",
     0,
     16,
     64,
     2,
     32,
     64,
     0,
     {.gemm_bf16 = cg_gemm_bf16_16x64_amx_model},
     cg_bf16_dot_amx},
};
#define N_VARIANTS (sizeof variants / sizeof *variants)

static uint32_t rng_state;

static uint32_t rng(void)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return rng_state >> 8;
}

static void no_fault(void)
{
    if (cg_amx_fault()) fail_msg("the hardware would fault: %s", cg_amx_fault());
}

/* That there was a fault that says so; the next one is waited for. */
static void faulted(const char *text)
{
    if (!cg_amx_fault()) fail_msg("no fault where the hardware has one: %s", text);
    if (!strstr(cg_amx_fault(), text)) fail_msg("the fault is \"%s\", not \"%s\"", cg_amx_fault(), text);
    cg_amx_forget();
}

/* ---- The model ----------------------------------------------------------------------------------------------------
 */

static void shape(unsigned char cfg[64], int t, unsigned rows, unsigned colsb)
{
    cfg[16 + 2 * t] = (unsigned char)colsb;
    cfg[17 + 2 * t] = (unsigned char)(colsb >> 8);
    cfg[48 + t] = (unsigned char)rows;
}

static int start(void **state)
{
    (void)state;
    cg_amx_tilerelease();
    cg_amx_forget();
    rng_state = SEED;
    return 0;
}

static void bad_configurations(void **state)
{
    (void)state;
    static const struct {
        int byte, value;
        const char *fault;
    } bad[] = {
        {0, 2, "#GP ldtilecfg: palette 2"},
        {2, 1, "reserved"},
        {15, 1, "reserved"},
        {32, 64, "reserved"},
        {47, 1, "reserved"},
        {56, 16, "reserved"},
        {63, 1, "reserved"},
        {48, 17, "tile 0"},
        {55, 255, "tile 7 has 255 rows"},
        {16, 65, "tile 0 has 16 rows of 65 bytes"},
        {17, 1, "tile 0"},
        {31, 1, "tile 7"},
        {48, 0, "tile 0 has 0 rows of 64 bytes"},
        {16, 0, "tile 0 has 16 rows of 0 bytes"},
    };
    unsigned char good[64] = {1}, cfg[64], now[64];
    for (int t = 0; t < 8; t++) shape(good, t, 16, 64);
    cg_amx_ldtilecfg(good);
    no_fault();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(cfg, good, sizeof cfg);
        cfg[bad[i].byte] = (unsigned char)bad[i].value;
        cg_amx_ldtilecfg(cfg);
        faulted(bad[i].fault);
        cg_amx_sttilecfg(now); /* the one before is still there */
        assert_memory_equal(now, good, sizeof now);
    }
    cg_amx_tilerelease();
    cg_amx_sttilecfg(now);
    assert_memory_equal(now, (unsigned char[64]){0}, sizeof now);
    cg_amx_ldtilecfg(good);
    memset(cfg, 0, sizeof cfg); /* palette 0 releases the tiles */
    cg_amx_ldtilecfg(cfg);
    cg_amx_tilezero(0);
    faulted("#UD tilezero: no tiles are configured");
}

static void bad_operations(void **state)
{
    (void)state;
    unsigned char cfg[64] = {1}, mem[64 * 16] = {0}, before[64 * 16] = {0};
    cg_amx_tileloadd(0, mem, 64);
    faulted("#UD tileloadd: no tiles are configured");
    cg_amx_tilestored(0, mem, 64);
    faulted("#UD tilestored: no tiles are configured");
    cg_amx_tdpbssd(0, 1, 2);
    faulted("#UD tdpbssd: no tiles are configured");
    shape(cfg, 0, 5, 24); /* C 5x6 */
    shape(cfg, 1, 5, 12); /* A 5x3 */
    shape(cfg, 2, 3, 24); /* B 3x6 */
    shape(cfg, 3, 4, 24); /* each of the others is wrong in one way */
    shape(cfg, 4, 5, 16);
    shape(cfg, 5, 3, 20);
    shape(cfg, 6, 5, 22); /* no whole dwords: LDTILECFG takes it */
    cg_amx_ldtilecfg(cfg);
    cg_amx_tdpbssd(0, 1, 2);
    cg_amx_tdpbf16ps(0, 1, 2);
    no_fault();
    cg_amx_tdpbssd(3, 1, 2);
    faulted("C 4x6, A 5x3, B 3x6");
    cg_amx_tdpbf16ps(0, 4, 2);
    faulted("C 5x6, A 5x4, B 3x6");
    cg_amx_tdpbssd(0, 1, 5);
    faulted("C 5x6, A 5x3, B 3x5");
    cg_amx_tdpbssd(0, 0, 2);
    faulted("are not three");
    cg_amx_tdpbf16ps(0, 1, 1);
    faulted("are not three");
    cg_amx_tdpbssd(0, 1, 7);
    faulted("tile 7 is not configured");
    cg_amx_tileloadd(6, mem, 64);
    faulted("22 bytes");
    cg_amx_tilezero(8);
    faulted("there is no tile 8");
    cfg[1] = 5;
    cg_amx_ldtilecfg(cfg);
    cg_amx_tilestored(0, mem, 64);
    faulted("start_row is 5");
    assert_memory_equal(mem, before, sizeof mem);
}

/* Only what a shape has is read and written, from the row where an interrupted instruction goes on; the rest of a tile
 * is zero. */
static void loads_and_stores(void **state)
{
    (void)state;
    unsigned char cfg[64] = {1}, from[16 * 70], to[16 * 70], want[16 * 70];
    for (size_t i = 0; i < sizeof from; i++) from[i] = (unsigned char)(1 + rng() % 255);
    shape(cfg, 2, 7, 36);
    shape(cfg, 3, 16, 64);
    cg_amx_ldtilecfg(cfg);
    cg_amx_tileloadd(3, from, 70);
    cg_amx_tileloadd(2, from, 70);
    memset(to, 0xee, sizeof to);
    memset(want, 0xee, sizeof want);
    for (int i = 0; i < 7; i++) memcpy(want + 41 * i, from + 70 * i, 36);
    cg_amx_tilestored(2, to, 41);
    assert_memory_equal(to, want, sizeof to);
    for (int i = 0; i < 16; i++) memcpy(want + 65 * i, from + 70 * i, 64);
    cg_amx_tilestored(3, to, 65);
    assert_memory_equal(to, want, 65 * 16 - 1);
    cfg[1] = 3; /* as after an interrupt in row 3 */
    cg_amx_ldtilecfg(cfg);
    cg_amx_tileloadd(2, from, 70);
    cg_amx_sttilecfg(cfg);
    assert_int_equal(cfg[1], 0);
    for (int i = 0; i < 3; i++) memset(want + 36 * i, 0, 36);
    for (int i = 3; i < 7; i++) memcpy(want + 36 * i, from + 70 * i, 36);
    cg_amx_tilestored(2, to, 36);
    assert_memory_equal(to, want, 36 * 7);
    cg_amx_tilezero(2);
    cg_amx_tilestored(2, to, 36);
    assert_memory_equal(to, (unsigned char[36 * 7]){0}, 36 * 7);
    no_fault();
}

/* TDPBSSD of odd shapes, sums that pass 2^31. */
static void products_s8(void **state)
{
    (void)state;
    int8_t a[16][64], b[16][64];
    int32_t c[16][16], want[16][16];
    for (int round = 0; round < 50; round++) {
        unsigned m = 1 + rng() % 16, n = 1 + rng() % 16, k = 1 + rng() % 16;
        unsigned char cfg[64] = {1};
        shape(cfg, 5, m, 4 * n);
        shape(cfg, 0, m, 4 * k);
        shape(cfg, 7, k, 4 * n);
        cg_amx_ldtilecfg(cfg);
        for (unsigned i = 0; i < 16 * 64; i++) a[i / 64][i % 64] = (int8_t)rng();
        for (unsigned i = 0; i < 16 * 64; i++) b[i / 64][i % 64] = rng() % 4 ? (int8_t)rng() : -128;
        for (unsigned i = 0; i < 16 * 16; i++) c[i / 16][i % 16] = (int32_t)(rng() << 8 ^ rng());
        memcpy(want, c, sizeof c);
        for (unsigned i = 0; i < m; i++)
            for (unsigned j = 0; j < n; j++) {
                uint32_t sum = (uint32_t)c[i][j];
                for (unsigned p = 0; p < 4 * k; p++) sum += (uint32_t)(a[i][p] * b[p / 4][4 * j + p % 4]);
                want[i][j] = (int32_t)sum;
            }
        cg_amx_tileloadd(5, c, 64);
        cg_amx_tileloadd(0, a, 64);
        cg_amx_tileloadd(7, b, 64);
        cg_amx_tdpbssd(5, 0, 7);
        cg_amx_tilestored(5, c, 64);
        assert_memory_equal(c, want, sizeof c);
    }
    no_fault();
}

/* One output of TDPBF16PS over 32 elements, from c = 0, by the tile model. */
static float dot_by_tile(const uint16_t *a, const uint16_t *b)
{
    unsigned char cfg[64] = {1};
    uint16_t column[16][2];
    float c;
    shape(cfg, 0, 1, 4);
    shape(cfg, 1, 1, 64);
    shape(cfg, 2, 16, 4);
    memcpy(column, b, sizeof column);
    cg_amx_ldtilecfg(cfg);
    cg_amx_tileloadd(1, a, 64);
    cg_amx_tileloadd(2, column, 4);
    cg_amx_tdpbf16ps(0, 1, 2);
    cg_amx_tilestored(0, &c, 4);
    no_fault();
    return c;
}

static int same(float x, float y)
{
    return (isnan(x) && isnan(y)) || memcmp(&x, &y, sizeof x) == 0;
}

static void both_give(const float *a, const float *b, size_t n, float want)
{
    uint16_t a16[32] = {0}, b16[32] = {0};
    for (size_t i = 0; i < n; i++) {
        a16[i] = cg_bf16_of(a[i]);
        b16[i] = cg_bf16_of(b[i]);
        assert_true(cg_bf16_value(a16[i]) == a[i] && cg_bf16_value(b16[i]) == b[i]);
    }
    float tile = dot_by_tile(a16, b16), scalar = cg_bf16_dot_amx(32, a16, b16);
    if (!same(tile, want) || !same(scalar, want))
        fail_msg("tile %a, scalar %a, not %a", (double)tile, (double)scalar, (double)want);
}

/* What the manual says, worked out by hand. */
static void bf16_by_hand(void **state)
{
    (void)state;
    /* Even and odd elements are two chains: the ones survive beside 2^24 only where they are in the other chain. */
    both_give((float[]){0x1p24f, 1, 0, 1, 0, 1, 0, 1}, (float[]){1, 1, 1, 1, 1, 1, 1, 1}, 8, 0x1p24f + 4);
    both_give((float[]){0x1p24f, 0, 1, 0, 1, 0, 1, 0}, (float[]){1, 1, 1, 1, 1, 1, 1, 1}, 8, 0x1p24f);
    /* Ties to even; and a product is not rounded before it is added. */
    both_give((float[]){0x1p24f, 0, 1}, (float[]){1, 0, 3}, 3, 0x1p24f + 4);
    both_give((float[]){0x1p24f, 0, 0x1.02p0f}, (float[]){1, 0, 0x1.02p0f}, 3, 0x1p24f + 2);
    /* Denormals in are zeros, of either operand; denormals out are zeros of their sign. */
    both_give((float[]){0x1p-130f}, (float[]){0x1p120f}, 1, 0.0f);
    both_give((float[]){0x1p120f}, (float[]){0x1p-127f}, 1, 0.0f);
    both_give((float[]){INFINITY}, (float[]){0x1p-130f}, 1, NAN);
    both_give((float[]){0x1p-100f}, (float[]){0x1p-26f}, 1, 0x1p-126f);
    both_give((float[]){0x1p-100f}, (float[]){0x1p-27f}, 1, 0.0f);
    both_give((float[]){-0x1p-100f, -0x1p-100f}, (float[]){0x1p-27f, 0x1p-27f}, 2, 0.0f); /* -0 + -0, then + 0 */
    /* 2^-126 - 2^-150 rounds to no float of 24 bits below 2^-126 that is normal; 2^-126 - 2^-151 rounds to 2^-126. */
    both_give((float[]){0x1p-100f, 0, -0x1p-100f}, (float[]){0x1p-26f, 0, 0x1p-50f}, 3, 0.0f);
    both_give((float[]){0x1p-100f, 0, -0x1p-100f}, (float[]){0x1p-26f, 0, 0x1p-51f}, 3, 0x1p-126f);
    both_give((float[]){0x1p-100f, 0, -0x1p-100f}, (float[]){0x1p-26f, 0, 0x1.8p-51f}, 3, 0.0f);
    both_give((float[]){0x1p100f, 0, 0x1p100f}, (float[]){0x1p27f, 0, 0x1p27f}, 3, INFINITY);
    both_give((float[]){0x1p100f, 0x1p100f}, (float[]){0x1p28f, -0x1p28f}, 2, NAN);
}

/* The two formulations, fmaf with a flush against sums in double, on all kinds of numbers. */
static void bf16_two_ways(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint16_t a[32], b[32];
        uint32_t spread = 1u << rng() % 9, middle = 64 + rng() % 3 * 32; /* of the exponents */
        for (int i = 0; i < 32; i++) {
            uint32_t ea = (middle + rng() % spread) & 255, eb = (middle + rng() % spread) & 255;
            a[i] = (uint16_t)((rng() & 0x807f) | ea << 7);
            b[i] = (uint16_t)((rng() & 0x807f) | eb << 7);
            if (rng() % 8 == 0) a[i] &= 0x8000;
        }
        float tile = dot_by_tile(a, b), scalar = cg_bf16_dot_amx(32, a, b);
        if (!same(tile, scalar))
            fail_msg("seed %u, round %d: tile %a, scalar %a", SEED, round, (double)tile, (double)scalar);
    }
}

/* ---- The kernels, alone -------------------------------------------------------------------------------------------
 */

/* `bytes` that end where a page begins which nobody may touch. */
struct guarded {
    unsigned char *map, *at;
    size_t length;
};

static struct guarded guard(size_t bytes)
{
    struct guarded g;
    size_t pages = (bytes + 4095) / 4096 + 1;
    g.length = (pages + 1) * 4096;
    g.map = mmap(NULL, g.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + pages * 4096, 4096, PROT_NONE), 0);
    g.at = g.map + pages * 4096 - bytes;
    return g;
}

static void unguard(struct guarded *g)
{
    munmap(g->map, g->length);
}

/* One call of a kernel. Elements of A and B are bytes, or bf16 of 2 bytes. */
struct call {
    const struct cg_variant *v;
    size_t m, k, kpad, elem, rs_a, rs_c;
    struct guarded a, b, sa, sb, c, want;
};

static void fill(const struct call *q, struct guarded *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t x = cg_bf16_of(((float)(rng() % 4001) - 2000.0f) * (rng() % 32 ? 0x1p-9f : 0x1p-130f));
        if (q->elem == 2) memcpy(g->at + 2 * i, &x, 2);
        else g->at[i] = rng() % 4 ? (unsigned char)rng() : 0x80;
    }
}

/* Element p of row i of A, of column j of B: where it is, in elements. */
static size_t in_a(const struct call *q, size_t i, size_t p)
{
    return i * q->rs_a + p;
}

static size_t in_b(const struct call *q, size_t p, size_t j)
{
    size_t kr = q->v->kr;
    return p / kr * q->v->nr * kr + j * kr + p % kr;
}

static void pad(struct call *q)
{
    for (size_t p = q->k; p < q->kpad; p++) {
        for (size_t i = 0; i < q->m; i++) memset(q->a.at + in_a(q, i, p) * q->elem, 0, q->elem);
        for (size_t j = 0; j < q->v->nr; j++) memset(q->b.at + in_b(q, p, j) * q->elem, 0, q->elem);
    }
}

static float truth(const struct call *q, size_t i, size_t j)
{
    if (q->elem == 2) {
        uint16_t a[2048], b[2048];
        for (size_t p = 0; p < q->kpad; p++) {
            memcpy(&a[p], q->a.at + 2 * in_a(q, i, p), 2);
            memcpy(&b[p], q->b.at + 2 * in_b(q, p, j), 2);
        }
        return cg_bf16_dot_amx(q->kpad, a, b);
    }
    int64_t sum = 0;
    for (size_t p = 0; p < q->k; p++) sum += (int8_t)q->a.at[in_a(q, i, p)] * (int8_t)q->b.at[in_b(q, p, j)];
    float sa, sb;
    memcpy(&sa, q->sa.at + 4 * i, 4);
    memcpy(&sb, q->sb.at + 4 * j, 4);
    volatile float f = (float)sum;
    f *= sa;
    f *= sb;
    return f;
}

static void make(struct call *q)
{
    size_t nr = q->v->nr, c_bytes = ((q->m - 1) * q->rs_c + nr) * 4;
    q->a = guard(((q->m - 1) * q->rs_a + q->kpad) * q->elem);
    q->b = guard(q->kpad * nr * q->elem);
    q->sa = guard(4 * q->m);
    q->sb = guard(4 * nr);
    q->c = guard(c_bytes);
    q->want = guard(c_bytes);
    fill(q, &q->a, (q->m - 1) * q->rs_a + q->kpad);
    fill(q, &q->b, q->kpad * nr);
    pad(q);
    for (size_t i = 0; i < q->m + nr; i++) {
        float s = 0.001f + (float)(rng() % 1000) * 1e-5f;
        memcpy(i < q->m ? q->sa.at + 4 * i : q->sb.at + 4 * (i - q->m), &s, 4);
    }
    const uint32_t canary = CANARY;
    for (struct guarded *g = &q->c; g <= &q->want; g++) /* also what lies before */
        for (unsigned char *p = g->at - (g->at - g->map) / 4 * 4; p + 4 <= g->at + c_bytes; p += 4)
            memcpy(p, &canary, 4);
    for (size_t i = 0; i < q->m; i++)
        for (size_t j = 0; j < nr; j++) {
            float x = truth(q, i, j);
            memcpy(q->want.at + (i * q->rs_c + j) * 4, &x, 4);
        }
}

static void call(const struct cg_variant *v, size_t m, size_t k, size_t prefetch)
{
    struct call q = {.v = v, .m = m, .k = k, .kpad = (k + v->ku - 1) / v->ku * v->ku};
    q.elem = v->op == CG_OP_gemm_bf16 ? 2 : 1;
    q.rs_a = q.kpad + rng() % 5;
    q.rs_c = v->nr + rng() % 5;
    make(&q);
    if (q.elem == 2)
        v->fn.gemm_bf16(m, q.kpad, (void *)q.a.at, q.rs_a, (void *)q.b.at, (void *)q.c.at, q.rs_c, prefetch);
    else
        v->fn.gemm_s8(m, k, q.a.at, q.rs_a, (void *)q.b.at, NULL, (void *)q.sa.at, (void *)q.sb.at, (void *)q.c.at,
                      q.rs_c, prefetch);
    no_fault();
    for (unsigned char *p = q.c.map, *w = q.want.map; p < q.c.map + q.c.length - 4096; p++, w++)
        if (*p != *w)
            fail_msg("%s: seed %u, m %zu k %zu rs_a %zu rs_c %zu prefetch %zu: byte %td of C differs", v->name, SEED, m,
                     k, q.rs_a, q.rs_c, prefetch, p - q.c.at);
    for (struct guarded *g = &q.a; g <= &q.want; g++) unguard(g);
}

/* Every number of rows, with reductions around a step, two and three. */
static void kernels(void **state)
{
    (void)state;
    for (size_t x = 0; x < N_VARIANTS; x++) {
        const struct cg_variant *v = &variants[x];
        size_t ku = v->ku, ks[] = {1, ku - 1, ku, ku + 1, 2 * ku, 2 * ku + 1, 3 * ku, 4 * ku - 1};
        for (size_t m = 1; m <= v->mr; m++)
            for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) call(v, m, ks[i], rng() % 2 ? 0 : 1 + rng() % 20);
        call(v, v->mr, 0, 0);
        call(v, 1, 0, 4);
        call(v, v->mr, 1536, 12);
    }
}

/* A kernel configures the tiles when they are not as it needs them, also after somebody else, and only then. */
static void configuring(void **state)
{
    (void)state;
    unsigned char other[64] = {1};
    shape(other, 0, 1, 4);
    for (size_t x = 0; x < N_VARIANTS; x++) {
        const struct cg_variant *v = &variants[x];
        cg_amx_ldtilecfg(other);
        unsigned long before = cg_amx_configurations();
        call(v, v->mr, 100, 0);
        assert_int_equal(cg_amx_configurations(), before + 1);
        call(v, v->mr, 10, 3);
        if (v->mr == 32) call(v, 17, 10, 3);
        assert_int_equal(cg_amx_configurations(), before + 1);
        call(v, 3, 10, 3);
        assert_int_equal(cg_amx_configurations(), before + 2);
        cg_amx_tilerelease();
        call(v, 3, 10, 3);
        assert_int_equal(cg_amx_configurations(), before + 3);
    }
}

/* ---- The kernels under their drivers ------------------------------------------------------------------------------
 */

static float quant_as_is(size_t n, const float *x, int8_t *q)
{
    for (size_t i = 0; i < n; i++) q[i] = (int8_t)x[i];
    return 0.25f;
}

/* C = A * W^T of small integers, which INT8 and bf16 hold exactly. */
struct product {
    struct cg_plan plan;
    size_t m, n, k, ldc;
    int8_t *q;
    float *a, *w, *sa, *c;
};

static void multiply_s8(const struct product *p)
{
    const struct cg_rowops rows = {.quant_s8 = quant_as_is};
    struct cg_packed_s8 packed;
    assert_int_equal(cg_pack_s8(p->plan.variant, &rows, p->n, p->k, p->w, &packed), 0);
    void *bytes = malloc(cg_s8_rows_size(&packed, p->m) + 1);
    assert_non_null(bytes);
    cg_s8_rows_copy(&packed, p->m, p->q, p->k, bytes);
    cg_gemm_s8(&p->plan, p->m, bytes, p->sa, &packed, p->c, p->ldc, NULL);
    free(bytes);
    cg_packed_s8_free(&packed);
}

static void multiply_bf16(const struct product *p)
{
    struct cg_packed_bf16 packed;
    assert_int_equal(cg_pack_bf16(p->plan.variant, cg_rowops_for(0), p->n, p->k, p->w, &packed), 0);
    void *rows = cg_alloc(cg_bf16_rows_size(&packed, p->m));
    assert_non_null(rows);
    cg_bf16_rows_round(&packed, cg_rowops_for(0), p->m, p->a, p->k, rows);
    cg_gemm_bf16(&p->plan, p->m, rows, &packed, p->c, p->ldc, NULL);
    cg_free(rows);
    cg_packed_bf16_free(&packed);
}

static float expected(const struct product *p, size_t i, size_t j)
{
    int64_t sum = 0;
    for (size_t x = 0; x < p->k; x++) sum += p->q[i * p->k + x] * (int8_t)p->w[j * p->k + x];
    if (p->plan.variant->op == CG_OP_gemm_bf16) return (float)sum;
    volatile float f = (float)sum;
    f *= p->sa[i];
    return f * 0.25f;
}

static void product(const struct cg_variant *v, size_t m, size_t n, size_t k, unsigned threads)
{
    struct product p = {.m = m, .n = n, .k = k, .ldc = n + rng() % 3};
    p.plan =
        (struct cg_plan){.variant = v, .mc = rng() % 2 ? 0 : 40, .threads = (uint16_t)threads, .prefetch = rng() % 3};
    p.q = malloc(m * k);
    p.a = malloc(m * k * sizeof *p.a);
    p.w = malloc(n * k * sizeof *p.w);
    p.sa = malloc(m * sizeof *p.sa);
    p.c = malloc((m * p.ldc + 1) * sizeof *p.c);
    assert_true(p.q && p.a && p.w && p.sa && p.c);
    for (size_t i = 0; i < m * k; i++) p.a[i] = p.q[i] = (int8_t)rng();
    for (size_t i = 0; i < n * k; i++) p.w[i] = (int8_t)rng();
    for (size_t i = 0; i < m; i++) p.sa[i] = (float)(1 + rng() % 9) * 0.1f;
    const uint32_t canary = CANARY;
    for (size_t i = 0; i <= m * p.ldc; i++) memcpy(p.c + i, &canary, 4);
    if (v->op == CG_OP_gemm_s8) multiply_s8(&p);
    else multiply_bf16(&p);
    no_fault();
    for (size_t i = 0; i <= m * p.ldc; i++) {
        float want;
        memcpy(&want, &canary, 4);
        if (i / p.ldc < m && i % p.ldc < n) want = expected(&p, i / p.ldc, i % p.ldc);
        if (memcmp(&p.c[i], &want, 4) != 0)
            fail_msg("%s: seed %u, m %zu n %zu k %zu ldc %zu threads %u: element %zu", v->name, SEED, m, n, k, p.ldc,
                     threads, i);
    }
    void *all[] = {p.q, p.a, p.w, p.sa, p.c};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void driven(void **state)
{
    (void)state;
    static const size_t ms[] = {1, 4, 8, 16, 17, 31, 33, 47, 100}, ns[] = {1, 31, 33, 64, 200}, ks[] = {1, 64, 70, 130};
    for (size_t x = 0; x < N_VARIANTS; x++)
        for (size_t i = 0; i < 9; i++)
            for (size_t j = 0; j < 5; j++)
                for (size_t l = 0; l < 4; l++) product(&variants[x], ms[i], ns[j], ks[l], 1 + rng() % 3);
}

/* The list has these variants, so that what is tested here is what runs on hardware. */
static void listed(void **state)
{
    (void)state;
#if defined(__x86_64__)
    for (size_t x = 0; x < N_VARIANTS; x++) {
        const struct cg_variant *v = &variants[x], *w = cg_variant_named(v->name);
        assert_non_null(w);
        assert_true(w->op == v->op && w->mr == v->mr && w->nr == v->nr && w->kr == v->kr && w->ku == v->ku);
        assert_true(w->pack_nr == v->pack_nr && w->a_offset == v->a_offset && w->model == v->model);
    }
#else
    print_message("SKIP the list of variants: it has AMX on x86-64 only\n");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bad_configurations, start),
        cmocka_unit_test_setup(bad_operations, start),
        cmocka_unit_test_setup(loads_and_stores, start),
        cmocka_unit_test_setup(products_s8, start),
        cmocka_unit_test_setup(bf16_by_hand, start),
        cmocka_unit_test_setup(bf16_two_ways, start),
        cmocka_unit_test_setup(kernels, start),
        cmocka_unit_test_setup(configuring, start),
        cmocka_unit_test_setup(driven, start),
        cmocka_unit_test_setup(listed, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

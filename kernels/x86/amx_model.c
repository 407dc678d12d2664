#include "kernels/x86/amx_model.h"

#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TILES = 8, MAX_ROWS = 16, MAX_COLSB = 64 };

static _Thread_local struct {
    unsigned char cfg[64]; /* as loaded; byte 0, the palette, is 0 while no tiles are configured */
    unsigned char tile[TILES][MAX_ROWS][MAX_COLSB];
    unsigned long configurations;
} amx;

static char fault_text[160];
static atomic_int faults;

__attribute__((format(printf, 1, 2))) static void fault(const char *format, ...)
{
    if (atomic_fetch_add(&faults, 1) != 0) return;
    va_list args;
    va_start(args, format);
    vsnprintf(fault_text, sizeof fault_text, format, args);
    va_end(args);
}

const char *cg_amx_fault(void)
{
    return atomic_load(&faults) ? fault_text : NULL;
}

void cg_amx_forget(void)
{
    atomic_store(&faults, 0);
}

unsigned long cg_amx_configurations(void)
{
    return amx.configurations;
}

static unsigned colsb_of(const unsigned char *cfg, int t)
{
    return cfg[16 + 2 * t] | (unsigned)cfg[17 + 2 * t] << 8;
}

static unsigned rows_of(const unsigned char *cfg, int t)
{
    return cfg[48 + t];
}

/* ---- Configuration ------------------------------------------------------------------------------------------------ */

static int zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return 0;
    return 1;
}

/* What LDTILECFG answers with #GP. */
static int valid_config(const unsigned char *cfg)
{
    if (cfg[0] != 1) {
        fault("#GP ldtilecfg: palette %u; there are 0 and 1", cfg[0]);
        return 0;
    }
    if (!zero(cfg + 2, 14) || !zero(cfg + 32, 16) || !zero(cfg + 56, 8)) {
        fault("#GP ldtilecfg: reserved bytes, or those of tiles that palette 1 does not have, are not 0");
        return 0;
    }
    for (int t = 0; t < TILES; t++) {
        unsigned rows = rows_of(cfg, t), colsb = colsb_of(cfg, t);
        if (rows <= MAX_ROWS && colsb <= MAX_COLSB && !rows == !colsb) continue;
        fault("#GP ldtilecfg: tile %d has %u rows of %u bytes", t, rows, colsb);
        return 0;
    }
    return 1;
}

void cg_amx_ldtilecfg(const void *cfg)
{
    unsigned char new_cfg[64];
    memcpy(new_cfg, cfg, sizeof new_cfg);
    if (new_cfg[0] == 0) {
        cg_amx_tilerelease();
        return;
    }
    if (!valid_config(new_cfg)) return;
    memcpy(amx.cfg, new_cfg, sizeof amx.cfg);
    memset(amx.tile, 0, sizeof amx.tile);
    amx.configurations++;
}

void cg_amx_sttilecfg(void *cfg)
{
    memcpy(cfg, amx.cfg, sizeof amx.cfg);
}

void cg_amx_tilerelease(void)
{
    memset(amx.cfg, 0, sizeof amx.cfg);
    memset(amx.tile, 0, sizeof amx.tile);
}

/* What the operations on tiles answer with #UD. */
static int usable(const char *op, int t)
{
    if (amx.cfg[0] == 0) {
        fault("#UD %s: no tiles are configured", op);
    } else if (t < 0 || t >= TILES) {
        fault("#UD %s: there is no tile %d", op, t);
    } else if (rows_of(amx.cfg, t) == 0) {
        fault("#UD %s: tile %d is not configured", op, t);
    } else if (colsb_of(amx.cfg, t) % 4 != 0) {
        fault("#UD %s: rows of tile %d have %u bytes, no multiple of 4", op, t, colsb_of(amx.cfg, t));
    } else {
        return 1;
    }
    return 0;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------- */

/* The row that an instruction on memory begins with: not 0 only where a configuration says so. Takes it back to 0. */
static int first_row(const char *op, int t, unsigned *start)
{
    unsigned rows = rows_of(amx.cfg, t);
    *start = amx.cfg[1];
    if (*start >= rows) {
        fault("#UD %s: tile %d has %u rows, start_row is %u", op, t, rows, *start);
        return 0;
    }
    amx.cfg[1] = 0;
    return 1;
}

void cg_amx_tileloadd(int t, const void *from, ptrdiff_t stride)
{
    unsigned start;
    if (!usable("tileloadd", t) || !first_row("tileloadd", t, &start)) return;
    unsigned rows = rows_of(amx.cfg, t), colsb = colsb_of(amx.cfg, t);
    memset(amx.tile[t][start], 0, (MAX_ROWS - start) * sizeof amx.tile[t][0]);
    for (unsigned i = start; i < rows; i++) memcpy(amx.tile[t][i], (const char *)from + (ptrdiff_t)i * stride, colsb);
}

void cg_amx_tilestored(int t, void *to, ptrdiff_t stride)
{
    unsigned start;
    if (!usable("tilestored", t) || !first_row("tilestored", t, &start)) return;
    unsigned rows = rows_of(amx.cfg, t), colsb = colsb_of(amx.cfg, t);
    for (unsigned i = start; i < rows; i++) memcpy((char *)to + (ptrdiff_t)i * stride, amx.tile[t][i], colsb);
}

void cg_amx_tilezero(int t)
{
    if (!usable("tilezero", t)) return;
    memset(amx.tile[t], 0, sizeof amx.tile[t]);
    amx.cfg[1] = 0;
}

/* ---- Products: C[m][n] += A[m][k] * B[k][n], in dwords ------------------------------------------------------------ */

struct shape {
    unsigned m, n, k;
};

static int products_fit(const char *op, int c, int a, int b, struct shape *s)
{
    if (c == a || c == b || a == b) {
        fault("#UD %s: tiles %d, %d, %d are not three", op, c, a, b);
        return 0;
    }
    if (!usable(op, c) || !usable(op, a) || !usable(op, b)) return 0;
    *s = (struct shape){rows_of(amx.cfg, c), colsb_of(amx.cfg, c) / 4, rows_of(amx.cfg, b)};
    if (rows_of(amx.cfg, a) == s->m && colsb_of(amx.cfg, b) / 4 == s->n && colsb_of(amx.cfg, a) / 4 == s->k) return 1;
    fault("#UD %s: shapes do not agree: C %ux%u, A %ux%u, B %ux%u", op, s->m, s->n, rows_of(amx.cfg, a),
          colsb_of(amx.cfg, a) / 4, s->k, colsb_of(amx.cfg, b) / 4);
    return 0;
}

/* What a product leaves beside its result: nothing in the rows and columns that C does not have. */
static void put(int c, const uint32_t result[MAX_ROWS][16], struct shape s)
{
    memset(amx.tile[c], 0, sizeof amx.tile[c]);
    amx.cfg[1] = 0;
    for (unsigned i = 0; i < s.m; i++) memcpy(amx.tile[c][i], result[i], 4 * (size_t)s.n);
}

void cg_amx_tdpbssd(int c, int a, int b)
{
    struct shape s;
    if (!products_fit("tdpbssd", c, a, b, &s)) return;
    uint32_t sum[MAX_ROWS][16]; /* modulo 2^32 */
    memcpy(sum, amx.tile[c], sizeof sum);
    for (unsigned i = 0; i < s.m; i++)
        for (unsigned p = 0; p < s.k; p++)
            for (unsigned j = 0; j < s.n; j++)
                for (unsigned q = 0; q < 4; q++)
                    sum[i][j] += (uint32_t)((int8_t)amx.tile[a][i][4 * p + q] * (int8_t)amx.tile[b][p][4 * j + q]);
    put(c, sum, s);
}

/* A bf16 as it is multiplied: denormals are zero. */
static double bf16_at(const unsigned char *p)
{
    uint32_t u = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    if ((u & 0x7f800000) == 0) u &= 0x80000000;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x + y to float, to nearest even, denormal results to zero; x a float or a product of two bf16, y a float. The sum in
 * double is rounded twice, which shows nowhere: x has at most 24 bits and y 24, so that 53 hold the sum but where one is
 * less than 2^-28 of the other; and then the result is the other. */
static float sum_flushed(double x, double y)
{
    double s = x + y;
    if (!isfinite(s) || fabs(s) >= 0x1p-120) return (float)s;
    float scaled = (float)(s * 0x1p200); /* rounds as if the exponent had no end */
    if (fabsf(scaled) < 0x1p74f) return copysignf(0.0f, scaled);
    return (float)((double)scaled * 0x1p-200);
}

static double flushed(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x;
}

void cg_amx_tdpbf16ps(int c, int a, int b)
{
    struct shape s;
    if (!products_fit("tdpbf16ps", c, a, b, &s)) return;
    uint32_t result[MAX_ROWS][16];
    for (unsigned i = 0; i < s.m; i++)
        for (unsigned j = 0; j < s.n; j++) {
            float chain[2] = {0.0f, 0.0f}, old, new_c;
            for (unsigned p = 0; p < s.k; p++)
                for (unsigned q = 0; q < 2; q++)
                    chain[q] = sum_flushed(bf16_at(&amx.tile[a][i][4 * p + 2 * q]) *
                                               bf16_at(&amx.tile[b][p][4 * j + 2 * q]),
                                           chain[q]);
            memcpy(&old, &amx.tile[c][i][4 * j], sizeof old);
            new_c = sum_flushed(flushed(old), sum_flushed(chain[0], chain[1]));
            memcpy(&result[i][j], &new_c, sizeof new_c);
        }
    put(c, result, s);
}

#include "common/math.h"

/* SLEEF declares its FMA family only where the compiler's baseline has FMA; the functions themselves are in the
 * library for every target, and programs refuse to start on a CPU without FMA (detect). */
#ifndef FP_FAST_FMA
#define FP_FAST_FMA 1
#endif
#include <sleef.h>

float cg_logf(float x)
{
    return Sleef_finz_logf1_u10purecfma(x);
}

float cg_sinf(float x)
{
    return Sleef_finz_sinf1_u10purecfma(x);
}

float cg_cosf(float x)
{
    return Sleef_finz_cosf1_u10purecfma(x);
}

float cg_expf(float x)
{
    return Sleef_finz_expf1_u10purecfma(x);
}

double cg_pow(double x, double y)
{
    return Sleef_finz_powd1_u10purecfma(x, y);
}

double cg_cos(double x)
{
    return Sleef_finz_cosd1_u10purecfma(x);
}

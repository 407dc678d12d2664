/* Transcendental functions with the same bits on every machine: SLEEF's deterministic family for CPUs with FMA
 * (finz_, at most 1 ulp). Inside kernels, exp is the polynomial of docs/numerics.md instead. */
#ifndef CG_COMMON_MATH_H
#define CG_COMMON_MATH_H

float cg_logf(float x);
float cg_sinf(float x);
float cg_cosf(float x);
float cg_expf(float x);
double cg_pow(double x, double y);
double cg_cos(double x);

#endif

/* The constants of cg_exp and cg_exp2, for the scalar truth (kernels/ref/exp.h) and the vector template
 * (kernels/rows.inc.h), which state the sequence of operations independently of each other. Error and derivation:
 * docs/numerics.md. */
#ifndef CG_KERNELS_EXP_POLY_H
#define CG_KERNELS_EXP_POLY_H

#define CG_EXP_LO (-104.0f) /* exp rounds to 0 from here down */
#define CG_EXP_HI 89.0f     /* exp rounds to infinity from here up */
#define CG_EXP_LOG2E 0x1.715476p+0f
/* ln 2 in two parts; the first has 15 bits, so that t - n*LN2_HI is exact. */
#define CG_EXP_LN2_HI 0x1.62e4p-1f
#define CG_EXP_LN2_LO 0x1.7f7d1cp-20f
/* exp(r) = 1 + r + C2 r^2 + ... + C6 r^6 on |r| <= ln(2)/2, minimax in relative error, each rounded to f32 in turn. */
#define CG_EXP_C2 0x1.fffffcp-2f
#define CG_EXP_C3 0x1.555492p-3f
#define CG_EXP_C4 0x1.5558b0p-5f
#define CG_EXP_C5 0x1.12398ep-7f
#define CG_EXP_C6 0x1.6a4d60p-10f

/* 2^r = 1 + D1 r + ... + D6 r^6 on |r| <= 1/2, likewise; D1 is rounded first. */
#define CG_EXP2_LO (-150.0f) /* 2^t rounds to 0 from here down */
#define CG_EXP2_HI 128.0f    /* 2^t is infinite from here up */
#define CG_EXP2_D1 0x1.62e430p-1f
#define CG_EXP2_D2 0x1.ebfbdcp-3f
#define CG_EXP2_D3 0x1.c6af7cp-5f
#define CG_EXP2_D4 0x1.3b2de0p-7f
#define CG_EXP2_D5 0x1.5f082ep-10f
#define CG_EXP2_D6 0x1.416b60p-13f

#endif

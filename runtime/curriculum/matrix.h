/* The accuracy matrix of continual learning and what is read from it (Lopez-Paz & Ranzato 2017). */
#ifndef CG_RUNTIME_CURRICULUM_MATRIX_H
#define CG_RUNTIME_CURRICULUM_MATRIX_H

#include <stddef.h>

/* R[i * n + j]: accuracy on stage j's held-out problems after stage i. */

/* Mean accuracy on all n stages after the last: mean over j of R[n-1][j]. */
double cg_acc(const double *R, size_t n);

/* Backward transfer: mean over j < n-1 of R[n-1][j] - R[j][j]; 0 for one stage. Negative: forgetting. */
double cg_bwt(const double *R, size_t n);

#endif

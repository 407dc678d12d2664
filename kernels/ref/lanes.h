/* Sums of the numeric contract in plain C: 16 virtual lanes. */
#ifndef CG_KERNELS_REF_LANES_H
#define CG_KERNELS_REF_LANES_H

#include <stddef.h>

#define CG_LANES 16

/* Folds 16 lanes 8, 4, 2, 1. Element i of a row is added to lane i % CG_LANES before. */
static inline float cg_fold(float lane[CG_LANES])
{
    for (size_t half = CG_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) lane[i] = lane[i] + lane[i + half];
    return lane[0];
}

#endif

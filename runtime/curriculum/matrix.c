#include "runtime/curriculum/matrix.h"

double cg_acc(const double *R, size_t n)
{
    double s = 0;
    for (size_t j = 0; j < n; j++) s += R[(n - 1) * n + j];
    return s / (double)n;
}

double cg_bwt(const double *R, size_t n)
{
    double s = 0;
    for (size_t j = 0; j + 1 < n; j++) s += R[(n - 1) * n + j] - R[j * n + j];
    return n > 1 ? s / (double)(n - 1) : 0.0;
}

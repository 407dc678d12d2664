#include "autotune/reference.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "autotune/estimate.h"
#include "common/clock.h"

enum {
    STEPS = 8192, /* of four cycles or so: about 10 microseconds */
    RUNS = 3,
    STAYS = 6, /* odd readings that agree with each other make a new speed */
};
#define STEADY 0.04

void cg_reference_init(struct cg_reference *r, int threads)
{
    memset(r, 0, sizeof *r);
    r->threads = threads;
}

/* A chain of multiplications and additions: nothing but the clock of the core decides how long it takes. */
static double run(void)
{
    double start = cg_now();
    uint64_t x = 1;
    for (int i = 0; i < STEPS; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        __asm__ volatile("" : "+r"(x));
    }
    return cg_now() - start;
}

/* The slowest thread's fastest of a few runs: a run may meet a switch of the processor, all of them hardly do. */
static double reading(int threads)
{
    double slowest = 0;
#pragma omp parallel num_threads(threads) reduction(max : slowest)
    {
        slowest = run();
        for (int i = 1; i < RUNS; i++) slowest = fmin(slowest, run());
    }
    return slowest;
}

static double median_of(const double *x, size_t n)
{
    double copy[CG_REFERENCE_KEPT];
    memcpy(copy, x, n * sizeof *x);
    return cg_median_interval(copy, n, 0.5).mid;
}

static int near(double x, double y)
{
    return fabs(log(x / y)) <= STEADY;
}

/* Readings that stay where they are, though not where they were: the clock has changed for good. */
static void shift(struct cg_reference *r)
{
    double level = median_of(r->odd, r->n_odd);
    for (size_t i = 0; i < r->n_odd; i++)
        if (!near(r->odd[i], level)) {
            memmove(r->odd, r->odd + 1, --r->n_odd * sizeof *r->odd);
            return;
        }
    memcpy(r->kept, r->odd, r->n_odd * sizeof *r->odd);
    r->n = r->n_odd;
    r->n_odd = 0;
    r->shifts++;
}

int cg_reference_judge(struct cg_reference *r, double seconds)
{
    if (!(seconds > 0)) return 1;
    size_t known = r->n < CG_REFERENCE_KEPT ? r->n : CG_REFERENCE_KEPT;
    if (known && !near(seconds, median_of(r->kept, known))) {
        r->odd[r->n_odd++] = seconds;
        if (r->n_odd == STAYS) shift(r);
        return 0;
    }
    r->kept[r->n++ % CG_REFERENCE_KEPT] = seconds;
    r->n_odd = 0;
    return 1;
}

int cg_reference_steady(struct cg_reference *r)
{
    return cg_reference_judge(r, reading(r->threads));
}

#include "autotune/reference.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "autotune/estimate.h"
#include "common/clock.h"

enum {
    STEPS = 8192, /* of four cycles or so: about 10 microseconds */
    RUNS = 3,
    BARRIERS = 16,
    STAYS = 6, /* odd readings that agree with each other make a new speed */
};
#define LOOP_STEADY 0.04
#define BARRIER_STEADY 0.4

void cg_reference_init(struct cg_reference *r, int threads)
{
    memset(r, 0, sizeof *r);
    r->threads = threads;
    r->loop.tolerance = LOOP_STEADY;
    r->barrier.tolerance = BARRIER_STEADY;
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

/* The slowest thread's fastest of a few runs, and the fastest of a few rows of barriers: a run may meet a switch of the
 * processor, all of them hardly do. */
static void read_all(int threads, double *loop, double *barrier)
{
    double slowest = 0, least = INFINITY;
#pragma omp parallel num_threads(threads) reduction(max : slowest) reduction(min : least)
    {
        slowest = run();
        for (int i = 1; i < RUNS; i++) slowest = fmin(slowest, run());
        for (int i = 0; i < RUNS && threads > 1; i++) {
            double start = cg_now();
            for (int b = 0; b < BARRIERS; b++) {
#pragma omp barrier
            }
            least = fmin(least, cg_now() - start);
        }
    }
    *loop = slowest;
    *barrier = threads > 1 ? least : 0;
}

static double median_of(const double *x, size_t n)
{
    double copy[CG_REFERENCE_KEPT];
    memcpy(copy, x, n * sizeof *x);
    return cg_median_interval(copy, n, 0.5).mid;
}

static int near(const struct cg_readings *r, double x, double y)
{
    return fabs(log(x / y)) <= r->tolerance;
}

/* Readings that stay where they are, though not where they were: something has changed for good. */
static void shift(struct cg_readings *r)
{
    double level = median_of(r->odd, r->n_odd);
    for (size_t i = 0; i < r->n_odd; i++)
        if (!near(r, r->odd[i], level)) {
            memmove(r->odd, r->odd + 1, --r->n_odd * sizeof *r->odd);
            return;
        }
    memcpy(r->kept, r->odd, r->n_odd * sizeof *r->odd);
    r->n = r->n_odd;
    r->n_odd = 0;
    r->shifts++;
}

int cg_readings_judge(struct cg_readings *r, double seconds)
{
    if (!(seconds > 0)) return 1; /* a clock that stands still says nothing */
    size_t known = r->n < CG_REFERENCE_KEPT ? r->n : CG_REFERENCE_KEPT;
    if (known && !near(r, seconds, median_of(r->kept, known))) {
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
    double loop, barrier;
    read_all(r->threads, &loop, &barrier);
    int steady = cg_readings_judge(&r->loop, loop);
    return cg_readings_judge(&r->barrier, barrier) && steady;
}

size_t cg_reference_shifts(const struct cg_reference *r)
{
    return r->loop.shifts + r->barrier.shifts;
}

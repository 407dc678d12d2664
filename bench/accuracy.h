/* grpo-bench accuracy: is the model of autotune/predict.h right? */
#ifndef CG_BENCH_ACCURACY_H
#define CG_BENCH_ACCURACY_H

#include <stddef.h>
#include <stdint.h>

#include "autotune/rates.h"
#include "common/status.h"
#include "detect/machine.h"

enum { CG_ACCURACY_PLANS = 64 }; /* at most, of a shape */

struct cg_accuracy {
    size_t shapes, plans;
    uint64_t seed;
    int threads, list;
    double seconds;    /* for measuring the rates */
    const char *rates; /* file; NULL: they are measured */
};

/* Times random shapes and plans and prints how well they were predicted. */
enum cg_status cg_accuracy_run(const struct cg_accuracy *o, const struct cg_machine *m, const struct cg_rates *r);

/* The arguments after the word "accuracy". */
enum cg_status cg_bench_accuracy(int argc, char **argv);

#endif

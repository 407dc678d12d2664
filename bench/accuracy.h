/* grpo-bench accuracy: is the model of autotune/predict.h right? */
#ifndef CG_BENCH_ACCURACY_H
#define CG_BENCH_ACCURACY_H

#include "common/status.h"

/* The arguments after the word "accuracy". */
enum cg_status cg_bench_accuracy(int argc, char **argv);

#endif

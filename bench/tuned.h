/* grpo-bench tuned: what the stored plans gain, measured anew. */
#ifndef CG_BENCH_TUNED_H
#define CG_BENCH_TUNED_H

#include "common/status.h"

/* The command: argv begins with the word "tuned". */
enum cg_status cg_bench_tuned(int argc, char **argv);

#endif

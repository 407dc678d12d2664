/* grpo-bench train: what share of the machine's peak a GRPO step reaches. */
#ifndef CG_BENCH_TRAIN_H
#define CG_BENCH_TRAIN_H

#include "common/status.h"

/* The command: argv begins with the word "train". */
enum cg_status cg_bench_train(int argc, char **argv);

#endif

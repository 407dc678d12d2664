/* grpo-bench generate: how fast a model decodes and prefills. */
#ifndef CG_BENCH_GENERATE_H
#define CG_BENCH_GENERATE_H

#include "common/status.h"

/* The command: argv begins with the word "generate". */
enum cg_status cg_bench_generate(int argc, char **argv);

#endif

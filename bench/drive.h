/* Cases driven by Google Benchmark. */
#ifndef CG_BENCH_DRIVE_H
#define CG_BENCH_DRIVE_H

#include "bench/cases.h"
#include "bench/options.h"

/* Runs the cases that the flags leave; Google Benchmark reports. `cold`: as for cg_operands_open. CG_ERR_USER for a
 * flag that it does not know, or when no case is left. */
enum cg_status cg_bench_drive(const struct cg_bench_options *o, const struct cg_plans *plans,
                              const struct cg_bench_cases *cases, size_t cold);

#endif

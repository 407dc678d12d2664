/* Our kernels and peers timed in turn, in one run: machines change their speed from minute to minute, so that only
 * ratios of neighbouring calls mean something. */
#ifndef CG_BENCH_COMPARE_H
#define CG_BENCH_COMPARE_H

#include <stdio.h>

#include "bench/cases.h"
#include "bench/peers.h"
#include "common/status.h"

/* Times every case for about `seconds` for us and for each of the n peers (n may be 0), and prints a table, or one JSON
 * object, to `out`. All cases must be gemm_f32 where there are peers. */
enum cg_status cg_bench_compare(const struct cg_plans *plans, const struct cg_bench_cases *cases,
                                const struct cg_peer *peers, int n, double seconds, int json, FILE *out);

#endif

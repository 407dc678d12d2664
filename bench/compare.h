/* Our kernels and peers timed in turn, in one run: machines change their speed from minute to minute, so that only
 * ratios of neighbouring calls mean something. */
#ifndef CG_BENCH_COMPARE_H
#define CG_BENCH_COMPARE_H

#include <stdio.h>

#include "bench/cases.h"
#include "bench/peers.h"
#include "common/status.h"

struct cg_compare {
    const struct cg_peer *peers; /* n_peers, which may be 0 */
    int n_peers;
    double seconds; /* for each case and candidate, about */
    size_t cold;    /* as for cg_operands_open */
    int scaling;    /* instead of peers, us on one thread */
    int json;       /* one JSON object instead of tables */
};

/* Times every case for us and for each rival, and writes tables to `out`. */
enum cg_status cg_bench_compare(const struct cg_plans *plans, const struct cg_bench_cases *cases,
                                const struct cg_compare *how, FILE *out);

#endif

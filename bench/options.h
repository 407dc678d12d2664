/* The command line of grpo-bench kernels. */
#ifndef CG_BENCH_OPTIONS_H
#define CG_BENCH_OPTIONS_H

#include "bench/cases.h"
#include "bench/peers.h"
#include "bench/shapes.h"

struct cg_bench_options {
    cg_bench_ops ops;
    struct cg_layers layers;
    int few; /* leave out what training does not use */
    int threads, every, json, cold, scaling;
    double seconds;
    struct cg_peer peers[CG_MAX_PEERS];
    int n_peers;
    char **flags; /* of Google Benchmark: the program, our default, those given. free() */
    int n_flags;
};

/* Reads argv, which begins with the word "kernels" (or the program's name); `shown` is set when --help or --version was
 * asked for and printed. CG_ERR_USER for every mistake. */
enum cg_status cg_bench_options_parse(int argc, char **argv, struct cg_bench_options *o, int *shown);
void cg_bench_options_free(struct cg_bench_options *o);

/* A number of [lo, hi] given with option --name. CG_ERR_USER. */
enum cg_status cg_bench_number(const char *name, const char *text, double lo, double hi, double *out);

#endif

/* The command line of grpo-bench kernels, and what the other commands share with it. */
#ifndef CG_BENCH_OPTIONS_H
#define CG_BENCH_OPTIONS_H

#include <getopt.h>

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

/* Reads the options of a command, which argv[0] names, and calls `take` for each with its letter and name (its value in
 * optarg). Prints `usage` and sets *shown for 'h'. CG_ERR_USER for what is unknown, lacks its value or is no option. */
typedef enum cg_status cg_bench_option_fn(void *ctx, int letter, const char *name);
enum cg_status cg_bench_each_option(int argc, char **argv, const struct option *longs, const char *usage,
                                    cg_bench_option_fn *take, void *ctx, int *shown);

/* A number of [lo, hi] given with option --name. CG_ERR_USER. */
enum cg_status cg_bench_number(const char *name, const char *text, double lo, double hi, double *out);

#endif

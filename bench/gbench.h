/* Google Benchmark as C sees it. */
#ifndef CG_BENCH_GBENCH_H
#define CG_BENCH_GBENCH_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cg_gbench_state; /* one run of one benchmark */

/* Takes the flags of Google Benchmark (--benchmark_...) out of argv. One that it does not know stays there; one with a
 * value that it cannot use ends the program with its own message. */
void cg_gbench_init(int *argc, char **argv);

/* Adds a line about the machine or the run to the head of every report. */
void cg_gbench_context(const char *key, const char *value);

/* Registers a benchmark, timed by the clock on the wall (kernels have threads of their own). `run` is called, perhaps
 * several times, with `arg`: it prepares, loops while cg_gbench_next is true, and cleans up. */
typedef void cg_gbench_fn(struct cg_gbench_state *state, void *arg);
void cg_gbench_add(const char *name, cg_gbench_fn *run, void *arg);

int cg_gbench_next(struct cg_gbench_state *state);

/* A figure of the run: `per_iteration` of something, reported per second under `name`. */
void cg_gbench_rate(struct cg_gbench_state *state, const char *name, double per_iteration);

/* Ends a run that cannot be made; the reason stands in the report. Call it before cg_gbench_next. */
void cg_gbench_skip(struct cg_gbench_state *state, const char *why);

/* Runs what --benchmark_filter leaves; how many benchmarks that were. */
size_t cg_gbench_run(void);

#ifdef __cplusplus
}
#endif

#endif

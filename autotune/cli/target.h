/* What one run of the tuner is about: which shapes, with how many threads each, in which order. */
#ifndef CG_AUTOTUNE_CLI_TARGET_H
#define CG_AUTOTUNE_CLI_TARGET_H

#include "autotune/cli/cli.h"
#include "autotune/shapes.h"

struct cg_cli_target {
    double budget;  /* seconds, for all */
    size_t breadth; /* plans of a shape at first */
    int threads[CG_CLI_MOST];
    size_t n_threads;
    struct cg_shapes all;          /* those of the first number of threads, of the second... */
    size_t first[CG_CLI_MOST + 1]; /* where each begins; the last is all.n */
    size_t left_out;               /* shapes for which there is no time */
};

/* cg_cli_target_free in any case. CG_ERR_USER, CG_ERR_IO for a model, CG_ERR_MEMORY. */
enum cg_status cg_cli_target(const struct cg_cli_options *o, const struct cg_machine *m, struct cg_cli_target *t);
void cg_cli_target_free(struct cg_cli_target *t);

/* Shapes of the i-th number of threads, inside `all`. */
struct cg_shapes cg_cli_target_shapes(const struct cg_cli_target *t, size_t i);

/* --dry-run: shows it. */
enum cg_status cg_cli_dry_run(const struct cg_cli_options *o, const struct cg_machine *m, const struct cg_cli_target *t,
                              const char *path);

#endif

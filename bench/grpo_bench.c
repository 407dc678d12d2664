/* grpo-bench: how fast the kernels and the parts made of them are, alone and beside other libraries. */
#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/accuracy.h"
#include "bench/cases.h"
#include "bench/compare.h"
#include "bench/drive.h"
#include "bench/generate.h"
#include "bench/options.h"
#include "bench/parts.h"
#include "bench/peers.h"
#include "bench/predict.h"
#include "bench/train.h"
#include "bench/tuned.h"
#include "common/threads.h"
#include "detect/bind.h"

/* Bytes of weights that pass through every cache: twice the last one. */
static size_t cold_bytes(const struct cg_machine *m)
{
    size_t last = 0;
    for (int level = 1; level <= 3; level++)
        if (cg_machine_cache(m, level) > last) last = cg_machine_cache(m, level);
    return 2 * (last ? last : (size_t)32 << 20);
}

static enum cg_status time_kernels(const struct cg_bench_options *o, const struct cg_plans *plans)
{
    struct cg_bench_cases cases;
    size_t cold = o->cold ? cold_bytes(cg_plans_machine(plans)) : 0;
    CG_TRY(cg_bench_cases_make(plans, o->ops, o->layers.l, o->layers.n, o->few, o->every, &cases));
    const struct cg_compare how = {o->peers, o->n_peers, o->seconds, cold, o->scaling, o->json};
    enum cg_status st = o->n_peers || o->json || o->scaling ? cg_bench_compare(plans, &cases, &how, stdout)
                                                            : cg_bench_drive(o, plans, &cases, cold);
    free(cases.c);
    return st;
}

static enum cg_status kernels(int argc, char **argv)
{
    static struct cg_machine machine;
    static struct cg_bench_options o;
    struct cg_plans *plans;
    int shown = 0;
    enum cg_status st = cg_bench_options_parse(argc, argv, &o, &shown);
    for (int i = 0; st == CG_OK && i < o.n_peers; i++) st = cg_peer_open(&o.peers[i], o.threads);
    if (st == CG_OK && !shown) {
        omp_set_num_threads(o.threads); /* for peers that use the same OpenMP runtime as we do */
        st = cg_machine_detect(&machine);
        if (st == CG_OK) st = cg_plans_open(&machine, o.threads, &plans);
        if (st == CG_OK) {
            /* Peers make threads of their own, which would inherit what this one is bound to. */
            if (!o.n_peers) st = cg_bind_threads(&machine, cg_plans_threads(plans));
            if (st == CG_OK) st = time_kernels(&o, plans);
            cg_bind_undo();
            cg_plans_close(plans);
        }
    }
    cg_bench_options_free(&o);
    return st;
}

static const struct {
    const char *name;
    enum cg_status (*run)(int argc, char **argv); /* argv begins with the name */
    int as_training; /* threads wait for each other as those of the tuner and training do */
} commands[] = {
    {"kernels", kernels, 0},          {"parts", cg_bench_parts, 0},
    {"tuned", cg_bench_tuned, 1},     {"accuracy", cg_bench_accuracy, 1},
    {"predict", cg_bench_predict, 1}, {"generate", cg_bench_generate, 1},
    {"train", cg_bench_train, 1},
};

static enum cg_status run(int argc, char **argv)
{
    char names[128] = "";
    if (argc < 2) return cg_fail(CG_ERR_USER, "say what to time: grpo-bench kernels, see grpo-bench --help");
    if (argv[1][0] == '-') return kernels(argc, argv); /* --help, --version, or a mistake */
    for (size_t i = 0, at = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            if (commands[i].as_training) cg_threads_setup(argv);
            return commands[i].run(argc - 1, argv + 1);
        }
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", commands[i].name);
    }
    return cg_fail(CG_ERR_USER, "unknown command \"%.40s\"; there are %s, see grpo-bench --help", argv[1], names);
}

int main(int argc, char **argv)
{
    enum cg_status st = run(argc, argv);
    if (st == CG_OK && (fflush(stdout) != 0 || ferror(stdout)))
        st = cg_fail(CG_ERR_IO, "cannot write to standard output: %s", strerror(errno));
    if (st != CG_OK) fprintf(stderr, "grpo-bench: %s\n", cg_error());
    return cg_exit_code(st);
}

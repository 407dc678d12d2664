/* grpo-bench predict: how fast a machine would train a model. */
#ifndef CG_BENCH_PREDICT_H
#define CG_BENCH_PREDICT_H

#include <stdio.h>

#include "bench/step_price.h"

struct cg_measured { /* times: medians; completion_length: mean */
    size_t steps;
    double step_time, generate_time, completion_length;
};

struct cg_predict_options {
    const char *model, *machine, *config, *metrics; /* NULL: not given; model never */
    char config_model[4096];                        /* the run file's, where --model gives no other */
    struct cg_workload w;
    double completion_length; /* 0: not given */
    int threads;              /* 0: all usable cores */
    int json;
};

/* Reads argv, which begins with the word "predict"; `shown` is set when help was asked for and printed. CG_ERR_USER for
 * every mistake. o->config is read as well. */
enum cg_status cg_predict_parse(int argc, char **argv, struct cg_predict_options *o, int *shown);

/* Of the GRPO steps in a metrics.jsonl, but for the first where there are more. CG_ERR_USER, CG_ERR_IO. */
enum cg_status cg_measured_read(const char *path, struct cg_measured *m);

struct cg_prediction {
    const struct cg_predict_options *o;
    const struct cg_plans *plans;
    struct cg_sizes model;
    struct cg_step_list step;
    struct cg_step_prices prices;
    struct cg_measured measured; /* steps 0: none */
};

void cg_predict_print(const struct cg_prediction *p, FILE *f);
enum cg_status cg_predict_print_json(const struct cg_prediction *p, FILE *f);

/* The command: argv begins with the word "predict". */
enum cg_status cg_bench_predict(int argc, char **argv);

#endif

#include "bench/train.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/limits.h"
#include "bench/options.h"
#include "bench/work.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/rng.h"

static const char help[] =
    "usage: grpo-bench train RUN.yaml [--set key=value]... [--steps N] [--unshared N,LENGTH,ROWS] [--json]\n"
    "\n"
    "Makes GRPO steps as grpo-train would, saving nothing, and says how much of the machine's peak they reach: the\n"
    "multiplications and additions that a step needs by definition (each shared prompt once, logits only where a "
    "token\n"
    "is chosen or scored), over what the multiplying instructions do by themselves, measured before each step.\n"
    "\n"
    "  --set key=value           an option of the run file\n"
    "  --steps N                 steps (default 5; the first is not counted)\n"
    "  --unshared N,LENGTH,ROWS  instead: forward and backward of N random sequences of LENGTH tokens, the last ROWS "
    "of\n"
    "                            them scored; nothing is shared, nothing is updated\n"
    "  --json                    one JSON object\n";

struct options {
    const char *run, *sets[64];
    size_t n_sets, steps, unshared[3];
    int json;
};

/* One step, or one pass over unshared sequences. */
struct sample {
    double seconds, generate_seconds, tokens;
    struct cg_work work;
    double peak, peak_s8; /* operations a second; peak_s8 0: nothing runs in INT8 */
};

static enum cg_status parse(int argc, char **argv, struct options *o, int *shown)
{
    static const struct option longs[] = {
        {"set", required_argument, NULL, 's'},      {"steps", required_argument, NULL, 'n'},
        {"unshared", required_argument, NULL, 'u'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    *o = (struct options){.steps = 5};
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
        double n;
        switch (c) {
        case 's':
            if (o->n_sets == 64) return cg_fail(CG_ERR_USER, "more than 64 times --set");
            o->sets[o->n_sets++] = optarg;
            break;
        case 'n':
            CG_TRY(cg_bench_number("steps", optarg, 2, 10000, &n));
            o->steps = (size_t)n;
            break;
        case 'u':
            if (sscanf(optarg, "%zu,%zu,%zu", &o->unshared[0], &o->unshared[1], &o->unshared[2]) != 3 ||
                o->unshared[0] == 0 || o->unshared[0] > 65536 || o->unshared[1] < 2 || o->unshared[1] > 1000000 ||
                o->unshared[2] == 0 || o->unshared[2] >= o->unshared[1])
                return cg_fail(CG_ERR_USER, "--unshared %s: give sequences, tokens of each and scored ones (fewer)",
                               optarg);
            break;
        case 'j': o->json = 1; break;
        case 'h':
            fputs(help, stdout);
            *shown = 1;
            return CG_OK;
        case ':': return cg_fail(CG_ERR_USER, "%s needs a value; see grpo-bench train --help", argv[optind - 1]);
        default: return cg_fail(CG_ERR_USER, "unknown option %s; see grpo-bench train --help", argv[optind - 1]);
        }
    }
    if (optind + 1 != argc) return cg_fail(CG_ERR_USER, "give one run file: grpo-bench train RUN.yaml");
    o->run = argv[optind];
    return CG_OK;
}

static double peak_of(const struct cg_session *s, enum cg_op op)
{
    const struct cg_config *c = &s->model.cfg;
    struct cg_plan p = op == CG_OP_gemm_s8
                           ? cg_plan_gemm_s8(s->plans, 256, c->intermediate_size, c->hidden_size)
                           : cg_plan_gemm_f32(s->plans, CG_FORM_NT, 256, c->intermediate_size, c->hidden_size);
    return cg_limit_fma(&s->machine, p.variant, s->net.threads);
}

static void measure_peaks(const struct cg_session *s, struct sample *x)
{
    x->peak = peak_of(s, CG_OP_gemm_f32);
    x->peak_s8 = s->s8_net.model ? peak_of(s, CG_OP_gemm_s8) : 0;
}

static enum cg_status one_step(struct cg_session *s, struct sample *x)
{
    struct cg_step_stats st;
    measure_peaks(s, x);
    CG_TRY(cg_session_grpo_step(s, 0, s->cfg->learning_rate, NULL, NULL, &st));
    x->seconds = st.seconds;
    x->generate_seconds = st.generate_seconds;
    x->tokens = (double)st.tokens;
    x->work = cg_step_work(s);
    return CG_OK;
}

/* The loss of every row is its log-probability. */
static void plain_loss(void *ctx, size_t first, size_t n, const struct cg_row_stats *stats, struct cg_logits_coef *coef)
{
    (void)ctx;
    (void)first;
    (void)stats;
    for (size_t i = 0; i < n; i++) coef[i] = (struct cg_logits_coef){.logprob = 1.0f};
}

/* Sequences go through the trainer as a step's do: in batches of at most micro_batch_tokens. */
static enum cg_status unshared(struct cg_session *s, const size_t u[3], struct sample *x, int32_t *ids,
                               struct cg_row_stats *rows)
{
    const struct cg_config *c = &s->model.cfg;
    size_t most = s->memory.choice.micro_tokens < s->batch_rows ? s->memory.choice.micro_tokens : s->batch_rows;
    measure_peaks(s, x);
    double start = cg_now();
    cg_trainer_zero_grad(s->trainer);
    for (size_t i = 0; i < u[0];) {
        cg_batch_clear(&s->batch);
        for (; i < u[0] && (s->batch.n_tokens == 0 || s->batch.n_tokens + u[1] <= most); i++) {
            for (size_t j = 0; j < u[1]; j++)
                ids[j] = (int32_t)cg_rng_below(1, CG_RNG_TEST, (uint32_t)i, (uint32_t)j, 0, (uint32_t)c->vocab_size);
            size_t first = s->batch.n_tokens;
            CG_TRY(cg_batch_segment(&s->batch, ids, u[1], CG_NO_PARENT, NULL));
            for (size_t j = u[1] - u[2]; j < u[1]; j++) CG_TRY(cg_batch_row(&s->batch, first + j - 1, ids[j]));
        }
        CG_TRY(cg_trainer_backward(s->trainer, &s->batch, 1.0f, plain_loss, NULL, rows));
    }
    CG_TRY(cg_trainer_finish(s->trainer));
    x->seconds = cg_now() - start;
    x->tokens = (double)(u[0] * u[1]);
    x->work = (struct cg_work){0, cg_sequences_work(c, (double)u[0], (double)u[1], (double)u[2])};
    return CG_OK;
}

/* The time that the work would take at the peaks. */
static double least_seconds(const struct sample *x)
{
    return x->work.generate / (x->peak_s8 > 0 ? x->peak_s8 : x->peak) + x->work.train / x->peak;
}

static void print_samples(const struct options *o, size_t n, const struct sample *x)
{
    printf("%5s %9s %9s %10s %9s %9s %9s %7s\n", "step", "seconds", "generate", "tokens/s", "generate", "train", "peak",
           "share");
    printf("%5s %9s %9s %10s %9s %9s %9s %7s\n", "", "", "", "", "GFLOP", "GFLOP", "GFLOP/s", "");
    for (size_t i = 0; i < n; i++)
        printf("%5zu %9.3f %9.3f %10.0f %9.1f %9.1f %9.1f %6.1f%%\n", i + 1, x[i].seconds, x[i].generate_seconds,
               x[i].tokens / x[i].seconds, x[i].work.generate / 1e9, x[i].work.train / 1e9, x[i].peak / 1e9,
               100 * least_seconds(&x[i]) / x[i].seconds);
    double least = 0, seconds = 0, tokens = 0;
    for (size_t i = 1; i < n; i++) {
        least += least_seconds(&x[i]);
        seconds += x[i].seconds;
        tokens += x[i].tokens;
    }
    printf("%s after the first: %.3f s on average, %.0f tokens/s, %.1f%% of the peak\n",
           o->unshared[0] ? "passes" : "steps", seconds / (double)(n - 1), tokens / seconds, 100 * least / seconds);
}

static enum cg_status print_json(size_t n, const struct sample *x)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "seconds", x[i].seconds,
                                              "generate_seconds", x[i].generate_seconds, "tokens", x[i].tokens,
                                              "generate_flop", x[i].work.generate, "train_flop", x[i].work.train,
                                              "peak", x[i].peak, "peak_int8", x[i].peak_s8, "share",
                                              least_seconds(&x[i]) / x[i].seconds));
    json_t *all = json_pack("{s:o}", "steps", list);
    if (!all) return cg_fail(CG_ERR_MEMORY, "out of memory");
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(all);
    return CG_OK;
}

static enum cg_status time_all(const struct options *o, struct cg_session *s)
{
    enum cg_status st = CG_OK;
    if (o->unshared[1] > s->net.rope_len)
        return cg_fail(CG_ERR_USER,
                       "--unshared: this run has sequences of at most %zu tokens; raise max_completion_length",
                       s->net.rope_len);
    struct sample *x = calloc(o->steps, sizeof *x);
    int32_t *ids = calloc(o->unshared[1] + 1, sizeof *ids);
    struct cg_row_stats *rows = calloc(o->unshared[0] * o->unshared[2] + 1, sizeof *rows);
    if (!x || !ids || !rows) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    cg_session_begin_stage(s);
    for (size_t i = 0; i < o->steps && st == CG_OK; i++)
        st = o->unshared[0] ? unshared(s, o->unshared, &x[i], ids, rows) : one_step(s, &x[i]);
    if (st == CG_OK && o->json) st = print_json(o->steps, x);
    else if (st == CG_OK) print_samples(o, o->steps, x);
    free(x);
    free(ids);
    free(rows);
    return st;
}

static enum cg_status run(const struct options *o, struct cg_run_config *c)
{
    CG_TRY(cg_config_load(o->run, c));
    for (size_t i = 0; i < o->n_sets; i++) CG_TRY(cg_config_set(c, o->sets[i]));
    CG_TRY(cg_config_set(c, "num_iterations=1")); /* a step is one rollout and one update */
    CG_TRY(cg_config_check(c));
    static struct cg_session s;
    CG_TRY(cg_session_open(c, NULL, &s));
    enum cg_status st = time_all(o, &s);
    cg_session_close(&s);
    return st;
}

enum cg_status cg_bench_train(int argc, char **argv)
{
    struct options o;
    struct cg_run_config c;
    int shown = 0;
    CG_TRY(parse(argc, argv, &o, &shown));
    if (shown) return CG_OK;
    CG_TRY(cg_config_defaults(&c));
    enum cg_status st = run(&o, &c);
    cg_config_free(&c);
    return st;
}

/* grpo-bench: how fast the kernels are, alone and beside other libraries. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/plan.h"
#include "bench/cases.h"
#include "bench/compare.h"
#include "bench/gbench.h"
#include "bench/peers.h"

static const char help[] =
    "usage: grpo-bench kernels [--op LIST] [--shapes M,N,K;...] [--threads N] [--all-variants]\n"
    "                          [--benchmark_filter=REGEX] [--benchmark_...]\n"
    "       grpo-bench kernels --peer NAME=LIBRARY:SYMBOL... [--json] [--seconds S]\n"
    "       grpo-bench kernels --json [--seconds S]\n"
    "\n"
    "Times the kernels with the plans that grpo-train would use. The first form is driven by Google Benchmark and "
    "takes\n"
    "its flags (--benchmark_list_tests, --benchmark_format=json, --benchmark_repetitions=5...). With --peer, f32 GEMM "
    "is\n"
    "called in turn with the cblas_sgemm of other libraries, in one run, and a table of ratios is printed.\n"
    "\n"
    "  --op LIST          all, rows (all row operations), gemm_f32 or one of its forms gemm_f32_nt, gemm_f32_nn,\n"
    "                     gemm_f32_tn, gemm_s8, softmax_f32...; several with commas (default: all; with --peer "
    "gemm_f32)\n"
    "  --shapes M,N,K;... layers y[M][N] = x[M][K] W[N][K]^T. NT is the layer with W packed before, NN and TN are its\n"
    "                     backward products, which pack at every call; gemm_s8 is the layer with INT8 weights. Row\n"
    "                     operations have rows of N elements. (default: the layers of SmolLM2-135M for 1 to 1024 "
    "tokens)\n"
    "  --threads N        (default: 1)\n"
    "  --all-variants     every variant that this machine runs, not only those of the plans\n"
    "  --peer NAME=LIBRARY:SYMBOL\n"
    "                     a shared library with a CBLAS sgemm of 32-bit integers, opened while running; may be "
    "repeated.\n"
    "                     Without :SYMBOL it is cblas_sgemm. Peers run with as many threads as we do.\n"
    "  --json             rows as JSON on standard output, by our own timing loop, as with --peer\n"
    "  --seconds S        time for each row and library with --peer or --json (default: 0.25)\n"
    "  --help, --version\n"
    "\n"
    "Operands are used again at every call: what fits a cache is found there. CPU_GRPO_ISA=NAME (avx2, avx512, ...) "
    "hides\n"
    "all later levels.\n";

enum { MAX_LAYERS = 512, MAX_SIDE = 4 * 1024 * 1024 };

struct options {
    cg_bench_ops ops;
    struct cg_layer layers[MAX_LAYERS];
    size_t n_layers;
    int threads, every, json, own_ops, own_shapes, own_seconds;
    double seconds;
    struct cg_peer peers[CG_MAX_PEERS];
    int n_peers;
    char **flags; /* of Google Benchmark: the program, our default, those given */
    int n_flags;
};

/* ---- Options -------------------------------------------------------------------------------------------------------
 */

static void default_layers(struct options *o)
{
    static const size_t sides[][2] = {{576, 576}, {192, 576}, {1536, 576}, {576, 1536}, {49152, 576}};
    static const size_t tokens[] = {1, 4, 8, 16, 64, 256, 1024};
    for (size_t s = 0; s < 5; s++)
        for (size_t t = 0; t < 7; t++)
            if (sides[s][0] < 16384 || tokens[t] <= 256) /* nobody needs the logits of so many tokens at once */
                o->layers[o->n_layers++] = (struct cg_layer){tokens[t], sides[s][0], sides[s][1]};
}

/* Reads a side of a shape and what must follow it. */
static const char *parse_side(const char *p, const char *after, size_t *out)
{
    char *end;
    if (*p < '0' || *p > '9') return NULL;
    errno = 0;
    unsigned long long v = strtoull(p, &end, 10);
    if (errno || v < 1 || v > MAX_SIDE) return NULL;
    *out = (size_t)v;
    if (*end == 0) return strchr(after, '$') ? end : NULL;
    return strchr(after, *end) ? end + 1 : NULL;
}

static enum cg_status parse_shapes(struct options *o, const char *text)
{
    for (const char *p = text; o->n_layers < MAX_LAYERS;) {
        struct cg_layer l;
        const char *start = p;
        p = parse_side(p, ",", &l.m);
        if (p) p = parse_side(p, ",", &l.n);
        if (p) p = parse_side(p, ";$", &l.k);
        if (!p)
            return cg_fail(CG_ERR_USER,
                           "--shapes: \"%.*s\" is no shape; write M,N,K with numbers from 1 to %d, several with "
                           "semicolons: --shapes '16,576,576;64,1536,576'",
                           (int)strcspn(start, ";") > 60 ? 60 : (int)strcspn(start, ";"), start, MAX_SIDE);
        o->layers[o->n_layers++] = l;
        if (!*p) return CG_OK;
    }
    return cg_fail(CG_ERR_USER, "--shapes: more than %d shapes; give fewer", MAX_LAYERS);
}

static enum cg_status parse_number(const char *name, const char *text, double lo, double hi, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || *end || errno || !(*out >= lo && *out <= hi))
        return cg_fail(CG_ERR_USER, "--%s %.40s: give a number from %g to %g", name, text, lo, hi);
    return CG_OK;
}

static enum cg_status parse_option(struct options *o, int c, const char *name, const char *unknown)
{
    double number;
    switch (c) {
    case 'o': o->own_ops = 1; return cg_bench_parse_ops(optarg, &o->ops);
    case 's':
        if (o->own_shapes)
            return cg_fail(CG_ERR_USER, "--shapes is given twice; put all shapes in one, with semicolons");
        o->own_shapes = 1;
        return parse_shapes(o, optarg);
    case 't':
        CG_TRY(parse_number(name, optarg, 1, 1024, &number));
        if (number != floor(number)) return cg_fail(CG_ERR_USER, "--threads %.40s: give a whole number", optarg);
        o->threads = (int)number;
        return CG_OK;
    case 'p':
        if (o->n_peers == CG_MAX_PEERS) return cg_fail(CG_ERR_USER, "--peer: there may be %d", CG_MAX_PEERS);
        CG_TRY(cg_peer_parse(optarg, &o->peers[o->n_peers]));
        for (int i = 0; i < o->n_peers; i++)
            if (strcmp(o->peers[i].name, o->peers[o->n_peers].name) == 0)
                return cg_fail(CG_ERR_USER, "--peer: two peers are called %s", o->peers[i].name);
        o->n_peers++;
        return CG_OK;
    case 'S': o->own_seconds = 1; return parse_number(name, optarg, 0.001, 600, &o->seconds);
    case 'a': o->every = 1; return CG_OK;
    case 'j': o->json = 1; return CG_OK;
    case ':': return cg_fail(CG_ERR_USER, "%s needs a value, see grpo-bench --help", unknown);
    default: return cg_fail(CG_ERR_USER, "unknown option %s, see grpo-bench --help", unknown);
    }
}

/* What only some of the options make sense with. */
static enum cg_status check(struct options *o, int n_words, char **words)
{
    int own_loop = o->n_peers || o->json;
    if (n_words == 0) return cg_fail(CG_ERR_USER, "say what to time: grpo-bench kernels, see grpo-bench --help");
    if (strcmp(words[0], "kernels") != 0)
        return cg_fail(CG_ERR_USER, "unknown command \"%.40s\"; there is kernels, see grpo-bench --help", words[0]);
    if (n_words > 1) return cg_fail(CG_ERR_USER, "unexpected argument \"%.40s\", see grpo-bench --help", words[1]);
    if (own_loop && o->n_flags > 2)
        return cg_fail(CG_ERR_USER,
                       "%.60s: the flags of Google Benchmark do not go with --peer or --json; use --op and "
                       "--seconds",
                       o->flags[2]);
    if (!own_loop && o->own_seconds)
        return cg_fail(CG_ERR_USER, "--seconds goes with --peer or --json; here it is --benchmark_min_time=S");
    if (!o->own_ops) o->ops = o->n_peers ? CG_BENCH_GEMM_F32 : CG_BENCH_ALL;
    if (o->n_peers && (o->ops & ~CG_BENCH_GEMM_F32))
        return cg_fail(CG_ERR_USER,
                       "--peer compares f32 GEMM: --op may be gemm_f32, gemm_f32_nt, gemm_f32_nn, gemm_f32_tn");
    if (!o->own_shapes) default_layers(o);
    return CG_OK;
}

/* Moves the flags of Google Benchmark to o->flags, which has room for argc + 2, after one of ours. Returns the number
 * of arguments that stay. */
static int take_flags(int argc, char **argv, struct options *o)
{
    static char quick[] = "--benchmark_min_time=0.1"; /* enough for kernels; one given later wins */
    int kept = 1;
    o->flags[0] = argv[0];
    o->flags[1] = quick;
    o->n_flags = 2;
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--benchmark_", 12) == 0) o->flags[o->n_flags++] = argv[i];
        else argv[kept++] = argv[i];
    argv[kept] = NULL;
    return kept;
}

static enum cg_status parse(int argc, char **argv, struct options *o, int *done)
{
    static const struct option longs[] = {
        {"op", required_argument, NULL, 'o'},      {"shapes", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'}, {"peer", required_argument, NULL, 'p'},
        {"seconds", required_argument, NULL, 'S'}, {"all-variants", no_argument, NULL, 'a'},
        {"json", no_argument, NULL, 'j'},          {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},       {NULL, 0, NULL, 0},
    };
    o->threads = 1;
    o->seconds = 0.25;
    opterr = 0;
    for (;;) {
        int index = 0, c = getopt_long(argc, argv, ":", longs, &index);
        if (c == -1) break;
        if (c == 'h' || c == 'v') {
            printf("%s", c == 'h' ? help : "grpo-bench " CG_VERSION "\n");
            *done = 1;
            return CG_OK;
        }
        char letter[] = {'-', (char)optopt, 0}; /* of a short option, all of which are unknown */
        CG_TRY(parse_option(o, c, longs[index].name, c == '?' && optopt ? letter : argv[optind - 1]));
    }
    return check(o, argc - optind, argv + optind);
}

/* ---- With Google Benchmark -----------------------------------------------------------------------------------------
 */

/* The operands of the case in hand are kept: each case is run several times until the number of calls is settled. */
struct driven {
    const struct cg_plans *plans;
    const struct cg_bench_case *c;
    struct current {
        const struct cg_bench_case *c;
        struct cg_operands *o;
    } * current;
};

static void run_case(struct cg_gbench_state *state, void *arg)
{
    struct driven *d = arg;
    struct current *now = d->current;
    if (now->c != d->c) {
        cg_operands_close(now->o);
        now->o = NULL;
        now->c = NULL;
        if (cg_operands_open(d->plans, d->c, &now->o) != CG_OK) {
            cg_gbench_skip(state, cg_error());
            return;
        }
        now->c = d->c;
    }
    while (cg_gbench_next(state)) cg_operands_call(now->o);
    cg_gbench_rate(state,
                   d->c->op == CG_OP_gemm_f32  ? "FLOP/s"
                   : d->c->op == CG_OP_gemm_s8 ? "OP/s"
                                               : "elem/s",
                   d->c->work);
}

static void add_context(const struct cg_plans *plans)
{
    const struct cg_machine *m = cg_plans_machine(plans);
    char text[64];
    snprintf(text, sizeof text, "%d", cg_plans_threads(plans));
    cg_gbench_context("cpu", m->model_name[0] ? m->model_name : m->vendor);
    cg_gbench_context("threads", text);
    cg_gbench_context("plans", cg_bench_plans_text(plans));
    snprintf(text, sizeof text, "%016llx", (unsigned long long)m->fingerprint);
    cg_gbench_context("fingerprint", text);
}

/* Google Benchmark answers some mistakes with its usage and success. */
static enum cg_status check_flags(const struct options *o)
{
    static const char *const names[] = {"--benchmark_format=", "--benchmark_out_format="};
    for (int i = 1; i < o->n_flags; i++)
        for (size_t f = 0; f < 2; f++) {
            const char *value = o->flags[i] + strlen(names[f]);
            if (strncmp(o->flags[i], names[f], strlen(names[f])) == 0 && strcmp(value, "console") != 0 &&
                strcmp(value, "json") != 0 && strcmp(value, "csv") != 0)
                return cg_fail(CG_ERR_USER, "%.60s: the formats are console, json and csv", o->flags[i]);
        }
    return CG_OK;
}

static enum cg_status drive(const struct options *o, const struct cg_plans *plans, const struct cg_bench_cases *cases)
{
    CG_TRY(check_flags(o));
    int n = o->n_flags;
    cg_gbench_init(&n, o->flags);
    if (n > 1) return cg_fail(CG_ERR_USER, "Google Benchmark does not know %.80s, or not its value", o->flags[1]);
    struct current current = {NULL, NULL};
    struct driven *all = malloc(cases->n * sizeof *all);
    if (!all) return cg_fail(CG_ERR_MEMORY, "out of memory");
    add_context(plans);
    for (size_t i = 0; i < cases->n; i++) {
        all[i] = (struct driven){plans, &cases->c[i], &current};
        cg_gbench_add(cases->c[i].name, run_case, &all[i]);
    }
    size_t ran = cg_gbench_run();
    cg_operands_close(current.o);
    free(all);
    return ran ? CG_OK : cg_fail(CG_ERR_USER, "no row matches --benchmark_filter; see --benchmark_list_tests");
}

/* --------------------------------------------------------------------------------------------------------------------
 */

static enum cg_status kernels(struct options *o)
{
    static struct cg_machine machine;
    struct cg_plans *plans;
    struct cg_bench_cases cases;
    for (int i = 0; i < o->n_peers; i++) CG_TRY(cg_peer_open(&o->peers[i], o->threads));
    omp_set_num_threads(o->threads); /* for peers that use the same OpenMP runtime as we do */
    CG_TRY(cg_machine_detect(&machine));
    CG_TRY(cg_plans_open(&machine, o->threads, &plans));
    enum cg_status st = cg_bench_cases_make(plans, o->ops, o->layers, o->n_layers, !o->own_shapes, o->every, &cases);
    if (st == CG_OK) {
        st = o->n_peers || o->json ? cg_bench_compare(plans, &cases, o->peers, o->n_peers, o->seconds, o->json, stdout)
                                   : drive(o, plans, &cases);
        free(cases.c);
    }
    cg_plans_close(plans);
    return st;
}

int main(int argc, char **argv)
{
    static struct options o;
    int done = 0;
    enum cg_status st = CG_OK;
    o.flags = calloc((size_t)argc + 2, sizeof *o.flags);
    if (!o.flags) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    if (st == CG_OK) argc = take_flags(argc, argv, &o);
    if (st == CG_OK) st = parse(argc, argv, &o, &done);
    if (st == CG_OK && !done) st = kernels(&o);
    if (st == CG_OK && (fflush(stdout) != 0 || ferror(stdout)))
        st = cg_fail(CG_ERR_IO, "cannot write to standard output: %s", strerror(errno));
    if (st != CG_OK) fprintf(stderr, "grpo-bench: %s\n", cg_error());
    free(o.flags);
    return cg_exit_code(st);
}

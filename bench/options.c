#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: grpo-bench kernels [--op LIST] [--form LIST] [--model LIST] [--tokens LIST] [--shapes M,N,K;...]\n"
    "                          [--cold] [--threads N] [--all-variants] [--benchmark_filter=REGEX] [--benchmark_...]\n"
    "       grpo-bench kernels --peer NAME=LIBRARY:SYMBOL... [--json] [--seconds S]\n"
    "       grpo-bench kernels --json [--seconds S]\n"
    "       grpo-bench parts --help\n"
    "       grpo-bench tuned --help\n"
    "       grpo-bench accuracy --help\n"
    "       grpo-bench predict --help\n"
    "       grpo-bench generate --help\n"
    "       grpo-bench train --help\n"
    "\n"
    "Times the kernels with the plans that grpo-train would use. The first form is driven by Google Benchmark and "
    "takes\n"
    "its flags (--benchmark_list_tests, --benchmark_format=json, --benchmark_repetitions=5...). With --peer, GEMMs "
    "are\n"
    "called in turn with those of other libraries, in one run, and a table of ratios is printed; its last column says\n"
    "which limit binds, the multiplying instruction or the memory, and the share of it that was reached.\n"
    "\n"
    "  --op LIST          all, rows (all row operations), gemm (all GEMMs), gemm_f32, gemm_bf16w, gemm_bf16,\n"
    "                     gemm_s8, softmax_f32...; several with commas (default: all; with --peer gemm_f32; with "
    "--cold gemm)\n"
    "  --form LIST        of gemm_f32: nt, the layer with its weights packed before; nn and tn, its backward "
    "products,\n"
    "                     which pack at every call; several with commas, or all (default: nt). --op gemm_f32_nn is\n"
    "                     --op gemm_f32 --form nn\n"
    "  --model LIST       the layers of tiny, smollm2-135m, smollm2-360m, qwen2.5-0.5b, llama-3.2-1b\n"
    "                     (default: smollm2-135m)\n"
    "  --tokens LIST      how many rows x has (default: 1,4,8,16,64,256,1024)\n"
    "  --shapes M,N,K;... layers y[M][N] = x[M][K] W[N][K]^T instead. Row operations have rows of N elements\n"
    "  --cold             every call uses other copies of the weights, twice the last cache together: all come from\n"
    "                     memory, as in a model that is larger than the caches\n"
    "  --threads N        (default: 1)\n"
    "  --scaling          in turn with ourselves on one thread: the ratio is what --threads N gain\n"
    "  --all-variants     every variant that this machine runs, not only those of the plans\n"
    "  --peer NAME=LIBRARY:SYMBOL\n"
    "                     a shared library opened while running, with a CBLAS sgemm of 32-bit integers (cblas_sgemm\n"
    "                     without :SYMBOL) or, with the symbol dnnl, oneDNN 2 or 3; may be repeated. Peers run with "
    "as\n"
    "                     many threads as we do. oneDNN's primitives are made and its weights of NT laid out before\n"
    "  --json             rows as JSON on standard output, by our own timing loop, as with --peer\n"
    "  --seconds S        time for each row and library with --peer or --json (default: 0.25)\n"
    "  --help, --version\n"
    "\n"
    "Without --cold, operands are used again at every call: what fits a cache is found there. CPU_GRPO_ISA=NAME "
    "(avx2,\n"
    "avx512, ...) hides all later levels; CPU_GRPO_BIND=on, off or auto binds threads to CPUs (never with --peer).\n";

enum { MAX_TOKENS = 64 };

/* What was given, before it is put together. */
struct given {
    const char *models;
    size_t tokens[MAX_TOKENS], n_tokens;
    int ops, shapes, seconds;
    int named_forms;    /* --op names forms of gemm_f32 */
    cg_bench_ops forms; /* 0: not given */
};

enum cg_status cg_bench_number(const char *name, const char *text, double lo, double hi, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || *end || errno || !(*out >= lo && *out <= hi))
        return cg_fail(CG_ERR_USER, "--%s %.40s: give a number from %g to %g", name, text, lo, hi);
    return CG_OK;
}

enum cg_status cg_bench_each_option(int argc, char **argv, const struct option *longs, const char *usage,
                                    cg_bench_option_fn *take, void *ctx, int *shown)
{
    opterr = 0;
    for (;;) {
        int index = 0, c = getopt_long(argc, argv, ":", longs, &index);
        if (c == -1) break;
        if (c == 'h') {
            printf("%s", usage);
            *shown = 1;
            return CG_OK;
        }
        char letter[] = {'-', (char)optopt, 0};
        const char *text = c == '?' && optopt ? letter : argv[optind - 1];
        if (c == ':') return cg_fail(CG_ERR_USER, "%s needs a value, see grpo-bench %s --help", text, argv[0]);
        if (c == '?') return cg_fail(CG_ERR_USER, "unknown option %s, see grpo-bench %s --help", text, argv[0]);
        CG_TRY(take(ctx, c, longs[index].name));
    }
    if (optind < argc)
        return cg_fail(CG_ERR_USER, "unexpected argument \"%.40s\", see grpo-bench %s --help", argv[optind], argv[0]);
    return CG_OK;
}

static enum cg_status parse_peer(struct cg_bench_options *o, const char *text)
{
    if (o->n_peers == CG_MAX_PEERS) return cg_fail(CG_ERR_USER, "--peer: there may be %d", CG_MAX_PEERS);
    CG_TRY(cg_peer_parse(text, &o->peers[o->n_peers]));
    for (int i = 0; i < o->n_peers; i++)
        if (strcmp(o->peers[i].name, o->peers[o->n_peers].name) == 0)
            return cg_fail(CG_ERR_USER, "--peer: two peers are called %s", o->peers[i].name);
    o->n_peers++;
    return CG_OK;
}

static enum cg_status parse_option(struct cg_bench_options *o, struct given *g, int c, const char *name,
                                   const char *unknown)
{
    double number;
    switch (c) {
    case 'o':
        g->ops = 1;
        g->named_forms = strstr(optarg, "gemm_f32_") != NULL;
        return cg_bench_parse_ops(optarg, &o->ops);
    case 'f': return cg_bench_parse_forms(optarg, &g->forms);
    case 'm': g->models = optarg; return CG_OK;
    case 'n': return cg_tokens_parse(optarg, g->tokens, MAX_TOKENS, &g->n_tokens);
    case 's':
        if (g->shapes) return cg_fail(CG_ERR_USER, "--shapes is given twice; put all shapes in one, with semicolons");
        g->shapes = 1;
        return cg_layers_parse(&o->layers, optarg);
    case 't':
        CG_TRY(cg_bench_number(name, optarg, 1, 1024, &number));
        if (number != floor(number)) return cg_fail(CG_ERR_USER, "--threads %.40s: give a whole number", optarg);
        o->threads = (int)number;
        return CG_OK;
    case 'p': return parse_peer(o, optarg);
    case 'S': g->seconds = 1; return cg_bench_number(name, optarg, 0.001, 600, &o->seconds);
    case 'a': o->every = 1; return CG_OK;
    case 'c': o->cold = 1; return CG_OK;
    case 'x': o->scaling = 1; return CG_OK;
    case 'j': o->json = 1; return CG_OK;
    case ':': return cg_fail(CG_ERR_USER, "%s needs a value, see grpo-bench --help", unknown);
    default: return cg_fail(CG_ERR_USER, "unknown option %s, see grpo-bench --help", unknown);
    }
}

/* The operations that are timed when none is named, and the forms of gemm_f32 among those that are. */
static enum cg_status settle_ops(struct cg_bench_options *o, const struct given *g)
{
    if (!g->ops) o->ops = o->n_peers || o->scaling ? CG_BENCH_GEMM_F32 : o->cold ? cg_bench_gemms() : CG_BENCH_ALL;
    cg_bench_ops forms = g->forms ? g->forms : 1;
    if (((o->ops & CG_BENCH_GEMM_F32) == CG_BENCH_GEMM_F32 && !g->named_forms) || g->forms) {
        if (g->forms && !(o->ops & CG_BENCH_GEMM_F32))
            return cg_fail(CG_ERR_USER, "--form goes with gemm_f32, which --op does not name");
        o->ops = (o->ops & ~CG_BENCH_GEMM_F32) | forms;
    }
    if (o->n_peers && (o->ops & ~cg_bench_gemms()))
        return cg_fail(CG_ERR_USER,
                       "--peer compares GEMMs: --op may be gemm, gemm_f32, gemm_bf16w, gemm_bf16, gemm_s8");
    if (o->scaling && (o->ops & ~cg_bench_gemms()))
        return cg_fail(CG_ERR_USER, "--scaling is for GEMMs: row operations are called on one thread");
    if (o->cold && (o->ops & ~cg_bench_gemms()))
        return cg_fail(CG_ERR_USER,
                       "--cold goes with GEMMs, which have weights: --op may be gemm, gemm_f32, gemm_s8...");
    return CG_OK;
}

/* What only some of the options make sense with. */
static enum cg_status check(struct cg_bench_options *o, const struct given *g, int n_words, char **words)
{
    static const size_t usual[] = {1, 4, 8, 16, 64, 256, 1024};
    int own_loop = o->n_peers || o->json || o->scaling;
    if (n_words > 0) return cg_fail(CG_ERR_USER, "unexpected argument \"%.40s\", see grpo-bench --help", words[0]);
    if (own_loop && o->n_flags > 2)
        return cg_fail(CG_ERR_USER,
                       "%.60s: the flags of Google Benchmark do not go with --peer or --json; use --op and "
                       "--seconds",
                       o->flags[2]);
    if (!own_loop && g->seconds)
        return cg_fail(CG_ERR_USER, "--seconds goes with --peer or --json; here it is --benchmark_min_time=S");
    if (g->shapes && (g->models || g->n_tokens))
        return cg_fail(CG_ERR_USER, "--shapes takes the place of --model and --tokens; give one or the other");
    if (o->scaling && (o->n_peers || o->threads < 2))
        return cg_fail(CG_ERR_USER, "--scaling goes with --threads of 2 or more, and without --peer");
    CG_TRY(settle_ops(o, g));
    o->few = !g->shapes && !g->n_tokens;
    if (g->shapes) return CG_OK;
    return cg_layers_of_models(&o->layers, g->models ? g->models : "smollm2-135m", g->n_tokens ? g->tokens : usual,
                               g->n_tokens ? g->n_tokens : sizeof usual / sizeof *usual, !g->n_tokens);
}

/* Moves the flags of Google Benchmark to o->flags, after one of ours. Returns the number of arguments that stay. */
static int take_flags(int argc, char **argv, struct cg_bench_options *o)
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

enum cg_status cg_bench_options_parse(int argc, char **argv, struct cg_bench_options *o, int *shown)
{
    static const struct option longs[] = {
        {"op", required_argument, NULL, 'o'},
        {"form", required_argument, NULL, 'f'},
        {"model", required_argument, NULL, 'm'},
        {"tokens", required_argument, NULL, 'n'},
        {"shapes", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'},
        {"peer", required_argument, NULL, 'p'},
        {"seconds", required_argument, NULL, 'S'},
        {"all-variants", no_argument, NULL, 'a'},
        {"cold", no_argument, NULL, 'c'},
        {"scaling", no_argument, NULL, 'x'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    struct given g = {0};
    o->flags = calloc((size_t)argc + 2, sizeof *o->flags);
    if (!o->flags) return cg_fail(CG_ERR_MEMORY, "out of memory");
    argc = take_flags(argc, argv, o);
    o->threads = 1;
    o->seconds = 0.25;
    opterr = 0;
    for (;;) {
        int index = 0, c = getopt_long(argc, argv, ":", longs, &index);
        if (c == -1) break;
        if (c == 'h' || c == 'v') {
            printf("%s", c == 'h' ? help : "grpo-bench " CG_VERSION "\n");
            *shown = 1;
            return CG_OK;
        }
        char letter[] = {'-', (char)optopt, 0}; /* of a short option, all of which are unknown */
        CG_TRY(parse_option(o, &g, c, longs[index].name, c == '?' && optopt ? letter : argv[optind - 1]));
    }
    return check(o, &g, argc - optind, argv + optind);
}

void cg_bench_options_free(struct cg_bench_options *o)
{
    free(o->flags);
}

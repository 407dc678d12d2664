#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/limits.h"
#include "bench/options.h"
#include "bench/parts_impl.h"
#include "common/clock.h"
#include "common/log.h"
#include "detect/bind.h"

static const char help[] =
    "usage: grpo-bench parts [--part LIST] [--tokens LIST] [--past N] [--length N] [--threads N] [--seconds S]\n"
    "                        [--json]\n"
    "\n"
    "Times whole pieces of a model of SmolLM2-135M's sizes as the runtime runs them. Those of a layer are means over "
    "a\n"
    "model of four, so that weights leave the nearer caches as they do in use.\n"
    "\n"
    "  --part LIST     several with commas (default: all); --tokens is for each\n"
#define X(id, name, what) "    " name ": " what "\n"
    CG_PARTS(X)
#undef X
        "  --tokens LIST   (default: those that the project's targets name)\n"
        "  --past N        tokens before the new ones (default: 64)\n"
        "  --length N      of sequences in training (default: 128)\n"
        "  --threads N     (default: all usable cores; softmax: 1)\n"
        "  --seconds S     time for each (default: 1)\n"
        "  --json          one JSON object on standard output\n"
        "  --help\n"
        "\n"
        "scripts/compare-torch sets these figures beside PyTorch's.\n";

enum { MAX_TOKENS = 64, MAX_SAMPLES = 4096, MIN_SAMPLES = 3 };

struct options {
    unsigned parts; /* a bit each */
    size_t tokens[MAX_TOKENS], n_tokens, past, length;
    int threads, json; /* threads 0: all usable cores */
    double seconds;
};

static enum cg_status parse_parts(const char *text, unsigned *parts)
{
    *parts = 0;
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        int kind = 0;
        while (kind < CG_PART_COUNT && (strlen(cg_part_name((enum cg_part_kind)kind)) != n ||
                                        strncmp(cg_part_name((enum cg_part_kind)kind), p, n) != 0))
            kind++;
        if (kind == CG_PART_COUNT)
            return cg_fail(CG_ERR_USER, "--part: there is no \"%.*s\", see grpo-bench parts --help",
                           n > 40 ? 40 : (int)n, p);
        *parts |= 1u << kind;
        p += n;
        if (!*p) return CG_OK;
    }
}

static enum cg_status parse_whole(const char *name, double hi, size_t *out)
{
    double number;
    CG_TRY(cg_bench_number(name, optarg, strcmp(name, "past") == 0 ? 0 : 1, hi, &number));
    if (number != floor(number)) return cg_fail(CG_ERR_USER, "--%s %.40s: give a whole number", name, optarg);
    *out = (size_t)number;
    return CG_OK;
}

static enum cg_status parse_option(void *options, int c, const char *name)
{
    struct options *o = options;
    size_t threads = 0;
    enum cg_status st;
    switch (c) {
    case 'p': return parse_parts(optarg, &o->parts);
    case 'n': return cg_tokens_parse(optarg, o->tokens, MAX_TOKENS, &o->n_tokens);
    case 'P': return parse_whole(name, 65536, &o->past);
    case 'l': return parse_whole(name, 65536, &o->length);
    case 't':
        st = parse_whole(name, 1024, &threads);
        o->threads = (int)threads;
        return st;
    case 'S': return cg_bench_number(name, optarg, 0.001, 600, &o->seconds);
    case 'j': o->json = 1; return CG_OK;
    default: return CG_OK;
    }
}

static enum cg_status parse(int argc, char **argv, struct options *o, int *shown)
{
    static const struct option longs[] = {
        {"part", required_argument, NULL, 'p'},
        {"tokens", required_argument, NULL, 'n'},
        {"past", required_argument, NULL, 'P'},
        {"length", required_argument, NULL, 'l'},
        {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 'S'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *o = (struct options){.parts = ~0u, .past = 64, .length = 128, .seconds = 1};
    return cg_bench_each_option(argc, argv, longs, help, parse_option, o, shown);
}

/* ---- Timing --------------------------------------------------------------------------------------------------------
 */

struct found {
    double min, median;
    size_t samples;
};

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

static enum cg_status measure(struct cg_part *p, double seconds, struct found *out)
{
    static double x[MAX_SAMPLES];
    size_t n = 0;
    CG_TRY(p->call(p->state));
    for (double end = cg_now() + seconds; n < MAX_SAMPLES && (n < MIN_SAMPLES || cg_now() < end); n++) {
        double start = cg_now();
        CG_TRY(p->call(p->state));
        x[n] = cg_now() - start;
    }
    qsort(x, n, sizeof *x, ascending);
    *out = (struct found){x[0], n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]), n};
    return CG_OK;
}

/* Layers are timed four at once. */
static double calls_of(enum cg_part_kind kind)
{
    return kind <= CG_PART_LAYER_BACKWARD ? CG_PART_LAYERS : 1;
}

static json_t *row_json(const struct cg_part_case *c, const struct cg_part *p, const struct found *f, int threads,
                        double copy)
{
    double calls = calls_of(c->kind);
    json_t *row = json_pack("{s:s,s:I,s:i,s:f,s:f,s:I,s:f}", "part", cg_part_name(c->kind), "tokens",
                            (json_int_t)c->tokens, "threads", threads, "seconds_min", f->min / calls, "seconds_median",
                            f->median / calls, "samples", (json_int_t)f->samples, "rate", p->work / f->min * 1e-9);
    json_object_set_new(row, "unit", json_string(c->kind == CG_PART_SOFTMAX ? "Gelem/s" : "GFLOP/s"));
    if (c->kind == CG_PART_LAYER || c->kind == CG_PART_PREFILL)
        json_object_set_new(row, "past", json_integer((json_int_t)c->past));
    if (c->kind == CG_PART_LAYER_BACKWARD) json_object_set_new(row, "length", json_integer((json_int_t)c->length));
    if (p->extra) json_object_set_new(row, "extra_bytes", json_integer((json_int_t)p->extra));
    if (copy > 0) json_object_set_new(row, "copy_share", json_real(p->bytes / f->min / copy));
    return row;
}

static void print_row(const struct cg_part_case *c, const struct cg_part *p, const struct found *f, int threads,
                      double copy)
{
    double calls = calls_of(c->kind);
    printf("%-20s %6zu %8d %12.3f %12.3f %10.2f %s", cg_part_name(c->kind), c->tokens, threads, 1e3 * f->min / calls,
           1e3 * f->median / calls, p->work / f->min * 1e-9, c->kind == CG_PART_SOFTMAX ? "Gelem/s" : "GFLOP/s");
    if (p->extra) printf("  %.1f MB for the rows", 1e-6 * (double)p->extra);
    if (copy > 0) printf("  %.0f%% of copying", 100 * p->bytes / f->min / copy);
    printf("\n");
    fflush(stdout);
}

static enum cg_status run_case(const struct options *o, const struct cg_plans *plans, const struct cg_part_case *c,
                               json_t *rows)
{
    struct cg_part p;
    struct found f;
    int threads = c->kind == CG_PART_SOFTMAX ? 1 : cg_plans_threads(plans);
    cg_progress("%s %zu", cg_part_name(c->kind), c->tokens);
    CG_TRY(cg_part_open(plans, c, &p));
    enum cg_status st = measure(&p, o->seconds, &f);
    double copy = p.bytes > 0 ? cg_limit_bandwidth(cg_plans_machine(plans), (size_t)p.bytes, 1, threads) : 0;
    if (st == CG_OK && rows) json_array_append_new(rows, row_json(c, &p, &f, threads, copy));
    if (st == CG_OK && !rows) print_row(c, &p, &f, threads, copy);
    p.close(p.state);
    return st;
}

static enum cg_status run(const struct options *o, const struct cg_plans *plans)
{
    static const size_t usual[CG_PART_COUNT][6] = {
        [CG_PART_LAYER] = {8, 32, 256},
        [CG_PART_PREFILL] = {8, 32, 256},
        [CG_PART_LAYER_BACKWARD] = {256, 1024},
        [CG_PART_HEAD] = {256, 1024},
        [CG_PART_HEAD_BACKWARD] = {256, 1024},
        [CG_PART_ATTENTION] = {128, 512},
        [CG_PART_ATTENTION_BACKWARD] = {128, 512},
        [CG_PART_SOFTMAX] = {64, 128, 256, 512, 49152},
    };
    const struct cg_machine *m = cg_plans_machine(plans);
    const char *cpu = m->model_name[0] ? m->model_name : m->vendor;
    json_t *rows = o->json ? json_array() : NULL;
    enum cg_status st = CG_OK;
    if (!rows)
        printf("%s, %s\n%-20s %6s %8s %12s %12s %10s\n", cpu, cg_plans_source(plans), "part", "tokens", "threads",
               "fastest ms", "median ms", "rate");
    for (int kind = 0; st == CG_OK && kind < CG_PART_COUNT; kind++) {
        const size_t *tokens = o->n_tokens ? o->tokens : usual[kind];
        size_t n = o->n_tokens ? o->n_tokens : 6;
        for (size_t i = 0; (o->parts >> kind & 1) && st == CG_OK && i < n && tokens[i]; i++) {
            const struct cg_part_case c = {(enum cg_part_kind)kind, tokens[i], o->past, o->length};
            st = run_case(o, plans, &c, rows);
        }
    }
    if (st == CG_OK && rows) {
        json_t *root = json_pack("{s:s,s:s,s:O}", "cpu", cpu, "plans", cg_bench_plans_text(plans), "rows", rows);
        char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
        if (text) printf("%s\n", text);
        else st = cg_fail(CG_ERR_MEMORY, "out of memory");
        free(text);
        json_decref(root);
    }
    json_decref(rows);
    cg_limits_release();
    return st;
}

enum cg_status cg_bench_parts(int argc, char **argv)
{
    static struct cg_machine machine;
    struct options o;
    struct cg_plans *plans;
    int shown = 0;
    CG_TRY(parse(argc, argv, &o, &shown));
    if (shown) return CG_OK;
    CG_TRY(cg_machine_detect(&machine));
    CG_TRY(cg_plans_open(&machine, o.threads, &plans));
    omp_set_num_threads(cg_plans_threads(plans));
    enum cg_status st = cg_bind_threads(&machine, cg_plans_threads(plans));
    if (st == CG_OK) st = run(&o, plans);
    cg_bind_undo();
    cg_plans_close(plans);
    return st;
}

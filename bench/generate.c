#include "bench/generate.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/sizes.h"
#include "bench/options.h"
#include "bench/shapes.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/threads.h"
#include "detect/bind.h"
#include "runtime/nn/generate.h"

static const char help[] =
    "usage: grpo-bench generate [--model NAME] [--weights LIST] [--batch LIST] [--prompt N] [--new N] [--shared N]\n"
    "                           [--prefill LIST] [--kv TYPE] [--threads N] [--rounds N] [--json]\n"
    "\n"
    "Times generation with random weights of a model's sizes, in the way of llama-batched-bench: prompts of random\n"
    "tokens, one for each sequence, then so many new tokens each, all sequences together. Of each case the fastest "
    "round\n"
    "and the median of all count; a round does every case once.\n"
    "\n"
    "  --model NAME    a model's folder or file, or one of the known names (default: smollm2-135m)\n"
    "  --weights LIST  f32, int8 (default: both)\n"
    "  --batch LIST    sequences decoded together (default: 1,8,32)\n"
    "  --prompt N      tokens of a prompt (default: 45)\n"
    "  --new N         tokens that each sequence decodes (default: 48)\n"
    "  --shared N      sequences that share a prompt, as a group does in training (default: 1)\n"
    "  --prefill LIST  single prompts of so many tokens, or 0 for none (default: 512)\n"
    "  --kv TYPE       of the cache: f32, bf16 or int8 (default: f32)\n"
    "  --threads N     (default: all usable cores)\n"
    "  --rounds N      (default: 5)\n"
    "  --json          one JSON object on standard output\n"
    "  --help\n";

enum { MAX_LIST = 16, MAX_ROUNDS = 1000 };
static const char *const weight_names[] = {"f32", "int8"};
static const char *const kv_names[] = {"f32", "bf16", "int8"};

struct options {
    const char *model;
    int weights[2], kv, threads, json;
    size_t batch[MAX_LIST], n_batch, prefill[MAX_LIST], n_prefill;
    size_t prompt, new_tokens, shared, rounds;
};

/* What is timed: `sequences` of them decode, or (0) a prompt of `prompt` tokens is prefilled. */
struct timed {
    int weights;
    size_t sequences, prompt;
    double seconds[MAX_ROUNDS], tokens;
};

static enum cg_status whole(const char *name, double lo, double hi, size_t *out)
{
    double x;
    CG_TRY(cg_bench_number(name, optarg, lo, hi, &x));
    if (x != floor(x)) return cg_fail(CG_ERR_USER, "--%s %.40s: give a whole number", name, optarg);
    *out = (size_t)x;
    return CG_OK;
}

static enum cg_status sizes(const char *name, size_t *out, size_t *n)
{
    if (cg_tokens_parse(optarg, out, MAX_LIST, n) == CG_OK) return CG_OK;
    return cg_fail(CG_ERR_USER, "--%s %.40s: give up to %d numbers from 1 on, with commas", name, optarg, MAX_LIST);
}

static enum cg_status parse_weights(struct options *o)
{
    o->weights[0] = o->weights[1] = 0;
    for (const char *p = optarg;; p++) {
        size_t n = strcspn(p, ","), i = 0;
        while (i < 2 && (strlen(weight_names[i]) != n || strncmp(weight_names[i], p, n) != 0)) i++;
        if (i == 2) return cg_fail(CG_ERR_USER, "--weights %.40s: give f32, int8 or both with a comma", optarg);
        o->weights[i] = 1;
        p += n;
        if (!*p) return CG_OK;
    }
}

static enum cg_status parse_kv(struct options *o)
{
    for (o->kv = 0; o->kv < 3; o->kv++)
        if (strcmp(optarg, kv_names[o->kv]) == 0) return CG_OK;
    return cg_fail(CG_ERR_USER, "--kv %.40s: give f32, bf16 or int8", optarg);
}

static enum cg_status parse_option(void *options, int c, const char *name)
{
    struct options *o = options;
    size_t threads = 0;
    enum cg_status st;
    switch (c) {
    case 'm': o->model = optarg; return CG_OK;
    case 'w': return parse_weights(o);
    case 'b': return sizes(name, o->batch, &o->n_batch);
    case 'p': return whole(name, 1, 1e5, &o->prompt);
    case 'n': return whole(name, 1, 1e5, &o->new_tokens);
    case 's': return whole(name, 1, 4096, &o->shared);
    case 'f': o->n_prefill = 0; return strcmp(optarg, "0") == 0 ? CG_OK : sizes(name, o->prefill, &o->n_prefill);
    case 'k': return parse_kv(o);
    case 't':
        st = whole(name, 1, 1024, &threads);
        o->threads = (int)threads;
        return st;
    case 'r': return whole(name, 1, MAX_ROUNDS, &o->rounds);
    case 'j': o->json = 1; return CG_OK;
    default: return CG_OK;
    }
}

static enum cg_status parse(int argc, char **argv, struct options *o, int *shown)
{
    static const struct option longs[] = {
        {"model", required_argument, NULL, 'm'},
        {"weights", required_argument, NULL, 'w'},
        {"batch", required_argument, NULL, 'b'},
        {"prompt", required_argument, NULL, 'p'},
        {"new", required_argument, NULL, 'n'},
        {"shared", required_argument, NULL, 's'},
        {"prefill", required_argument, NULL, 'f'},
        {"kv", required_argument, NULL, 'k'},
        {"threads", required_argument, NULL, 't'},
        {"rounds", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *o = (struct options){.model = "smollm2-135m",
                          .weights = {1, 1},
                          .batch = {1, 8, 32},
                          .n_batch = 3,
                          .prefill = {512},
                          .n_prefill = 1,
                          .prompt = 45,
                          .new_tokens = 48,
                          .shared = 1,
                          .rounds = 5};
    return cg_bench_each_option(argc, argv, longs, help, parse_option, o, shown);
}

/* One time of one case. */
static enum cg_status time_once(const struct options *o, struct cg_generator *g, size_t vocab, struct timed *t,
                                double *seconds)
{
    size_t all = t->sequences ? t->sequences : 1, shared = o->shared < all ? o->shared : all;
    size_t prompts = (all + shared - 1) / shared, new_tokens = t->sequences ? o->new_tokens + 1 : 1;
    int32_t *ids = cg_alloc_n(prompts * t->prompt + prompts * shared * new_tokens, sizeof *ids);
    struct cg_gen_prompt *p = cg_alloc_n(prompts, sizeof *p);
    struct cg_completion *c = cg_alloc_n(prompts * shared, sizeof *c);
    enum cg_status st = ids && p && c ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < prompts && st == CG_OK; i++) {
        int32_t *at = ids + i * t->prompt;
        for (size_t j = 0; j < t->prompt; j++)
            at[j] = (int32_t)cg_rng_below(1, CG_RNG_TEST, (uint32_t)i, (uint32_t)j, 0, (uint32_t)vocab);
        p[i] = (struct cg_gen_prompt){at, t->prompt, (uint32_t)i};
    }
    for (size_t i = 0; i < prompts * shared && st == CG_OK; i++)
        c[i].tokens = ids + prompts * t->prompt + i * new_tokens;
    struct cg_gen_options g_o = {.max_new_tokens = new_tokens,
                                 .temperature = 1,
                                 .eos = -1,
                                 .max_batch = prompts * shared,
                                 .kv_type = (enum cg_kv_type)o->kv};
    if (st == CG_OK) st = cg_generator_run(g, &g_o, prompts, p, shared, c);
    if (st == CG_OK) {
        const struct cg_gen_stats *s = cg_generator_stats(g);
        *seconds = t->sequences ? s->decode_seconds : s->prompt_seconds;
        t->tokens = (double)(t->sequences ? s->decoded : s->prompt_tokens);
    }
    cg_free(ids);
    cg_free(p);
    cg_free(c);
    return st;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const struct options *o, struct timed *t, size_t n, int threads)
{
    json_t *list = json_array();
    if (!o->json)
        printf("%s, %d threads, prompts of %zu tokens, %zu new ones, %zu sequences a prompt, cache in %s\n\n"
               "%-7s %-12s %12s %12s\n",
               o->model, threads, o->prompt, o->new_tokens, o->shared, kv_names[o->kv], "weights", "", "tokens/s",
               "median");
    for (size_t i = 0; i < n; i++) {
        qsort(t[i].seconds, o->rounds, sizeof *t[i].seconds, ascending);
        double best = t[i].tokens / t[i].seconds[0], median = t[i].tokens / t[i].seconds[o->rounds / 2];
        const char *what = t[i].sequences ? "decode" : "prefill", *weights = weight_names[t[i].weights];
        size_t size = t[i].sequences ? t[i].sequences : t[i].prompt;
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:f, s:f}", "weights", weights, "phase", what, "size",
                                              (json_int_t)size, "tokens_per_second", best, "median", median));
        if (!o->json) printf("%-7s %-7s %4zu %12.1f %12.1f\n", weights, what, size, best, median);
    }
    json_t *all = json_pack("{s:s, s:i, s:I, s:I, s:I, s:s, s:o}", "model", o->model, "threads", threads, "prompt",
                            (json_int_t)o->prompt, "new", (json_int_t)o->new_tokens, "shared", (json_int_t)o->shared,
                            "kv", kv_names[o->kv], "results", list);
    if (o->json) {
        json_dumpf(all, stdout, JSON_REAL_PRECISION(6));
        putchar('\n');
    }
    json_decref(all);
}

/* A model of these sizes with random weights, and a generator for each kind of them. */
struct bench {
    struct cg_model model;
    struct cg_net net[2];
    struct cg_generator *g[2];
};

static enum cg_status open_bench(const struct options *o, const struct cg_plans *plans, struct bench *b)
{
    struct cg_sizes s;
    CG_TRY(cg_sizes_load(o->model, &s));
    size_t len = o->prompt + o->new_tokens + 1;
    for (size_t i = 0; i < o->n_prefill; i++)
        if (o->prefill[i] + 1 > len) len = o->prefill[i] + 1;
    struct cg_config c = {.vocab_size = s.vocab,
                          .hidden_size = s.hidden,
                          .intermediate_size = s.ff,
                          .num_hidden_layers = s.layers,
                          .num_attention_heads = s.heads,
                          .num_key_value_heads = s.kv_heads,
                          .head_dim = s.head_dim,
                          .max_position_embeddings = len,
                          .rms_norm_eps = 1e-5f,
                          .rope_theta = 1e5,
                          .tie_word_embeddings = s.tied,
                          .bos_token_id = -1,
                          .eos_token_id = -1,
                          .pad_token_id = -1};
    CG_TRY(cg_model_create(&c, &b->model));
    cg_rng_normal(1, CG_RNG_TEST, 0, 0.05f, b->model.w, b->model.n_params);
    for (int i = 0; i < 2; i++) {
        if (!o->weights[i]) continue;
        const struct cg_net_options n = {.max_len = len, .weights = i ? CG_WEIGHTS_S8 : CG_WEIGHTS_F32};
        CG_TRY(cg_net_open(&b->model, plans, &n, &b->net[i]));
        CG_TRY(cg_generator_create(&b->net[i], &b->g[i]));
    }
    return CG_OK;
}

static size_t list_cases(const struct options *o, struct timed *t)
{
    size_t n = 0;
    for (int w = 0; w < 2; w++) {
        if (!o->weights[w]) continue;
        for (size_t i = 0; i < o->n_batch; i++)
            t[n++] = (struct timed){.weights = w, .sequences = o->batch[i], .prompt = o->prompt};
        for (size_t i = 0; i < o->n_prefill; i++) t[n++] = (struct timed){.weights = w, .prompt = o->prefill[i]};
    }
    return n;
}

static enum cg_status run(const struct options *o, const struct cg_plans *plans)
{
    struct bench b = {0};
    struct timed *t = calloc(4 * MAX_LIST, sizeof *t);
    enum cg_status st = t ? open_bench(o, plans, &b) : cg_fail(CG_ERR_MEMORY, "out of memory");
    size_t n = t ? list_cases(o, t) : 0;
    for (size_t i = 0; i < n && st == CG_OK; i++) /* memory is touched for the first time, and not counted */
        st = time_once(o, b.g[t[i].weights], b.model.cfg.vocab_size, &t[i], &t[i].seconds[0]);
    for (size_t r = 0; r < o->rounds; r++)
        for (size_t i = 0; i < n && st == CG_OK; i++)
            st = time_once(o, b.g[t[i].weights], b.model.cfg.vocab_size, &t[i], &t[i].seconds[r]);
    if (st == CG_OK) print(o, t, n, cg_plans_threads(plans));
    for (int i = 0; i < 2; i++) {
        cg_generator_free(b.g[i]);
        if (b.net[i].model) cg_net_free(&b.net[i]);
    }
    cg_model_free(&b.model);
    free(t);
    return st;
}

enum cg_status cg_bench_generate(int argc, char **argv)
{
    static struct cg_machine machine;
    struct options o;
    struct cg_plans *plans;
    int shown = 0;
    CG_TRY(parse(argc, argv, &o, &shown));
    if (shown) return CG_OK;
    CG_TRY(cg_machine_detect(&machine));
    CG_TRY(cg_plans_open(&machine, o.threads, &plans));
    enum cg_status st = cg_bind_threads(&machine, cg_plans_threads(plans));
    if (st == CG_OK) st = run(&o, plans);
    cg_bind_undo();
    cg_plans_close(plans);
    return st;
}

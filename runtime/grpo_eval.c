/* grpo-eval: what a model thinks of a text, what it says, and how well it does a task. */
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/threads.h"
#include "common/words.h"
#include "detect/bind.h"
#include "runtime/export/export.h"
#include "runtime/rl/session.h"

static const char usage[] =
    "usage: grpo-eval logprobs --model PATH --text-file FILE [--json]\n"
    "       grpo-eval generate --model PATH --prompt TEXT [--max-new-tokens N] [--temperature T] [--seed S]\n"
    "                          [--top-p P] [--top-k K] [--min-p P] [--repetition-penalty X]\n"
    "       grpo-eval task RUN.yaml [--set key=value]... [--json]\n"
    "       grpo-eval export --model PATH --output PATH [--dtype f32|bf16|q8_0]\n"
    "\n"
    "logprobs  token ids of a text (none added) and the log-probability of each given those before it\n"
    "generate  continues a prompt; temperature 0 (the default) is greedy\n"
    "task      greedy accuracy of the model of a run file on the held-out problems of each stage\n"
    "export    writes a model for other programs: a Hugging Face folder, or GGUF where --output ends in .gguf;\n"
    "          q8_0 in GGUF only\n"
    "\n"
    "PATH is a Hugging Face folder, a .gguf file or builtin:tiny. --threads N: threads, 0 for all usable cores.\n";

struct args {
    const char *model, *text_file, *prompt, *output;
    enum cg_export_dtype dtype;
    long max_new_tokens, seed, threads, top_k;            /* top_k 0: all */
    double temperature, top_p, min_p, repetition_penalty; /* of the last three 0: not given */
    int json;
    const char *run; /* what stands alone on the command line */
    const char *sets[64];
    size_t n_sets;
};

/* Model, tokenizer and plans without a training session. */
struct reader {
    struct cg_machine machine;
    struct cg_plans *plans;
    struct cg_model model;
    struct cg_tokenizer *tok;
};

static enum cg_status number(const char *option, const char *text, double lo, double hi, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !(*out >= lo && *out <= hi))
        return cg_fail(CG_ERR_USER, "--%s: '%s' is not a number from %g to %g", option, text, lo, hi);
    return CG_OK;
}

static enum cg_status whole(const char *option, const char *text, double lo, double hi, long *out)
{
    double x;
    CG_TRY(number(option, text, lo, hi, &x));
    if (x != floor(x)) return cg_fail(CG_ERR_USER, "--%s: '%s' is no whole number", option, text);
    *out = (long)x;
    return CG_OK;
}

static enum cg_status dtype_of(const char *text, enum cg_export_dtype *out)
{
    static const char *const names[] = {"f32", "bf16", "q8_0"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        *out = (enum cg_export_dtype)i;
        return CG_OK;
    }
    return cg_fail(CG_ERR_USER, "--dtype: '%s' is none of f32, bf16, q8_0", text);
}

static enum cg_status parse(int argc, char **argv, struct args *a)
{
    static const struct option options[] = {
#define OPT(name, letter, argument, values, doc) {name, sizeof(argument) > 1, NULL, letter},
#include "runtime/eval_options.def"
        {NULL, 0, NULL, 0}};
    static const char *const names[] = {
#define OPT(name, letter, argument, values, doc) name,
#include "runtime/eval_options.def"
    };
    *a = (struct args){.max_new_tokens = 64};
    opterr = 0;
    for (int o; (o = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        switch (o) {
        case 'm': a->model = optarg; break;
        case 'f': a->text_file = optarg; break;
        case 'p': a->prompt = optarg; break;
        case 'o': a->output = optarg; break;
        case 'd': CG_TRY(dtype_of(optarg, &a->dtype)); break;
        case 'n': CG_TRY(whole("max-new-tokens", optarg, 1, 1e6, &a->max_new_tokens)); break;
        case 'S': CG_TRY(whole("seed", optarg, 0, 9e15, &a->seed)); break;
        case 't': CG_TRY(number("temperature", optarg, 0, 100, &a->temperature)); break;
        case 'P': CG_TRY(number("top-p", optarg, 1e-6, 1, &a->top_p)); break;
        case 'k': CG_TRY(whole("top-k", optarg, 0, 1e9, &a->top_k)); break;
        case 'q': CG_TRY(number("min-p", optarg, 0, 1, &a->min_p)); break;
        case 'r': CG_TRY(number("repetition-penalty", optarg, 1e-3, 1e3, &a->repetition_penalty)); break;
        case 'T': CG_TRY(whole("threads", optarg, 0, 4096, &a->threads)); break;
        case 's':
            if (a->n_sets == 64) return cg_fail(CG_ERR_USER, "more than 64 times --set");
            a->sets[a->n_sets++] = optarg;
            break;
        case 'j': a->json = 1; break;
        case ':': return cg_fail(CG_ERR_USER, "%s needs a value; see --help", argv[optind - 1]);
        default: return cg_unknown_option("grpo-eval", argv[optind - 1], names, sizeof names / sizeof *names);
        }
    }
    return CG_OK;
}

static enum cg_status reader_open(const struct args *a, struct reader *r)
{
    memset(r, 0, sizeof *r);
    if (!a->model) return cg_fail(CG_ERR_USER, "--model is missing; see --help");
    CG_TRY(cg_machine_detect(&r->machine));
    CG_TRY(cg_plans_open(&r->machine, (int)a->threads, &r->plans));
    CG_TRY(cg_bind_threads(&r->machine, cg_plans_threads(r->plans)));
    CG_TRY(cg_tokenizer_load(a->model, &r->tok));
    CG_TRY(cg_model_load(a->model, (uint64_t)a->seed, &r->model));
    return CG_OK;
}

static void reader_close(struct reader *r)
{
    cg_tokenizer_free(r->tok);
    cg_model_free(&r->model);
    cg_bind_undo();
    cg_plans_close(r->plans);
}

/* Log-probabilities of ids[1..n), each given all before it, into stats[0..n-1). */
static enum cg_status score(struct reader *r, const int32_t *ids, size_t n, struct cg_row_stats *stats)
{
    struct cg_net net;
    struct cg_trainer *t = NULL;
    struct cg_batch b = {0};
    CG_TRY(cg_net_create(&r->model, r->plans, n, &net));
    enum cg_status s = cg_trainer_create(&net, n, n, 0, &t);
    if (s == CG_OK) s = cg_batch_segment(&b, ids, n, CG_NO_PARENT, NULL);
    for (size_t i = 1; i < n && s == CG_OK; i++) s = cg_batch_row(&b, i - 1, ids[i]);
    if (s == CG_OK) s = cg_trainer_forward(t, &b, 1.0f, stats);
    cg_trainer_free(t);
    cg_batch_free(&b);
    cg_net_free(&net);
    return s;
}

static void print_logprobs(const struct args *a, const int32_t *ids, size_t n, const struct cg_row_stats *stats)
{
    if (!a->json) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            if (i) printf("%8d %12.6f\n", (int)ids[i], (double)stats[i - 1].logprob);
            else printf("%8d %12s\n", (int)ids[i], "-");
            sum += i ? (double)stats[i - 1].logprob : 0;
        }
        printf("%zu tokens, sum of log-probabilities %.6f\n", n, sum);
        return;
    }
    json_t *tokens = json_array(), *logprobs = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(tokens, json_integer(ids[i]));
        json_array_append_new(logprobs, i ? json_real((double)stats[i - 1].logprob) : json_null());
    }
    json_t *j = json_pack("{s:o, s:o}", "tokens", tokens, "logprobs", logprobs);
    json_dumpf(j, stdout, JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(j);
}

static enum cg_status cmd_logprobs(const struct args *a)
{
    if (!a->text_file) return cg_fail(CG_ERR_USER, "--text-file is missing; see --help");
    char *text;
    size_t len, n = 0;
    CG_TRY(cg_file_read(a->text_file, (size_t)64 << 20, &text, &len));
    struct reader r;
    int32_t *ids = NULL;
    struct cg_row_stats *stats = NULL;
    enum cg_status s = reader_open(a, &r);
    if (s == CG_OK) s = cg_tokenizer_encode(r.tok, text, len, &ids, &n);
    if (s == CG_OK && n == 0) s = cg_fail(CG_ERR_USER, "%s is empty: there is nothing to score", a->text_file);
    if (s == CG_OK) {
        stats = calloc(n, sizeof *stats);
        s = stats ? score(&r, ids, n, stats) : cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    if (s == CG_OK) print_logprobs(a, ids, n, stats);
    free(stats);
    free(ids);
    free(text);
    reader_close(&r);
    return s;
}

static enum cg_status continue_prompt(const struct args *a, struct reader *r, const int32_t *ids, size_t n,
                                      int32_t *out)
{
    struct cg_net net;
    size_t max = (size_t)a->max_new_tokens;
    CG_TRY(cg_net_create(&r->model, r->plans, n + max, &net));
    struct cg_gen_options o = {.max_new_tokens = max,
                               .temperature = (float)a->temperature,
                               .top_k = (size_t)a->top_k,
                               .top_p = (float)a->top_p,
                               .min_p = (float)a->min_p,
                               .repetition_penalty = (float)a->repetition_penalty,
                               .eos = cg_tokenizer_eos(r->tok),
                               .seed = (uint64_t)a->seed};
    struct cg_gen_prompt p = {ids, n, 0};
    struct cg_completion c = {.tokens = out};
    enum cg_status s = cg_generate(&net, &o, 1, &p, 1, &c);
    cg_net_free(&net);
    CG_TRY(s);
    char *text;
    size_t len;
    CG_TRY(cg_tokenizer_decode(r->tok, out, c.len, 1, &text, &len));
    fputs(a->prompt, stdout);
    fwrite(text, 1, len, stdout);
    putchar('\n');
    free(text);
    return CG_OK;
}

static enum cg_status cmd_generate(const struct args *a)
{
    if (!a->prompt) return cg_fail(CG_ERR_USER, "--prompt is missing; see --help");
    struct reader r;
    int32_t *ids = NULL, *out = calloc((size_t)a->max_new_tokens, sizeof *out);
    size_t n = 0;
    enum cg_status s = out ? reader_open(a, &r) : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (!out) return s;
    if (s == CG_OK) s = cg_tokenizer_encode(r.tok, a->prompt, strlen(a->prompt), &ids, &n);
    if (s == CG_OK) s = continue_prompt(a, &r, ids, n, out);
    free(ids);
    free(out);
    reader_close(&r);
    return s;
}

static enum cg_status evaluate(struct cg_session *s, int json)
{
    json_t *list = json_array();
    enum cg_status r = CG_OK;
    for (size_t i = 0; i < s->data.n_stages; i++) {
        double accuracy;
        r = s->data.stages[i].eval.n ? cg_session_evaluate(s, i, &accuracy, NULL, 0)
                                     : cg_fail(CG_ERR_USER, "no problems are held out: give eval_file or eval_size");
        if (r != CG_OK) break;
        if (json)
            json_array_append_new(list, json_pack("{s:s, s:f, s:I}", "stage", s->data.stages[i].name, "accuracy",
                                                  accuracy, "problems", (json_int_t)s->data.stages[i].eval.n));
        else
            printf("%-12s %6.1f%% of %zu problems\n", s->data.stages[i].name, 100 * accuracy, s->data.stages[i].eval.n);
    }
    if (json && r == CG_OK) {
        json_dumpf(list, stdout, JSON_REAL_PRECISION(9));
        putchar('\n');
    }
    json_decref(list);
    return r;
}

static enum cg_status cmd_export(const struct args *a)
{
    if (!a->model) return cg_fail(CG_ERR_USER, "--model is missing; see --help");
    if (!a->output) return cg_fail(CG_ERR_USER, "--output is missing; see --help");
    CG_TRY(cg_export(a->model, (uint64_t)a->seed, a->output, a->dtype));
    cg_info("wrote %s", a->output);
    return CG_OK;
}

static enum cg_status cmd_task(const struct args *a)
{
    const char *run = a->run;
    if (!run) return cg_fail(CG_ERR_USER, "give a run file: grpo-eval task RUN.yaml; see --help");
    struct cg_run_config c;
    CG_TRY(cg_config_defaults(&c));
    enum cg_status s = cg_config_load(run, &c);
    for (size_t i = 0; i < a->n_sets && s == CG_OK; i++) s = cg_config_set(&c, a->sets[i]);
    if (s == CG_OK) s = cg_config_check(&c);
    struct cg_session session;
    if (s == CG_OK) s = cg_session_open(&c, NULL, &session);
    if (s == CG_OK) {
        s = evaluate(&session, a->json);
        cg_session_close(&session);
    }
    cg_config_free(&c);
    return s;
}

static const struct {
    const char *name;
    enum cg_status (*run)(const struct args *a);
} commands[] = {
#define COMMAND(name, doc) {#name, cmd_##name},
#include "runtime/eval_options.def"
};

static enum cg_status run(int argc, char **argv)
{
    struct args a;
    const char *cmd = argc > 1 ? argv[1] : "--help";
    if (strcmp(cmd, "--help") == 0 || strcmp(cmd, "-h") == 0) {
        fputs(usage, stdout);
        return CG_OK;
    }
    if (strcmp(cmd, "--version") == 0) {
        puts("grpo-eval " CG_VERSION);
        return CG_OK;
    }
    CG_TRY(parse(argc - 1, argv + 1, &a));
    char **rest = argv + 1 + optind, known[128] = "";
    int n_rest = argc - 1 - optind, takes_run = strcmp(cmd, "task") == 0;
    if (n_rest > takes_run) return cg_fail(CG_ERR_USER, "unexpected argument '%s'; see --help", rest[takes_run]);
    a.run = n_rest ? rest[0] : NULL;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(cmd, commands[i].name) == 0) return commands[i].run(&a);
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", commands[i].name);
    }
    return cg_fail(CG_ERR_USER, "unknown command '%s'; there are %s", cmd, known);
}

int main(int argc, char **argv)
{
    cg_hold_standard_files();
    cg_threads_setup(argv);
    enum cg_status s = run(argc, argv);
    if (s != CG_OK) fprintf(stderr, "grpo-eval: %s\n", cg_error());
    return cg_exit_code(s);
}

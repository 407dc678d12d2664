/* The command line of grpo-bench predict. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/options.h"
#include "bench/predict.h"
#include "runtime/config/config.h"
#include "runtime/data/data.h"

static const char help[] =
    "usage: grpo-bench predict --model PATH [--machine FILE] [--workload NAME] [--prompts N] [--num-generations N]\n"
    "                          [--prompt-length N] [--max-completion-length N] [--completion-length X] [--threads N]\n"
    "                          [--metrics FILE] [--json]\n"
    "       grpo-bench predict --config RUN.yaml [--set key=value]... [--model PATH] [--machine FILE] [...]\n"
    "\n"
    "How long a GRPO step would take, part by part, from the sizes of the model and measured rates of the machine.\n"
    "\n"
    "  --model PATH         a Hugging Face folder, a .gguf file, builtin:tiny, or a known name such as smollm2-135m;\n"
    "                       only its sizes are read\n"
    "  --config RUN.yaml    the run that grpo-train would make; --set overrides an option of it\n"
    "  --machine FILE       a machine that grpo-tune detect --record FILE --rates has recorded; without it this one,\n"
    "                       whose rates are measured first (2 s)\n"
    "  --workload NAME      without --config: addition (default), 8 prompts of 28 tokens x 8 completions of up to 6, "
    "as\n"
    "                       examples/smollm2-addition.yaml; or long, 4 prompts of 45 x 8 completions of up to 48\n"
    "  --prompts N, --num-generations N, --prompt-length N, --max-completion-length N\n"
    "                       other prompts in a step, completions of each, tokens of a prompt, most of a completion\n"
    "  --completion-length X  tokens of a completion on average (default: the most, or what --metrics says)\n"
    "  --threads N          (default: all usable cores of the machine)\n"
    "  --metrics FILE       metrics.jsonl of such a run: its measured times beside the predicted ones\n"
    "  --json               one JSON object on standard output\n"
    "  --help\n";

static const struct {
    const char *name;
    struct cg_workload w;
} workloads[] = {
    {"addition", {8, 8, 28, 0, 6, 4096, 1, 0}},
    {"long", {4, 8, 45, 0, 48, 4096, 1, 0}},
};

enum { MAX_SETS = 128 };

/* What was given, before it is put together; 0: not given. */
struct given {
    const char *workload, *sets[MAX_SETS];
    size_t n_sets, prompts, generations, prompt_length, max_completion_length;
};

static enum cg_status whole(const char *name, double hi, size_t *out)
{
    double number;
    CG_TRY(cg_bench_number(name, optarg, 1, hi, &number));
    if (number != floor(number)) return cg_fail(CG_ERR_USER, "--%s %.40s: give a whole number", name, optarg);
    *out = (size_t)number;
    return CG_OK;
}

/* What parse_option writes to. */
struct reading {
    struct cg_predict_options *o;
    struct given *g;
};

static enum cg_status parse_option(void *reading, int c, const char *name)
{
    struct cg_predict_options *o = ((struct reading *)reading)->o;
    struct given *g = ((struct reading *)reading)->g;
    size_t threads = 0;
    switch (c) {
    case 'm': o->model = optarg; return CG_OK;
    case 'M': o->machine = optarg; return CG_OK;
    case 'c': o->config = optarg; return CG_OK;
    case 's':
        if (g->n_sets == MAX_SETS) return cg_fail(CG_ERR_USER, "more than %d times --set", MAX_SETS);
        g->sets[g->n_sets++] = optarg;
        return CG_OK;
    case 'w': g->workload = optarg; return CG_OK;
    case 'p': return whole(name, 1e6, &g->prompts);
    case 'g': return whole(name, 1e6, &g->generations);
    case 'P': return whole(name, 1e6, &g->prompt_length);
    case 'L': return whole(name, 1e6, &g->max_completion_length);
    case 'l': return cg_bench_number(name, optarg, 1, 1e6, &o->completion_length);
    case 't':
        CG_TRY(whole(name, 1024, &threads));
        o->threads = (int)threads;
        return CG_OK;
    case 'x': o->metrics = optarg; return CG_OK;
    case 'j': o->json = 1; return CG_OK;
    default: return CG_OK;
    }
}

static enum cg_status named_workload(const char *name, struct cg_workload *w)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(workloads[i].name, name) == 0) {
            *w = workloads[i].w;
            return CG_OK;
        }
    return cg_fail(CG_ERR_USER, "--workload: there is no \"%.40s\"; there are %s and %s", name, workloads[0].name,
                   workloads[1].name);
}

/* The mean length of the first stage's prompts. */
static enum cg_status prompt_length(const struct cg_run_config *c, size_t *out)
{
    struct cg_tokenizer *tok = NULL;
    struct cg_data data = {0};
    const struct cg_data_needs needs = {.context = SIZE_MAX};
    enum cg_status st = cg_tokenizer_load(c->model, &tok);
    if (st == CG_OK) st = cg_data_open(c, tok, &needs, &data);
    const struct cg_dataset *d = data.n_stages ? &data.stages[0].train : NULL;
    size_t tokens = 0;
    for (size_t i = 0; d && i < d->n; i++) tokens += d->items[i].prompt_len;
    if (d && d->n) *out = (tokens + d->n / 2) / d->n;
    cg_data_close(&data);
    cg_tokenizer_free(tok);
    return st;
}

static enum cg_status from_config(const struct cg_run_config *c, struct cg_predict_options *o, const struct given *g)
{
    size_t batch = (size_t)c->per_device_train_batch_size * (size_t)c->gradient_accumulation_steps;
    o->w = (struct cg_workload){.prompts = batch / (size_t)c->num_generations,
                                .generations = (size_t)c->num_generations,
                                .prompt_length = g->prompt_length,
                                .max_completion_length = (size_t)c->max_completion_length,
                                .micro_tokens = (size_t)(c->micro_batch_tokens ? c->micro_batch_tokens : 4096),
                                .iterations = (size_t)c->num_iterations,
                                .reference = c->beta > 0};
    if (!o->threads) o->threads = (int)c->threads;
    if (!o->model) o->model = o->config_model;
    if (g->prompt_length) return CG_OK;
    enum cg_status st = prompt_length(c, &o->w.prompt_length);
    return st == CG_OK ? st : cg_fail_in(st, "without --prompt-length, prompts are counted");
}

static enum cg_status read_config(struct cg_predict_options *o, const struct given *g)
{
    struct cg_run_config c;
    CG_TRY(cg_config_defaults(&c));
    enum cg_status st = cg_config_load(o->config, &c);
    for (size_t i = 0; st == CG_OK && i < g->n_sets; i++) st = cg_config_set(&c, g->sets[i]);
    if (st == CG_OK) st = cg_config_check(&c);
    if (st == CG_OK) {
        snprintf(o->config_model, sizeof o->config_model, "%s", c.model);
        st = from_config(&c, o, g);
    }
    cg_config_free(&c);
    return st;
}

static enum cg_status settle(struct cg_predict_options *o, const struct given *g)
{
    if (!o->config && !o->model)
        return cg_fail(CG_ERR_USER,
                       "say what to train: --model PATH or --config RUN.yaml, see grpo-bench predict --help");
    if (o->config && g->workload) return cg_fail(CG_ERR_USER, "--config takes the place of --workload");
    if (!o->config && g->n_sets) return cg_fail(CG_ERR_USER, "--set goes with --config");
    if (o->config) CG_TRY(read_config(o, g));
    else CG_TRY(named_workload(g->workload ? g->workload : workloads[0].name, &o->w));
    if (g->prompts) o->w.prompts = g->prompts;
    if (g->generations) o->w.generations = g->generations;
    if (g->prompt_length) o->w.prompt_length = g->prompt_length;
    if (g->max_completion_length) o->w.max_completion_length = g->max_completion_length;
    o->w.completion_length = o->completion_length > 0 ? o->completion_length : (double)o->w.max_completion_length;
    return cg_workload_check(&o->w);
}

enum cg_status cg_predict_parse(int argc, char **argv, struct cg_predict_options *o, int *shown)
{
    static const struct option longs[] = {
        {"model", required_argument, NULL, 'm'},
        {"machine", required_argument, NULL, 'M'},
        {"config", required_argument, NULL, 'c'},
        {"set", required_argument, NULL, 's'},
        {"workload", required_argument, NULL, 'w'},
        {"prompts", required_argument, NULL, 'p'},
        {"num-generations", required_argument, NULL, 'g'},
        {"prompt-length", required_argument, NULL, 'P'},
        {"max-completion-length", required_argument, NULL, 'L'},
        {"completion-length", required_argument, NULL, 'l'},
        {"threads", required_argument, NULL, 't'},
        {"metrics", required_argument, NULL, 'x'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static struct given g;
    memset(o, 0, sizeof *o);
    memset(&g, 0, sizeof g);
    struct reading reading = {o, &g};
    CG_TRY(cg_bench_each_option(argc, argv, longs, help, parse_option, &reading, shown));
    if (*shown) return CG_OK;
    return settle(o, &g);
}

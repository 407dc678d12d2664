#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "autotune/shapes.h"

static const char help[] =
    "usage: grpo-tune [--model PATH|builtin:NAME] [--budget SECONDS] [--threads N] [--ops LIST] [--quiet] [--json]\n"
    "       grpo-tune detect [--json] [--record FILE | --replay FILE]   what this machine is, or a recorded one\n"
    "       grpo-tune verify [--json]   check every kernel against the scalar truth, bit for bit\n"
    "       grpo-tune show [--json]     the plans stored for this machine\n"
    "\n"
    "Times candidates for the matrix shapes that training uses and stores the fastest plans, which grpo-train then\n"
    "loads. Plans change the speed, never a result.\n"
    "\n"
    "  --model PATH       a Hugging Face folder, a .gguf file or builtin:NAME; without it, the built-in models and\n"
    "                     SmolLM2-135M\n"
    "  --budget SECONDS   time to spend (default 60); Ctrl-C ends earlier and keeps what is done\n"
    "  --threads N        threads to tune for (default: all usable cores)\n"
    "  --ops LIST         of f32, s8, bf16w (bf16 weights, f32 arithmetic) and bf16 (native); default f32,s8, which\n"
    "                     training uses\n"
    "  --quiet            no progress and no table, only the total\n"
    "  --json             results as JSON on standard output\n"
    "  --record FILE      with detect: write what detection reads of this machine, for a report or for --replay\n"
    "  --replay FILE      with detect: show the machine that FILE records\n"
    "  --help, --version\n"
    "\n"
    "Plans are stored in $CPU_GRPO_CACHE, else $XDG_CACHE_HOME/cpu-grpo, else ~/.cache/cpu-grpo. CPU_GRPO_ISA=NAME\n"
    "(avx2, avx512, ...) hides all later levels from every program of the suite.\n";

static enum cg_status parse_number(const char *name, const char *text, double lo, double hi, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || *end || errno || !(*out >= lo && *out <= hi))
        return cg_fail(CG_ERR_USER, "--%s %s: give a number from %g to %g", name, text, lo, hi);
    return CG_OK;
}

static enum cg_status parse_ops(const char *text, unsigned *ops)
{
    static const enum cg_op all[] = {CG_OP_gemm_f32, CG_OP_gemm_s8, CG_OP_gemm_bf16w, CG_OP_gemm_bf16};
    *ops = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ","), i = 0;
        for (; i < 4; i++) {
            const char *name = cg_op_name(all[i]) + strlen("gemm_");
            if (strlen(name) == len && strncmp(p, name, len) == 0) break;
        }
        if (i == 4) return cg_fail(CG_ERR_USER, "--ops %s: give some of f32, s8, bf16w and bf16, as in f32,s8", text);
        *ops |= 1u << all[i];
        p += len;
        if (!*p) return CG_OK;
    }
}

static enum cg_status parse_option(int c, char **argv, struct cg_cli_options *o)
{
    double number;
    switch (c) {
    case 'm':
        if (!*optarg) return cg_fail(CG_ERR_USER, "--model needs a path");
        o->model = optarg;
        o->tune_only = 1;
        return CG_OK;
    case 'b': o->tune_only = 1; return parse_number("budget", optarg, 0.1, 86400, &o->budget);
    case 't':
        o->tune_only = 1;
        CG_TRY(parse_number("threads", optarg, 0, 4096, &number));
        o->threads = (int)number;
        return number == o->threads ? CG_OK : cg_fail(CG_ERR_USER, "--threads %s is no whole number", optarg);
    case 'o': o->tune_only = 1; return parse_ops(optarg, &o->ops);
    case 'R': o->record = optarg; return *optarg ? CG_OK : cg_fail(CG_ERR_USER, "--record needs a file");
    case 'P': o->replay = optarg; return *optarg ? CG_OK : cg_fail(CG_ERR_USER, "--replay needs a file");
    case 'q': o->quiet = 1; return CG_OK;
    case 'j': o->json = 1; return CG_OK;
    case ':': return cg_fail(CG_ERR_USER, "%s needs a value; see grpo-tune --help", argv[optind - 1]);
    default: break;
    }
    return cg_fail(CG_ERR_USER, "unknown option %s; see grpo-tune --help", argv[optind - 1]);
}

enum cg_status cg_cli_parse(int argc, char **argv, struct cg_cli_options *o, int *done)
{
    static const struct option longs[] = {
        {"model", required_argument, NULL, 'm'},
        {"budget", required_argument, NULL, 'b'},
        {"threads", required_argument, NULL, 't'},
        {"ops", required_argument, NULL, 'o'},
        {"record", required_argument, NULL, 'R'},
        {"replay", required_argument, NULL, 'P'},
        {"quiet", no_argument, NULL, 'q'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    *o = (struct cg_cli_options){.command = cg_cli_commands, .budget = 60, .ops = CG_SHAPES_TRAINING};
    *done = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hq", longs, NULL)) != -1;) {
        *done = c == 'h' || c == 'V';
        if (c == 'h') fputs(help, stdout);
        if (c == 'V') printf("grpo-tune " CG_VERSION "\n");
        if (*done) return CG_OK;
        CG_TRY(parse_option(c, argv, o));
    }
    if (optind < argc) {
        o->command = NULL;
        for (size_t i = 0; i < cg_cli_command_count; i++)
            if (strcmp(argv[optind], cg_cli_commands[i].name) == 0) o->command = &cg_cli_commands[i];
        if (!o->command)
            return cg_fail(CG_ERR_USER,
                           "unknown command \"%s\"; there are detect, verify and show, see grpo-tune --help",
                           argv[optind]);
        if (optind + 1 < argc)
            return cg_fail(CG_ERR_USER, "unexpected argument \"%s\"; see grpo-tune --help", argv[optind + 1]);
    }
    if (o->tune_only && o->command != cg_cli_commands)
        return cg_fail(CG_ERR_USER, "--model, --budget, --threads and --ops belong to tuning, not to grpo-tune %s",
                       o->command->name);
    if ((o->record || o->replay) && strcmp(o->command->name, "detect") != 0)
        return cg_fail(CG_ERR_USER, "--record and --replay belong to grpo-tune detect");
    if (o->record && o->replay) return cg_fail(CG_ERR_USER, "--record and --replay cannot be given together");
    return CG_OK;
}

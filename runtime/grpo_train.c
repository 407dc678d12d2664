/* grpo-train: trains a model as a run file says. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/threads.h"
#include "common/words.h"
#include "runtime/config/config.h"
#include "runtime/curriculum/run.h"

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = 1;
    signal(sig, SIG_DFL); /* a second Ctrl-C ends the program at once */
}

static void print_usage(void)
{
    puts("usage: grpo-train RUN.yaml [--set key=value]... [--resume] [--quiet]\n"
         "\n"
         "Trains a model by GRPO as RUN.yaml says and leaves a Hugging Face folder, metrics.jsonl,\n"
         "completions.jsonl, summary.json and checkpoints in output_dir. docs/options.md describes every option of a\n"
         "run, docs/checkpoints.md how to go on with one.\n");
#define OPT(name, letter, argument, values, doc) printf("  --%-17s %s\n", *argument ? name " " argument : name, doc);
#include "runtime/train_options.def"
}

static enum cg_status configure(int argc, char **argv, struct cg_run_config *c, struct cg_run_options *run, int *done)
{
    static const struct option options[] = {
#define OPT(name, letter, argument, values, doc) {name, sizeof(argument) > 1, NULL, letter},
#include "runtime/train_options.def"
        {NULL, 0, NULL, 0}};
    static const char *const names[] = {
#define OPT(name, letter, argument, values, doc) name,
#include "runtime/train_options.def"
    };
    const char *sets[128];
    size_t n_sets = 0;
    int show = 0;
    opterr = 0;
    for (int o; (o = getopt_long(argc, argv, ":s:qh", options, NULL)) != -1;) {
        switch (o) {
        case 's':
            if (n_sets == sizeof sets / sizeof *sets) return cg_fail(CG_ERR_USER, "more than 128 times --set");
            sets[n_sets++] = optarg;
            break;
        case 'q': cg_log_quiet(1); break;
        case 'r': run->resume = 1; break;
        case 'R': run->resume_from = optarg; break;
        case 'o': run->overwrite = 1; break;
        case 'a': run->allow_changes = 1; break;
        case 'n': run->dry_run = 1; break;
        case 'w': show = 1; break;
        case 'h':
            print_usage();
            *done = 1;
            return CG_OK;
        case 'v':
            puts("grpo-train " CG_VERSION);
            *done = 1;
            return CG_OK;
        case ':': return cg_fail(CG_ERR_USER, "%s needs a value; see --help", argv[optind - 1]);
        default: return cg_unknown_option("grpo-train", argv[optind - 1], names, sizeof names / sizeof *names);
        }
    }
    if (optind + 1 != argc) return cg_fail(CG_ERR_USER, "give one run file: grpo-train RUN.yaml; see --help");
    if (run->resume && run->resume_from) return cg_fail(CG_ERR_USER, "give --resume or --resume-from, not both");
    CG_TRY(cg_config_load(argv[optind], c));
    for (size_t i = 0; i < n_sets; i++) CG_TRY(cg_config_set(c, sets[i]));
    CG_TRY(cg_config_check(c));
    if (show) {
        cg_config_dump(c, stdout);
        *done = 1;
    }
    return CG_OK;
}

int main(int argc, char **argv)
{
    cg_hold_standard_files();
    cg_threads_setup(argv);
    struct cg_run_config c;
    struct cg_run_options run = {0};
    int done = 0;
    enum cg_status s = cg_config_defaults(&c);
    if (s == CG_OK) {
        s = configure(argc, argv, &c, &run, &done);
        if (s == CG_OK && !done) {
            signal(SIGINT, on_signal);
            signal(SIGTERM, on_signal);
            if (signal(SIGHUP, SIG_IGN) != SIG_IGN) signal(SIGHUP, on_signal); /* the terminal is gone; not by nohup */
            signal(SIGPIPE, SIG_IGN); /* nobody reads the progress any more: Ctrl-C also ends a `| tee` */
            signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
            s = cg_run(&c, &run, &stop);
        }
        cg_config_free(&c);
    }
    if (s != CG_OK) {
        cg_progress_end();
        fprintf(stderr, "grpo-train: %s\n", cg_error());
    }
    return cg_exit_code(s);
}

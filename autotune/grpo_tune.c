/* grpo-tune: times the kernels against each other for the shapes of a model and stores the plans that win. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "common/file.h"
#include "common/log.h"
#include "common/threads.h"
#include "detect/bind.h"

volatile sig_atomic_t cg_cli_stop;

static void on_signal(int sig)
{
    (void)sig;
    cg_cli_stop = 1;
}

void cg_cli_catch_signals(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old;
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup stays nohup */
            sigaction(ends[i], &sa, NULL);
}

enum cg_status cg_cli_bind(const struct cg_machine *m, int threads)
{
    if (setenv("CPU_GRPO_BIND", "on", 0) != 0) return cg_fail(CG_ERR_MEMORY, "out of memory");
    return cg_bind_threads(m, threads);
}

static enum cg_status run(const struct cg_cli_options *o)
{
    static struct cg_machine m;
    const struct cg_cli_command *c = &cg_cli_commands[o->command];
    if (o->help) {
        cg_cli_help(o->command != CG_CLI_tune ? c : NULL);
        return CG_OK;
    }
    if (o->version) {
        puts("grpo-tune " CG_VERSION);
        return CG_OK;
    }
    cg_log_quiet(o->quiet);
    if (c->machine) CG_TRY(cg_machine_detect(&m));
    return c->run(o, c->machine ? &m : NULL);
}

int main(int argc, char **argv)
{
    struct cg_cli_options o;
    cg_hold_standard_files();
    signal(SIGPIPE, SIG_IGN); /* a reader that has seen enough must not end the tuning */
    cg_threads_setup(argv);   /* plans are timed as training runs them */
    enum cg_status st = cg_cli_parse(argc, argv, &o);
    if (st == CG_OK) st = run(&o);
    if (st == CG_OK && (fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE)
        st = cg_fail(CG_ERR_IO, "cannot write to standard output: %s", strerror(errno));
    if (st != CG_OK) fprintf(stderr, "grpo-tune: %s\n", cg_error());
    cg_cli_free(&o);
    return cg_exit_code(st);
}

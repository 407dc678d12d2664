/* grpo-tune: times the kernels against each other for the shapes of a model and stores the plans that win. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "common/log.h"
#include "common/threads.h"

volatile sig_atomic_t cg_cli_stop;

static void on_signal(int sig)
{
    (void)sig;
    cg_cli_stop = 1;
}

void cg_cli_catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

int main(int argc, char **argv)
{
    struct cg_cli_options o;
    static struct cg_machine m;
    int done;
    cg_threads_setup(argv); /* plans are timed as training runs them */
    enum cg_status st = cg_cli_parse(argc, argv, &o, &done);
    if (st == CG_OK && !done) {
        cg_log_quiet(o.quiet);
        if (o.command->needs_machine) st = cg_machine_detect(&m);
        if (st == CG_OK) st = o.command->run(&o, o.command->needs_machine ? &m : NULL);
    }
    if (st == CG_OK && (fflush(stdout) != 0 || ferror(stdout)))
        st = cg_fail(CG_ERR_IO, "cannot write to standard output: %s", strerror(errno));
    if (st != CG_OK) fprintf(stderr, "grpo-tune: %s\n", cg_error());
    return cg_exit_code(st);
}

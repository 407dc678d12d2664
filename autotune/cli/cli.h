/* The commands of grpo-tune. A new one is a function in a file of its own, declared here, and a line in commands.c. */
#ifndef CG_AUTOTUNE_CLI_CLI_H
#define CG_AUTOTUNE_CLI_CLI_H

#include <signal.h>
#include <stddef.h>

#include "common/status.h"
#include "detect/machine.h"

struct cg_cli_command;

struct cg_cli_options {
    const struct cg_cli_command *command;
    const char *model, *record, *replay; /* paths; NULL when not given */
    double budget;
    int threads, quiet, json, tune_only; /* tune_only: an option of tuning was given */
    unsigned ops;                        /* bits 1 << op */
};

struct cg_cli_command {
    const char *name, *help; /* one line */
    /* `m`: this machine; NULL for a command that did not ask for it. */
    enum cg_status (*run)(const struct cg_cli_options *o, const struct cg_machine *m);
    int needs_machine; /* the program detects it before `run` */
};

/* The first is what happens without a command. */
extern const struct cg_cli_command cg_cli_commands[];
extern const size_t cg_cli_command_count;

/* *done: everything was said already (--help, --version). CG_ERR_USER. */
enum cg_status cg_cli_parse(int argc, char **argv, struct cg_cli_options *o, int *done);

/* From here on the first Ctrl-C (or SIGTERM) only sets cg_cli_stop, the second ends the program. */
extern volatile sig_atomic_t cg_cli_stop;
void cg_cli_catch_signals(void);

enum cg_status cg_cli_tune(const struct cg_cli_options *o, const struct cg_machine *m);
enum cg_status cg_cli_detect(const struct cg_cli_options *o, const struct cg_machine *m);
enum cg_status cg_cli_verify(const struct cg_cli_options *o, const struct cg_machine *m);
enum cg_status cg_cli_show(const struct cg_cli_options *o, const struct cg_machine *m);

#endif

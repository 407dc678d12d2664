/* The commands and options of grpo-tune: commands.def and options.def say how to add one. */
#ifndef CG_AUTOTUNE_CLI_CLI_H
#define CG_AUTOTUNE_CLI_CLI_H

#include <signal.h>
#include <stddef.h>

#include "autotune/shapes.h"
#include "common/status.h"
#include "detect/machine.h"

/* ---- What was asked for ------------------------------------------------------------------------------------------ */

enum { CG_CLI_MOST = 16 }; /* values of an option that takes several */

struct cg_cli_texts {
    const char *t[CG_CLI_MOST];
    size_t n;
};

struct cg_cli_threads {
    int t[CG_CLI_MOST]; /* 0: all usable cores */
    size_t n;
};

enum cg_cli_command_id {
#define COMMAND(name, arguments, machine, help) CG_CLI_##name,
#include "autotune/cli/commands.def"
};

/* Bits of cg_cli_options.given. */
enum cg_cli_option_id {
#define OPT(kind, field, name, letter, argument, def, limits, commands, doc) CG_CLI_OPT_##field,
#include "autotune/cli/options.def"
};

#define CG_CLI_TYPE_FLAG int
#define CG_CLI_TYPE_REAL double
#define CG_CLI_TYPE_FILE const char *
#define CG_CLI_TYPE_MODELS struct cg_cli_texts
#define CG_CLI_TYPE_SHAPES struct cg_shapes
#define CG_CLI_TYPE_OPS unsigned
#define CG_CLI_TYPE_THREADS struct cg_cli_threads

struct cg_cli_options {
    enum cg_cli_command_id command;
    const char *argument; /* of the command; NULL when it takes none */
    unsigned long given;  /* bits 1 << CG_CLI_OPT_... */
#define OPT(kind, field, name, letter, argument, def, limits, commands, doc) CG_CLI_TYPE_##kind field;
#include "autotune/cli/options.def"
};

/* Was the option --FIELD given? */
#define CG_CLI_GIVEN(o, field) ((o)->given >> CG_CLI_OPT_##field & 1)

/* Reads the command line; cg_cli_free in any case. CG_ERR_USER with one line for anything wrong. */
enum cg_status cg_cli_parse(int argc, char **argv, struct cg_cli_options *o);
void cg_cli_free(struct cg_cli_options *o);

/* ---- The tables -------------------------------------------------------------------------------------------------- */

struct cg_cli_command {
    const char *name, *argument, *help;
    int machine;
    /* `m`: this machine; NULL for a command that does not ask for it. */
    enum cg_status (*run)(const struct cg_cli_options *o, const struct cg_machine *m);
};

struct cg_cli_option {
    const char *name, *argument, *def, *doc;
    char letter;
    unsigned commands; /* bits 1 << command */
    size_t offset;     /* of the field */
    enum cg_status (*read)(const struct cg_cli_option *o, const char *text, void *field);
    double lo, hi;
    const char *values; /* or NULL */
};

extern const struct cg_cli_command cg_cli_commands[];
extern const size_t cg_cli_command_count;
extern const struct cg_cli_option cg_cli_options[];
extern const size_t cg_cli_option_count;

/* --help: of the whole program, or with `command` of that one. */
void cg_cli_help(const struct cg_cli_command *command);

/* Readers of the kinds of options: `text` into `field`. CG_ERR_USER with a message that names the option. */
#define CG_CLI_READER(kind) \
    enum cg_status cg_cli_read_##kind(const struct cg_cli_option *o, const char *text, void *field)
CG_CLI_READER(REAL);
CG_CLI_READER(FILE);
CG_CLI_READER(MODELS);
CG_CLI_READER(SHAPES);
CG_CLI_READER(OPS);
CG_CLI_READER(THREADS);

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* From here on the first Ctrl-C (or SIGTERM, SIGHUP) only sets cg_cli_stop, the second ends the program. */
extern volatile sig_atomic_t cg_cli_stop;
void cg_cli_catch_signals(void);

/* Binds threads that are to be timed, until cg_bind_undo: each to a CPU of its own, unless CPU_GRPO_BIND says
 * otherwise. Where training lets threads move away from a busy neighbour, a measurement rather waits for it to go. */
enum cg_status cg_cli_bind(const struct cg_machine *m, int threads);

#define COMMAND(name, arguments, machine, help) \
    enum cg_status cg_cli_##name(const struct cg_cli_options *o, const struct cg_machine *m);
#include "autotune/cli/commands.def"

#endif

/* commands.def and options.def as C. */
#include "autotune/cli/cli.h"

#define ON(name) (1u << CG_CLI_##name)
#define EVERY ~0u
#define ANY .values = NULL
#define RANGE(a, b) .lo = (a), .hi = (b)
#define VALUES(names) .values = names

#define cg_cli_read_FLAG NULL

const struct cg_cli_option cg_cli_options[] = {
#define OPT(kind, field, name_, letter_, argument_, def_, limits, commands_, doc_) \
    {.name = name_,                                                                \
     .argument = argument_,                                                        \
     .def = def_,                                                                  \
     .doc = doc_,                                                                  \
     .letter = letter_,                                                            \
     .commands = commands_,                                                        \
     .offset = offsetof(struct cg_cli_options, field),                             \
     .read = cg_cli_read_##kind,                                                   \
     limits},
#include "autotune/cli/options.def"
};
const size_t cg_cli_option_count = sizeof cg_cli_options / sizeof *cg_cli_options;

const struct cg_cli_command cg_cli_commands[] = {
#define COMMAND(name, arguments, machine, help) {#name, arguments, help, machine, cg_cli_##name},
#include "autotune/cli/commands.def"
};
const size_t cg_cli_command_count = sizeof cg_cli_commands / sizeof *cg_cli_commands;

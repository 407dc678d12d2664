#include "autotune/cli/cli.h"

const struct cg_cli_command cg_cli_commands[] = {
    {"tune", "time candidates and store the fastest plans", cg_cli_tune, 1},
    {"detect", "what this machine is", cg_cli_detect, 0},
    {"verify", "check every kernel against the scalar truth, bit for bit", cg_cli_verify, 1},
    {"show", "the plans stored for this machine", cg_cli_show, 1},
};

const size_t cg_cli_command_count = sizeof cg_cli_commands / sizeof *cg_cli_commands;

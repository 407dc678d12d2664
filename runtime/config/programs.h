/* The command lines of the programs as data, for what is made of them at build time. */
#ifndef CG_RUNTIME_CONFIG_PROGRAMS_H
#define CG_RUNTIME_CONFIG_PROGRAMS_H

#include <stddef.h>

enum cg_offer { CG_OFFER_NONE, CG_OFFER_FILES, CG_OFFER_KEYS, CG_OFFER_LIST }; /* LIST: of `values`, with commas */

struct cg_program_command {
    const char *name, *argument, *doc;
};

struct cg_program_option {
    const char *name, *argument, *def, *doc;
    char letter; /* 0: none */
    enum cg_offer offer;
    const char *values; /* "a|b" */
    unsigned commands;  /* bits 1 << command */
};

struct cg_program {
    const char *name;
    const struct cg_program_command *commands;
    size_t n_commands;
    const struct cg_program_option *options;
    size_t n_options;
    const char *files; /* "*.yaml": what a word that is no command may be; NULL: only what the command takes */
};

extern const struct cg_program cg_programs[];
extern const size_t cg_program_count;

/* Keys of run files. */
extern const char *const cg_program_keys[];
extern const size_t cg_program_key_count;

/* A completion for the shell "bash", "zsh" or "fish" on standard output; 0 for another shell. */
int cg_complete(const struct cg_program *p, const char *shell);

#endif

/* --help, from the tables. */
#include <stdio.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "common/log.h"

enum { INDENT = 23 };

/* `text` from column `at` on, in lines of at most `width`, each but the first indented. */
static void wrapped(const char *text, size_t at, size_t indent, size_t width)
{
    for (int first = 1; *text; first = 0) {
        size_t len = strcspn(text, " ");
        if (!first && at + 1 + len > width) {
            printf("\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)len, text);
        at += len;
        text += len + (text[len] == ' ');
    }
    putchar('\n');
}

static void entry(const char *left, const char *text, size_t width)
{
    int n = printf("  %-*s", INDENT - 2, left);
    if (n > INDENT) {
        printf("\n%*s", INDENT, "");
        n = INDENT;
    }
    wrapped(text, (size_t)n, INDENT, width);
}

static void option(const struct cg_cli_option *o, size_t width)
{
    char left[64], text[512];
    int n = o->letter ? snprintf(left, sizeof left, "-%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof left, "    --%s", o->name);
    if (o->read) snprintf(left + n, sizeof left - (size_t)n, " %s", o->argument);
    snprintf(text, sizeof text, "%s%s%s%s", o->doc, *o->def ? " Default: " : "", o->def, *o->def ? "." : "");
    entry(left, text, width);
}

/* Options that belong to these commands and no others. */
static void section(const char *title, unsigned commands, size_t width)
{
    int open = 0;
    unsigned every = (1u << cg_cli_command_count) - 1;
    for (size_t i = 0; i < cg_cli_option_count; i++) {
        if ((cg_cli_options[i].commands & every) != commands) continue;
        if (!open) printf("\n%s\n", title);
        open = 1;
        option(&cg_cli_options[i], width);
    }
}

void cg_cli_help(const struct cg_cli_command *command)
{
    int columns = cg_terminal_columns(stdout);
    size_t width = columns ? columns < 60 ? 60 : columns > 120 ? 120 : (size_t)columns : 100;
    unsigned every = (1u << cg_cli_command_count) - 1;
    char title[128];
    if (command) {
        size_t index = (size_t)(command - cg_cli_commands);
        printf("usage: grpo-tune %s%s%s [OPTIONS]\n\n", index ? command->name : "", *command->argument ? " " : "",
               command->argument);
        wrapped(command->help, 0, 0, width);
        printf("\nOptions:\n");
        for (size_t i = 0; i < cg_cli_option_count; i++)
            if (cg_cli_options[i].commands >> index & 1) option(&cg_cli_options[i], width);
        return;
    }
    printf("usage: grpo-tune [OPTIONS]\n       grpo-tune COMMAND [OPTIONS]\n\n");
    wrapped("Times candidates for the matrix shapes that training uses and stores the fastest plans, which grpo-train "
            "then loads. Plans change the speed, never a result.",
            0, 0, width);
    printf("\nCommands:\n");
    for (size_t i = 0; i < cg_cli_command_count; i++) {
        const struct cg_cli_command *c = &cg_cli_commands[i];
        snprintf(title, sizeof title, "%s%s%s", c->name, *c->argument ? " " : "", c->argument);
        entry(title, c->help, width);
    }
    for (unsigned set = 1; set < every; set++) {
        size_t at = (size_t)snprintf(title, sizeof title, "Options of ");
        for (size_t i = 0, n = 0; i < cg_cli_command_count; i++)
            if (set >> i & 1)
                at += (size_t)snprintf(title + at, sizeof title - at, "%s%s", n++ ? ", " : "", cg_cli_commands[i].name);
        snprintf(title + at, sizeof title - at, ":");
        section(title, set, width);
    }
    section("Options of all commands:", every, width);
    putchar('\n');
    wrapped("Plans are stored in $CPU_GRPO_CACHE, else $XDG_CACHE_HOME/cpu-grpo, else ~/.cache/cpu-grpo. "
            "CPU_GRPO_ISA=NAME (avx2, avx512, ...) hides all later levels from every program of the suite. "
            "CPU_GRPO_BIND=auto, on or off says whether threads are bound to CPUs: see the manual page.",
            0, 0, width);
}

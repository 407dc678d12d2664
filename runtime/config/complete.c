/* Completions of the shells. A word is completed by what stands before it: the value of an option, an option of the
 * command at hand, a command, a file. */
#include <stdio.h>
#include <string.h>

#include "runtime/config/programs.h"

/* "grpo-tune" as the name of a function: "_grpo_tune". */
static void function_name(const struct cg_program *p)
{
    putchar('_');
    for (const char *c = p->name; *c; c++) putchar(*c == '-' ? '_' : *c);
}

/* The first sentence of a text, without its full stop, inside single quotes; `special`: characters that want a
 * backslash besides. */
static void quoted(const char *text, const char *special)
{
    const char *end = strstr(text, ". ");
    size_t n = end ? (size_t)(end - text) : strlen(text);
    if (n && text[n - 1] == '.') n--;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\'') fputs("'\\''", stdout);
        else {
            if (strchr(special, text[i])) putchar('\\');
            putchar(text[i]);
        }
    }
}

/* "a|b" as "a b". */
static void values(const char *names)
{
    for (const char *c = names; *c; c++) putchar(*c == '|' ? ' ' : *c);
}

static int belongs(const struct cg_program_option *o, size_t command)
{
    return o->commands >> command & 1;
}

/* ---- bash -------------------------------------------------------------------------------------------------------- */

/* One branch for all options of a kind: "--model|-m) what ;;". */
static void bash_case(const struct cg_program *p, enum cg_offer offer, const char *what)
{
    int n = 0;
    for (size_t i = 0; i < p->n_options; i++) {
        const struct cg_program_option *o = &p->options[i];
        if (o->offer != offer || !*o->argument) continue;
        printf("%s--%s", n++ ? "|" : "    ", o->name);
        if (o->letter) printf("|-%c", o->letter);
    }
    if (n) printf(")\n%s        return ;;\n", what);
}

static void bash_values(const struct cg_program *p)
{
    bash_case(p, CG_OFFER_FILES,
              "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
              "        compopt -o filenames 2>/dev/null\n");
    bash_case(p, CG_OFFER_KEYS,
              "        mapfile -t COMPREPLY < <(compgen -W \"$keys\" -S = -- \"$cur\")\n"
              "        compopt -o nospace 2>/dev/null\n");
    bash_case(p, CG_OFFER_NONE, "");
    for (size_t i = 0; i < p->n_options; i++) {
        if (p->options[i].offer != CG_OFFER_LIST) continue;
        printf("    --%s)\n        [[ $cur == *,* ]] && before=${cur%%,*},\n"
               "        mapfile -t COMPREPLY < <(compgen -P \"$before\" -W '",
               p->options[i].name);
        values(p->options[i].values);
        puts("' -- \"${cur##*,}\")\n        return ;;");
    }
}

static void bash_options(const struct cg_program *p, size_t command)
{
    for (size_t i = 0; i < p->n_options; i++)
        if (!p->n_commands || belongs(&p->options[i], command)) printf(" --%s", p->options[i].name);
}

static int takes_keys(const struct cg_program *p)
{
    for (size_t i = 0; i < p->n_options; i++)
        if (p->options[i].offer == CG_OFFER_KEYS) return 1;
    return 0;
}

static void bash(const struct cg_program *p)
{
    printf("# bash completion for %s\n", p->name);
    function_name(p);
    printf("()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} word command= before=\n"
           "    local options commands='");
    for (size_t i = 0; i < p->n_commands; i++) printf("%s%s", i ? " " : "", p->commands[i].name);
    if (takes_keys(p)) {
        printf("' keys='");
        for (size_t i = 0; i < cg_program_key_count; i++) printf("%s%s", i ? " " : "", cg_program_keys[i]);
    }
    puts("'\n    COMPREPLY=()\n"
         "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "        [[ -z $command && \" $commands \" == *\" $word \"* ]] && command=$word\n"
         "    done\n"
         "    case $previous in");
    bash_values(p);
    puts("    esac\n    case $command in");
    for (size_t i = 1; i < p->n_commands; i++) {
        printf("    %s) options='", p->commands[i].name);
        bash_options(p, i);
        puts("' ;;");
    }
    printf("    *) options='");
    bash_options(p, 0);
    puts("' ;;\n    esac\n"
         "    if [[ $cur == -* ]]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
         "    elif [[ -z $command && -n $commands ]]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$cur\")\n"
         "    else\n"
         "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
         "        compopt -o filenames 2>/dev/null\n"
         "    fi\n}");
    printf("complete -F ");
    function_name(p);
    printf(" %s\n", p->name);
}

/* ---- zsh --------------------------------------------------------------------------------------------------------- */

static void zsh_option(const struct cg_program_option *o)
{
    static const char *const actions[] = {[CG_OFFER_NONE] = "", [CG_OFFER_FILES] = "_files"};
    printf("    '%s--%s%s[", strcmp(o->argument, "key=value") == 0 ? "*" : "", o->name, *o->argument ? "=" : "");
    quoted(o->doc, "[]:\\");
    putchar(']');
    if (*o->argument) {
        putchar(':');
        quoted(o->argument, ":\\");
        putchar(':');
        if (o->offer == CG_OFFER_LIST) {
            printf("_values -s , %s ", o->name);
            values(o->values);
        } else if (o->offer == CG_OFFER_KEYS) {
            printf("_values -S = option ");
            for (size_t i = 0; i < cg_program_key_count; i++) printf("%s%s", i ? " " : "", cg_program_keys[i]);
        } else fputs(actions[o->offer], stdout);
    }
    puts("'");
}

static void zsh(const struct cg_program *p)
{
    printf("#compdef %s\nlocal word command=\nlocal -a names specs\n", p->name);
    if (p->n_commands) {
        puts("names=(");
        for (size_t i = 0; i < p->n_commands; i++) {
            printf("    '%s:", p->commands[i].name);
            quoted(p->commands[i].doc, "\\");
            puts("'");
        }
        puts(")\nfor word in ${words[2,CURRENT-1]}; do\n"
             "    [[ -z $command && -n ${names[(r)$word:*]} ]] && command=$word\ndone");
    }
    puts("case $command in");
    for (size_t c = 1; c <= p->n_commands || c == 1; c++) { /* the first last, as what no command means */
        printf("%s) specs=(\n", c < p->n_commands ? p->commands[c].name : "*");
        for (size_t i = 0; i < p->n_options; i++)
            if (!p->n_commands || belongs(&p->options[i], c % p->n_commands)) zsh_option(&p->options[i]);
        puts(") ;;");
    }
    puts("esac");
    if (p->n_commands) puts("_arguments -s $specs '1:command:{_describe command names}' '2:file:_files'");
    else printf("_arguments -s $specs '1:file:_files -g \"%s\"'\n", p->files);
}

/* ---- fish -------------------------------------------------------------------------------------------------------- */

static void fish_condition(const struct cg_program *p, const struct cg_program_option *o)
{
    unsigned all = (1u << p->n_commands) - 1;
    if (!p->n_commands || (o->commands & all) == all) return;
    printf(" -n '");
    /* The first command needs no name: it is at hand as long as no other is named. */
    if (o->commands & 1) printf("not __fish_seen_subcommand_from");
    else printf("__fish_seen_subcommand_from");
    for (size_t c = 0; c < p->n_commands; c++)
        if (belongs(o, c) != (int)(o->commands & 1)) printf(" %s", p->commands[c].name);
    printf("'");
}

static void fish(const struct cg_program *p)
{
    printf("# fish completion for %s\n", p->name);
    if (p->n_commands) {
        printf("complete -c %s -n 'not __fish_seen_subcommand_from", p->name);
        for (size_t c = 0; c < p->n_commands; c++) printf(" %s", p->commands[c].name);
        puts("' -f");
    }
    for (size_t c = 0; c < p->n_commands; c++) {
        printf("complete -c %s -n __fish_use_subcommand -f -a %s -d '", p->name, p->commands[c].name);
        quoted(p->commands[c].doc, "");
        puts("'");
    }
    for (size_t i = 0; i < p->n_options; i++) {
        const struct cg_program_option *o = &p->options[i];
        printf("complete -c %s", p->name);
        fish_condition(p, o);
        printf(" -l %s", o->name);
        if (o->letter) printf(" -s %c", o->letter);
        if (*o->argument) printf(o->offer == CG_OFFER_FILES ? " -r -F" : " -x");
        if (o->offer == CG_OFFER_LIST) {
            printf(" -a \"(__fish_complete_list , 'printf \\\"%%s\\\\n\\\" ");
            values(o->values);
            printf("')\"");
        } else if (o->offer == CG_OFFER_KEYS) {
            printf(" -a '");
            for (size_t k = 0; k < cg_program_key_count; k++) printf("%s%s=", k ? " " : "", cg_program_keys[k]);
            printf("'");
        }
        printf(" -d '");
        quoted(o->doc, "");
        puts("'");
    }
}

int cg_complete(const struct cg_program *p, const char *shell)
{
    if (strcmp(shell, "bash") == 0) bash(p);
    else if (strcmp(shell, "zsh") == 0) zsh(p);
    else if (strcmp(shell, "fish") == 0) fish(p);
    else return 0;
    return 1;
}

/* The command line, by the tables. */
#include <stdio.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "common/words.h"

enum { MANY = 64 };

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static enum cg_status unknown_option(const char *arg)
{
    const char *names[MANY];
    size_t n = 0;
    for (; n < cg_cli_option_count && n < MANY; n++) names[n] = cg_cli_options[n].name;
    return cg_unknown_option("grpo-tune", arg, names, n);
}

static enum cg_status unknown_command(const char *arg)
{
    const char *names[MANY];
    char shown[CG_SHOWN];
    size_t n = 0;
    for (; n < cg_cli_command_count && n < MANY; n++) names[n] = cg_cli_commands[n].name;
    const char *nearest = cg_nearest(arg, names, n);
    if (nearest) return cg_fail(CG_ERR_USER, "unknown command \"%s\"; did you mean %s?", cg_show(arg, shown), nearest);
    return cg_fail(CG_ERR_USER, "unknown command \"%s\"; see grpo-tune --help", cg_show(arg, shown));
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

static enum cg_status set(const struct cg_cli_option *opt, const char *value, struct cg_cli_options *o)
{
    void *field = (char *)o + opt->offset;
    o->given |= 1ul << (opt - cg_cli_options);
    if (opt->read) return opt->read(opt, value, field);
    *(int *)field = 1;
    return CG_OK;
}

/* "--name", "--name=value", "--name value"; `next` is the word after it or NULL. *used: so was that. */
static enum cg_status long_option(const char *arg, const char *next, struct cg_cli_options *o, int *used)
{
    size_t len = strcspn(arg, "=");
    for (size_t i = 0; i < cg_cli_option_count; i++) {
        const struct cg_cli_option *opt = &cg_cli_options[i];
        if (strlen(opt->name) + 2 != len || strncmp(opt->name, arg + 2, len - 2) != 0) continue;
        const char *value = arg[len] ? arg + len + 1 : opt->read ? next : NULL;
        if (!opt->read && value) return cg_fail(CG_ERR_USER, "--%s takes no value", opt->name);
        if (opt->read && !value) return cg_fail(CG_ERR_USER, "--%s needs a value; see grpo-tune --help", opt->name);
        *used = value && value == next;
        return set(opt, value, o);
    }
    return unknown_option(arg);
}

/* "-q", "-qj", "-b10", "-b 10". */
static enum cg_status letters(const char *arg, const char *next, struct cg_cli_options *o, int *used)
{
    for (const char *p = arg + 1; *p; p++) {
        const struct cg_cli_option *opt = NULL;
        for (size_t i = 0; i < cg_cli_option_count && !opt; i++)
            if (cg_cli_options[i].letter == *p) opt = &cg_cli_options[i];
        if (!opt) return unknown_option((char[]){'-', *p, 0});
        const char *value = p[1] ? p + 1 : next;
        if (opt->read && !value) return cg_fail(CG_ERR_USER, "-%c needs a value; see grpo-tune --help", *p);
        CG_TRY(set(opt, opt->read ? value : NULL, o));
        if (!opt->read) continue;
        *used = !p[1];
        break;
    }
    return CG_OK;
}

static enum cg_status word(const char *arg, struct cg_cli_options *o, size_t *words)
{
    char shown[CG_SHOWN];
    if (++*words == 1) {
        for (size_t i = 0; i < cg_cli_command_count; i++) {
            if (strcmp(arg, cg_cli_commands[i].name) != 0) continue;
            o->command = (enum cg_cli_command_id)i;
            return CG_OK;
        }
        return unknown_command(arg);
    }
    if (*words > 2 || !*cg_cli_commands[o->command].argument)
        return cg_fail(CG_ERR_USER, "unexpected argument \"%s\"; see grpo-tune --help", cg_show(arg, shown));
    o->argument = arg;
    return CG_OK;
}

/* ---- Together ---------------------------------------------------------------------------------------------------- */

/* The commands that an option belongs to, "tune" or "show, export" into buf. */
static const char *owners(const struct cg_cli_option *opt, char *buf, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < cg_cli_command_count; i++)
        if (opt->commands >> i & 1 && at < size)
            at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "", cg_cli_commands[i].name);
    return buf;
}

static enum cg_status apart(int a, const char *name_a, int b, const char *name_b)
{
    return a && b ? cg_fail(CG_ERR_USER, "--%s and --%s cannot be given together", name_a, name_b) : CG_OK;
}

static enum cg_status check(const struct cg_cli_options *o)
{
    const struct cg_cli_command *c = &cg_cli_commands[o->command];
    char buf[128];
    for (size_t i = 0; i < cg_cli_option_count; i++)
        if (o->given >> i & 1 && !(cg_cli_options[i].commands >> o->command & 1))
            return cg_fail(CG_ERR_USER, "--%s is an option of %s, not of %s; see grpo-tune %s --help",
                           cg_cli_options[i].name, owners(&cg_cli_options[i], buf, sizeof buf), c->name, c->name);
    if (*c->argument && !o->argument)
        return cg_fail(CG_ERR_USER, "grpo-tune %s needs a %s; see grpo-tune %s --help", c->name, c->argument, c->name);
    if (o->argument && !*o->argument)
        return cg_fail(CG_ERR_USER, "grpo-tune %s: the %s is empty", c->name, c->argument);
    if (o->rates && !o->record) return cg_fail(CG_ERR_USER, "--rates goes with --record");
    CG_TRY(apart(o->record != NULL, "record", o->replay != NULL, "replay"));
    CG_TRY(apart(o->quick, "quick", o->thorough, "thorough"));
    CG_TRY(apart(o->quiet, "quiet", o->verbose, "verbose"));
    if (CG_CLI_GIVEN(o, ops) && o->shapes.n && !o->model.n)
        return cg_fail(CG_ERR_USER,
                       "--ops is for the shapes of models; those of --shapes name their own, as in s8:%zux%zux%zu",
                       o->shapes.s->m, o->shapes.s->n, o->shapes.s->k);
    return CG_OK;
}

enum cg_status cg_cli_parse(int argc, char **argv, struct cg_cli_options *o)
{
    size_t words = 0;
    int ended = 0; /* by "--" */
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < cg_cli_option_count; i++)
        if (*cg_cli_options[i].def) CG_TRY(set(&cg_cli_options[i], cg_cli_options[i].def, o));
    o->given = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        int used = 0;
        if (ended || arg[0] != '-' || !arg[1]) CG_TRY(word(arg, o, &words));
        else if (arg[1] != '-') CG_TRY(letters(arg, next, o, &used));
        else if (arg[2]) CG_TRY(long_option(arg, next, o, &used));
        else ended = 1;
        i += used;
    }
    return o->help || o->version ? CG_OK : check(o);
}

void cg_cli_free(struct cg_cli_options *o)
{
    cg_shapes_free(&o->shapes);
}

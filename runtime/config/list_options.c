/* Writes the option tables as documentation, at build time. It stands alone, since it runs on the building machine:
 *   list-options markdown            docs/options.md
 *   list-options metrics             docs/metrics.md
 *   list-options man TEMPLATE        a man page: TEMPLATE with the lines @OPTIONS@ (of a run file), @COMMANDS PROGRAM@
 * and
 *                                    @OPTIONS PROGRAM@ replaced by the lists
 *   list-options SHELL PROGRAM       what completes the command line of PROGRAM in bash, zsh or fish */
#include <stdio.h>
#include <string.h>

#include "runtime/config/programs.h"

struct entry {
    const char *section; /* title, or NULL for an option */
    const char *kind, *name, *def, *limits, *doc;
};

#define ANY ""
#define TEXT ""
#define AT_LEAST(x) "at least " #x
#define RANGE(a, b) #a " to " #b
#define ABOVE(x) "above " #x
#define BELOW_ONE "from 0 to below 1"
#define ONE_OF(names) names

static const struct entry entries[] = {
#define SECTION(title) {.section = title},
#define OPT(kind, field, def, limits, doc) {NULL, #kind, #field, def, limits, doc},
#include "runtime/config/options.def"
};

static const char *kind_name(const char *kind)
{
    static const char *const names[][2] = {
        {"INT", "integer"},           {"REAL", "number"},           {"BOOL", "true or false"}, {"STR", "text"},
        {"INTS", "list of integers"}, {"REALS", "list of numbers"}, {"STRS", "list of texts"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], kind) == 0) return names[i][1];
    return kind;
}

/* "integer, at least 0", or for "a|b|alias=a" "a, b or alias (a)". */
static void print_values(const struct entry *e)
{
    if (!strchr(e->limits, '|')) {
        printf("%s%s%s", kind_name(e->kind), *e->limits ? ", " : "", e->limits);
        return;
    }
    for (const char *p = e->limits; *p;) {
        size_t n = strcspn(p, "|"), name = strcspn(p, "|=");
        const char *after = p + n;
        if (p > e->limits) fputs(*after ? ", " : " or ", stdout);
        printf("%.*s", (int)name, p);
        if (name < n) printf(" (= %.*s)", (int)(n - name - 1), p + name + 1);
        p = after + (*after == '|');
    }
}

static void markdown(void)
{
    puts(
        "# Options of a run\n\n"
        "Keys of a run file (YAML, one `key: value` on a line) and of `--set key=value`. Names, meanings and defaults\n"
        "are those of TRL 1.16's `GRPOConfig` where it has the option. `null` stands for the default.\n"
        "`grpo-train RUN.yaml --show` prints every option as a run would use it.\n\n"
        "This page is made from `runtime/config/options.def`; change that, then\n"
        "`build/runtime/list-options markdown > docs/options.md`.");
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        const struct entry *e = &entries[i];
        if (e->section) {
            printf("\n## %s\n\n| key | value | default | |\n|---|---|---|---|\n", e->section);
            continue;
        }
        printf("| `%s` | ", e->name);
        print_values(e);
        printf(" | %s%s%s | %s |\n", *e->def ? "`" : "empty", e->def, *e->def ? "`" : "", e->doc);
    }
}

struct metric {
    const char *line, *name, *over, *doc;
};

static const struct metric metrics[] = {
#define STEP(name, over, when, value, doc) {"step", name, #over, doc},
#define REWARD(part, over, value, doc) {"step", "rewards/NAME/" part, #over, doc},
#define SFT(name, value, doc) {"supervised step", name, "", doc},
#define EVAL(name, value, doc) {"evaluation", name, "", doc},
#include "runtime/curriculum/metrics.def"
};

/* A doc that begins with "* " is of a metric that TRL does not have. */
static void metrics_page(void)
{
    const char *line = "";
    puts("# Metrics of a run\n\n"
         "`metrics.jsonl` has one JSON object on a line: of every `logging_steps`-th GRPO step with `step` (counted "
         "over\n"
         "all stages), `stage` (from 0) and the metrics of a step, of every supervised step with `stage`, `sft_step` "
         "and\n"
         "its metrics, of every evaluation with `step`, `stage` and its metrics. What is no number (a mean over "
         "nothing)\n"
         "is `null`. With `report_to: tensorboard` the same numbers go into an event file in `output_dir`\n"
         "(`tensorboard --logdir`), as `train/NAME` and `eval/NAME`.\n\n"
         "Names and meanings are those of TRL 1.16, unless marked with +. Over several steps a line has the mean of\n"
         "them, or the last where it says so.\n\n"
         "This page is made from `runtime/curriculum/metrics.def`; change that, then\n"
         "`build/runtime/list-options metrics > docs/metrics.md`.");
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        const struct metric *m = &metrics[i];
        int ours = strncmp(m->doc, "* ", 2) == 0;
        if (strcmp(line, m->line) != 0)
            printf("\n## Of a%s %s\n\n| metric | |\n|---|---|\n", *m->line == 'e' ? "n" : "", m->line);
        line = m->line;
        printf("| `%s`%s | %s%s |\n", m->name, ours ? " +" : "", m->doc + (ours ? 2 : 0),
               strcmp(m->over, "LAST") == 0 ? " The last." : "");
    }
}

static void man_list(void)
{
    int open = 0;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        const struct entry *e = &entries[i];
        if (e->section) {
            printf("%s.Ss %s\n.Bl -tag -width Ds\n", open ? ".El\n" : "", e->section);
            open = 1;
            continue;
        }
        printf(".It Cm %s\n%s\n(", e->name, e->doc);
        print_values(e);
        printf("; default: %s)\n", *e->def ? e->def : "empty");
    }
    if (open) puts(".El");
}

static const struct cg_program *find_program(const char *name)
{
    for (size_t i = 0; i < cg_program_count; i++)
        if (strcmp(cg_programs[i].name, name) == 0) return &cg_programs[i];
    return NULL;
}

static void man_commands(const struct cg_program *p)
{
    puts(".Bl -tag -width Ds");
    for (size_t i = 0; i < p->n_commands; i++) {
        const struct cg_program_command *c = &p->commands[i];
        printf(".It Cm %s%s%s\n%s\n", c->name, *c->argument ? " Ar " : "", c->argument, c->doc);
    }
    puts(".El");
}

static void man_option(const struct cg_program_option *o)
{
    printf(".It ");
    if (o->letter) printf("Fl %c , ", o->letter);
    printf("Fl -%s%s%s\n%s\n", o->name, *o->argument ? " Ar " : "", o->argument, o->doc);
    if (*o->def) printf("Default: %s.\n", o->def);
}

/* The options of each command, then those of several, then those of all. */
static void man_options(const struct cg_program *p)
{
    if (p->n_commands == 0) {
        puts(".Bl -tag -width Ds");
        for (size_t i = 0; i < p->n_options; i++) man_option(&p->options[i]);
        puts(".El");
        return;
    }
    unsigned all = (1u << p->n_commands) - 1;
    for (unsigned set = 1; set <= all; set++) {
        int open = 0;
        for (size_t i = 0; i < p->n_options; i++) {
            if ((p->options[i].commands & all) != set) continue;
            if (!open) {
                printf(".Ss Options of");
                for (size_t c = 0; set != all && c < p->n_commands; c++)
                    if (set >> c & 1) printf(" %s", p->commands[c].name);
                puts(set == all ? " all commands\n.Bl -tag -width Ds" : "\n.Bl -tag -width Ds");
            }
            open = 1;
            man_option(&p->options[i]);
        }
        if (open) puts(".El");
    }
}

/* "@OPTIONS grpo-tune@\n" with `what` "@OPTIONS ": the program; NULL for another line. */
static const struct cg_program *asks_for(const char *line, const char *what)
{
    char name[64];
    size_t n = strlen(what), end = strcspn(line, "\n");
    if (strncmp(line, what, n) != 0 || end < n + 1 || end - n > sizeof name || line[end - 1] != '@') return NULL;
    snprintf(name, sizeof name, "%.*s", (int)(end - n - 1), line + n);
    return find_program(name);
}

static int man(const char *template)
{
    char line[1024];
    const struct cg_program *p;
    FILE *f = fopen(template, "r");
    if (!f) {
        perror(template);
        return 1;
    }
    while (fgets(line, sizeof line, f)) {
        if (strcmp(line, "@OPTIONS@\n") == 0) man_list();
        else if ((p = asks_for(line, "@OPTIONS "))) man_options(p);
        else if ((p = asks_for(line, "@COMMANDS "))) man_commands(p);
        else fputs(line, stdout);
    }
    fclose(f);
    return 0;
}

int main(int argc, char **argv)
{
    const struct cg_program *p = argc == 3 ? find_program(argv[2]) : NULL;
    if (argc == 2 && strcmp(argv[1], "markdown") == 0) markdown();
    else if (argc == 2 && strcmp(argv[1], "metrics") == 0) metrics_page();
    else if (!(p && cg_complete(p, argv[1])) && (argc != 3 || strcmp(argv[1], "man") != 0 || man(argv[2]))) {
        fputs("usage: list-options markdown | metrics | man TEMPLATE | bash PROGRAM | zsh PROGRAM | fish PROGRAM\n",
              stderr);
        return 2;
    }
    return ferror(stdout) || fflush(stdout) ? 1 : 0;
}

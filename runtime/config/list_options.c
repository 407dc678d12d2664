/* Writes the option table as documentation, at build time. It stands alone, since it runs on the building machine:
 *   list-options markdown         docs/options.md
 *   list-options man TEMPLATE     a man page: TEMPLATE with its line @OPTIONS@ replaced by the list */
#include <stdio.h>
#include <string.h>

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
    static const char *const names[][2] = {{"INT", "integer"},
                                           {"REAL", "number"},
                                           {"BOOL", "true or false"},
                                           {"STR", "text"},
                                           {"INTS", "list of integers"}};
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

static int man(const char *template)
{
    char line[1024];
    FILE *f = fopen(template, "r");
    if (!f) {
        perror(template);
        return 1;
    }
    while (fgets(line, sizeof line, f)) {
        if (strcmp(line, "@OPTIONS@\n") == 0) man_list();
        else fputs(line, stdout);
    }
    fclose(f);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "markdown") == 0) markdown();
    else if (argc != 3 || strcmp(argv[1], "man") != 0 || man(argv[2])) {
        fputs("usage: list-options markdown | man TEMPLATE\n", stderr);
        return 2;
    }
    return ferror(stdout) || fflush(stdout) ? 1 : 0;
}

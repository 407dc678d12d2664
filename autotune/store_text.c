#include "autotune/store_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "autotune/fields.h"
#include "common/mem.h"

#define MAGIC "cpu-grpo plans "
#define VERSION "2"
#define MACHINE "machine "
#define FIELDS "fields "
#define RATE "rate "

/* Cuts the next line out of [*p, end): its start, with a 0 in place of the newline; NULL at the end of the text or
 * where the last line has no newline. */
static char *next_line(char **p, char *end)
{
    char *line = *p, *nl = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
    if (!nl) return NULL;
    *nl = 0;
    *p = nl + 1;
    return line;
}

/* Blocks that are packed at every call must not ask for absurd amounts of memory: 2^24 floats are far beyond any cache.
 * Where a block is left to the GEMM (0), what it takes at most counts. */
static int blocks_ok(const struct cg_tuned *t)
{
    uint64_t kc = t->plan.kc ? t->plan.kc : 1024, nc = t->plan.nc ? t->plan.nc : 2048, most = 1 << 24;
    return t->form == CG_FORM_NT || ((uint64_t)t->plan.mc * kc <= most && nc * kc <= most);
}

/* What the fields must be together. */
static enum cg_status check_plan(const struct cg_machine *m, const struct cg_tuned *t)
{
    const struct cg_variant *v = t->plan.variant;
    size_t tokens = t->form == CG_FORM_TN ? t->k : t->m;
    if (v->op != t->op)
        return cg_fail(CG_ERR_USER, "variant \"%.64s\" does not compute \"%.32s\"", v->name, cg_op_name(t->op));
    if (t->op != CG_OP_gemm_f32 && t->form != CG_FORM_NT)
        return cg_fail(CG_ERR_USER, "%s has the form NT only", cg_op_name(t->op));
    if (!cg_variant_runs(v, m->isa))
        return cg_fail(CG_ERR_USER, "variant \"%.64s\" does not run on this machine", v->name);
    if (v->model && v->model != cg_plan_default(m, t->op, t->form, 0, 1, 1, 1, 1).variant->model)
        return cg_fail(CG_ERR_USER, "variant \"%.64s\" would change results", v->name);
    if (tokens != cg_token_bucket(tokens)) return cg_fail(CG_ERR_USER, "%zu tokens are no bucket", tokens);
    if (t->plan.threads > t->threads || t->plan.by_rows > t->plan.threads)
        return cg_fail(CG_ERR_USER, "impossible number of threads");
    return blocks_ok(t) ? CG_OK : cg_fail(CG_ERR_USER, "impossible blocks");
}

static enum cg_status parse_plan(char *line, const struct cg_machine *m, struct cg_tuned *t)
{
    size_t n, i = 0;
    const struct cg_field *f = cg_fields(&n);
    char *save = NULL;
    memset(t, 0, sizeof *t);
    for (char *s = strtok_r(line, " ", &save); s; s = strtok_r(NULL, " ", &save), i++) {
        if (i == n) return cg_fail(CG_ERR_USER, "a plan has more than %zu fields", n);
        CG_TRY(cg_field_parse(&f[i], s, t));
    }
    if (i < n) return cg_fail(CG_ERR_USER, "a plan has %zu fields, not %zu", i, n);
    t->plan.team = (uint16_t)t->threads; /* what was tuned for so many threads serves a process that has them */
    return check_plan(m, t);
}

/* No control characters, which could do something to the terminal that an error is shown on. */
static int is_plain(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\n') || text[i] == 127) return 0;
    return 1;
}

/* Lines "rate ...\n". */
static int rates_ok(const char *s)
{
    if (!is_plain(s, strlen(s))) return 0;
    for (const char *nl; *s; s = nl + 1)
        if (strncmp(s, RATE, strlen(RATE)) != 0 || !(nl = strchr(s, '\n'))) return 0;
    return 1;
}

/* The names of the fields, which say in a file what its plans are made of. */
static void print_fields(FILE *f)
{
    size_t n;
    const struct cg_field *field = cg_fields(&n);
    fputs(FIELDS, f);
    for (size_t i = 0; i < n; i++) fprintf(f, "%s%c", field[i].name, i + 1 < n ? ' ' : '\n');
}

static int fields_agree(char *line)
{
    size_t n, i = 0;
    const struct cg_field *f = cg_fields(&n);
    if (strncmp(line, FIELDS, strlen(FIELDS)) != 0) return 0;
    char *save = NULL, *s = strtok_r(line + strlen(FIELDS), " ", &save);
    for (; s && i < n && strcmp(s, f[i].name) == 0; i++) s = strtok_r(NULL, " ", &save);
    return !s && i == n;
}

/* The header up to the plans, in a form that is compared line by line: a store fits this program on this machine or it
 * does not. The machine's name is for people. */
static enum cg_status check_head(char **p, char *end, const struct cg_machine *m)
{
    char want[64], *print = next_line(p, end), *name = print ? next_line(p, end) : NULL;
    if (!name || strncmp(name, MACHINE, strlen(MACHINE)) != 0) return cg_fail(CG_ERR_USER, "does not name its machine");
    snprintf(want, sizeof want, "fingerprint %016" PRIx64, m->fingerprint);
    if (strcmp(print, want) != 0)
        return cg_fail(CG_ERR_USER, "tuned on another machine or with another CPU_GRPO_ISA (%.120s)",
                       name + strlen(MACHINE));
    char *line = next_line(p, end);
    snprintf(want, sizeof want, "variants %016" PRIx64, cg_variants_hash());
    if (!line || strcmp(line, want) != 0) return cg_fail(CG_ERR_USER, "tuned for other kernels than this program has");
    line = next_line(p, end);
    if (!line || strcmp(line, "compiler " __VERSION__) != 0)
        return cg_fail(CG_ERR_USER, "tuned for a program built with another compiler");
    line = next_line(p, end);
    if (!line || !fields_agree(line))
        return cg_fail(CG_ERR_USER, "its plans have other fields than this program reads");
    return CG_OK;
}

/* The last line is "checksum " and 16 hex digits over all before it; *body is where it starts. */
static enum cg_status check_sum(const char *text, size_t size, size_t *body)
{
    enum { LEN = 9 + 16 + 1 };
    char want[LEN + 1];
    if (size < LEN || text[size - 1] != '\n' || memcmp(text + size - LEN, "checksum ", 9) != 0 ||
        (size > LEN && text[size - LEN - 1] != '\n'))
        return cg_fail(CG_ERR_USER, "cut short (its last line is no checksum)");
    *body = size - LEN;
    snprintf(want, sizeof want, "checksum %016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, *body));
    if (memcmp(text + *body, want, LEN) != 0) return cg_fail(CG_ERR_USER, "checksum does not match");
    return CG_OK;
}

/* The lines after the head: rates as they are, and plans. */
static enum cg_status parse_body(char *p, char *end, const struct cg_machine *m, struct cg_store *s)
{
    size_t fields, rates = 0, size = (size_t)(end - p);
    cg_fields(&fields);
    s->e = cg_alloc_n(size / (2 * fields) + 1, sizeof *s->e); /* a field is a byte at least, and what ends it another */
    s->rates = cg_alloc(size + 1);
    if (!s->e || !s->rates) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (char *line; (line = next_line(&p, end));) {
        if (*line == '#' || *line == 0) continue;
        if (strncmp(line, RATE, strlen(RATE)) == 0) {
            rates += (size_t)sprintf(s->rates + rates, "%s\n", line);
        } else {
            CG_TRY(parse_plan(line, m, &s->e[s->n]));
            s->n++;
        }
    }
    s->rates[rates] = 0;
    return cg_store_check(s);
}

/* What any sound store has, whoever made it: its first line, no odd characters, its checksum. *head is where the lines
 * after the first start, *body where the checksum does. */
static enum cg_status check_text(const char *text, size_t size, size_t *head, size_t *body)
{
    size_t magic = strlen(MAGIC);
    const char *nl = memchr(text, '\n', size < 64 ? size : 64);
    if (!nl || (size_t)(nl - text) <= magic || memcmp(text, MAGIC, magic) != 0)
        return cg_fail(CG_ERR_USER, "not a store of tuned plans");
    if (!is_plain(text, size))
        return cg_fail(CG_ERR_USER, "has characters that do not belong into a store of tuned plans");
    if ((size_t)(nl - text) != magic + strlen(VERSION) || memcmp(text + magic, VERSION, strlen(VERSION)) != 0)
        return cg_fail(CG_ERR_USER, "format version \"%.*s\", this program reads " VERSION,
                       (int)(nl - text - (long)magic), text + magic);
    *head = (size_t)(nl + 1 - text);
    return check_sum(text, size, body);
}

enum cg_status cg_store_parse(char *text, size_t size, const struct cg_machine *m, struct cg_store *s)
{
    memset(s, 0, sizeof *s);
    size_t head = 0, body = 0;
    CG_TRY(check_text(text, size, &head, &body));
    char *p = text + head, *end = text + body;
    CG_TRY(check_head(&p, end, m));
    enum cg_status st = parse_body(p, end, m, s);
    if (st != CG_OK) cg_store_free(s);
    return st;
}

enum cg_status cg_store_peek(char *text, size_t size, struct cg_store_info *info)
{
    size_t head = 0, body = 0;
    memset(info, 0, sizeof *info);
    CG_TRY(check_text(text, size, &head, &body));
    char *p = text + head, *end = text + body, *line;
    int in_head = 1;
    while ((line = next_line(&p, end))) {
        if (strncmp(line, MACHINE, strlen(MACHINE)) == 0)
            snprintf(info->machine, sizeof info->machine, "%s", line + strlen(MACHINE));
        else if (strncmp(line, FIELDS, strlen(FIELDS)) == 0) in_head = 0;
        else info->plans += !in_head && *line && *line != '#' && strncmp(line, RATE, strlen(RATE)) != 0;
    }
    return CG_OK;
}

/* A line of its own for what the machine calls itself. */
static void print_machine(FILE *f, const struct cg_machine *m)
{
    fputs(MACHINE, f);
    for (const char *c = m->model_name[0] ? m->model_name : m->vendor; *c; c++)
        fputc((unsigned char)*c < ' ' || *c == 127 ? '?' : *c, f);
    fprintf(f, ", %d of %d cores\n", m->cores_usable, m->cores);
}

static void print_plan(FILE *f, const struct cg_tuned *t)
{
    size_t n;
    const struct cg_field *field = cg_fields(&n);
    for (size_t i = 0; i < n; i++) {
        const char *name = cg_field_name_of(&field[i], t);
        if (i) fputc(' ', f);
        if (name) fputs(name, f);
        else fprintf(f, field[i].kind == CG_KIND_REAL ? "%.6g" : "%.0f", cg_field_number_of(&field[i], t));
    }
    fputc('\n', f);
}

enum cg_status cg_store_print(FILE *out, const struct cg_machine *m, const struct cg_store *s)
{
    char *text = NULL;
    size_t size = 0;
    if (s->rates && !rates_ok(s->rates)) return cg_fail(CG_ERR_INTERNAL, "a measured rate is no line of its own");
    FILE *f = open_memstream(&text, &size);
    if (!f) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fprintf(f, MAGIC VERSION "\nfingerprint %016" PRIx64 "\n", m->fingerprint);
    print_machine(f, m);
    fprintf(f, "variants %016" PRIx64 "\ncompiler " __VERSION__ "\n", cg_variants_hash());
    print_fields(f);
    fprintf(f, "# Written by grpo-tune, which makes it again; an edited file is not used.\n");
    if (s->rates) fputs(s->rates, f);
    for (size_t i = 0; i < s->n; i++) print_plan(f, &s->e[i]);
    int bad = ferror(f);
    if (fclose(f) != 0 || bad) {
        free(text);
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    fwrite(text, 1, size, out);
    fprintf(out, "checksum %016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, size));
    free(text);
    return CG_OK;
}

#include "autotune/store_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/mem.h"

#define MAGIC "cpu-grpo plans "
#define VERSION "1"

enum { FIELDS = 14, MAX_PREFETCH = 4096, MAX_THREADS = 4096 };
#define MAX_EXTENT ((uint64_t)1 << 31)

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

static int number(const char *s, uint64_t max, uint64_t *out)
{
    size_t len = strlen(s);
    if (len == 0 || len > 20 || strspn(s, "0123456789") != len) return 0;
    errno = 0;
    unsigned long long v = strtoull(s, NULL, 10);
    if (errno || v > max) return 0;
    *out = v;
    return 1;
}

static int rate(const char *s, double *out)
{
    char *end;
    if (!isdigit((unsigned char)*s)) return 0;
    *out = strtod(s, &end);
    return *end == 0 && isfinite(*out) && *out < 1e9;
}

static int form_named(const char *s, enum cg_form *form)
{
    for (int f = CG_FORM_NT; f <= CG_FORM_TN; f++) {
        *form = (enum cg_form)f;
        if (strcmp(s, cg_form_name(*form)) == 0) return 1;
    }
    return 0;
}

/* Blocks that are packed at every call must not ask for absurd amounts of memory: 2^24 floats are far beyond any cache.
 * Where a block is left to the GEMM (0), what it takes at most counts. */
static int blocks_ok(const struct cg_tuned *t)
{
    uint64_t kc = t->plan.kc ? t->plan.kc : 1024, nc = t->plan.nc ? t->plan.nc : 2048, most = 1 << 24;
    if (t->plan.mc > most || t->plan.nc > most || kc > most) return 0;
    return t->form == CG_FORM_NT || ((uint64_t)t->plan.mc * kc <= most && nc * kc <= most);
}

static enum cg_status parse_plan(char **f, const struct cg_machine *m, struct cg_tuned *t)
{
    uint64_t v[11];
    static const int at[] = {2, 3, 4, 5, 7, 8, 9, 10, 11};
    for (size_t i = 0; i < 9; i++)
        if (!number(f[at[i]], MAX_EXTENT, &v[i])) return cg_fail(CG_ERR_USER, "\"%.32s\" is not a size", f[at[i]]);
    if (!form_named(f[1], &t->form)) return cg_fail(CG_ERR_USER, "unknown form \"%.32s\"", f[1]);
    const struct cg_variant *var = cg_variant_named(f[6]);
    if (!var) return cg_fail(CG_ERR_USER, "unknown variant \"%.64s\"", f[6]);
    if (strcmp(f[0], cg_op_name(var->op)) != 0 || !cg_op_is_gemm(var->op))
        return cg_fail(CG_ERR_USER, "variant \"%.64s\" does not compute \"%.32s\"", f[6], f[0]);
    if (var->op != CG_OP_gemm_f32 && t->form != CG_FORM_NT)
        return cg_fail(CG_ERR_USER, "%s has the form NT only", f[0]);
    if (!cg_variant_runs(var, m->isa))
        return cg_fail(CG_ERR_USER, "variant \"%.64s\" does not run on this machine", f[6]);
    if (var->model != cg_plan_default(m, var->op, t->form, 0, 1, 1, 1, 1).variant->model)
        return cg_fail(CG_ERR_USER, "variant \"%.64s\" would change results", f[6]);
    t->op = var->op;
    t->m = v[0], t->n = v[1], t->k = v[2], t->threads = (uint32_t)v[3];
    size_t tokens = t->form == CG_FORM_TN ? t->k : t->m;
    if (!t->m || !t->n || !t->k || tokens != cg_token_bucket(tokens)) return cg_fail(CG_ERR_USER, "impossible shape");
    if (v[3] < 1 || v[3] > MAX_THREADS || v[7] < 1 || v[7] > v[3])
        return cg_fail(CG_ERR_USER, "impossible number of threads");
    if (v[8] > MAX_PREFETCH) return cg_fail(CG_ERR_USER, "impossible prefetch distance");
    t->plan = (struct cg_plan){.variant = var,
                               .mc = (uint32_t)v[4],
                               .nc = (uint32_t)v[5],
                               .kc = (uint32_t)v[6],
                               .threads = (uint16_t)v[7],
                               .prefetch = (uint16_t)v[8]};
    if (!blocks_ok(t)) return cg_fail(CG_ERR_USER, "impossible blocks");
    if (!rate(f[12], &t->gflops) || !rate(f[13], &t->gflops_default)) return cg_fail(CG_ERR_USER, "impossible rate");
    return CG_OK;
}

static enum cg_status parse_line(char *line, const struct cg_machine *m, struct cg_tuned *t)
{
    char *f[FIELDS + 1], *save = NULL;
    int n = 0;
    for (char *s = strtok_r(line, " ", &save); s && n <= FIELDS; s = strtok_r(NULL, " ", &save)) f[n++] = s;
    if (n != FIELDS) return cg_fail(CG_ERR_USER, "a plan has %d fields, not %d", FIELDS, n);
    memset(t, 0, sizeof *t);
    return parse_plan(f, m, t);
}

/* The header up to the plans, in a form that is compared line by line: a store fits this program on this machine or it
 * does not. */
static enum cg_status check_head(char **p, char *end, const struct cg_machine *m)
{
    char want[64], *line = next_line(p, end);
    snprintf(want, sizeof want, "fingerprint %016" PRIx64, m->fingerprint);
    if (!line || strcmp(line, want) != 0) return cg_fail(CG_ERR_USER, "tuned on another machine or ISA mask");
    line = next_line(p, end);
    snprintf(want, sizeof want, "variants %016" PRIx64, cg_variants_hash());
    if (!line || strcmp(line, want) != 0) return cg_fail(CG_ERR_USER, "tuned for other kernels than this program has");
    line = next_line(p, end);
    if (!line || strcmp(line, "compiler " __VERSION__) != 0)
        return cg_fail(CG_ERR_USER, "tuned for a program built with another compiler");
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

enum cg_status cg_store_parse(char *text, size_t size, const struct cg_machine *m, struct cg_store *s)
{
    memset(s, 0, sizeof *s);
    size_t body = 0, magic = strlen(MAGIC);
    char *nl = memchr(text, '\n', size < 64 ? size : 64);
    if (!nl || (size_t)(nl - text) <= magic || memcmp(text, MAGIC, magic) != 0 || memchr(text, 0, size))
        return cg_fail(CG_ERR_USER, "not a store of tuned plans");
    if ((size_t)(nl - text) != magic + strlen(VERSION) || memcmp(text + magic, VERSION, strlen(VERSION)) != 0)
        return cg_fail(CG_ERR_USER, "format version \"%.*s\", this program reads " VERSION,
                       (int)(nl - text - (long)magic), text + magic);
    CG_TRY(check_sum(text, size, &body));
    char *p = nl + 1, *end = text + body, *line;
    CG_TRY(check_head(&p, end, m));
    size_t lines = 0;
    for (const char *q = p; q < end; q++) lines += *q == '\n';
    s->e = cg_alloc_n(lines, sizeof *s->e);
    if (!s->e) return cg_fail(CG_ERR_MEMORY, "out of memory");
    while ((line = next_line(&p, end))) {
        if (*line == '#' || *line == 0) continue;
        enum cg_status st = parse_line(line, m, &s->e[s->n]);
        if (st != CG_OK) {
            cg_store_free(s);
            return st;
        }
        s->n++;
    }
    return CG_OK;
}

enum cg_status cg_store_print(FILE *out, const struct cg_machine *m, const struct cg_store *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fprintf(f, MAGIC VERSION "\nfingerprint %016" PRIx64 "\nvariants %016" PRIx64 "\ncompiler " __VERSION__ "\n",
            m->fingerprint, cg_variants_hash());
    fprintf(f, "# Written by grpo-tune, which makes it again; an edited file is not used.\n");
    fprintf(f, "# op form M N K threads  variant mc nc kc threads prefetch  GFLOP/s default\n");
    for (size_t i = 0; i < s->n; i++) {
        const struct cg_tuned *t = &s->e[i];
        fprintf(f, "%s %s %zu %zu %zu %u  %s %u %u %u %u %u  %.2f %.2f\n", cg_op_name(t->op), cg_form_name(t->form),
                t->m, t->n, t->k, t->threads, t->plan.variant->name, t->plan.mc, t->plan.nc, t->plan.kc,
                t->plan.threads, t->plan.prefetch, t->gflops, t->gflops_default);
    }
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

/* Rates as text: one fact a line, each starting with "rate ". */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/rates.h"
#include "kernels/peak.h"

#define LEAST_SECONDS 1e-13
#define MOST_SECONDS 10.0
#define LEAST_RATE 1e3 /* bytes or operations a second */
#define MOST_RATE 1e18

static const enum cg_op rated[CG_RATED_ROW_COUNT] = {
#define X(op, few, many) CG_OP_##op,
    CG_RATED_ROWS(X)
#undef X
};

/* The facts of one figure; `rate`: in bytes a second, else seconds. */
#define FIGURES(r)                                                                                              \
    {                                                                                                           \
        {"call", 0, &(r).call}, {"region", 0, &(r).region}, {"edge", 0, &(r).edge}, {"pack-b", 1, &(r).pack_b}, \
            {"pack-a", 1, &(r).pack_a}, {"pack-odd", 1, &(r).pack_odd}, {"pack-w", 1, &(r).pack_w},             \
        {                                                                                                       \
            "pack-far", 1, &(r).pack_far                                                                        \
        }                                                                                                       \
    }

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static const char *const who[2] = {"one", "all"};

/* The curves of one thread or of all, with their names. */
#define CURVES(r, t)                                                                                                   \
    {                                                                                                                  \
        {"read", "plain", &(r).read[t][0]}, {"read", "prefetch", &(r).read[t][1]}, {"read", "rows", &(r).strided[t]},  \
            {"tiles", "write", &(r).tiles[t][0]}, {"tiles", "update", &(r).tiles[t][1]}, {"write", "", &(r).write[t]}, \
        {                                                                                                              \
            "copy", "", &(r).copy[t]                                                                                   \
        }                                                                                                              \
    }

static void print_curves(FILE *f, const struct cg_rates *r, int t)
{
    const struct {
        const char *what, *how;
        const struct cg_curve *c;
    } curves[] = CURVES(*r, t);
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        fprintf(f, "rate %s %s%s%s", curves[i].what, who[t], *curves[i].how ? " " : "", curves[i].how);
        for (size_t j = 0; j < curves[i].c->n; j++) fprintf(f, " %.4g", curves[i].c->v[j]);
        fputc('\n', f);
    }
}

enum cg_status cg_rates_print(FILE *f, const struct cg_rates *r)
{
    const struct {
        const char *name;
        int rate;
        const double *x;
    } figures[] = FIGURES(*r);
    fprintf(f, "rate threads %d\n", r->threads);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        fprintf(f, "rate %s %.4g\n", figures[i].name, *figures[i].x);
    print_curves(f, r, CG_RATE_ONE);
    print_curves(f, r, CG_RATE_ALL);
    for (size_t i = 0; i < r->n_peaks; i++)
        fprintf(f, "rate peak %s %s %.4g %.4g\n", cg_op_name(r->peaks[i].op), cg_isa_name(r->peaks[i].level),
                r->peaks[i].one, r->peaks[i].all);
    for (size_t i = 0; i < r->n_variants; i++) {
        const struct cg_rate_variant *v = &r->variants[i];
        fprintf(f, "rate gemm %s", v->variant->name);
        for (size_t j = 0; j < v->n; j++) fprintf(f, " %u %.4g %.4g", v->rows[j], v->step[j], v->tile[j]);
        fputc('\n', f);
    }
    for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++)
        fprintf(f, "rate row %s %.4g %.4g\n", cg_op_name(rated[i]), r->rows[i].call, r->rows[i].element);
    return ferror(f) ? cg_fail(CG_ERR_IO, "cannot write the rates: %s", strerror(errno)) : CG_OK;
}

char *cg_rates_text(const struct cg_rates *r)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    enum cg_status st = f ? cg_rates_print(f, r) : CG_ERR_MEMORY;
    if (f && fclose(f) == 0 && st == CG_OK) return text;
    free(text);
    return NULL;
}

/* ---- Limits ------------------------------------------------------------------------------------------------------ */

static void bound(double *x, double least, double most)
{
    *x = *x > least ? *x < most ? *x : most : least; /* not a number: the least */
}

static void bound_curve(struct cg_curve *c)
{
    for (size_t i = 0; i < c->n; i++) bound(&c->v[i], LEAST_RATE, i ? c->v[i - 1] : MOST_RATE);
}

void cg_rates_bound(struct cg_rates *r)
{
    const struct {
        const char *name;
        int rate;
        double *x;
    } figures[] = FIGURES(*r);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        bound(figures[i].x, figures[i].rate ? LEAST_RATE : 0, figures[i].rate ? MOST_RATE : MOST_SECONDS);
    for (int t = 0; t < 2; t++) {
        const struct {
            const char *what, *how;
            struct cg_curve *c;
        } curves[] = CURVES(*r, t);
        for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) bound_curve(curves[i].c);
    }
    for (size_t i = 0; i < r->n_peaks; i++) {
        bound(&r->peaks[i].one, LEAST_RATE, MOST_RATE);
        bound(&r->peaks[i].all, LEAST_RATE, MOST_RATE);
    }
    for (size_t i = 0; i < r->n_variants; i++) {
        struct cg_rate_variant *v = &r->variants[i];
        for (size_t j = 0; j < v->n; j++) {
            bound(&v->step[j], j ? v->step[j - 1] : LEAST_SECONDS, MOST_SECONDS);
            bound(&v->tile[j], j ? v->tile[j - 1] : 0, MOST_SECONDS);
        }
    }
    for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++) {
        bound(&r->rows[i].call, 0, MOST_SECONDS);
        bound(&r->rows[i].element, LEAST_SECONDS, MOST_SECONDS);
    }
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

enum { MAX_WORDS = 2 + CG_RATE_SIZES + 4, MAX_LINE = 1024 };

struct reader {
    enum cg_arch arch;
    unsigned seen; /* facts that stand once */
    struct cg_rates r;
    char line[MAX_LINE];
    char *words[MAX_WORDS]; /* of the line, after "rate" */
    size_t n;
};

static int number(const char *word, double least, double most, double *out)
{
    char *end;
    if (!strchr("0123456789", word[0])) return 0;
    *out = strtod(word, &end);
    return *end == '\0' && *out >= least && *out <= most;
}

static int whole(const char *word, double least, double most, double *out)
{
    return number(word, least, most, out) && *out == floor(*out);
}

static int read_figure(struct reader *in)
{
    const struct {
        const char *name;
        int rate;
        double *x;
    } figures[] = FIGURES(in->r);
    double threads;
    if (in->n != 2) return 0;
    if (strcmp(in->words[0], "threads") == 0) {
        if (in->r.threads || !whole(in->words[1], 1, 4096, &threads)) return 0;
        in->r.threads = (int)threads;
        return 1;
    }
    for (unsigned i = 0; i < sizeof figures / sizeof *figures; i++) {
        if (strcmp(in->words[0], figures[i].name) != 0) continue;
        if (in->seen & 1u << i) return 0;
        in->seen |= 1u << i;
        return number(in->words[1], figures[i].rate ? LEAST_RATE : 0, figures[i].rate ? MOST_RATE : MOST_SECONDS,
                      figures[i].x);
    }
    return 0;
}

/* Which curve the first words of the line name; NULL for none. *words: how many they are. */
static struct cg_curve *curve_named(struct reader *in, size_t *words)
{
    for (int t = 0; t < 2; t++) {
        const struct {
            const char *what, *how;
            struct cg_curve *c;
        } curves[] = CURVES(in->r, t);
        for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
            *words = *curves[i].how ? 3 : 2;
            if (in->n > *words && strcmp(in->words[0], curves[i].what) == 0 && strcmp(in->words[1], who[t]) == 0 &&
                (*words == 2 || strcmp(in->words[2], curves[i].how) == 0))
                return curves[i].c;
        }
    }
    return NULL;
}

static int read_curve(struct reader *in)
{
    size_t first;
    struct cg_curve *c = curve_named(in, &first);
    if (!c || c->n || in->n - first > CG_RATE_SIZES) return 0;
    for (size_t i = first; i < in->n; i++)
        if (!number(in->words[i], LEAST_RATE, i > first ? c->v[i - first - 1] : MOST_RATE, &c->v[i - first])) return 0;
    c->n = in->n - first;
    return 1;
}

static int read_peak(struct reader *in)
{
    if (in->n != 5 || in->r.n_peaks == CG_RATE_PEAKS) return 0;
    struct cg_rate_peak p = {.op = CG_OP_COUNT, .level = CG_ISA_SCALAR};
    for (int op = CG_OP_gemm_f32; op <= CG_OP_gemm_s8; op++)
        if (op != CG_OP_gemm_bf16w && strcmp(in->words[1], cg_op_name((enum cg_op)op)) == 0) p.op = (enum cg_op)op;
    for (int i = CG_ISA_SCALAR + 1; i < CG_ISA_COUNT; i++)
        if (strcmp(in->words[2], cg_isa_name((enum cg_isa)i)) == 0) p.level = (enum cg_isa)i;
    if (p.op == CG_OP_COUNT || p.level == CG_ISA_SCALAR) return 0;
    for (size_t i = 0; i < in->r.n_peaks; i++)
        if (in->r.peaks[i].op == p.op && in->r.peaks[i].level == p.level) return 0;
    if (!number(in->words[3], LEAST_RATE, MOST_RATE, &p.one) || !number(in->words[4], LEAST_RATE, MOST_RATE, &p.all))
        return 0;
    in->r.peaks[in->r.n_peaks++] = p;
    return 1;
}

static const struct cg_variant *gemm_named(enum cg_arch arch, const char *name)
{
    size_t count;
    const struct cg_variant *v = cg_variants_for(arch, &count);
    for (size_t i = 0; i < count; i++)
        if (cg_op_is_gemm(v[i].op) && strcmp(v[i].name, name) == 0) return &v[i];
    return NULL;
}

static int read_gemm(struct reader *in)
{
    if (in->n < 5 || in->n > 2 + 3 * CG_RATE_ROWS || (in->n - 2) % 3 != 0) return 0;
    if (in->r.n_variants == CG_RATE_VARIANTS) return 0;
    struct cg_rate_variant v = {.variant = gemm_named(in->arch, in->words[1])};
    if (!v.variant || cg_rates_of(&in->r, v.variant)) return 0;
    for (size_t i = 2; i < in->n; i += 3, v.n++) {
        double rows;
        if (!whole(in->words[i], v.n ? v.rows[v.n - 1] + 1 : 1, v.variant->mr, &rows) ||
            !number(in->words[i + 1], v.n ? v.step[v.n - 1] : LEAST_SECONDS, MOST_SECONDS, &v.step[v.n]) ||
            !number(in->words[i + 2], v.n ? v.tile[v.n - 1] : 0, MOST_SECONDS, &v.tile[v.n]))
            return 0;
        v.rows[v.n] = (uint16_t)rows;
    }
    if (v.rows[0] != 1 || v.rows[v.n - 1] != v.variant->mr) return 0;
    in->r.variants[in->r.n_variants++] = v;
    return 1;
}

static int read_row(struct reader *in)
{
    size_t i = 0;
    if (in->n != 4) return 0;
    while (i < CG_RATED_ROW_COUNT && strcmp(in->words[1], cg_op_name(rated[i])) != 0) i++;
    if (i == CG_RATED_ROW_COUNT || in->r.rows[i].element > 0) return 0;
    return number(in->words[2], 0, MOST_SECONDS, &in->r.rows[i].call) &&
           number(in->words[3], LEAST_SECONDS, MOST_SECONDS, &in->r.rows[i].element);
}

static int read_line(struct reader *in)
{
    for (char *p = in->line + strlen("rate "); *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e) return 0;
    char *state = NULL, *word = strtok_r(in->line + strlen("rate "), " ", &state);
    for (in->n = 0; word; word = strtok_r(NULL, " ", &state)) {
        if (in->n == MAX_WORDS) return 0;
        in->words[in->n++] = word;
    }
    if (in->n == 0) return 0;
    if (strcmp(in->words[0], "peak") == 0) return read_peak(in);
    if (strcmp(in->words[0], "gemm") == 0) return read_gemm(in);
    if (strcmp(in->words[0], "row") == 0) return read_row(in);
    return read_figure(in) || read_curve(in);
}

/* Is every fact there? */
static const char *missing(const struct reader *in)
{
    const struct cg_rates *r = &in->r;
    const struct {
        const char *name;
        int rate;
        const double *x;
    } figures[] = FIGURES(*r);
    if (!r->threads) return "threads";
    for (unsigned i = 0; i < sizeof figures / sizeof *figures; i++)
        if (!(in->seen & 1u << i)) return figures[i].name;
    for (int t = 0; t < 2; t++) {
        const struct {
            const char *what, *how;
            const struct cg_curve *c;
        } curves[] = CURVES(*r, t);
        for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
            if (!curves[i].c->n) return "a curve of read, tiles, write or copy";
    }
    for (size_t i = 0; i < CG_RATED_ROW_COUNT; i++)
        if (!(r->rows[i].element > 0)) return "a row operation";
    return r->n_variants ? NULL : "every GEMM";
}

enum cg_status cg_rates_parse(const char *text, enum cg_arch arch, struct cg_rates *r)
{
    struct reader in = {.arch = arch};
    size_t number_of_line = 1, found = 0;
    for (const char *p = text; *p; number_of_line++) {
        size_t length = strcspn(p, "\n");
        if (strncmp(p, "rate ", strlen("rate ")) == 0) {
            int ok = length < MAX_LINE;
            if (ok) {
                memcpy(in.line, p, length);
                in.line[length] = '\0';
                ok = read_line(&in);
            }
            if (!ok) return cg_fail(CG_ERR_USER, "line %zu is no rate that this version knows", number_of_line);
            found++;
        }
        p += length + (p[length] == '\n');
    }
    if (!found)
        return cg_fail(CG_ERR_USER, "there are no rates in it; grpo-tune detect --record FILE --rates measures them");
    const char *lacks = missing(&in);
    if (lacks) return cg_fail(CG_ERR_USER, "the rates are not whole: %s is missing", lacks);
    *r = in.r;
    return CG_OK;
}

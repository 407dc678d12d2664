/* Reading a record. It is parsed where it lies: paths and texts are parts of the file's own memory, which unescaping
 * only makes shorter. */
#include "detect/record_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const char *name;
    struct cg_record *r;
    char *next, *end; /* what is not yet read */
    size_t line, cap, n_rates;
    unsigned seen; /* bits of keywords that may come once */
    int done;
};

static enum cg_status bad(const struct parser *p, const char *what)
{
    return cg_fail(CG_ERR_USER, "%s, line %zu: %s", p->name, p->line, what);
}

/* The next line as a string, without its newline (and without the return that some editors add); NULL at the end. */
static char *next_line(struct parser *p)
{
    if (p->next >= p->end) return NULL;
    char *line = p->next, *nl = memchr(line, '\n', (size_t)(p->end - line));
    char *stop = nl ? nl : p->end;
    p->next = stop + 1;
    p->line++;
    if (stop > line && stop[-1] == '\r') stop--;
    *stop = 0;
    return line;
}

static int octal(const char *s)
{
    for (int i = 0; i < 3; i++)
        if (s[i] < '0' || s[i] > (i ? '7' : '3')) return -1;
    return (s[0] - '0') * 64 + (s[1] - '0') * 8 + (s[2] - '0');
}

/* Undoes \ooo from `s` into `out` (which may be s or before it); the length, or -1. */
static long unescape(const char *s, char *out)
{
    long n = 0;
    while (*s) {
        if (*s != '\\') {
            out[n++] = *s++;
            continue;
        }
        int c = octal(s + 1);
        if (c <= 0) return -1;
        out[n++] = (char)c;
        s += 4;
    }
    return n;
}

/* A number of C, unsigned, at most `max`; *s moves behind it and one blank. */
static int number(char **s, int base, uint64_t max, uint64_t *out)
{
    char *end;
    if (!strchr("0123456789abcdefABCDEF", **s) || !**s) return -1;
    errno = 0;
    unsigned long long v = strtoull(*s, &end, base);
    if ((*end && *end != ' ') || v > max || errno) return -1;
    *s = *end ? end + 1 : end;
    *out = v;
    return 0;
}

static int whole(char *s, int base, uint64_t max, uint64_t *out)
{
    return number(&s, base, max, out) == 0 && !*s ? 0 : -1;
}

/* ---- What the lines say ------------------------------------------------------------------------------------------ */

static enum cg_status parse_arch(struct parser *p, char *s)
{
    struct cg_facts *f = &p->r->facts;
    if (strcmp(s, "x86-64") == 0) f->arch = CG_ARCH_X86_64;
    else if (strcmp(s, "AArch64") == 0) f->arch = CG_ARCH_AARCH64;
    else return bad(p, "the arch must be x86-64 or AArch64");
    return CG_OK;
}

static enum cg_status parse_cpus(struct parser *p, char *s)
{
    uint64_t v;
    if (whole(s, 10, CG_MAX_CPUS, &v) != 0 || v < 1) return bad(p, "cpus must be a number from 1 to 1024");
    p->r->facts.cpus = (int)v;
    return CG_OK;
}

static enum cg_status parse_affinity(struct parser *p, char *s)
{
    return cg_parse_cpus(s, p->r->facts.affinity) == 0 ? CG_OK : bad(p, "the affinity must be a list of CPUs as 0-3,8");
}

static enum cg_status parse_cpuid(struct parser *p, char *s)
{
    struct cg_x86 *x = &p->r->facts.x86;
    uint64_t v[6];
    for (int i = 0; i < 6; i++)
        if (number(&s, 16, UINT32_MAX, &v[i]) != 0)
            return bad(p, "cpuid must have six hexadecimal numbers: leaf, subleaf, EAX, EBX, ECX, EDX");
    for (int i = 0; i < x->n; i++)
        if (x->leaves[i].leaf == v[0] && x->leaves[i].sub == v[1]) return bad(p, "this leaf is given twice");
    if (*s || x->n == CG_CPUID_LEAVES)
        return bad(p, *s ? "cpuid has more than six numbers" : "there are too many leaves");
    x->leaves[x->n++] = (struct cg_cpuid_leaf){(uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2],
                                               (uint32_t)v[3], (uint32_t)v[4], (uint32_t)v[5]};
    return CG_OK;
}

static enum cg_status parse_xcr0(struct parser *p, char *s)
{
    return whole(s, 16, UINT64_MAX, &p->r->facts.x86.xcr0) == 0 ? CG_OK : bad(p, "xcr0 must be a hexadecimal number");
}

static enum cg_status parse_amx(struct parser *p, char *s)
{
    uint64_t v;
    if (whole(s, 10, 4095, &v) != 0) return bad(p, "amx-permission must be 0 or the number of an error (errno)");
    p->r->facts.x86.amx_refused = (int)v;
    return CG_OK;
}

static enum cg_status parse_hwcap(struct parser *p, char *s)
{
    return whole(s, 16, UINT64_MAX, &p->r->facts.arm.hwcap) == 0 ? CG_OK : bad(p, "hwcap must be a hexadecimal number");
}

static enum cg_status parse_hwcap2(struct parser *p, char *s)
{
    return whole(s, 16, UINT64_MAX, &p->r->facts.arm.hwcap2) == 0 ? CG_OK
                                                                  : bad(p, "hwcap2 must be a hexadecimal number");
}

static enum cg_status parse_midr(struct parser *p, char *s)
{
    return whole(s, 16, UINT32_MAX, &p->r->facts.arm.midr) == 0
               ? CG_OK
               : bad(p, "midr must be a hexadecimal number of 32 bits");
}

static enum cg_status parse_sve(struct parser *p, char *s)
{
    uint64_t v;
    if (whole(s, 10, 256, &v) != 0 || v % 16) return bad(p, "sve-bytes must be a multiple of 16 up to 256");
    p->r->facts.arm.sve_bytes = (uint32_t)v;
    return CG_OK;
}

static enum cg_status parse_probe(struct parser *p, char *s)
{
    char *what = strchr(s, ' ');
    if (!what) return bad(p, "probe must have a level and ok, none, other-length or signal N");
    *what++ = 0;
    int level = CG_ISA_SCALAR + 1;
    while (level < CG_ISA_COUNT && strcmp(s, cg_isa_name((enum cg_isa)level)) != 0) level++;
    if (level == CG_ISA_COUNT) return bad(p, "there is no such level to probe");
    uint64_t v = CG_PROBE_OK;
    if (strcmp(what, "none") == 0) v = CG_PROBE_NONE;
    else if (strcmp(what, "other-length") == 0) v = CG_PROBE_OTHER;
    else if (strncmp(what, "signal ", 7) == 0 ? whole(what + 7, 10, 64, &v) != 0 || v == 0 : strcmp(what, "ok") != 0)
        return bad(p, "a probe ends with ok, none, other-length or signal N");
    p->r->facts.probe[level] = (uint8_t)v;
    return CG_OK;
}

/* "file PATH TEXT", or "file PATH" and the lines of its text, each with | before it. */
static enum cg_status parse_file(struct parser *p, char *s)
{
    struct cg_record *r = p->r;
    if (r->n_files == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        struct cg_record_file *more = realloc(r->files, cap * sizeof *more);
        if (!more) return cg_fail(CG_ERR_MEMORY, "out of memory");
        r->files = more;
        p->cap = cap;
    }
    char *text = s + strcspn(s, " "), *out = text;
    int one_line = *text == ' ';
    if (one_line) *text++ = 0;
    long n = unescape(s, s);
    if (n < 0) return bad(p, "a \\ must be followed by three octal digits");
    s[n] = 0;
    enum cg_file_kind kind = cg_record_kind(s);
    if (kind == CG_FILE_UNKNOWN) return bad(p, "detection reads no file of this path");
    struct cg_record_file f = {.path = s, .line = p->line};
    if (one_line) {
        f.text = out = text;
        n = unescape(text, out);
        if (n >= 0) out[n++] = '\n'; /* where the line's own end was, or before it */
        out += n < 0 ? 0 : n;
    } else {
        f.text = out = text + 1; /* behind the 0 that ends the path */
        while (n >= 0 && p->next < p->end && *p->next == '|') {
            n = unescape(next_line(p) + 1, out);
            if (n < 0) break;
            out += n;
            *out++ = '\n';
        }
    }
    if (n < 0) return bad(p, "a \\ must be followed by three octal digits");
    f.size = (size_t)(out - f.text);
    char *copy = strndup(f.text, f.size);
    if (!copy) return cg_fail(CG_ERR_MEMORY, "out of memory");
    int fits = cg_record_fits(kind, copy);
    free(copy);
    if (!fits) return bad(p, "a file of this path holds something else, or less");
    r->files[r->n_files++] = f;
    return CG_OK;
}

static enum cg_status parse_end(struct parser *p, char *s)
{
    p->done = 1;
    return *s ? bad(p, "nothing belongs behind end") : CG_OK;
}

static const struct {
    const char *name;
    int many;
    enum cg_status (*parse)(struct parser *p, char *s);
} keywords[] = {
    {"arch", 0, parse_arch},     {"cpus", 0, parse_cpus},     {"affinity", 0, parse_affinity},
    {"cpuid", 1, parse_cpuid},   {"xcr0", 0, parse_xcr0},     {"amx-permission", 0, parse_amx},
    {"hwcap", 0, parse_hwcap},   {"hwcap2", 0, parse_hwcap2}, {"midr", 0, parse_midr},
    {"sve-bytes", 0, parse_sve}, {"probe", 1, parse_probe},   {"file", 1, parse_file},
    {"end", 0, parse_end},
};
enum { N_KEYWORDS = sizeof keywords / sizeof *keywords };

static enum cg_status parse_line(struct parser *p, char *line)
{
    size_t len = strcspn(line, " ");
    if (len == 4 && strncmp(line, "rate", len) == 0) {
        size_t n = strlen(line);
        memcpy(p->r->rates + p->n_rates, line, n);
        p->n_rates += n;
        p->r->rates[p->n_rates++] = '\n';
        return CG_OK;
    }
    for (int i = 0; i < N_KEYWORDS; i++) {
        if (strlen(keywords[i].name) != len || strncmp(line, keywords[i].name, len) != 0) continue;
        if (!keywords[i].many && (p->seen >> i & 1)) return bad(p, "this was said before");
        p->seen |= 1u << i;
        return keywords[i].parse(p, line + len + (line[len] == ' '));
    }
    return bad(p, "a line of a machine record begins with a keyword of docs/file-formats.md");
}

static int by_path(const void *a, const void *b)
{
    const struct cg_record_file *x = a, *y = b;
    int c = strcmp(x->path, y->path);
    return c ? c : x->line < y->line ? -1 : 1;
}

static enum cg_status finish(struct parser *p)
{
    struct cg_record *r = p->r;
    if (!p->done) return cg_fail(CG_ERR_USER, "%s is cut short: its last line is not \"end\"", p->name);
    if (!(p->seen & 1)) return cg_fail(CG_ERR_USER, "%s does not say its arch", p->name);
    if (r->n_files) qsort(r->files, r->n_files, sizeof *r->files, by_path);
    for (size_t i = 1; i < r->n_files; i++)
        if (strcmp(r->files[i - 1].path, r->files[i].path) == 0)
            return cg_fail(CG_ERR_USER, "%s, line %zu: the file of line %zu is given again", p->name, r->files[i].line,
                           r->files[i - 1].line);
    return CG_OK;
}

static enum cg_status parse(struct parser *p)
{
    char *line = next_line(p);
    size_t magic = strlen(CG_RECORD_MAGIC);
    if (!line || strncmp(line, CG_RECORD_MAGIC, magic) != 0)
        return cg_fail(CG_ERR_USER,
                       "%s is no machine record: its first line must be \"" CG_RECORD_MAGIC CG_RECORD_VERSION
                       "\", as grpo-tune detect --record writes it",
                       p->name);
    if (strcmp(line + magic, CG_RECORD_VERSION) != 0)
        return cg_fail(CG_ERR_USER,
                       "%s is a machine record of version %.20s; this program reads version " CG_RECORD_VERSION,
                       p->name, line + magic);
    while ((line = next_line(p))) {
        if (!*line || *line == '#') continue;
        if (p->done) return bad(p, "nothing belongs behind end");
        CG_TRY(parse_line(p, line));
    }
    return finish(p);
}

enum cg_status cg_record_parse(const char *name, char *text, size_t size, struct cg_record **record)
{
    *record = NULL;
    struct cg_record *r = calloc(1, sizeof *r);
    char *rates = malloc(size + 2);
    if (!r || !rates) {
        free(r);
        free(rates);
        free(text);
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    r->buf = text;
    r->rates = rates;
    r->facts.cpus = 1;
    struct parser p = {.name = name, .r = r, .next = text, .end = text + size};
    enum cg_status st =
        memchr(text, 0, size) ? cg_fail(CG_ERR_USER, "%s is no machine record: it is not text", name) : parse(&p);
    rates[p.n_rates] = 0;
    if (st == CG_OK) *record = r;
    else cg_record_free(r);
    return st;
}

void cg_record_free(struct cg_record *r)
{
    if (!r) return;
    free(r->buf);
    free(r->files);
    free(r->rates);
    free(r);
}

const char *cg_record_rates(const struct cg_record *r)
{
    return r->rates;
}

#include "runtime/rewards/boxed.h"

#include <ctype.h>
#include <string.h>

#define MAX_ANSWER 1000

/* The end of the group that begins after an open brace at s; NULL when it is not closed. */
static const char *group_end(const char *s)
{
    int depth = 1;
    for (; *s; s++) {
        if (*s == '\\' && s[1]) s++;
        else if (*s == '{') depth++;
        else if (*s == '}' && --depth == 0) return s;
    }
    return NULL;
}

const char *cg_boxed_last(const char *text, size_t *n)
{
    const char *found = NULL;
    for (const char *s = text; (s = strchr(s, '\\'));) {
        size_t len = strncmp(s, "\\boxed", 6) == 0 ? 6 : strncmp(s, "\\fbox", 5) == 0 ? 5 : 0;
        const char *open = s + len + strspn(s + len, " ");
        s++;
        const char *end = len && *open == '{' ? group_end(open + 1) : NULL;
        if (!end) continue;
        found = open + 1;
        *n = (size_t)(end - found);
    }
    return found;
}

struct answer {
    char s[2 * MAX_ANSWER + 8];
    size_t n;
};

static int skip(const char **s, const char *what)
{
    size_t n = strlen(what);
    if (strncmp(*s, what, n) != 0) return 0;
    *s += n;
    return 1;
}

/* What says nothing about the value. */
static int skip_noise(const char **s)
{
    static const char *const noise[] = {
        "\\left",      "\\right", "\\!",    "\\,",       "\\;",     "\\:",    "\\ ",
        "\\$",         "\\%",     "\\quad", "^{\\circ}", "^\\circ", "\\circ", "\\displaystyle",
        "\\phantom{}", "$",       "%",      "\xC2\xB0"};
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++)
        if (skip(s, noise[i])) return 1;
    if (!isspace((unsigned char)**s)) return 0;
    (*s)++;
    return 1;
}

/* \text{...} and its relatives after something are units and go; alone, their words are the answer. */
static int skip_text(const char **s, struct answer *out)
{
    static const char *const words[] = {"\\text{", "\\textbf{", "\\mathrm{", "\\mbox{", "\\mathbf{"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strncmp(*s, words[i], strlen(words[i])) != 0) continue;
        const char *inner = *s + strlen(words[i]), *end = group_end(inner);
        if (!end) return 0;
        int alone = out->n == 0;
        for (; alone && inner < end; inner++)
            if (!isspace((unsigned char)*inner)) out->s[out->n++] = *inner;
        *s = end + 1;
        return 1;
    }
    return 0;
}

/* One argument of \frac: a group, or one character. */
static int fraction_part(const char **s, struct answer *out)
{
    while (isspace((unsigned char)**s)) (*s)++;
    if (!**s || **s == '\\') return 0;
    if (**s != '{') {
        out->s[out->n++] = *(*s)++;
        return 1;
    }
    const char *end = group_end(*s + 1);
    if (!end) return 0;
    for (const char *p = *s + 1; p < end; p++)
        if (!isspace((unsigned char)*p)) out->s[out->n++] = *p;
    *s = end + 1;
    return 1;
}

/* \frac{a}{b}, \dfrac, \tfrac, \frac12 become a/b. */
static int fraction(const char **s, struct answer *out)
{
    const char *p = *s;
    size_t kept = out->n;
    if (!skip(&p, "\\frac") && !skip(&p, "\\dfrac") && !skip(&p, "\\tfrac")) return 0;
    if (fraction_part(&p, out)) {
        out->s[out->n++] = '/';
        if (fraction_part(&p, out)) {
            *s = p;
            return 1;
        }
    }
    out->n = kept;
    return 0;
}

static void normalise(const char *text, size_t n, struct answer *out)
{
    char copy[MAX_ANSWER + 1];
    memcpy(copy, text, n);
    copy[n] = 0;
    out->n = 0;
    for (const char *s = copy; *s;)
        if (!skip_noise(&s) && !fraction(&s, out) && !skip_text(&s, out)) out->s[out->n++] = *s++;
    while (out->n && out->s[out->n - 1] == '.') out->n--;
    out->s[out->n] = 0;
}

/* A number or a fraction of two that is the whole of the text, up / down. */
struct ratio {
    __int128 up, down;
};

/* At most 15 digits. Returns what follows, or NULL. */
static const char *read_decimal(const char *s, struct ratio *r)
{
    int negative = *s == '-', digits = 0, places = 0;
    if (*s == '-' || *s == '+') s++;
    r->up = 0;
    r->down = 1;
    for (int point = 0;; s++) {
        if (*s == ',' && digits && isdigit((unsigned char)s[1]) && isdigit((unsigned char)s[2]) &&
            isdigit((unsigned char)s[3]) && !isdigit((unsigned char)s[4]) && !point)
            continue;
        if (*s == '.' && !point && isdigit((unsigned char)s[1])) {
            point = 1;
            continue;
        }
        if (!isdigit((unsigned char)*s)) break;
        r->up = 10 * r->up + (*s - '0');
        if (point) places++;
        if (++digits > 15) return NULL;
    }
    while (places--) r->down *= 10;
    if (negative) r->up = -r->up;
    return digits ? s : NULL;
}

static int read_ratio(const char *s, struct ratio *r)
{
    struct ratio by;
    s = read_decimal(s, r);
    if (!s) return 0;
    if (!*s) return 1;
    if (*s != '/') return 0;
    s = read_decimal(s + 1, &by);
    if (!s || *s || by.up == 0) return 0;
    /* below 10^9 each, so that neither these products nor those of a comparison overflow */
    const __int128 most = 1000000000;
    if (r->up > most || -r->up > most || r->down > most || by.up > most || -by.up > most || by.down > most) return 0;
    r->up *= by.down;
    r->down *= by.up;
    return 1;
}

int cg_boxed_equal(const char *a, size_t na, const char *b, size_t nb)
{
    if (na == nb && memcmp(a, b, na) == 0) return 1;
    if (na > MAX_ANSWER || nb > MAX_ANSWER) return 0;
    struct answer x, y;
    struct ratio p, q;
    normalise(a, na, &x);
    normalise(b, nb, &y);
    if (x.n == y.n && memcmp(x.s, y.s, x.n) == 0) return 1;
    if (!read_ratio(x.s, &p) || !read_ratio(y.s, &q)) return 0;
    return p.up * q.down == q.up * p.down;
}

/* Values of options: from text to the field, with the limits of the table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/words.h"
#include "runtime/config/table.h"

#define LIST_MAX 64 /* items in a list */

static enum cg_status wrong(const struct cg_option *o, const char *wanted, const char *text, int quoted)
{
    char shown[CG_SHOWN];
    const char *q = quoted ? "\"" : "'";
    return cg_fail(CG_ERR_USER, "'%s' needs %s, not %s%s%s", o->name, wanted, q, cg_show(text, shown), q);
}

static enum cg_status in_limits(const struct cg_option *o, double x, const char *text)
{
    char shown[CG_SHOWN];
    if (x < o->lo || ((o->open & 1) && x == o->lo))
        return cg_fail(CG_ERR_USER, "'%s' must be %s %.16g, not %s", o->name, o->open & 1 ? "above" : "at least", o->lo,
                       cg_show(text, shown));
    if (x > o->hi || ((o->open & 2) && x == o->hi))
        return cg_fail(CG_ERR_USER, "'%s' must be %s %.16g, not %s", o->name, o->open & 2 ? "below" : "at most", o->hi,
                       cg_show(text, shown));
    return CG_OK;
}

static enum cg_status parse_int(const struct cg_option *o, const char *text, const char *wanted, int64_t *out)
{
    char *end;
    size_t sign = *text == '-' || *text == '+';
    if (!text[sign] || text[sign + strspn(text + sign, "0123456789")]) return wrong(o, wanted, text, 0);
    errno = 0;
    long long x = strtoll(text, &end, 10);
    /* Out of range, strtoll gives the nearest number that fits, which is beyond every limit of the table. */
    CG_TRY(in_limits(o, (double)x, text));
    *out = x;
    return CG_OK;
}

static enum cg_status parse_real(const struct cg_option *o, const char *text, double *out)
{
    char *end;
    double x = strtod(text, &end);
    /* The set of characters keeps out the hexadecimal, nan and inf that strtod takes. */
    if (end == text || *end || text[strspn(text, "0123456789+-.eE")]) return wrong(o, "a number", text, 0);
    CG_TRY(in_limits(o, x, text));
    *out = x;
    return CG_OK;
}

static enum cg_status parse_bool(const struct cg_option *o, const char *text, int *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (int i = 0; i < 6; i++) {
        if (strcasecmp(text, words[i]) != 0) continue;
        *out = i & 1;
        return CG_OK;
    }
    return wrong(o, "true or false", text, 0);
}

/* Looks `text` up in "a|b|alias=a": the canonical name in out (64 bytes), or 0 when it is not there. */
static int canonical(const char *one_of, const char *text, char out[64])
{
    for (const char *p = one_of; *p;) {
        size_t n = strcspn(p, "|"), key = strcspn(p, "|=");
        const char *name = key < n ? p + key + 1 : p;
        if (strlen(text) == key && strncasecmp(text, p, key) == 0) {
            snprintf(out, 64, "%.*s", (int)(p + n - name), name);
            return 1;
        }
        p += n + (p[n] == '|');
    }
    return 0;
}

static enum cg_status parse_string(const struct cg_option *o, const char *text, char **out)
{
    char name[64], names[160], shown[52];
    if (o->one_of && !canonical(o->one_of, text, name)) {
        size_t n = 0;
        for (const char *p = o->one_of; *p && *p != '=' && n + 3 < sizeof names; p++) {
            if (*p == '|') names[n++] = ',';
            names[n++] = *p == '|' ? ' ' : *p;
        }
        names[n] = 0;
        char *eq = strchr(o->one_of, '=') ? strrchr(names, ',') : NULL; /* an alias began after the last comma */
        if (eq) *eq = 0;
        return cg_fail(CG_ERR_USER, "'%s' must be one of %s, not '%s'", o->name, names, cg_show(text, shown));
    }
    if (!o->one_of && strlen(text) < o->lo) return cg_fail(CG_ERR_USER, "'%s' must not be empty", o->name);
    char *copy = strdup(o->one_of ? name : text);
    if (!copy) return cg_fail(CG_ERR_MEMORY, "out of memory");
    free(*out);
    *out = copy;
    return CG_OK;
}

void cg_option_free_strings(struct cg_strs *x)
{
    for (size_t i = 0; i < x->n; i++) free(x->v[i]);
    free(x->v);
    *x = (struct cg_strs){0};
}

static enum cg_status parse_ints(const struct cg_option *o, const struct cg_value *v, struct cg_ints *out)
{
    int64_t *x = malloc((v->n + 1) * sizeof *x);
    enum cg_status s = x ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < v->n && s == CG_OK; i++) s = parse_int(o, v->items[i], "integers in its list", &x[i]);
    if (s != CG_OK) {
        free(x);
        return s;
    }
    free(out->v);
    *out = (struct cg_ints){x, v->n};
    return CG_OK;
}

static enum cg_status parse_reals(const struct cg_option *o, const struct cg_value *v, struct cg_reals *out)
{
    double *x = malloc((v->n + 1) * sizeof *x);
    enum cg_status s = x ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < v->n && s == CG_OK; i++) s = parse_real(o, v->items[i], &x[i]);
    if (s != CG_OK) {
        free(x);
        return s;
    }
    free(out->v);
    *out = (struct cg_reals){x, v->n};
    return CG_OK;
}

static enum cg_status parse_strings(const struct cg_option *o, const struct cg_value *v, struct cg_strs *out)
{
    struct cg_strs x = {calloc(v->n + 1, sizeof *x.v), 0};
    enum cg_status s = x.v ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (; x.n < v->n && s == CG_OK; x.n++) s = parse_string(o, v->items[x.n], &x.v[x.n]);
    if (s != CG_OK) {
        cg_option_free_strings(&x);
        return s;
    }
    cg_option_free_strings(out);
    *out = x;
    return CG_OK;
}

static enum cg_status parse_list(const struct cg_option *o, const struct cg_value *v, void *field)
{
    static const char *const wanted[] = {"a list of integers such as [1, 2, 3]", "a list of numbers such as [1, 0.5]",
                                         "a list of names such as [a, b]"};
    if (!v->is_list) return wrong(o, wanted[o->kind - CG_KIND_INTS], v->items[0], v->quoted);
    if (v->n > LIST_MAX) return cg_fail(CG_ERR_USER, "'%s' may have at most %d items", o->name, LIST_MAX);
    if (o->kind == CG_KIND_INTS) return parse_ints(o, v, field);
    return o->kind == CG_KIND_REALS ? parse_reals(o, v, field) : parse_strings(o, v, field);
}

enum cg_status cg_option_store(const struct cg_option *o, const struct cg_value *v, struct cg_run_config *c)
{
    static const char *const wanted[] = {"an integer", "a number", "true or false", "text"};
    void *field = (char *)c + o->offset;
    if (o->kind >= CG_KIND_INTS) return parse_list(o, v, field);
    if (v->is_list) return cg_fail(CG_ERR_USER, "'%s' needs %s, not a list", o->name, wanted[o->kind]);
    if (v->quoted && o->kind != CG_KIND_STR) return wrong(o, wanted[o->kind], v->items[0], 1);
    switch (o->kind) {
    case CG_KIND_INT: return parse_int(o, v->items[0], wanted[o->kind], field);
    case CG_KIND_REAL: return parse_real(o, v->items[0], field);
    case CG_KIND_BOOL: return parse_bool(o, v->items[0], field);
    case CG_KIND_STR: return parse_string(o, v->items[0], field);
    case CG_KIND_INTS:
    case CG_KIND_REALS:
    case CG_KIND_STRS: break;
    }
    return cg_fail(CG_ERR_INTERNAL, "option '%s' has no kind", o->name);
}

enum cg_status cg_option_store_text(const struct cg_option *o, const char *text, struct cg_run_config *c)
{
    if (o->kind < CG_KIND_INTS) return cg_option_store(o, &(struct cg_value){.items = &text, .n = 1}, c);
    char *copy = strdup(text), *save = NULL;
    if (!copy) return cg_fail(CG_ERR_MEMORY, "out of memory");
    const char *items[LIST_MAX + 1];
    size_t n = 0, len = strlen(copy);
    char *list = copy;
    if (len >= 2 && copy[0] == '[' && copy[len - 1] == ']') {
        copy[len - 1] = 0;
        list++;
    }
    for (char *p = strtok_r(list, ", ", &save); p && n <= LIST_MAX; p = strtok_r(NULL, ", ", &save)) items[n++] = p;
    enum cg_status s = cg_option_store(o, &(struct cg_value){.items = items, .n = n, .is_list = 1}, c);
    free(copy);
    return s;
}

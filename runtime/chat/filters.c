/* Filters, and the tests of `is`. */
#include <math.h>
#include <string.h>

#include "runtime/chat/run.h"
#include "runtime/tokenizer/utf8.h"

static enum cg_status need_text(struct cg_jv v, const char *of)
{
    if (v.kind == CG_J_STR) return CG_OK;
    if (v.kind == CG_J_UNDEFINED) return cg_jundefined_fault(v);
    return cg_fail(CG_ERR_USER, "the filter %s needs a string, not %s", of, cg_jkind_name(v));
}

static enum cg_status trim(struct cg_jrun *r, struct cg_jv v, const struct cg_jargs *args, struct cg_jv *out)
{
    struct cg_jstr chars = {NULL, 0}, s;
    CG_TRY(cg_jargs_check(args, "trim", 1, "chars"));
    CG_TRY(cg_jto_text(r->arena, v, &s));
    CG_TRY(cg_jarg_text(args, 0, "chars", "trim", &chars));
    s = cg_jstrip(s, chars.s ? &chars : NULL, 3);
    *out = cg_jtext(s.s, s.n);
    return CG_OK;
}

static enum cg_status length(struct cg_jv v, struct cg_jv *out)
{
    switch (v.kind) {
    case CG_J_UNDEFINED: *out = cg_jint(0); return CG_OK;
    case CG_J_STR: *out = cg_jint((int64_t)cg_jchars(v.str)); return CG_OK;
    case CG_J_LIST: *out = cg_jint((int64_t)v.list->n); return CG_OK;
    case CG_J_DICT: *out = cg_jint((int64_t)v.dict->n); return CG_OK;
    default: return cg_fail(CG_ERR_USER, "%s has no length", cg_jkind_name(v));
    }
}

static enum cg_status fallback(struct cg_jv v, const struct cg_jargs *args, struct cg_jv *out)
{
    const struct cg_jv *other = cg_jarg(args, 0, "default_value"), *falsy = cg_jarg(args, 1, "boolean");
    CG_TRY(cg_jargs_check(args, "default", 2, "default_value|boolean"));
    int take = v.kind == CG_J_UNDEFINED || (falsy && cg_jtrue(*falsy) && !cg_jtrue(v));
    *out = !take ? v : other ? *other : cg_jtext("", 0);
    return CG_OK;
}

static enum cg_status join(struct cg_jrun *r, struct cg_jv v, const struct cg_jargs *args, struct cg_jv *out)
{
    struct cg_jstr by = {"", 0}, s;
    struct cg_jlist *items;
    size_t n = 0;
    CG_TRY(cg_jargs_check(args, "join", 1, "d"));
    CG_TRY(cg_jarg_text(args, 0, "d", "join", &by));
    CG_TRY(cg_jiterate(r, v, &items));
    for (size_t i = 0; i < items->n; i++) {
        CG_TRY(cg_jto_text(r->arena, items->v[i], &s));
        if (__builtin_add_overflow(n, s.n + by.n, &n)) return cg_fail(CG_ERR_USER, "join makes too long a string");
    }
    char *o = cg_jalloc(r->arena, n + 1);
    if (!o) return r->arena->failed;
    n = 0;
    for (size_t i = 0; i < items->n; i++) {
        CG_TRY(cg_jto_text(r->arena, items->v[i], &s));
        if (i && by.n) memcpy(o + n, by.s, by.n);
        n += i ? by.n : 0;
        if (s.n) memcpy(o + n, s.s, s.n);
        n += s.n;
    }
    *out = cg_jtext(o, n);
    return CG_OK;
}

/* The first or the last item, undefined when there is none. */
static enum cg_status end_item(struct cg_jrun *r, struct cg_jv v, int last, struct cg_jv *out)
{
    struct cg_jlist *items;
    CG_TRY(cg_jiterate(r, v, &items));
    if (items->n) *out = items->v[last ? items->n - 1 : 0];
    else *out = cg_jundefined((struct cg_jstr){"an item of an empty list", 24});
    return CG_OK;
}

static enum cg_status listed(struct cg_jrun *r, struct cg_jv v, int backwards, struct cg_jv *out)
{
    struct cg_jlist *items;
    CG_TRY(cg_jiterate(r, v, &items));
    CG_TRY(cg_jmake_list(r, out));
    for (size_t i = 0; i < items->n; i++)
        CG_TRY(cg_jlist_add(r->arena, out->list, items->v[backwards ? items->n - 1 - i : i]));
    return CG_OK;
}

/* The pairs of a dict. */
static enum cg_status items(struct cg_jrun *r, struct cg_jv v, struct cg_jv *out)
{
    CG_TRY(cg_jmake_list(r, out));
    if (v.kind == CG_J_UNDEFINED) return CG_OK;
    if (v.kind != CG_J_DICT) return cg_fail(CG_ERR_USER, "items needs a dict, not %s", cg_jkind_name(v));
    for (size_t i = 0; i < v.dict->n; i++) {
        struct cg_jv pair;
        CG_TRY(cg_jmake_list(r, &pair));
        CG_TRY(cg_jlist_add(r->arena, pair.list, cg_jtext(v.dict->key[i].s, v.dict->key[i].n)));
        CG_TRY(cg_jlist_add(r->arena, pair.list, v.dict->v[i]));
        CG_TRY(cg_jlist_add(r->arena, out->list, pair));
    }
    return CG_OK;
}

static enum cg_status replace(struct cg_jrun *r, struct cg_jv v, const struct cg_jargs *args, struct cg_jv *out)
{
    struct cg_jstr from = {NULL, 0}, to = {NULL, 0}, s;
    int64_t most = -1;
    CG_TRY(cg_jargs_check(args, "replace", 3, "old|new|count"));
    CG_TRY(cg_jto_text(r->arena, v, &s));
    CG_TRY(cg_jarg_text(args, 0, "old", "replace", &from));
    CG_TRY(cg_jarg_text(args, 1, "new", "replace", &to));
    CG_TRY(cg_jarg_int(args, 2, "count", "replace", &most));
    if (!from.s || !to.s) return cg_fail(CG_ERR_USER, "replace needs two strings");
    return cg_jreplace(r, s, from, to, most, out);
}

/* map(attribute="a") */
static enum cg_status map(struct cg_jrun *r, struct cg_jv v, const struct cg_jargs *args, struct cg_jv *out)
{
    struct cg_jstr key = {NULL, 0};
    struct cg_jlist *all;
    struct cg_jv x;
    CG_TRY(cg_jarg_text(args, CG_J_ARGS, "attribute", "map", &key));
    if (!key.s || args->n != 1 || memchr(key.s, '.', key.n))
        return cg_fail(CG_ERR_USER, "the filter map is supported as map(attribute='name') only");
    CG_TRY(cg_jiterate(r, v, &all));
    CG_TRY(cg_jmake_list(r, out));
    for (size_t i = 0; i < all->n; i++) {
        CG_TRY(cg_jmember(r, all->v[i], key, 1, &x));
        CG_TRY(cg_jlist_add(r->arena, out->list, x));
    }
    return CG_OK;
}

/* selectattr("a"), selectattr("a", "equalto", x); rejectattr keeps the others. */
static enum cg_status select_by(struct cg_jrun *r, struct cg_jv v, const struct cg_jargs *args, int want,
                                struct cg_jv *out)
{
    struct cg_jstr key = {NULL, 0}, test = {NULL, 0};
    struct cg_jargs rest = {.n = 0};
    struct cg_jlist *all;
    struct cg_jv x;
    CG_TRY(cg_jargs_check(args, "selectattr or rejectattr", 3, ""));
    CG_TRY(cg_jarg_text(args, 0, "", "selectattr", &key));
    CG_TRY(cg_jarg_text(args, 1, "", "selectattr", &test));
    if (!key.s) return cg_fail(CG_ERR_USER, "selectattr and rejectattr need the name of an attribute");
    if (args->n == 3) rest = (struct cg_jargs){.n = 1, .v = {args->v[2]}};
    CG_TRY(cg_jiterate(r, v, &all));
    CG_TRY(cg_jmake_list(r, out));
    for (size_t i = 0; i < all->n; i++) {
        int yes;
        CG_TRY(cg_jmember(r, all->v[i], key, 1, &x));
        if (test.s) CG_TRY(cg_jtest(r, test, x, &rest, &yes));
        else yes = cg_jtrue(x);
        if (yes == want) CG_TRY(cg_jlist_add(r->arena, out->list, all->v[i]));
    }
    return CG_OK;
}

static enum cg_status as_text(struct cg_jrun *r, struct cg_jv v, struct cg_jv *out)
{
    struct cg_jstr s;
    CG_TRY(cg_jto_text(r->arena, v, &s));
    *out = cg_jtext(s.s, s.n);
    return CG_OK;
}

enum cg_status cg_jfilter(struct cg_jrun *r, struct cg_jstr name, struct cg_jv v, const struct cg_jargs *args,
                          struct cg_jv *out)
{
    static const char *const cases[] = {"upper", "lower", "capitalize", "title"};
    char buf[64];
    if (cg_jis(name, "tojson")) return cg_jtojson(r, v, args, out);
    if (cg_jis(name, "trim")) return trim(r, v, args, out);
    if (cg_jis(name, "default") || cg_jis(name, "d")) return fallback(v, args, out);
    if (cg_jis(name, "join")) return join(r, v, args, out);
    if (cg_jis(name, "replace")) return replace(r, v, args, out);
    if (cg_jis(name, "map")) return map(r, v, args, out);
    if (cg_jis(name, "selectattr") || cg_jis(name, "rejectattr")) return select_by(r, v, args, name.s[0] == 's', out);
    if (args->n == 0) { /* those without arguments */
        if (cg_jis(name, "length") || cg_jis(name, "count")) return length(v, out);
        if (cg_jis(name, "first") || cg_jis(name, "last")) return end_item(r, v, name.s[0] == 'l', out);
        if (cg_jis(name, "list") || (cg_jis(name, "reverse") && v.kind != CG_J_STR))
            return listed(r, v, name.s[0] == 'r', out);
        if (cg_jis(name, "items")) return items(r, v, out);
        if (cg_jis(name, "string") || cg_jis(name, "safe")) return as_text(r, v, out);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            if (!cg_jis(name, cases[i])) continue;
            CG_TRY(need_text(v, cases[i]));
            return cg_jcase(r, v.str, name.s[0], out);
        }
    }
    return cg_fail(CG_ERR_USER, "the filter '%s' is not supported%s", cg_shown(name.s, name.n, buf),
                   args->n ? " with these arguments" : "");
}

/* Tests of one value. -1: there is no such test. */
static int plain_test(struct cg_jstr name, struct cg_jv v)
{
    int has_dict = v.kind == CG_J_DICT, is_list = v.kind == CG_J_LIST || v.kind == CG_J_STR;
    if (cg_jis(name, "defined")) return v.kind != CG_J_UNDEFINED;
    if (cg_jis(name, "undefined")) return v.kind == CG_J_UNDEFINED;
    if (cg_jis(name, "none")) return v.kind == CG_J_NONE;
    if (cg_jis(name, "string")) return v.kind == CG_J_STR;
    if (cg_jis(name, "mapping")) return has_dict;
    if (cg_jis(name, "sequence")) return is_list || has_dict;
    if (cg_jis(name, "iterable")) return is_list || has_dict || v.kind == CG_J_UNDEFINED;
    if (cg_jis(name, "number")) return cg_jis_number(v);
    if (cg_jis(name, "integer")) return v.kind == CG_J_INT;
    if (cg_jis(name, "float")) return v.kind == CG_J_REAL;
    if (cg_jis(name, "boolean")) return v.kind == CG_J_BOOL;
    if (cg_jis(name, "true")) return v.kind == CG_J_BOOL && v.i;
    if (cg_jis(name, "false")) return v.kind == CG_J_BOOL && !v.i;
    if (cg_jis(name, "callable")) return v.kind >= CG_J_FUNCTION;
    return -1;
}

/* Tests against another value: the operators by their names. */
static const char *operator_of(struct cg_jstr name)
{
    static const char *const names[][2] = {{"eq", "=="}, {"equalto", "=="}, {"==", "=="},      {"ne", "!="},
                                           {"!=", "!="}, {"lt", "<"},       {"lessthan", "<"}, {"<", "<"},
                                           {"le", "<="}, {"<=", "<="},      {"gt", ">"},       {"greaterthan", ">"},
                                           {">", ">"},   {"ge", ">="},      {">=", ">="},      {"in", "in"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cg_jis(name, names[i][0])) return names[i][1];
    return NULL;
}

enum cg_status cg_jtest(struct cg_jrun *r, struct cg_jstr name, struct cg_jv v, const struct cg_jargs *args, int *out)
{
    char buf[64];
    const char *op = operator_of(name);
    int named = args->n && args->name[0].n;
    if (op && args->n == 1 && !named) return cg_jcompare(r, (struct cg_jstr){op, strlen(op)}, v, args->v[0], out);
    if (args->n == 0 && (*out = plain_test(name, v)) >= 0) return CG_OK;
    int odd = cg_jis(name, "odd"), by_one = args->n == 0 && (odd || cg_jis(name, "even"));
    int by_other = args->n == 1 && !named && cg_jis(name, "divisibleby");
    if (!by_one && !by_other)
        return cg_fail(CG_ERR_USER, "the test 'is %s' is not supported%s", cg_shown(name.s, name.n, buf),
                       args->n ? " with these arguments" : "");
    struct cg_jv by = by_one ? cg_jint(2) : args->v[0];
    if (v.kind == CG_J_UNDEFINED) return cg_jundefined_fault(v);
    if (v.kind != CG_J_INT || by.kind != CG_J_INT || by.i == 0)
        return cg_fail(CG_ERR_USER, "odd, even and divisibleby need integers");
    int divides = by.i == -1 || v.i % by.i == 0;
    *out = odd ? !divides : divides;
    return CG_OK;
}

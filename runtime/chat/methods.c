/* Methods of strings and dicts, with Python's meaning. */
#include <string.h>

#include "runtime/chat/lexer.h"
#include "runtime/chat/run.h"
#include "runtime/tokenizer/utf8.h"

/* All that Python has, of which those below are supported: an attribute of such a name is the method. */
static const char *const of_strings[] = {
    "capitalize",   "casefold",     "center",     "count",      "encode",      "endswith",   "expandtabs",
    "find",         "format",       "index",      "isalnum",    "isalpha",     "isascii",    "isdecimal",
    "isdigit",      "isidentifier", "islower",    "isnumeric",  "isprintable", "isspace",    "istitle",
    "isupper",      "join",         "ljust",      "lower",      "lstrip",      "partition",  "removeprefix",
    "removesuffix", "replace",      "rfind",      "rindex",     "rjust",       "rpartition", "rsplit",
    "rstrip",       "split",        "splitlines", "startswith", "strip",       "swapcase",   "title",
    "translate",    "upper",        "zfill",      "format_map", "maketrans"};
static const char *const of_dicts[] = {"clear", "copy",    "fromkeys",   "get",    "items", "keys",
                                       "pop",   "popitem", "setdefault", "update", "values"};
static const char *const of_lists[] = {"append", "clear", "copy",   "count",   "extend", "index",
                                       "insert", "pop",   "remove", "reverse", "sort"};

#define AMONG(names, name) among(names, sizeof names / sizeof *names, name)

static int among(const char *const *names, size_t n, struct cg_jstr name)
{
    for (size_t i = 0; i < n; i++)
        if (cg_jis(name, names[i])) return 1;
    return 0;
}

int cg_jhas_method(struct cg_jv v, struct cg_jstr name)
{
    if (v.kind == CG_J_STR) return AMONG(of_strings, name);
    if (v.kind == CG_J_LIST) return AMONG(of_lists, name);
    return v.kind == CG_J_DICT && !v.dict->is_loop && AMONG(of_dicts, name);
}

static int strip_char(struct cg_jstr s, const struct cg_jstr *chars, size_t at, size_t len)
{
    return chars ? memmem(chars->s, chars->n, s.s + at, len) != NULL : cg_jspace(s.s + at, s.n - at) == len;
}

struct cg_jstr cg_jstrip(struct cg_jstr s, const struct cg_jstr *chars, int which)
{
    while (which & 1 && s.n) {
        size_t len = 1;
        while (len < s.n && ((unsigned char)s.s[len] & 0xC0) == 0x80) len++;
        if (!strip_char(s, chars, 0, len)) break;
        s.s += len;
        s.n -= len;
    }
    while (which & 2 && s.n) {
        size_t b = s.n - 1;
        while (b > 0 && ((unsigned char)s.s[b] & 0xC0) == 0x80) b--;
        if (!strip_char(s, chars, b, s.n - b)) break;
        s.n = b;
    }
    return s;
}

enum cg_status cg_jreplace(struct cg_jrun *r, struct cg_jstr s, struct cg_jstr from, struct cg_jstr to, int64_t most,
                           struct cg_jv *out)
{
    size_t times = 0, n = 0;
    if (from.n == 0) return cg_fail(CG_ERR_USER, "replace of an empty string is not supported");
    const char *end = s.s + s.n;
    for (const char *p = s.s; (int64_t)times != most && (p = memmem(p, (size_t)(end - p), from.s, from.n)); p += from.n)
        times++;
    size_t grown;
    if (__builtin_mul_overflow(times, to.n, &grown)) return cg_fail(CG_ERR_USER, "replace makes too long a string");
    char *o = cg_jalloc(r->arena, s.n - times * from.n + grown + 1);
    if (!o) return r->arena->failed;
    const char *at = s.s;
    for (; times; times--) {
        const char *p = memmem(at, (size_t)(end - at), from.s, from.n);
        memcpy(o + n, at, (size_t)(p - at));
        n += (size_t)(p - at);
        memcpy(o + n, to.s, to.n);
        n += to.n;
        at = p + from.n;
    }
    memcpy(o + n, at, (size_t)(end - at));
    *out = cg_jtext(o, n + (size_t)(end - at));
    return CG_OK;
}

static int letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

enum cg_status cg_jcase(struct cg_jrun *r, struct cg_jstr s, char how, struct cg_jv *out)
{
    char *o = cg_jalloc(r->arena, s.n + 1);
    if (!o) return r->arena->failed;
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.s[i] >= 0x80)
            return cg_fail(CG_ERR_USER, "upper and lower case of letters beyond ASCII are not supported");
        int word = i == 0 || !letter(s.s[i - 1]), up = how == 'u' || (how == 'c' && i == 0) || (how == 't' && word);
        o[i] = s.s[i];
        if (letter(o[i])) o[i] = (char)(up ? o[i] & ~0x20 : o[i] | 0x20);
    }
    *out = cg_jtext(o, s.n);
    return CG_OK;
}

static enum cg_status add_text(struct cg_jrun *r, struct cg_jlist *l, const char *s, size_t n)
{
    return cg_jlist_add(r->arena, l, cg_jtext(s, n));
}

/* s.split(sep, most), of white space without sep. */
static enum cg_status split(struct cg_jrun *r, struct cg_jstr s, const struct cg_jargs *args, struct cg_jv *out)
{
    struct cg_jstr sep = {NULL, 0};
    const struct cg_jv *given = cg_jarg(args, 0, "sep");
    int64_t most = -1;
    CG_TRY(cg_jargs_check(args, "split", 2, "sep|maxsplit"));
    if (given && given->kind != CG_J_NONE) CG_TRY(cg_jarg_text(args, 0, "sep", "split", &sep));
    CG_TRY(cg_jarg_int(args, 1, "maxsplit", "split", &most));
    if (sep.s && sep.n == 0) return cg_fail(CG_ERR_USER, "split needs a separator that is not empty");
    CG_TRY(cg_jmake_list(r, out));
    struct cg_jlist *l = out->list;
    while (!sep.s && (s = cg_jlstrip(s)).n) {
        size_t n = 0;
        while (n < s.n && !cg_jspace(s.s + n, s.n - n)) n++;
        if (most >= 0 && (int64_t)l->n == most) n = s.n;
        CG_TRY(add_text(r, l, s.s, n));
        s.s += n;
        s.n -= n;
    }
    if (!sep.s) return CG_OK;
    for (const char *p; (most < 0 || (int64_t)l->n < most) && (p = memmem(s.s, s.n, sep.s, sep.n));) {
        CG_TRY(add_text(r, l, s.s, (size_t)(p - s.s)));
        s.n -= (size_t)(p - s.s) + sep.n;
        s.s = p + sep.n;
    }
    return add_text(r, l, s.s, s.n);
}

/* startswith and endswith, of a string or any of several. */
static enum cg_status starts(struct cg_jrun *r, struct cg_jstr s, const struct cg_jargs *args, int at_end,
                             struct cg_jv *out)
{
    const struct cg_jv *what = cg_jarg(args, 0, "");
    struct cg_jlist one = {.n = 1}, *all = &one;
    CG_TRY(cg_jargs_check(args, "startswith or endswith", 1, ""));
    if (!what || (what->kind != CG_J_STR && what->kind != CG_J_LIST))
        return cg_fail(CG_ERR_USER, "startswith and endswith need a string");
    struct cg_jv first = *what;
    one.v = &first;
    if (what->kind == CG_J_LIST) CG_TRY(cg_jiterate(r, *what, &all));
    *out = cg_jbool(0);
    for (size_t i = 0; i < all->n && !out->i; i++) {
        if (all->v[i].kind != CG_J_STR) return cg_fail(CG_ERR_USER, "startswith and endswith need strings");
        struct cg_jstr x = all->v[i].str;
        *out = cg_jbool(x.n <= s.n && memcmp(at_end ? s.s + s.n - x.n : s.s, x.s, x.n) == 0);
    }
    return CG_OK;
}

static enum cg_status strip(struct cg_jstr s, const struct cg_jargs *args, int which, struct cg_jv *out)
{
    struct cg_jstr chars = {NULL, 0};
    const struct cg_jv *given = cg_jarg(args, 0, "");
    CG_TRY(cg_jargs_check(args, "strip", 1, ""));
    if (given && given->kind != CG_J_NONE) CG_TRY(cg_jarg_text(args, 0, "", "strip", &chars));
    s = cg_jstrip(s, chars.s ? &chars : NULL, which);
    *out = cg_jtext(s.s, s.n);
    return CG_OK;
}

static enum cg_status replace(struct cg_jrun *r, struct cg_jstr s, const struct cg_jargs *args, struct cg_jv *out)
{
    struct cg_jstr from = {NULL, 0}, to = {NULL, 0};
    int64_t most = -1;
    CG_TRY(cg_jargs_check(args, "replace", 3, "count"));
    CG_TRY(cg_jarg_text(args, 0, "", "replace", &from));
    CG_TRY(cg_jarg_text(args, 1, "", "replace", &to));
    CG_TRY(cg_jarg_int(args, 2, "count", "replace", &most));
    if (!from.s || !to.s) return cg_fail(CG_ERR_USER, "replace needs two strings");
    return cg_jreplace(r, s, from, to, most, out);
}

/* find, in characters. */
static enum cg_status find(struct cg_jstr s, const struct cg_jargs *args, struct cg_jv *out)
{
    struct cg_jstr what = {NULL, 0};
    CG_TRY(cg_jargs_check(args, "find", 1, ""));
    CG_TRY(cg_jarg_text(args, 0, "", "find", &what));
    if (!what.s) return cg_fail(CG_ERR_USER, "find needs a string");
    const char *p = what.n ? memmem(s.s, s.n, what.s, what.n) : s.s;
    *out = cg_jint(p ? (int64_t)cg_jchars((struct cg_jstr){s.s, (size_t)(p - s.s)}) : -1);
    return CG_OK;
}

static enum cg_status of_string(struct cg_jrun *r, struct cg_jv self, struct cg_jstr name, const struct cg_jargs *args,
                                struct cg_jv *out)
{
    static const struct {
        const char *name;
        char how;
    } cases[] = {{"upper", 'u'}, {"lower", 'l'}, {"capitalize", 'c'}, {"title", 't'}};
    struct cg_jstr s = self.str;
    char buf[64];
    if (cg_jis(name, "strip")) return strip(s, args, 3, out);
    if (cg_jis(name, "lstrip")) return strip(s, args, 1, out);
    if (cg_jis(name, "rstrip")) return strip(s, args, 2, out);
    if (cg_jis(name, "startswith")) return starts(r, s, args, 0, out);
    if (cg_jis(name, "endswith")) return starts(r, s, args, 1, out);
    if (cg_jis(name, "split")) return split(r, s, args, out);
    if (cg_jis(name, "replace")) return replace(r, s, args, out);
    if (cg_jis(name, "find")) return find(s, args, out);
    if (cg_jis(name, "join") && args->n == 1) {
        struct cg_jargs by = {.n = 1, .v = {self}};
        return cg_jfilter(r, name, args->v[0], &by, out);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cg_jis(name, cases[i].name) && args->n == 0) return cg_jcase(r, s, cases[i].how, out);
    return cg_fail(CG_ERR_USER, "the method '%s' of strings is not supported", cg_shown(name.s, name.n, buf));
}

static enum cg_status get(const struct cg_jdict *d, const struct cg_jargs *args, struct cg_jv *out)
{
    const struct cg_jv *key = cg_jarg(args, 0, ""), *other = cg_jarg(args, 1, "default");
    CG_TRY(cg_jargs_check(args, "get", 2, "default"));
    if (!key) return cg_fail(CG_ERR_USER, "get needs a key");
    const struct cg_jv *v = key->kind == CG_J_STR ? cg_jdict_get(d, key->str) : NULL;
    *out = v ? *v : other ? *other : CG_JNONE;
    return CG_OK;
}

enum cg_status cg_jmethod_call(struct cg_jrun *r, const struct cg_jmethod *m, const struct cg_jargs *args,
                               struct cg_jv *out)
{
    struct cg_jv self = m->self;
    char buf[64];
    if (self.kind == CG_J_STR) return of_string(r, self, m->name, args, out);
    if (self.kind == CG_J_DICT && cg_jis(m->name, "get")) return get(self.dict, args, out);
    if (self.kind == CG_J_DICT && cg_jis(m->name, "items")) return cg_jfilter(r, m->name, self, args, out);
    int keys = cg_jis(m->name, "keys");
    if (self.kind == CG_J_DICT && (keys || cg_jis(m->name, "values"))) {
        CG_TRY(cg_jmake_list(r, out));
        for (size_t i = 0; i < self.dict->n; i++)
            CG_TRY(cg_jlist_add(r->arena, out->list,
                                keys ? cg_jtext(self.dict->key[i].s, self.dict->key[i].n) : self.dict->v[i]));
        return CG_OK;
    }
    return cg_fail(CG_ERR_USER, "the method '%s' of %s is not supported", cg_shown(m->name.s, m->name.n, buf),
                   cg_jkind_name(self));
}

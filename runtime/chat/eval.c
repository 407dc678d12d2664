/* Expressions, evaluated. */
#include <string.h>

#include "runtime/chat/run.h"
#include "runtime/tokenizer/utf8.h"

enum cg_status cg_jiterate(struct cg_jrun *r, struct cg_jv v, struct cg_jlist **out)
{
    if (v.kind == CG_J_LIST) {
        *out = v.list;
        return CG_OK;
    }
    struct cg_jlist *l = *out = cg_jlist_new(r->arena);
    if (!l) return r->arena->failed;
    switch (v.kind) {
    case CG_J_UNDEFINED: return CG_OK;
    case CG_J_DICT:
        for (size_t i = 0; i < v.dict->n; i++)
            CG_TRY(cg_jlist_add(r->arena, l, cg_jtext(v.dict->key[i].s, v.dict->key[i].n)));
        return CG_OK;
    case CG_J_STR:
        for (size_t i = 0, len; i < v.str.n; i += len) {
            for (len = 1; i + len < v.str.n && ((unsigned char)v.str.s[i + len] & 0xC0) == 0x80;) len++;
            CG_TRY(cg_jlist_add(r->arena, l, cg_jtext(v.str.s + i, len)));
        }
        return CG_OK;
    default: return cg_fail(CG_ERR_USER, "%s cannot be iterated over", cg_jkind_name(v));
    }
}

enum cg_status cg_jmember(struct cg_jrun *r, struct cg_jv v, struct cg_jstr key, int subscript, struct cg_jv *out)
{
    *out = cg_jundefined(key);
    if (v.kind == CG_J_UNDEFINED) return cg_jundefined_fault(v);
    int has_dict = v.kind == CG_J_DICT || v.kind == CG_J_NAMESPACE;
    const struct cg_jv *member = has_dict ? cg_jdict_get(v.dict, key) : NULL;
    int method = v.kind != CG_J_NAMESPACE && cg_jhas_method(v, key);
    if (member && (subscript || !method)) *out = *member;
    else if (method) {
        struct cg_jmethod *m = cg_jalloc(r->arena, sizeof *m);
        if (!m) return r->arena->failed;
        *m = (struct cg_jmethod){v, key};
        *out = (struct cg_jv){.kind = CG_J_METHOD, .method = m};
    } else if (has_dict && v.dict->is_loop) {
        char buf[64];
        return cg_fail(CG_ERR_USER, "loop.%s is not supported", cg_shown(key.s, key.n, buf));
    }
    return CG_OK;
}

static void name(struct cg_jrun *r, struct cg_jstr s, struct cg_jv *out)
{
    for (const struct cg_jscope *scope = r->scope; scope; scope = scope->around) {
        const struct cg_jv *v = cg_jdict_get(&scope->vars, s);
        if (!v) continue;
        *out = *v;
        return;
    }
    *out = cg_jundefined(s);
    if (cg_jis_function(s)) out->kind = CG_J_FUNCTION;
}

static enum cg_status arguments(struct cg_jrun *r, const struct cg_jnode *first, struct cg_jargs *args)
{
    args->n = 0;
    for (const struct cg_jnode *a = first; a; a = a->next) {
        if (args->n == CG_J_ARGS) return cg_fail(CG_ERR_USER, "a call has more than %d arguments", CG_J_ARGS);
        args->name[args->n] = a->name;
        CG_TRY(cg_jeval(r, a->a, &args->v[args->n]));
        args->n++;
    }
    return CG_OK;
}

static enum cg_status call(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    struct cg_jv f;
    struct cg_jargs args;
    CG_TRY(cg_jeval(r, e->a, &f));
    CG_TRY(arguments(r, e->list, &args));
    return cg_jcall(r, f, &args, out);
}

static enum cg_status list(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    struct cg_jv v;
    CG_TRY(cg_jmake_list(r, out));
    for (const struct cg_jnode *item = e->list; item; item = item->next) {
        CG_TRY(cg_jeval(r, item, &v));
        CG_TRY(cg_jlist_add(r->arena, out->list, v));
    }
    return CG_OK;
}

static enum cg_status dict(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    struct cg_jv key, v;
    struct cg_jdict *d = cg_jdict_new(r->arena);
    if (!d) return r->arena->failed;
    for (const struct cg_jnode *pair = e->list; pair; pair = pair->next) {
        CG_TRY(cg_jeval(r, pair->a, &key));
        if (key.kind != CG_J_STR)
            return cg_fail(CG_ERR_USER, "%s is the key of a dict; keys must be strings", cg_jkind_name(key));
        CG_TRY(cg_jeval(r, pair->b, &v));
        CG_TRY(cg_jdict_set(r->arena, d, key.str, v));
    }
    *out = (struct cg_jv){.kind = CG_J_DICT, .dict = d};
    return CG_OK;
}

static enum cg_status slice(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    struct cg_jv v, at[3] = {CG_JNONE, CG_JNONE, CG_JNONE};
    const struct cg_jnode *parts[3] = {e->b, e->c, e->d};
    CG_TRY(cg_jeval(r, e->a, &v));
    for (int i = 0; i < 3; i++)
        if (parts[i]) CG_TRY(cg_jeval(r, parts[i], &at[i]));
    return cg_jslice(r, v, at, out);
}

static enum cg_status compare(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    struct cg_jv left, right;
    int yes = 1;
    CG_TRY(cg_jeval(r, e->a, &left));
    for (const struct cg_jnode *o = e->list; o && yes; o = o->next) {
        CG_TRY(cg_jeval(r, o->a, &right));
        CG_TRY(cg_jcompare(r, o->name, left, right, &yes));
        left = right;
    }
    *out = cg_jbool(yes);
    return CG_OK;
}

static enum cg_status test(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    struct cg_jargs args;
    struct cg_jv v;
    int yes;
    CG_TRY(cg_jeval(r, e->a, &v));
    CG_TRY(arguments(r, e->list, &args));
    CG_TRY(cg_jtest(r, e->name, v, &args, &yes));
    *out = cg_jbool(yes != e->flag);
    return CG_OK;
}

static enum cg_status filter(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    struct cg_jargs args;
    struct cg_jv v;
    CG_TRY(cg_jeval(r, e->a, &v));
    CG_TRY(arguments(r, e->list, &args));
    return cg_jfilter(r, e->name, v, &args, out);
}

static enum cg_status sign(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    static const struct cg_jstr minus = {"-", 1};
    CG_TRY(cg_jeval(r, e->a, out));
    if (out->kind == CG_J_REAL) {
        if (e->flag) out->d = -out->d;
        return CG_OK;
    }
    return cg_jbinary(r, e->flag ? minus : (struct cg_jstr){"+", 1}, cg_jint(0), *out, out);
}

/* The operands of one or two that come first, then the operator. */
static enum cg_status simple(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    struct cg_jv a, b;
    CG_TRY(cg_jeval(r, e->a, &a));
    switch (e->kind) {
    case CG_JN_NOT: *out = cg_jbool(!cg_jtrue(a)); return CG_OK;
    case CG_JN_ATTR: return cg_jmember(r, a, e->name, 0, out);
    case CG_JN_AND:
    case CG_JN_OR: *out = a; return cg_jtrue(a) == (e->kind == CG_JN_AND) ? cg_jeval(r, e->b, out) : CG_OK;
    case CG_JN_COND:
        if (cg_jtrue(a)) return cg_jeval(r, e->b, out);
        if (e->c) return cg_jeval(r, e->c, out);
        *out = cg_jundefined((struct cg_jstr){"an expression without 'else'", 28});
        return CG_OK;
    default: break;
    }
    CG_TRY(cg_jeval(r, e->b, &b));
    return e->kind == CG_JN_ITEM ? cg_jitem(r, a, b, out) : cg_jbinary(r, e->name, a, b, out);
}

static enum cg_status eval(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    switch (e->kind) {
    case CG_JN_CONST: *out = e->value; return CG_OK;
    case CG_JN_NAME: name(r, e->name, out); return CG_OK;
    case CG_JN_LIST: return list(r, e, out);
    case CG_JN_DICT: return dict(r, e, out);
    case CG_JN_SLICE: return slice(r, e, out);
    case CG_JN_CALL: return call(r, e, out);
    case CG_JN_FILTER: return filter(r, e, out);
    case CG_JN_TEST: return test(r, e, out);
    case CG_JN_SIGN: return sign(r, e, out);
    case CG_JN_COMPARE: return compare(r, e, out);
    default: return simple(r, e, out);
    }
}

enum cg_status cg_jeval(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out)
{
    *out = CG_JNONE;
    r->line = e->line;
    if (r->steps == 0) return cg_fail(CG_ERR_USER, "the template runs too long");
    r->steps--;
    if (r->depth == CG_J_RUN_DEPTH) return cg_fail(CG_ERR_USER, "the template is nested too deep");
    r->depth++;
    enum cg_status s = eval(r, e, out);
    r->depth--;
    return s;
}

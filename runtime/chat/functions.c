/* Calls: global functions, and the arguments of every call. */
#include <string.h>

#include "runtime/chat/run.h"
#include "runtime/tokenizer/utf8.h"

#define MAX_RANGE 100000 /* as in Jinja's sandbox */

static const char *const functions[] = {"raise_exception", "namespace", "range", "dict"};

int cg_jis_function(struct cg_jstr name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (cg_jis(name, functions[i])) return 1;
    return 0;
}

const struct cg_jv *cg_jarg(const struct cg_jargs *args, size_t i, const char *name)
{
    for (size_t k = 0; k < args->n; k++)
        if (args->name[k].n ? cg_jis(args->name[k], name) : k == i) return &args->v[k];
    return NULL;
}

enum cg_status cg_jargs_check(const struct cg_jargs *args, const char *of, size_t most, const char *names)
{
    char buf[64];
    if (args->n > most) return cg_fail(CG_ERR_USER, "%s has more than %zu argument%s", of, most, most == 1 ? "" : "s");
    for (size_t k = 0; k < args->n; k++) {
        int known = !args->name[k].n;
        for (const char *p = names; !known && *p;) {
            size_t n = strcspn(p, "|");
            known = args->name[k].n == n && memcmp(args->name[k].s, p, n) == 0;
            p += n + (p[n] == '|');
        }
        if (!known)
            return cg_fail(CG_ERR_USER, "the argument '%s' of %s is not supported",
                           cg_shown(args->name[k].s, args->name[k].n, buf), of);
    }
    return CG_OK;
}

enum cg_status cg_jarg_text(const struct cg_jargs *args, size_t i, const char *name, const char *of,
                            struct cg_jstr *out)
{
    const struct cg_jv *v = cg_jarg(args, i, name);
    if (!v) return CG_OK;
    if (v->kind != CG_J_STR) return cg_fail(CG_ERR_USER, "%s needs a string, not %s", of, cg_jkind_name(*v));
    *out = v->str;
    return CG_OK;
}

enum cg_status cg_jarg_int(const struct cg_jargs *args, size_t i, const char *name, const char *of, int64_t *out)
{
    const struct cg_jv *v = cg_jarg(args, i, name);
    if (!v) return CG_OK;
    if (v->kind != CG_J_INT && v->kind != CG_J_BOOL)
        return cg_fail(CG_ERR_USER, "%s needs an integer, not %s", of, cg_jkind_name(*v));
    *out = v->i;
    return CG_OK;
}

static enum cg_status range(struct cg_jrun *r, const struct cg_jargs *args, struct cg_jv *out)
{
    int64_t x[3] = {0, 0, 1};
    CG_TRY(cg_jargs_check(args, "range", 3, ""));
    if (args->n == 0) return cg_fail(CG_ERR_USER, "range needs an argument");
    for (size_t i = 0; i < args->n; i++) CG_TRY(cg_jarg_int(args, i, "", "range", &x[args->n == 1 ? 1 : i]));
    if (x[2] == 0) return cg_fail(CG_ERR_USER, "the step of range is 0");
    CG_TRY(cg_jmake_list(r, out));
    for (int64_t i = x[0]; x[2] > 0 ? i < x[1] : i > x[1];) {
        if (out->list->n == MAX_RANGE) return cg_fail(CG_ERR_USER, "range has more than %d numbers", MAX_RANGE);
        CG_TRY(cg_jlist_add(r->arena, out->list, cg_jint(i)));
        if (__builtin_add_overflow(i, x[2], &i)) break;
    }
    return CG_OK;
}

/* namespace(a=1) and dict(a=1), both also of a dict. */
static enum cg_status make_dict(struct cg_jrun *r, const struct cg_jargs *args, enum cg_jkind kind, struct cg_jv *out)
{
    struct cg_jdict *d = cg_jdict_new(r->arena);
    if (!d) return r->arena->failed;
    for (size_t i = 0; i < args->n; i++) {
        const struct cg_jv *v = &args->v[i];
        if (args->name[i].n) {
            CG_TRY(cg_jdict_set(r->arena, d, args->name[i], *v));
            continue;
        }
        if (i > 0 || v->kind != CG_J_DICT)
            return cg_fail(CG_ERR_USER, "namespace and dict take a dict and named arguments, not %s",
                           cg_jkind_name(*v));
        for (size_t k = 0; k < v->dict->n; k++) CG_TRY(cg_jdict_set(r->arena, d, v->dict->key[k], v->dict->v[k]));
    }
    *out = (struct cg_jv){.kind = kind, .dict = d};
    return CG_OK;
}

static enum cg_status raise_exception(const struct cg_jargs *args)
{
    struct cg_jstr s = {"", 0};
    char text[256];
    CG_TRY(cg_jarg_text(args, 0, "message", "raise_exception", &s));
    size_t n = s.n < sizeof text - 1 ? s.n : sizeof text - 1;
    for (size_t i = 0; i < n; i++) text[i] = (unsigned char)s.s[i] < 0x20 || s.s[i] == 0x7F ? ' ' : s.s[i];
    while (n < s.n && n && ((unsigned char)s.s[n] & 0xC0) == 0x80) n--; /* cut between characters */
    text[n] = 0;
    return cg_fail(CG_ERR_USER, "the template refuses the conversation: %s", text);
}

enum cg_status cg_jcall(struct cg_jrun *r, struct cg_jv f, const struct cg_jargs *args, struct cg_jv *out)
{
    if (f.kind == CG_J_UNDEFINED) return cg_jundefined_fault(f);
    if (f.kind == CG_J_MACRO) return cg_jcall_macro(r, f.macro, args, out);
    if (f.kind == CG_J_METHOD) return cg_jmethod_call(r, f.method, args, out);
    if (f.kind != CG_J_FUNCTION) return cg_fail(CG_ERR_USER, "%s is no function", cg_jkind_name(f));
    if (cg_jis(f.str, "range")) return range(r, args, out);
    if (cg_jis(f.str, "namespace")) return make_dict(r, args, CG_J_NAMESPACE, out);
    if (cg_jis(f.str, "dict")) return make_dict(r, args, CG_J_DICT, out);
    return raise_exception(args);
}

/* Statements, carried out. */
#include <stdlib.h>
#include <string.h>

#include "runtime/chat/run.h"
#include "runtime/tokenizer/utf8.h"

#define MAX_OUT ((size_t)64 << 20)

static enum cg_status put(struct cg_jrun *r, struct cg_jstr s)
{
    if (s.n > MAX_OUT - r->out_n)
        return cg_fail(CG_ERR_USER, "the template makes more than %zu MiB of text", MAX_OUT >> 20);
    if (r->out_cap - r->out_n < s.n + 1) {
        size_t cap = 2 * (r->out_n + s.n) + 256;
        char *more = realloc(r->out, cap);
        if (!more) return cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
        r->out = more;
        r->out_cap = cap;
    }
    if (s.n) memcpy(r->out + r->out_n, s.s, s.n);
    r->out_n += s.n;
    r->out[r->out_n] = 0;
    return CG_OK;
}

static enum cg_status output(struct cg_jrun *r, const struct cg_jnode *e)
{
    struct cg_jv v;
    struct cg_jstr s;
    CG_TRY(cg_jeval(r, e, &v));
    CG_TRY(cg_jto_text(r->arena, v, &s));
    return put(r, s);
}

/* Runs `first` with its own text in *out. */
static enum cg_status captured(struct cg_jrun *r, const struct cg_jnode *first, struct cg_jv *out)
{
    struct cg_jrun outer = *r;
    r->out = NULL;
    r->out_n = r->out_cap = 0;
    enum cg_status s = cg_jexec(r, first);
    if (s == CG_OK) {
        struct cg_jstr text = cg_jjoin(r->arena, (struct cg_jstr){r->out, r->out_n}, (struct cg_jstr){"", 0});
        *out = cg_jtext(text.s, text.n);
        if (!text.s) s = r->arena->failed;
    }
    free(r->out);
    r->out = outer.out;
    r->out_n = outer.out_n;
    r->out_cap = outer.out_cap;
    return s;
}

static enum cg_status assign(struct cg_jrun *r, const struct cg_jnode *target, struct cg_jv v)
{
    char buf[64];
    if (target->kind == CG_JN_NAME) return cg_jdict_set(r->arena, &r->scope->vars, target->name, v);
    if (target->kind == CG_JN_ATTR) {
        struct cg_jv space;
        CG_TRY(cg_jeval(r, target->a, &space));
        if (space.kind != CG_J_NAMESPACE)
            return cg_fail(CG_ERR_USER, "'%s' is no namespace: its attributes cannot be set",
                           cg_shown(target->a->name.s, target->a->name.n, buf));
        return cg_jdict_set(r->arena, space.dict, target->name, v);
    }
    struct cg_jlist *items;
    size_t n = 0, i = 0;
    CG_TRY(cg_jiterate(r, v, &items));
    for (const struct cg_jnode *t = target->list; t; t = t->next) n++;
    if (items->n != n) return cg_fail(CG_ERR_USER, "%zu names are set from %zu values", n, items->n);
    for (const struct cg_jnode *t = target->list; t; t = t->next) CG_TRY(assign(r, t, items->v[i++]));
    return CG_OK;
}

/* The text of the body, through the filters that the tag has. */
static enum cg_status set_body(struct cg_jrun *r, const struct cg_jnode *n)
{
    struct cg_jv v;
    struct cg_jscope inner = {.around = r->scope}, *outer = r->scope;
    r->scope = &inner;
    enum cg_status s = captured(r, n->list, &v);
    r->scope = outer;
    CG_TRY(s);
    if (n->b) {
        /* The filters' innermost operand is left open: it is the text. */
        struct cg_jnode chain[8], text = {.kind = CG_JN_CONST, .line = n->line, .value = v};
        size_t k = 0;
        for (const struct cg_jnode *f = n->b; f; f = f->a) {
            if (k == sizeof chain / sizeof *chain) return cg_fail(CG_ERR_USER, "'set' has more than 8 filters");
            chain[k] = *f;
            if (k) chain[k - 1].a = &chain[k];
            k++;
        }
        chain[k - 1].a = &text;
        CG_TRY(cg_jeval(r, chain, &v));
    }
    return assign(r, n->a, v);
}

/* The variable `loop` of round i. */
static enum cg_status set_loop(struct cg_jrun *r, const struct cg_jlist *items, size_t i)
{
    size_t n = items->n;
    const struct {
        const char *name;
        struct cg_jv v;
    } members[] = {
        {"index", cg_jint((int64_t)i + 1)},
        {"index0", cg_jint((int64_t)i)},
        {"first", cg_jbool(i == 0)},
        {"last", cg_jbool(i + 1 == n)},
        {"length", cg_jint((int64_t)n)},
        {"revindex", cg_jint((int64_t)(n - i))},
        {"revindex0", cg_jint((int64_t)(n - i) - 1)},
        {"previtem", i ? items->v[i - 1] : cg_jundefined((struct cg_jstr){"loop.previtem", 13})},
        {"nextitem", i + 1 < n ? items->v[i + 1] : cg_jundefined((struct cg_jstr){"loop.nextitem", 13})},
        {"depth", cg_jint(1)}, /* of recursive loops, which are not supported */
        {"depth0", cg_jint(0)},
    };
    struct cg_jdict *d = cg_jdict_new(r->arena);
    if (!d) return r->arena->failed;
    d->is_loop = 1;
    for (size_t k = 0; k < sizeof members / sizeof *members; k++)
        CG_TRY(cg_jdict_set(r->arena, d, (struct cg_jstr){members[k].name, strlen(members[k].name)}, members[k].v));
    return cg_jdict_set(r->arena, &r->scope->vars, (struct cg_jstr){"loop", 4},
                        (struct cg_jv){.kind = CG_J_DICT, .dict = d});
}

/* Those of the items for which the loop's `if` holds. */
static enum cg_status filtered(struct cg_jrun *r, const struct cg_jnode *n, struct cg_jlist **items)
{
    struct cg_jlist *kept = cg_jlist_new(r->arena);
    if (!kept) return r->arena->failed;
    for (size_t i = 0; i < (*items)->n; i++) {
        struct cg_jscope inner = {.around = r->scope}, *outer = r->scope;
        struct cg_jv yes;
        r->scope = &inner;
        enum cg_status s = assign(r, n->b, (*items)->v[i]);
        if (s == CG_OK) s = cg_jeval(r, n->c, &yes);
        r->scope = outer;
        CG_TRY(s);
        if (cg_jtrue(yes)) CG_TRY(cg_jlist_add(r->arena, kept, (*items)->v[i]));
    }
    *items = kept;
    return CG_OK;
}

static enum cg_status run_for(struct cg_jrun *r, const struct cg_jnode *n)
{
    struct cg_jv v;
    struct cg_jlist *items;
    CG_TRY(cg_jeval(r, n->a, &v));
    CG_TRY(cg_jiterate(r, v, &items));
    if (n->c) CG_TRY(filtered(r, n, &items));
    struct cg_jscope *outer = r->scope;
    for (size_t i = 0; i < items->n; i++) {
        struct cg_jscope inner = {.around = outer}; /* what is set inside ends with the round */
        r->scope = &inner;
        enum cg_status s = set_loop(r, items, i);
        if (s == CG_OK) s = assign(r, n->b, items->v[i]);
        if (s == CG_OK) s = cg_jexec(r, n->list);
        r->scope = outer;
        CG_TRY(s);
        enum cg_jnode_kind jump = r->jump;
        r->jump = 0;
        if (jump == CG_JN_BREAK) break;
    }
    if (items->n || !n->other) return CG_OK;
    struct cg_jscope inner = {.around = outer};
    r->scope = &inner;
    enum cg_status s = cg_jexec(r, n->other);
    r->scope = outer;
    return s;
}

static enum cg_status define_macro(struct cg_jrun *r, const struct cg_jnode *n)
{
    struct cg_jmacro *m = cg_jalloc(r->arena, sizeof *m);
    if (!m) return r->arena->failed;
    if (r->scope->around) return cg_fail(CG_ERR_USER, "a macro inside of a loop or another macro is not supported");
    *m = (struct cg_jmacro){n, r->scope};
    return cg_jdict_set(r->arena, &r->scope->vars, n->name, (struct cg_jv){.kind = CG_J_MACRO, .macro = m});
}

enum cg_status cg_jcall_macro(struct cg_jrun *r, const struct cg_jmacro *m, const struct cg_jargs *args,
                              struct cg_jv *out)
{
    struct cg_jscope inner = {.around = m->scope}, *outer = r->scope;
    char buf[64];
    size_t i = 0, used = 0;
    enum cg_status s = CG_OK;
    r->scope = &inner;
    for (const struct cg_jnode *p = m->node->other; p && s == CG_OK; p = p->next, i++) {
        struct cg_jv v = cg_jundefined(p->name);
        int given = 0;
        for (size_t k = 0; k < args->n; k++)
            if (args->name[k].n ? args->name[k].n == p->name.n && memcmp(args->name[k].s, p->name.s, p->name.n) == 0
                                : k == i) {
                v = args->v[k];
                given++;
            }
        used += (size_t)given;
        if (!given && p->a) s = cg_jeval(r, p->a, &v);
        if (s == CG_OK) s = cg_jdict_set(r->arena, &inner.vars, p->name, v);
    }
    if (s == CG_OK && used != args->n)
        s = cg_fail(CG_ERR_USER, "the macro '%s' does not take these arguments",
                    cg_shown(m->node->name.s, m->node->name.n, buf));
    if (s == CG_OK) s = captured(r, m->node->list, out);
    r->scope = outer;
    return s;
}

static enum cg_status exec(struct cg_jrun *r, const struct cg_jnode *n)
{
    struct cg_jv v;
    switch (n->kind) {
    case CG_JN_DATA: return put(r, n->value.str);
    case CG_JN_OUTPUT: return output(r, n->a);
    case CG_JN_IF: CG_TRY(cg_jeval(r, n->a, &v)); return cg_jexec(r, cg_jtrue(v) ? n->list : n->other);
    case CG_JN_FOR: return run_for(r, n);
    case CG_JN_SET: CG_TRY(cg_jeval(r, n->b, &v)); return assign(r, n->a, v);
    case CG_JN_SET_BODY: return set_body(r, n);
    case CG_JN_MACRO: return define_macro(r, n);
    default: r->jump = n->kind; return CG_OK;
    }
}

enum cg_status cg_jexec(struct cg_jrun *r, const struct cg_jnode *first)
{
    if (r->depth == CG_J_RUN_DEPTH) return cg_fail(CG_ERR_USER, "the template is nested too deep");
    r->depth++;
    for (const struct cg_jnode *n = first; n && !r->jump; n = n->next) {
        r->line = n->line;
        if (r->steps == 0) return cg_fail(CG_ERR_USER, "the template runs too long");
        r->steps--;
        CG_TRY(exec(r, n));
    }
    r->depth--;
    return CG_OK;
}

/* Operators, subscripts and slices, with Python's meaning. */
#include <math.h>
#include <string.h>

#include "runtime/chat/run.h"
#include "runtime/tokenizer/utf8.h"

enum cg_status cg_jundefined_fault(struct cg_jv v)
{
    char buf[64];
    return cg_fail(CG_ERR_USER, "'%s' is undefined", cg_shown(v.str.s, v.str.n, buf));
}

static enum cg_status unfit(struct cg_jstr op, struct cg_jv a, struct cg_jv b)
{
    if (a.kind == CG_J_UNDEFINED) return cg_jundefined_fault(a);
    if (b.kind == CG_J_UNDEFINED) return cg_jundefined_fault(b);
    return cg_fail(CG_ERR_USER, "'%.*s' cannot join %s and %s", (int)op.n, op.s, cg_jkind_name(a), cg_jkind_name(b));
}

enum cg_status cg_jmake_list(struct cg_jrun *r, struct cg_jv *out)
{
    *out = (struct cg_jv){.kind = CG_J_LIST, .list = cg_jlist_new(r->arena)};
    return out->list ? CG_OK : r->arena->failed;
}

static enum cg_status text(struct cg_jrun *r, struct cg_jstr s, struct cg_jv *out)
{
    *out = cg_jtext(s.s, s.n);
    return s.s ? CG_OK : r->arena->failed;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static enum cg_status integers(struct cg_jstr op, int64_t a, int64_t b, struct cg_jv *out)
{
    int64_t x = 0;
    int over = 0;
    char c = op.s[0];
    if ((c == '/' || c == '%') && b == 0) return cg_fail(CG_ERR_USER, "division by zero");
    if (c == '/' && op.n == 1) {
        *out = (struct cg_jv){.kind = CG_J_REAL, .d = (double)a / (double)b};
        return CG_OK;
    }
    if (c == '+') over = __builtin_add_overflow(a, b, &x);
    else if (c == '-') over = __builtin_sub_overflow(a, b, &x);
    else if (c == '*') over = __builtin_mul_overflow(a, b, &x);
    else if (b == -1) over = c == '/' && __builtin_sub_overflow(0, a, &x);
    else x = c == '/' ? floor_div(a, b) : a - b * floor_div(a, b);
    if (over) return cg_fail(CG_ERR_USER, "an integer is beyond 64 bits");
    *out = cg_jint(x);
    return CG_OK;
}

static enum cg_status numbers(struct cg_jstr op, struct cg_jv a, struct cg_jv b, struct cg_jv *out)
{
    if (a.kind != CG_J_REAL && b.kind != CG_J_REAL) return integers(op, a.i, b.i, out);
    double x = cg_jnumber(a), y = cg_jnumber(b), z;
    char c = op.s[0];
    if ((c == '/' || c == '%') && y == 0) return cg_fail(CG_ERR_USER, "division by zero");
    if (c == '+') z = x + y;
    else if (c == '-') z = x - y;
    else if (c == '*') z = x * y;
    else if (c == '/') z = op.n == 2 ? floor(x / y) : x / y;
    else z = x - y * floor(x / y);
    *out = (struct cg_jv){.kind = CG_J_REAL, .d = z};
    return CG_OK;
}

static enum cg_status joined_lists(struct cg_jrun *r, struct cg_jv a, struct cg_jv b, struct cg_jv *out)
{
    CG_TRY(cg_jmake_list(r, out));
    for (size_t i = 0; i < a.list->n; i++) CG_TRY(cg_jlist_add(r->arena, out->list, a.list->v[i]));
    for (size_t i = 0; i < b.list->n; i++) CG_TRY(cg_jlist_add(r->arena, out->list, b.list->v[i]));
    return CG_OK;
}

static enum cg_status repeated(struct cg_jrun *r, struct cg_jstr s, int64_t times, struct cg_jv *out)
{
    size_t n = times > 0 ? (size_t)times : 0, all;
    if (s.n == 0) n = 0;
    if (__builtin_mul_overflow(n, s.n, &all)) return cg_fail(CG_ERR_USER, "a string is repeated too often");
    char *p = cg_jalloc(r->arena, all + 1);
    for (size_t i = 0; p && i < n; i++) memcpy(p + i * s.n, s.s, s.n);
    return text(r, (struct cg_jstr){p, all}, out);
}

enum cg_status cg_jbinary(struct cg_jrun *r, struct cg_jstr op, struct cg_jv a, struct cg_jv b, struct cg_jv *out)
{
    struct cg_jstr x, y;
    if (op.s[0] == '~') {
        CG_TRY(cg_jto_text(r->arena, a, &x));
        CG_TRY(cg_jto_text(r->arena, b, &y));
        return text(r, cg_jjoin(r->arena, x, y), out);
    }
    if (cg_jis_number(a) && cg_jis_number(b)) return numbers(op, a, b, out);
    if (op.s[0] == '+' && a.kind == CG_J_STR && b.kind == CG_J_STR)
        return text(r, cg_jjoin(r->arena, a.str, b.str), out);
    if (op.s[0] == '+' && a.kind == CG_J_LIST && b.kind == CG_J_LIST) return joined_lists(r, a, b, out);
    if (op.s[0] == '*' && a.kind == CG_J_STR && b.kind == CG_J_INT) return repeated(r, a.str, b.i, out);
    if (op.s[0] == '%' && a.kind == CG_J_STR)
        return cg_fail(CG_ERR_USER, "formatting with '%%' is not supported; use '~'");
    return unfit(op, a, b);
}

/* a in b */
static enum cg_status contains(struct cg_jrun *r, struct cg_jv a, struct cg_jv b, int *out)
{
    static const struct cg_jstr in = {"in", 2};
    *out = 0;
    if (b.kind == CG_J_STR) {
        if (a.kind != CG_J_STR) return unfit(in, a, b);
        *out = a.str.n == 0 || memmem(b.str.s, b.str.n, a.str.s, a.str.n) != NULL;
        return CG_OK;
    }
    if (b.kind == CG_J_DICT) {
        *out = a.kind == CG_J_STR && cg_jdict_get(b.dict, a.str) != NULL;
        return CG_OK;
    }
    if (b.kind != CG_J_LIST && b.kind != CG_J_UNDEFINED) return unfit(in, a, b);
    struct cg_jlist *items;
    CG_TRY(cg_jiterate(r, b, &items));
    for (size_t i = 0; i < items->n && !*out; i++) *out = cg_jequal(a, items->v[i], 0, &r->steps);
    return CG_OK;
}

enum cg_status cg_jcompare(struct cg_jrun *r, struct cg_jstr op, struct cg_jv a, struct cg_jv b, int *out)
{
    if (cg_jis(op, "==") || cg_jis(op, "!=")) {
        *out = cg_jequal(a, b, 0, &r->steps) == (op.s[0] == '=');
        return CG_OK;
    }
    if (op.s[0] == 'i' || op.s[0] == 'n') {
        CG_TRY(contains(r, a, b, out));
        if (op.s[0] == 'n') *out = !*out;
        return CG_OK;
    }
    double order;
    if (cg_jis_number(a) && cg_jis_number(b)) {
        double x = cg_jnumber(a), y = cg_jnumber(b);
        order = a.kind == CG_J_REAL || b.kind == CG_J_REAL ? (double)((x > y) - (x < y))
                                                           : (double)((a.i > b.i) - (a.i < b.i));
    } else if (a.kind == CG_J_STR && b.kind == CG_J_STR) {
        size_t n = a.str.n < b.str.n ? a.str.n : b.str.n;
        int c = n ? memcmp(a.str.s, b.str.s, n) : 0; /* UTF-8 keeps the order of the characters */
        order = c ? c : (double)a.str.n - (double)b.str.n;
    } else return unfit(op, a, b);
    *out = op.s[0] == '<' ? order < 0 : order > 0;
    if (op.n == 2 && order == 0) *out = 1;
    return CG_OK;
}

static struct cg_jv character(struct cg_jstr s, size_t i)
{
    size_t from = cg_jchar_at(s, i), to = from + 1;
    while (to < s.n && ((unsigned char)s.s[to] & 0xC0) == 0x80) to++;
    return cg_jtext(s.s + from, to - from);
}

static int64_t length(struct cg_jv v)
{
    return (int64_t)(v.kind == CG_J_STR ? cg_jchars(v.str) : v.list->n);
}

enum cg_status cg_jitem(struct cg_jrun *r, struct cg_jv v, struct cg_jv key, struct cg_jv *out)
{
    if (key.kind == CG_J_STR) return cg_jmember(r, v, key.str, 1, out);
    if (v.kind == CG_J_UNDEFINED) return cg_jundefined_fault(v);
    *out = cg_jundefined((struct cg_jstr){"an item", 7});
    if ((v.kind != CG_J_LIST && v.kind != CG_J_STR) || (key.kind != CG_J_INT && key.kind != CG_J_BOOL)) return CG_OK;
    int64_t n = length(v), i = key.i < 0 ? key.i + n : key.i;
    if (i < 0 || i >= n) return CG_OK;
    *out = v.kind == CG_J_LIST ? v.list->v[i] : character(v.str, (size_t)i);
    return CG_OK;
}

/* Python's slice.indices: start, stop, step for a length. */
static enum cg_status indices(const struct cg_jv at[3], int64_t n, int64_t out[3])
{
    for (int i = 0; i < 3; i++)
        if (at[i].kind != CG_J_NONE && at[i].kind != CG_J_INT && at[i].kind != CG_J_BOOL)
            return cg_fail(CG_ERR_USER, "%s is no index of a slice", cg_jkind_name(at[i]));
    int64_t step = at[2].kind == CG_J_NONE ? 1 : at[2].i;
    if (step == 0) return cg_fail(CG_ERR_USER, "the step of a slice is 0");
    if (step < -n - 1) step = -n - 1; /* as good as any further one, and far from overflow */
    int64_t lowest = step < 0 ? -1 : 0, highest = step < 0 ? n - 1 : n;
    for (int i = 0; i < 2; i++) {
        int64_t x = at[i].kind == CG_J_NONE ? ((step < 0) == (i == 0) ? highest : lowest) : at[i].i;
        if (at[i].kind != CG_J_NONE && x < 0) x = x < -n ? lowest : x + n;
        out[i] = x < lowest ? lowest : x > highest ? highest : x;
    }
    out[2] = step;
    return CG_OK;
}

enum cg_status cg_jslice(struct cg_jrun *r, struct cg_jv v, const struct cg_jv at[3], struct cg_jv *out)
{
    int64_t x[3] = {0, 0, 0};
    if (v.kind == CG_J_UNDEFINED) return cg_jundefined_fault(v);
    if (v.kind != CG_J_LIST && v.kind != CG_J_STR) return cg_fail(CG_ERR_USER, "%s cannot be sliced", cg_jkind_name(v));
    int64_t n = length(v);
    CG_TRY(indices(at, n, x));
    if (v.kind == CG_J_STR && x[2] == 1) {
        size_t from = cg_jchar_at(v.str, (size_t)x[0]), to = x[1] > x[0] ? cg_jchar_at(v.str, (size_t)x[1]) : from;
        *out = cg_jtext(v.str.s + from, to - from);
        return CG_OK;
    }
    struct cg_jlist *items;
    struct cg_jstr s = {"", 0};
    CG_TRY(cg_jiterate(r, v, &items));
    CG_TRY(cg_jmake_list(r, out));
    for (int64_t i = x[0]; x[2] > 0 ? i < x[1] : i > x[1];) {
        CG_TRY(cg_jlist_add(r->arena, out->list, items->v[i]));
        if (__builtin_add_overflow(i, x[2], &i)) break;
    }
    if (v.kind == CG_J_LIST) return CG_OK;
    char *p = cg_jalloc(r->arena, v.str.n + 1);
    if (!p) return r->arena->failed;
    for (size_t i = 0; i < out->list->n; i++) {
        memcpy(p + s.n, out->list->v[i].str.s, out->list->v[i].str.n);
        s.n += out->list->v[i].str.n;
    }
    *out = cg_jtext(p, s.n);
    return CG_OK;
}

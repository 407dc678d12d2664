/* Values in expressions, and what follows them: attributes, subscripts, calls, filters and tests. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/chat/parser.h"

#define NEW(var, kind)                            \
    struct cg_jnode *var = cg_jp_node(p, (kind)); \
    if (!var) return p->arena->failed

/* (a, b, name=c): the parenthesis is passed already. */
static enum cg_status parse_args(struct cg_jparser *p, struct cg_jnode **out)
{
    *out = NULL;
    for (struct cg_jnode **end = out; !cg_jp_take(p, ")");) {
        if (cg_jp_op(p, "*") || cg_jp_op(p, "**")) return cg_jp_fault(p, "unpacking of arguments is not supported");
        NEW(arg, CG_JN_ARG);
        if (p->t->kind == CG_JT_NAME && p->t[1].kind == CG_JT_OPERATOR && cg_jis(p->t[1].text, "=")) {
            arg->name = p->t->text;
            p->t += 2;
        }
        CG_TRY(cg_jp_expression(p, &arg->a));
        *end = arg;
        end = &arg->next;
        if (!cg_jp_take(p, ",") && !cg_jp_op(p, ")")) return cg_jp_fault(p, "',' or ')' is expected");
    }
    return CG_OK;
}

static enum cg_status parse_items(struct cg_jparser *p, const char *close, struct cg_jnode *list)
{
    for (struct cg_jnode **end = &list->list; !cg_jp_take(p, close);) {
        CG_TRY(cg_jp_expression(p, end));
        end = &(*end)->next;
        if (!cg_jp_take(p, ",") && !cg_jp_op(p, close)) return cg_jp_fault(p, "',' or the end of the list is expected");
    }
    return CG_OK;
}

static enum cg_status parse_dict(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(dict, CG_JN_DICT);
    for (struct cg_jnode **end = &dict->list; !cg_jp_take(p, "}");) {
        NEW(pair, CG_JN_PAIR);
        CG_TRY(cg_jp_expression(p, &pair->a));
        CG_TRY(cg_jp_expect(p, ":"));
        CG_TRY(cg_jp_expression(p, &pair->b));
        *end = pair;
        end = &pair->next;
        if (!cg_jp_take(p, ",") && !cg_jp_op(p, "}")) return cg_jp_fault(p, "',' or '}' is expected");
    }
    *out = dict;
    return CG_OK;
}

static enum cg_status parse_number(struct cg_jparser *p, struct cg_jv *out)
{
    char digits[64];
    size_t n = 0;
    for (size_t i = 0; i < p->t->text.n; i++) {
        if (p->t->text.s[i] == '_') continue;
        if (n + 1 == sizeof digits) return cg_jp_fault(p, "the number is too long");
        digits[n++] = p->t->text.s[i];
    }
    digits[n] = 0;
    errno = 0;
    if (p->t->kind == CG_JT_REAL) *out = (struct cg_jv){.kind = CG_J_REAL, .d = strtod(digits, NULL)};
    else *out = cg_jint(strtoll(digits, NULL, 10));
    return errno ? cg_jp_fault(p, "the number is too large") : CG_OK;
}

static enum cg_status parse_name(struct cg_jparser *p, struct cg_jnode *node)
{
    struct cg_jstr s = p->t->text;
    p->t++;
    node->kind = CG_JN_CONST;
    if (cg_jis(s, "true") || cg_jis(s, "True")) node->value = cg_jbool(1);
    else if (cg_jis(s, "false") || cg_jis(s, "False")) node->value = cg_jbool(0);
    else if (cg_jis(s, "none") || cg_jis(s, "None")) node->value = CG_JNONE;
    else {
        node->kind = CG_JN_NAME;
        node->name = s;
    }
    return CG_OK;
}

/* "a" "b" is one string. */
static enum cg_status parse_string(struct cg_jparser *p, struct cg_jnode *node)
{
    struct cg_jstr s = p->t->text;
    for (p->t++; p->t->kind == CG_JT_STRING; p->t++) {
        s = cg_jjoin(p->arena, s, p->t->text);
        if (!s.s) return p->arena->failed;
    }
    node->value = cg_jtext(s.s, s.n);
    return CG_OK;
}

enum cg_status cg_jp_primary(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_CONST);
    *out = node;
    switch (p->t->kind) {
    case CG_JT_NAME: return parse_name(p, node);
    case CG_JT_STRING: return parse_string(p, node);
    case CG_JT_INTEGER:
    case CG_JT_REAL:
        CG_TRY(parse_number(p, &node->value));
        p->t++;
        return CG_OK;
    default: break;
    }
    if (cg_jp_take(p, "[")) {
        node->kind = CG_JN_LIST;
        return parse_items(p, "]", node);
    }
    if (cg_jp_take(p, "{")) return parse_dict(p, out);
    if (!cg_jp_take(p, "(")) return cg_jp_fault(p, "an expression is expected");
    node->kind = CG_JN_LIST;
    if (cg_jp_take(p, ")")) return CG_OK;
    CG_TRY(cg_jp_tuple(p, 1, out));
    return cg_jp_expect(p, ")");
}

/* What stands in brackets: an index, or a slice. */
static enum cg_status parse_subscript(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_ITEM);
    node->a = *out;
    *out = node;
    if (!cg_jp_op(p, ":")) CG_TRY(cg_jp_expression(p, &node->b));
    if (cg_jp_take(p, "]")) return CG_OK;
    node->kind = CG_JN_SLICE;
    CG_TRY(cg_jp_expect(p, ":"));
    if (!cg_jp_op(p, ":") && !cg_jp_op(p, "]")) CG_TRY(cg_jp_expression(p, &node->c));
    if (cg_jp_take(p, ":") && !cg_jp_op(p, "]")) CG_TRY(cg_jp_expression(p, &node->d));
    return cg_jp_expect(p, "]");
}

static enum cg_status parse_attribute(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_ATTR);
    node->a = *out;
    *out = node;
    if (p->t->kind != CG_JT_INTEGER) return cg_jp_name(p, &node->name);
    NEW(index, CG_JN_CONST);
    node->kind = CG_JN_ITEM;
    node->b = index;
    CG_TRY(parse_number(p, &index->value));
    p->t++;
    return CG_OK;
}

static enum cg_status parse_call(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_CALL);
    node->a = *out;
    *out = node;
    return parse_args(p, &node->list);
}

enum cg_status cg_jp_postfix(struct cg_jparser *p, struct cg_jnode **out)
{
    for (;;) {
        if (cg_jp_take(p, ".")) CG_TRY(parse_attribute(p, out));
        else if (cg_jp_take(p, "[")) CG_TRY(parse_subscript(p, out));
        else if (cg_jp_take(p, "(")) CG_TRY(parse_call(p, out));
        else return CG_OK;
    }
}

enum cg_status cg_jp_filters(struct cg_jparser *p, struct cg_jnode **out)
{
    while (cg_jp_take(p, "|")) {
        NEW(node, CG_JN_FILTER);
        node->a = *out;
        *out = node;
        CG_TRY(cg_jp_name(p, &node->name));
        if (cg_jp_op(p, ".")) return cg_jp_fault(p, "the filter's name has a '.'");
        if (cg_jp_take(p, "(")) CG_TRY(parse_args(p, &node->list));
    }
    return CG_OK;
}

/* What may follow the name of a test as its one argument without parentheses. */
static int argument_follows(const struct cg_jparser *p)
{
    static const char *const words[] = {"else", "or", "and", "is", "not", "in", "if"};
    if (p->t->kind == CG_JT_NAME) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (cg_jis(p->t->text, words[i])) return 0;
        return 1;
    }
    return p->t->kind == CG_JT_STRING || p->t->kind == CG_JT_INTEGER || p->t->kind == CG_JT_REAL || cg_jp_op(p, "[") ||
           cg_jp_op(p, "{");
}

static enum cg_status parse_test(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_TEST);
    node->a = *out;
    *out = node;
    p->t++;
    if (cg_jp_word(p, "not")) {
        node->flag = 1;
        p->t++;
    }
    CG_TRY(cg_jp_name(p, &node->name));
    if (cg_jp_take(p, "(")) return parse_args(p, &node->list);
    if (!argument_follows(p)) return CG_OK;
    NEW(arg, CG_JN_ARG);
    node->list = arg;
    CG_TRY(cg_jp_primary(p, &arg->a));
    return cg_jp_postfix(p, &arg->a);
}

/* Filters, tests and calls, in any order. */
enum cg_status cg_jp_filters_and_tests(struct cg_jparser *p, struct cg_jnode **out)
{
    for (;;) {
        if (cg_jp_op(p, "|")) CG_TRY(cg_jp_filters(p, out));
        else if (cg_jp_word(p, "is")) CG_TRY(parse_test(p, out));
        else if (cg_jp_take(p, "(")) CG_TRY(parse_call(p, out));
        else return CG_OK;
    }
}

/* Expressions, by precedence as in Jinja: if-else, or, and, not, comparisons, + -, ~, * / // %, signs, values. */
#include "runtime/chat/parser.h"

#define NEW(var, kind)                            \
    struct cg_jnode *var = cg_jp_node(p, (kind)); \
    if (!var) return p->arena->failed

static enum cg_status parse_or(struct cg_jparser *p, struct cg_jnode **out);

static enum cg_status parse_unary(struct cg_jparser *p, int with_filter, struct cg_jnode **out)
{
    CG_TRY(cg_jp_enter(p));
    if (cg_jp_op(p, "-") || cg_jp_op(p, "+")) {
        NEW(node, CG_JN_SIGN);
        node->flag = cg_jp_op(p, "-");
        p->t++;
        CG_TRY(parse_unary(p, 0, &node->a));
        *out = node;
    } else CG_TRY(cg_jp_primary(p, out));
    CG_TRY(cg_jp_postfix(p, out));
    if (with_filter) CG_TRY(cg_jp_filters_and_tests(p, out));
    cg_jp_leave(p);
    return CG_OK;
}

/* Operands of level `level` - 1 with the operators of this level between them, from the left. */
static enum cg_status parse_binary(struct cg_jparser *p, int level, struct cg_jnode **out)
{
    static const char *const operators[3][4] = {{"*", "/", "//", "%"}, {"~"}, {"+", "-"}};
    if (level < 0) {
        CG_TRY(parse_unary(p, 1, out));
        return cg_jp_op(p, "**") ? cg_jp_fault(p, "the operator '**' is not supported") : CG_OK;
    }
    CG_TRY(parse_binary(p, level - 1, out));
    for (;;) {
        int found = 0;
        for (int i = 0; i < 4 && operators[level][i]; i++) found |= cg_jp_op(p, operators[level][i]);
        if (!found) return CG_OK;
        NEW(node, CG_JN_BINARY);
        node->name = p->t->text;
        node->a = *out;
        *out = node;
        p->t++;
        CG_TRY(parse_binary(p, level - 1, &node->b));
    }
}

static int comparison(struct cg_jparser *p, struct cg_jstr *op)
{
    static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};
    *op = p->t->text;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (cg_jp_take(p, operators[i])) return 1;
    if (cg_jp_word(p, "in")) {
        p->t++;
        return 1;
    }
    if (!cg_jp_word(p, "not") || p->t[1].kind != CG_JT_NAME || !cg_jis(p->t[1].text, "in")) return 0;
    *op = (struct cg_jstr){"not in", 6};
    p->t += 2;
    return 1;
}

static enum cg_status parse_compare(struct cg_jparser *p, struct cg_jnode **out)
{
    struct cg_jstr op;
    CG_TRY(parse_binary(p, 2, out));
    struct cg_jnode **end = NULL;
    while (comparison(p, &op)) {
        NEW(operand, CG_JN_OPERAND);
        operand->name = op;
        CG_TRY(parse_binary(p, 2, &operand->a));
        if (!end) {
            NEW(node, CG_JN_COMPARE);
            node->a = *out;
            *out = node;
            end = &node->list;
        }
        *end = operand;
        end = &operand->next;
    }
    return CG_OK;
}

static enum cg_status parse_not(struct cg_jparser *p, struct cg_jnode **out)
{
    if (!cg_jp_word(p, "not")) return parse_compare(p, out);
    CG_TRY(cg_jp_enter(p));
    NEW(node, CG_JN_NOT);
    p->t++;
    CG_TRY(parse_not(p, &node->a));
    *out = node;
    cg_jp_leave(p);
    return CG_OK;
}

static enum cg_status parse_and(struct cg_jparser *p, struct cg_jnode **out)
{
    CG_TRY(parse_not(p, out));
    while (cg_jp_word(p, "and")) {
        NEW(node, CG_JN_AND);
        p->t++;
        node->a = *out;
        *out = node;
        CG_TRY(parse_not(p, &node->b));
    }
    return CG_OK;
}

static enum cg_status parse_or(struct cg_jparser *p, struct cg_jnode **out)
{
    CG_TRY(parse_and(p, out));
    while (cg_jp_word(p, "or")) {
        NEW(node, CG_JN_OR);
        p->t++;
        node->a = *out;
        *out = node;
        CG_TRY(parse_and(p, &node->b));
    }
    return CG_OK;
}

enum cg_status cg_jp_expression(struct cg_jparser *p, struct cg_jnode **out)
{
    CG_TRY(cg_jp_enter(p));
    CG_TRY(parse_or(p, out));
    while (cg_jp_word(p, "if")) {
        NEW(node, CG_JN_COND);
        p->t++;
        node->b = *out;
        *out = node;
        CG_TRY(parse_or(p, &node->a));
        if (!cg_jp_word(p, "else")) continue;
        p->t++;
        CG_TRY(cg_jp_expression(p, &node->c));
    }
    cg_jp_leave(p);
    return CG_OK;
}

enum cg_status cg_jp_tuple(struct cg_jparser *p, int with_condition, struct cg_jnode **out)
{
    CG_TRY(with_condition ? cg_jp_expression(p, out) : parse_or(p, out));
    if (!cg_jp_op(p, ",")) return CG_OK;
    NEW(tuple, CG_JN_LIST);
    tuple->list = *out;
    struct cg_jnode **end = &(*out)->next;
    *out = tuple;
    while (cg_jp_take(p, ",")) {
        if (p->t->kind == CG_JT_BLOCK_END || p->t->kind == CG_JT_VARIABLE_END || cg_jp_op(p, ")")) break;
        CG_TRY(with_condition ? cg_jp_expression(p, end) : parse_or(p, end));
        end = &(*end)->next;
    }
    return CG_OK;
}

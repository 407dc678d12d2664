/* Statements. */
#include "runtime/chat/parser.h"

#include <string.h>

#include "runtime/tokenizer/utf8.h"

#define NEW(var, kind)                            \
    struct cg_jnode *var = cg_jp_node(p, (kind)); \
    if (!var) return p->arena->failed

int cg_jp_take(struct cg_jparser *p, const char *op)
{
    if (!cg_jp_op(p, op)) return 0;
    p->t++;
    return 1;
}

enum cg_status cg_jp_fault(const struct cg_jparser *p, const char *wanted)
{
    static const char *const others[] = {"text", "'{%'", "'%}'", "'{{'", "'}}'"};
    char buf[64];
    if (p->t->kind == CG_JT_END) return cg_fail(CG_ERR_USER, "line %d: %s, and the template ends", p->t->line, wanted);
    if (p->t->kind <= CG_JT_VARIABLE_END)
        return cg_fail(CG_ERR_USER, "line %d: %s before %s", p->t->line, wanted, others[p->t->kind]);
    return cg_fail(CG_ERR_USER, "line %d: %s at '%s'", p->t->line, wanted, cg_shown(p->t->text.s, p->t->text.n, buf));
}

enum cg_status cg_jp_expect(struct cg_jparser *p, const char *op)
{
    char what[32];
    if (cg_jp_take(p, op)) return CG_OK;
    snprintf(what, sizeof what, "'%s' is expected", op);
    return cg_jp_fault(p, what);
}

enum cg_status cg_jp_name(struct cg_jparser *p, struct cg_jstr *out)
{
    if (p->t->kind != CG_JT_NAME) return cg_jp_fault(p, "a name is expected");
    *out = p->t->text;
    p->t++;
    return CG_OK;
}

struct cg_jnode *cg_jp_node(struct cg_jparser *p, enum cg_jnode_kind kind)
{
    struct cg_jnode *n = cg_jalloc(p->arena, sizeof *n);
    if (!n) return NULL;
    n->kind = kind;
    n->line = p->t->line;
    return n;
}

enum cg_status cg_jp_enter(struct cg_jparser *p)
{
    if (p->depth == CG_J_DEPTH) return cg_jp_fault(p, "the template is nested too deep");
    p->depth++;
    return CG_OK;
}

void cg_jp_leave(struct cg_jparser *p)
{
    p->depth--;
}

static enum cg_status end_of_tag(struct cg_jparser *p)
{
    if (p->t->kind != CG_JT_BLOCK_END) return cg_jp_fault(p, "'%}' is expected");
    p->t++;
    return CG_OK;
}

static enum cg_status body(struct cg_jparser *p, struct cg_jnode **out);

/* Is the tag at hand {% WORD? */
static int at_tag(const struct cg_jparser *p, const char *word)
{
    return p->t->kind == CG_JT_BLOCK_BEGIN && p->t[1].kind == CG_JT_NAME && cg_jis(p->t[1].text, word);
}

/* Passes {% WORD %}, which must be there: the end of a statement that began at `line`. */
static enum cg_status end_statement(struct cg_jparser *p, const char *word, int line)
{
    if (!at_tag(p, word)) {
        char what[80];
        snprintf(what, sizeof what, "'%s' is expected, for what began in line %d,", word, line);
        return cg_jp_fault(p, what);
    }
    p->t += 2;
    return end_of_tag(p);
}

/* {% if a %} .. {% elif b %} .. {% else %} .. {% endif %}: what follows "if" or "elif". */
static enum cg_status parse_if(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(first, CG_JN_IF);
    *out = first;
    struct cg_jnode *node = first;
    for (;;) {
        CG_TRY(cg_jp_tuple(p, 0, &node->a));
        CG_TRY(end_of_tag(p));
        CG_TRY(body(p, &node->list));
        if (!at_tag(p, "elif")) break;
        p->t += 2;
        NEW(next, CG_JN_IF);
        node->other = next;
        node = next;
    }
    if (at_tag(p, "else")) {
        p->t += 2;
        CG_TRY(end_of_tag(p));
        CG_TRY(body(p, &node->other));
    }
    return end_statement(p, "endif", first->line);
}

enum cg_status cg_jp_target(struct cg_jparser *p, int with_attribute, struct cg_jnode **out)
{
    int parens = cg_jp_take(p, "(");
    NEW(list, CG_JN_LIST);
    size_t n = 0;
    for (struct cg_jnode **end = &list->list;; end = &(*end)->next) {
        NEW(name, CG_JN_NAME);
        CG_TRY(cg_jp_name(p, &name->name));
        *end = name;
        n++;
        if (!cg_jp_take(p, ",")) break;
    }
    *out = n == 1 ? list->list : list;
    if (parens) return cg_jp_expect(p, ")");
    if (n > 1 || !with_attribute || !cg_jp_take(p, ".")) return CG_OK;
    NEW(attr, CG_JN_ATTR);
    attr->a = list->list;
    *out = attr;
    return cg_jp_name(p, &attr->name);
}

static enum cg_status parse_for(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_FOR);
    *out = node;
    CG_TRY(cg_jp_target(p, 0, &node->b));
    if (!cg_jp_word(p, "in")) return cg_jp_fault(p, "'in' is expected");
    p->t++;
    CG_TRY(cg_jp_tuple(p, 0, &node->a));
    if (cg_jp_word(p, "if")) {
        p->t++;
        CG_TRY(cg_jp_expression(p, &node->c));
    }
    if (cg_jp_word(p, "recursive")) return cg_jp_fault(p, "recursive loops are not supported");
    CG_TRY(end_of_tag(p));
    p->loops++;
    CG_TRY(body(p, &node->list));
    p->loops--;
    if (at_tag(p, "else")) {
        p->t += 2;
        CG_TRY(end_of_tag(p));
        CG_TRY(body(p, &node->other));
    }
    return end_statement(p, "endfor", node->line);
}

static enum cg_status parse_set(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_SET);
    *out = node;
    CG_TRY(cg_jp_target(p, 1, &node->a));
    if (cg_jp_take(p, "=")) {
        CG_TRY(cg_jp_tuple(p, 1, &node->b));
        return end_of_tag(p);
    }
    node->kind = CG_JN_SET_BODY;
    CG_TRY(cg_jp_filters(p, &node->b));
    CG_TRY(end_of_tag(p));
    CG_TRY(body(p, &node->list));
    return end_statement(p, "endset", node->line);
}

static enum cg_status parse_macro(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_MACRO);
    *out = node;
    CG_TRY(cg_jp_name(p, &node->name));
    CG_TRY(cg_jp_expect(p, "("));
    for (struct cg_jnode **end = &node->other; !cg_jp_take(p, ")");) {
        NEW(arg, CG_JN_ARG);
        CG_TRY(cg_jp_name(p, &arg->name));
        if (cg_jp_take(p, "=")) CG_TRY(cg_jp_expression(p, &arg->a));
        *end = arg;
        end = &arg->next;
        if (!cg_jp_take(p, ",") && !cg_jp_op(p, ")")) return cg_jp_fault(p, "',' or ')' is expected");
    }
    CG_TRY(end_of_tag(p));
    int loops = p->loops;
    p->loops = 0;
    CG_TRY(body(p, &node->list));
    p->loops = loops;
    return end_statement(p, "endmacro", node->line);
}

/* {% generation %} marks what the assistant says, for training on it; its body stands as it is. */
static enum cg_status parse_generation(struct cg_jparser *p, struct cg_jnode **out)
{
    int line = p->t->line;
    CG_TRY(end_of_tag(p));
    CG_TRY(body(p, out));
    return end_statement(p, "endgeneration", line);
}

static enum cg_status parse_jump(struct cg_jparser *p, enum cg_jnode_kind kind, struct cg_jnode **out)
{
    if (!p->loops) return cg_jp_fault(p, "'break' or 'continue' is in no loop");
    NEW(node, kind);
    *out = node;
    return end_of_tag(p);
}

static enum cg_status statement(struct cg_jparser *p, struct cg_jnode **out)
{
    struct cg_jstr word;
    CG_TRY(cg_jp_name(p, &word));
    if (cg_jis(word, "if")) return parse_if(p, out);
    if (cg_jis(word, "for")) return parse_for(p, out);
    if (cg_jis(word, "set")) return parse_set(p, out);
    if (cg_jis(word, "macro")) return parse_macro(p, out);
    if (cg_jis(word, "generation")) return parse_generation(p, out);
    if (cg_jis(word, "break")) return parse_jump(p, CG_JN_BREAK, out);
    if (cg_jis(word, "continue")) return parse_jump(p, CG_JN_CONTINUE, out);
    p->t--;
    return cg_jp_fault(p, "a statement that is not supported, or not expected here,");
}

static enum cg_status output(struct cg_jparser *p, struct cg_jnode **out)
{
    NEW(node, CG_JN_OUTPUT);
    *out = node;
    CG_TRY(cg_jp_tuple(p, 1, &node->a));
    if (p->t->kind != CG_JT_VARIABLE_END) return cg_jp_fault(p, "'}}' is expected");
    p->t++;
    return CG_OK;
}

/* Statements up to a tag that ends or divides what is around them, which is left at hand. */
static enum cg_status body(struct cg_jparser *p, struct cg_jnode **out)
{
    static const char *const ends[] = {"elif", "else", "endif", "endfor", "endset", "endmacro", "endgeneration"};
    CG_TRY(cg_jp_enter(p));
    *out = NULL;
    while (p->t->kind != CG_JT_END) {
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
            if (at_tag(p, ends[i])) goto ended;
        if (p->t->kind == CG_JT_DATA) {
            NEW(data, CG_JN_DATA);
            data->value = cg_jtext(p->t->text.s, p->t->text.n);
            *out = data;
            p->t++;
        } else {
            int is_block = p->t->kind == CG_JT_BLOCK_BEGIN;
            p->t++;
            CG_TRY(is_block ? statement(p, out) : output(p, out));
        }
        while (*out) out = &(*out)->next;
    }
ended:
    cg_jp_leave(p);
    return CG_OK;
}

enum cg_status cg_jparse(struct cg_jarena *a, const char *source, size_t n, struct cg_jnode **out)
{
    struct cg_jtokens tokens = {0};
    CG_TRY(cg_jlex(a, source, n, &tokens));
    struct cg_jparser parser = {.arena = a, .t = tokens.v};
    CG_TRY(body(&parser, out));
    if (parser.t->kind == CG_JT_END) return CG_OK;
    parser.t++;
    return cg_jp_fault(&parser, "a statement that is not expected here,");
}

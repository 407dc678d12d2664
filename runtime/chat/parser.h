/* What the two halves of the parser share. */
#ifndef CG_RUNTIME_CHAT_PARSER_H
#define CG_RUNTIME_CHAT_PARSER_H

#include "runtime/chat/lexer.h"
#include "runtime/chat/tree.h"

struct cg_jparser {
    struct cg_jarena *arena;
    const struct cg_jtoken *t; /* the token at hand; the last is CG_JT_END */
    int depth, loops;
};

static inline int cg_jp_is(const struct cg_jparser *p, enum cg_jtoken_kind kind, const char *text)
{
    return p->t->kind == kind && (!text || cg_jis(p->t->text, text));
}
static inline int cg_jp_op(const struct cg_jparser *p, const char *text)
{
    return cg_jp_is(p, CG_JT_OPERATOR, text);
}
static inline int cg_jp_word(const struct cg_jparser *p, const char *text)
{
    return cg_jp_is(p, CG_JT_NAME, text);
}

/* Passes the operator when it is there. */
int cg_jp_take(struct cg_jparser *p, const char *op);
/* "line N: WHAT, not 'token'". */
enum cg_status cg_jp_fault(const struct cg_jparser *p, const char *wanted);
enum cg_status cg_jp_expect(struct cg_jparser *p, const char *op);
enum cg_status cg_jp_name(struct cg_jparser *p, struct cg_jstr *out);
/* A new node at the token at hand; NULL on failure. */
struct cg_jnode *cg_jp_node(struct cg_jparser *p, enum cg_jnode_kind kind);

enum cg_status cg_jp_enter(struct cg_jparser *p);
void cg_jp_leave(struct cg_jparser *p);

/* An expression; one without "x if y else z" at its outermost; one or several with commas, which make a tuple. */
enum cg_status cg_jp_expression(struct cg_jparser *p, struct cg_jnode **out);
enum cg_status cg_jp_tuple(struct cg_jparser *p, int with_condition, struct cg_jnode **out);
enum cg_status cg_jp_primary(struct cg_jparser *p, struct cg_jnode **out);
/* Filters on *out: | name(args). */
enum cg_status cg_jp_filters(struct cg_jparser *p, struct cg_jnode **out);
/* Attributes, subscripts and calls on *out; filters, tests and calls on it. */
enum cg_status cg_jp_postfix(struct cg_jparser *p, struct cg_jnode **out);
enum cg_status cg_jp_filters_and_tests(struct cg_jparser *p, struct cg_jnode **out);
/* What is assigned to: a name, or several. with_attribute: or NAME.attribute. */
enum cg_status cg_jp_target(struct cg_jparser *p, int with_attribute, struct cg_jnode **out);

#endif

/* The tree of a template; private to runtime/chat. */
#ifndef CG_RUNTIME_CHAT_TREE_H
#define CG_RUNTIME_CHAT_TREE_H

#include "runtime/chat/value.h"

#define CG_J_DEPTH 120 /* of expressions and statements in each other, when parsed and when run */

enum cg_jnode_kind {
    /* Expressions: a, b, c, d are operands, `list` the first of several. */
    CG_JN_CONST,   /* value */
    CG_JN_NAME,    /* name */
    CG_JN_LIST,    /* list: items (of a tuple as well) */
    CG_JN_DICT,    /* list: PAIR */
    CG_JN_PAIR,    /* a: key, b: value */
    CG_JN_ATTR,    /* a . name */
    CG_JN_ITEM,    /* a [b] */
    CG_JN_SLICE,   /* a [b:c:d], each of b, c, d may be NULL */
    CG_JN_CALL,    /* a (list: ARG) */
    CG_JN_ARG,     /* a; name where it is a keyword */
    CG_JN_FILTER,  /* a | name (list: ARG) */
    CG_JN_TEST,    /* a is name (list: ARG); flag: is not */
    CG_JN_NOT,     /* a */
    CG_JN_SIGN,    /* a; flag: minus */
    CG_JN_AND,     /* a, b */
    CG_JN_OR,      /* a, b */
    CG_JN_COMPARE, /* a, list: OPERAND, chained as in Python */
    CG_JN_OPERAND, /* name: operator, "not in" among them; a */
    CG_JN_BINARY,  /* name: operator; a, b */
    CG_JN_COND,    /* b if a else c (may be NULL) */
    /* Statements. */
    CG_JN_DATA,     /* value: text */
    CG_JN_OUTPUT,   /* a */
    CG_JN_IF,       /* a; list: body; other: else */
    CG_JN_FOR,      /* list: body; other: else; a: iterated; b: target (NAME or LIST); c: filter, may be NULL */
    CG_JN_SET,      /* a: target (NAME, LIST or ATTR of a NAME); b: value */
    CG_JN_SET_BODY, /* a: target; list: body; b: the FILTERs on it, whose innermost operand is NULL, or NULL */
    CG_JN_MACRO,    /* name; other: ARG, a is the default or NULL; list: body */
    CG_JN_BREAK,
    CG_JN_CONTINUE,
};

struct cg_jnode {
    enum cg_jnode_kind kind;
    int line, flag;
    struct cg_jstr name;
    struct cg_jv value;
    struct cg_jnode *a, *b, *c, *d, *list, *other;
    struct cg_jnode *next; /* in the list that it stands in */
};

/* Parses n bytes of a template into *out, the first of its statements (NULL: an empty one). CG_ERR_USER: "line N:
 * what". */
enum cg_status cg_jparse(struct cg_jarena *a, const char *source, size_t n, struct cg_jnode **out);

#endif

/* Tokens of a template; private to runtime/chat. */
#ifndef CG_RUNTIME_CHAT_LEXER_H
#define CG_RUNTIME_CHAT_LEXER_H

#include "runtime/chat/value.h"

enum cg_jtoken_kind {
    CG_JT_DATA,        /* text between the tags */
    CG_JT_BLOCK_BEGIN, /* {% */
    CG_JT_BLOCK_END,
    CG_JT_VARIABLE_BEGIN, /* {{ */
    CG_JT_VARIABLE_END,
    CG_JT_NAME,
    CG_JT_STRING,
    CG_JT_INTEGER,
    CG_JT_REAL,
    CG_JT_OPERATOR,
    CG_JT_END,
};

struct cg_jtoken {
    enum cg_jtoken_kind kind;
    int line;
    struct cg_jstr text; /* as written; of DATA and STRING what it means */
};

struct cg_jtokens {
    struct cg_jtoken *v;
    size_t n, cap;
};

/* Cuts n bytes of valid UTF-8. White space around tags is taken away as Jinja does with trim_blocks and lstrip_blocks,
 * and one newline at the end of the template. CG_ERR_USER: "line N: what". */
enum cg_status cg_jlex(struct cg_jarena *a, const char *source, size_t n, struct cg_jtokens *out);

/* White space as Python's str.isspace and \s have it: its length at s (n > 0 bytes left), 0 when it is none. */
size_t cg_jspace(const char *s, size_t n);

/* A string without the white space at its start or end. */
struct cg_jstr cg_jlstrip(struct cg_jstr s);
struct cg_jstr cg_jrstrip(struct cg_jstr s);

#endif

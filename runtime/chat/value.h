/* Values of templates, and the memory that they live in; private to runtime/chat. */
#ifndef CG_RUNTIME_CHAT_VALUE_H
#define CG_RUNTIME_CHAT_VALUE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* Memory that is given back all at once. Zeroed memory is an arena without limit. */
struct cg_jarena {
    struct cg_jblock *blocks;
    size_t used, limit;    /* bytes; limit 0: none */
    enum cg_status failed; /* what the last cg_jalloc that gave NULL means */
};

/* n bytes, zeroed, aligned for anything; NULL and a message when there is none or the limit is reached. */
void *cg_jalloc(struct cg_jarena *a, size_t n);
void cg_jarena_free(struct cg_jarena *a);

enum cg_jkind {
    CG_J_UNDEFINED,
    CG_J_NONE,
    CG_J_BOOL,
    CG_J_INT,
    CG_J_REAL,
    CG_J_STR,
    CG_J_LIST,
    CG_J_DICT,
    CG_J_NAMESPACE, /* a dict whose members can be set */
    CG_J_FUNCTION,
    CG_J_MACRO,
    CG_J_METHOD,
};

struct cg_jstr {
    const char *s;
    size_t n;
};

struct cg_jv {
    enum cg_jkind kind;
    union {
        int64_t i; /* INT, and BOOL as 0 or 1 */
        double d;
        struct cg_jstr str; /* STR; of UNDEFINED and FUNCTION the name */
        struct cg_jlist *list;
        struct cg_jdict *dict; /* DICT and NAMESPACE */
        const struct cg_jmacro *macro;
        const struct cg_jmethod *method;
    };
};

struct cg_jlist {
    struct cg_jv *v;
    size_t n, cap;
};

/* Keys are strings, in the order in which they came. */
struct cg_jdict {
    struct cg_jstr *key;
    struct cg_jv *v;
    size_t n, cap;
    int is_loop; /* the variable `loop` */
};

/* A method of a value, before it is called. */
struct cg_jmethod {
    struct cg_jv self;
    struct cg_jstr name;
};

#define CG_JNONE ((struct cg_jv){.kind = CG_J_NONE})

static inline struct cg_jv cg_jbool(int b)
{
    return (struct cg_jv){.kind = CG_J_BOOL, .i = b != 0};
}

static inline struct cg_jv cg_jint(int64_t i)
{
    return (struct cg_jv){.kind = CG_J_INT, .i = i};
}

static inline struct cg_jv cg_jtext(const char *s, size_t n)
{
    return (struct cg_jv){.kind = CG_J_STR, .str = {s, n}};
}

static inline struct cg_jv cg_jundefined(struct cg_jstr name)
{
    return (struct cg_jv){.kind = CG_J_UNDEFINED, .str = name};
}

int cg_jis(struct cg_jstr s, const char *text);
/* The string in fresh memory of the arena, of both one after the other; s is NULL on failure. */
struct cg_jstr cg_jjoin(struct cg_jarena *a, struct cg_jstr x, struct cg_jstr y);

/* A new empty list or dict; NULL on failure. */
struct cg_jlist *cg_jlist_new(struct cg_jarena *a);
struct cg_jdict *cg_jdict_new(struct cg_jarena *a);
enum cg_status cg_jlist_add(struct cg_jarena *a, struct cg_jlist *l, struct cg_jv v);
enum cg_status cg_jdict_set(struct cg_jarena *a, struct cg_jdict *d, struct cg_jstr key, struct cg_jv v);
/* NULL when there is no such key. */
struct cg_jv *cg_jdict_get(const struct cg_jdict *d, struct cg_jstr key);

/* A JSON value; strings point into `j`, which must outlive the arena. */
enum cg_status cg_jfrom_json(struct cg_jarena *a, const json_t *j, int depth, struct cg_jv *out);

/* "a string", "none", ...; for messages. */
const char *cg_jkind_name(struct cg_jv v);

int cg_jtrue(struct cg_jv v); /* as Python's bool() */
int cg_jis_number(struct cg_jv v);
double cg_jnumber(struct cg_jv v);
/* *steps is counted down, since values can hold each other many times over; at 0 nothing is equal. */
int cg_jequal(struct cg_jv a, struct cg_jv b, int depth, size_t *steps);

/* What Python's str() gives; CG_ERR_USER for lists, dicts and functions, whose text nobody wants in a prompt. */
enum cg_status cg_jto_text(struct cg_jarena *a, struct cg_jv v, struct cg_jstr *out);

/* Python's repr of a float into out. */
void cg_jreal_text(double d, char out[40]);

/* Length in characters; the byte offset of character i (0..length). */
size_t cg_jchars(struct cg_jstr s);
size_t cg_jchar_at(struct cg_jstr s, size_t i);

#endif

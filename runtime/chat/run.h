/* A template being run; private to runtime/chat. */
#ifndef CG_RUNTIME_CHAT_RUN_H
#define CG_RUNTIME_CHAT_RUN_H

#include "runtime/chat/tree.h"

#define CG_J_ARGS 12       /* arguments of a call, at most */
#define CG_J_RUN_DEPTH 400 /* of expressions, statements and macros in each other */

/* Variables; a name is looked for in the scopes around as well. */
struct cg_jscope {
    struct cg_jscope *around;
    struct cg_jdict vars;
};

struct cg_jmacro {
    const struct cg_jnode *node;
    struct cg_jscope *scope; /* it was defined in */
};

/* The arguments of a call: `name` of those by position is empty. */
struct cg_jargs {
    struct cg_jv v[CG_J_ARGS];
    struct cg_jstr name[CG_J_ARGS];
    size_t n;
};

struct cg_jrun {
    struct cg_jarena *arena;
    struct cg_jscope *scope;
    int line, depth;
    size_t steps;            /* left */
    enum cg_jnode_kind jump; /* CG_JN_BREAK or CG_JN_CONTINUE while it is carried out, else 0 */
    char *out;               /* text so far, in malloc's memory */
    size_t out_n, out_cap;
};

enum cg_status cg_jeval(struct cg_jrun *r, const struct cg_jnode *e, struct cg_jv *out);
enum cg_status cg_jexec(struct cg_jrun *r, const struct cg_jnode *first);

/* What a value is made of when it is iterated over: the items of a list, the keys of a dict, the characters of a
 * string, nothing of an undefined one. */
enum cg_status cg_jiterate(struct cg_jrun *r, struct cg_jv v, struct cg_jlist **out);

/* Attribute or member `key` of a value; undefined when it has none. `subscript`: v[key], where members of a dict come
 * before its methods. */
enum cg_status cg_jmember(struct cg_jrun *r, struct cg_jv v, struct cg_jstr key, int subscript, struct cg_jv *out);

enum cg_status cg_jbinary(struct cg_jrun *r, struct cg_jstr op, struct cg_jv a, struct cg_jv b, struct cg_jv *out);
enum cg_status cg_jcompare(struct cg_jrun *r, struct cg_jstr op, struct cg_jv a, struct cg_jv b, int *out);
enum cg_status cg_jitem(struct cg_jrun *r, struct cg_jv v, struct cg_jv key, struct cg_jv *out);
/* start, stop, step: none where they are left out. */
enum cg_status cg_jslice(struct cg_jrun *r, struct cg_jv v, const struct cg_jv at[3], struct cg_jv *out);

enum cg_status cg_jcall(struct cg_jrun *r, struct cg_jv f, const struct cg_jargs *args, struct cg_jv *out);
enum cg_status cg_jcall_macro(struct cg_jrun *r, const struct cg_jmacro *m, const struct cg_jargs *args,
                              struct cg_jv *out);
int cg_jis_function(struct cg_jstr name); /* is there a global function of this name? */
/* Does a value of this kind have the method (whether or not it is supported)? */
int cg_jhas_method(struct cg_jv v, struct cg_jstr name);
enum cg_status cg_jmethod_call(struct cg_jrun *r, const struct cg_jmethod *m, const struct cg_jargs *args,
                               struct cg_jv *out);
enum cg_status cg_jfilter(struct cg_jrun *r, struct cg_jstr name, struct cg_jv v, const struct cg_jargs *args,
                          struct cg_jv *out);
enum cg_status cg_jtest(struct cg_jrun *r, struct cg_jstr name, struct cg_jv v, const struct cg_jargs *args, int *out);

/* String functions that are methods and filters: strip (which: 1 left, 2 right, 3 both) of white space or of any of
 * `chars`, replace, case. */
struct cg_jstr cg_jstrip(struct cg_jstr s, const struct cg_jstr *chars, int which);
enum cg_status cg_jreplace(struct cg_jrun *r, struct cg_jstr s, struct cg_jstr from, struct cg_jstr to, int64_t most,
                           struct cg_jv *out);
/* how: 'u'pper, 'l'ower, 'c'apitalize, 't'itle. Letters beyond ASCII are refused. */
enum cg_status cg_jcase(struct cg_jrun *r, struct cg_jstr s, char how, struct cg_jv *out);

enum cg_status cg_jtojson(struct cg_jrun *r, struct cg_jv v, const struct cg_jargs *args, struct cg_jv *out);

/* Argument `i` by position, or the one called `name`; NULL when it was not given. */
const struct cg_jv *cg_jarg(const struct cg_jargs *args, size_t i, const char *name);
/* CG_ERR_USER when there are more than `most` arguments or one is called by a name that is none of `names` ("a|b"). */
enum cg_status cg_jargs_check(const struct cg_jargs *args, const char *of, size_t most, const char *names);
/* The argument as a string or an integer: CG_ERR_USER when it is something else; *out is untouched when not given. */
enum cg_status cg_jarg_text(const struct cg_jargs *args, size_t i, const char *name, const char *of,
                            struct cg_jstr *out);
enum cg_status cg_jarg_int(const struct cg_jargs *args, size_t i, const char *name, const char *of, int64_t *out);

enum cg_status cg_jundefined_fault(struct cg_jv v); /* "'x' is undefined" */

/* A new list value, empty. */
enum cg_status cg_jmake_list(struct cg_jrun *r, struct cg_jv *out);

#endif

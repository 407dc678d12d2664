/* The option table as data; private to runtime/config. */
#ifndef CG_RUNTIME_CONFIG_TABLE_H
#define CG_RUNTIME_CONFIG_TABLE_H

#include "runtime/config/config.h"

enum cg_option_kind { CG_KIND_INT, CG_KIND_REAL, CG_KIND_BOOL, CG_KIND_STR, CG_KIND_INTS, CG_KIND_REALS, CG_KIND_STRS };

struct cg_option {
    const char *name;
    enum cg_option_kind kind;
    size_t offset; /* in struct cg_run_config */
    const char *def;
    double lo, hi;
    int open;           /* bit 0: lo itself is out; bit 1: hi itself is out */
    const char *one_of; /* "a|b|alias=a", or NULL */
};

extern const struct cg_option cg_options[];
extern const size_t cg_option_count;

/* The option called `key`; NULL when there is none. */
const struct cg_option *cg_option_find(const char *key);

/* CG_ERR_USER: "unknown key ...", with the nearest valid key where one is near. */
enum cg_status cg_option_unknown(const char *key);

/* A value as the file or the command line gives it: one scalar, or the scalars of a list. */
struct cg_value {
    const char *const *items;
    size_t n;
    int is_list;
    int quoted; /* scalar in quotes: text, whatever it looks like */
};

/* Parses and checks `v` and stores it in *c. CG_ERR_USER names key, value and what is wanted. */
enum cg_status cg_option_store(const struct cg_option *o, const struct cg_value *v, struct cg_run_config *c);

/* Frees a list of strings and makes it empty. */
void cg_option_free_strings(struct cg_strs *x);

/* As cg_option_store, for text outside YAML: lists as "1,2" or "[1, 2]". */
enum cg_status cg_option_store_text(const struct cg_option *o, const char *text, struct cg_run_config *c);

/* The value of one option as a run file has it. */
void cg_option_dump(const struct cg_option *o, const struct cg_run_config *c, FILE *f);

#endif

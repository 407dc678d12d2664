/* The options of a run: defaults, run files (YAML) and --set. The options themselves are in options.def. */
#ifndef CG_RUNTIME_CONFIG_CONFIG_H
#define CG_RUNTIME_CONFIG_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/status.h"

struct cg_ints {
    int64_t *v;
    size_t n;
};

struct cg_reals {
    double *v;
    size_t n;
};

struct cg_strs {
    char **v;
    size_t n;
};

#define CG_FIELD_INT int64_t
#define CG_FIELD_REAL double
#define CG_FIELD_BOOL int
#define CG_FIELD_STR char *
#define CG_FIELD_INTS struct cg_ints
#define CG_FIELD_REALS struct cg_reals
#define CG_FIELD_STRS struct cg_strs

/* One field per option, named as its key. Strings and lists belong to the struct. */
struct cg_run_config {
#define OPT(kind, field, def, limits, doc) CG_FIELD_##kind field;
#include "runtime/config/options.def"
};

/* Fills *c with the defaults; whatever it held is not freed. On failure (memory) there is nothing to free. */
enum cg_status cg_config_defaults(struct cg_run_config *c);
void cg_config_free(struct cg_run_config *c);

/* Sets what the run file `path` gives, over what *c holds (cg_config_defaults first). CG_ERR_USER with one line
 * "PATH:LINE: what is wrong" for anything wrong in it: bad YAML, unknown key (and the nearest valid one), duplicate
 * key, wrong type, value out of range. *c stays valid after an error. */
enum cg_status cg_config_load(const char *path, struct cg_run_config *c);

/* Sets one option from "key=value", the value as in a run file, without quotes: all after the first '=' is the text
 * of a string. Lists may be written 1,2,3 as well as [1, 2, 3]. */
enum cg_status cg_config_set(struct cg_run_config *c, const char *assignment);

/* Checks what a single value cannot tell, such as batch sizes that do not divide; call it after the last set. */
enum cg_status cg_config_check(const struct cg_run_config *c);

/* Writes every option as a run file that loads to the same values. Errors stay in the stream (ferror). */
void cg_config_dump(const struct cg_run_config *c, FILE *f);

/* Options of which the result of a run depends and that are not the same in both, for one line: "seed 2 (was 1),
 * learning_rate 0.001 (was 1e-06)" in fresh memory (free()), "" for none; NULL without memory. More steps than
 * before are no difference. */
char *cg_config_differences(const struct cg_run_config *now, const struct cg_run_config *before);

#endif

/* Words that people typed. */
#ifndef CG_COMMON_WORDS_H
#define CG_COMMON_WORDS_H

#include <stddef.h>

#include "common/status.h"

enum { CG_SHOWN = 52 };

/* At most 48 characters of s with anything that is not printable ASCII as '?', for messages; returns buf. */
const char *cg_show(const char *s, char buf[CG_SHOWN]);

/* The one of n names that `word` was probably meant to be (the first of equals); NULL when none is near. */
const char *cg_nearest(const char *word, const char *const *names, size_t n);

/* CG_ERR_USER for `arg` ("--frob", "--frob=3", "-x"), which is no option of `program`. Names the one of its n long
 * options that was probably meant, else where they are listed. */
enum cg_status cg_unknown_option(const char *program, const char *arg, const char *const *names, size_t n);

#endif

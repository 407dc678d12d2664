/* A reward by a regular expression of the user (PCRE2's syntax, which is Perl's). */
#ifndef CG_RUNTIME_REWARDS_REGEX_H
#define CG_RUNTIME_REWARDS_REGEX_H

#include "common/status.h"

struct cg_regex;

/* `pattern` may hold {answer}, which stands for the answer's text, word for word. CG_ERR_USER with the place of what is
 * wrong in it. */
enum cg_status cg_regex_open(const char *pattern, struct cg_regex **out);
void cg_regex_free(struct cg_regex *x);

/* Does the pattern compare with the answer: by {answer}, or by a group? */
int cg_regex_needs_answer(const struct cg_regex *x);

/* *value is 1 or 0. With {answer}, or without any group: whether the pattern matches somewhere. With a group and
 * without {answer}: whether what the first group holds, at the last place where the pattern matches, is the answer, as
 * text without white space around it or as a number. CG_ERR_USER when PCRE2 gives up on a match. */
enum cg_status cg_regex_reward(struct cg_regex *x, const char *text, const char *answer, float *value);

#endif

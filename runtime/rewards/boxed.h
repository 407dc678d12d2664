/* Answers in \boxed{...}, as mathematical data sets and models write them. */
#ifndef CG_RUNTIME_REWARDS_BOXED_H
#define CG_RUNTIME_REWARDS_BOXED_H

#include <stddef.h>

/* What stands in the last complete \boxed{...} or \fbox{...} of `text`, with braces that match (\{ and \} do not
 * count; of a box in a box, the inner one): a pointer into text and its length; NULL when there is none. */
const char *cg_boxed_last(const char *text, size_t *n);

/* Do two answers in LaTeX say the same? Spacing, \left and \right, $, \text{...}, degree and percent signs and ways of
 * writing a fraction do not count; numbers are compared by value (0.5, 1/2 and \frac{1}{2} are equal), all else as
 * text. Answers of more than 1000 bytes are only compared as they are. */
int cg_boxed_equal(const char *a, size_t na, const char *b, size_t nb);

#endif

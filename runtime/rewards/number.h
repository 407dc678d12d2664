/* Numbers in text, compared as scorers of GSM8K do: by value, whatever commas, currency signs and units stand around.
 */
#ifndef CG_RUNTIME_REWARDS_NUMBER_H
#define CG_RUNTIME_REWARDS_NUMBER_H

#include <stddef.h>

/* A decimal number: its digits without commas, without leading zeros, and without zeros at the end of a fraction. */
struct cg_number {
    int negative;
    size_t point; /* digits before the decimal point */
    size_t n;
    char digits[256];
};

/* The last number in `text`: digits, perhaps with commas between groups of three and with a fraction; a minus before it
 * counts unless a letter, a digit or a closing bracket stands before that (then it is a subtraction or a hyphen); a
 * currency sign may stand in between. 0 when there is none, or one of more than 256 digits. */
int cg_number_last(const char *text, struct cg_number *out);

int cg_number_equal(const struct cg_number *a, const struct cg_number *b);

#endif

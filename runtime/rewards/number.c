#include "runtime/rewards/number.h"

#include <ctype.h>
#include <string.h>

static int digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Does a group of exactly three digits follow the comma at s? */
static int group_follows(const char *s)
{
    return s[0] == ',' && digit(s[1]) && digit(s[2]) && digit(s[3]) && !digit(s[4]);
}

/* Skips, backwards from `at`, a currency sign: $, or euro, pound, yen in UTF-8. */
static const char *before_currency(const char *text, const char *at)
{
    static const char *const signs[] = {"$", "\xE2\x82\xAC", "\xC2\xA3", "\xC2\xA5"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t n = strlen(signs[i]);
        if ((size_t)(at - text) >= n && memcmp(at - n, signs[i], n) == 0) {
            at -= n;
            return at > text && at[-1] == '\\' ? at - 1 : at;
        }
    }
    return at;
}

/* Is there a minus (ASCII or U+2212) right before `at` that is a sign? */
static int is_negative(const char *text, const char *at)
{
    size_t n = 0;
    if (at > text && at[-1] == '-') n = 1;
    else if (at - text >= 3 && memcmp(at - 3, "\xE2\x88\x92", 3) == 0) n = 3;
    if (n == 0) return 0;
    if (at - n == text) return 1;
    unsigned char before = (unsigned char)at[-(long)n - 1];
    return !isalnum(before) && before != ')' && before != ']' && before != '}' && before < 0x80;
}

static void take(struct cg_number *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (out->n == 0 && s[i] == '0') continue; /* a leading zero */
        if (out->n < sizeof out->digits) out->digits[out->n] = s[i];
        out->n++;
    }
}

/* Reads the number at s (a digit, or a point before one); returns its end. n is too large when it has too many digits.
 */
static const char *read_number(const char *s, struct cg_number *out)
{
    static const char digits[] = "0123456789";
    size_t run = strspn(s, digits);
    out->n = out->point = 0;
    take(out, s, run);
    s += run;
    for (; run <= 3 && group_follows(s); s += 4) take(out, s + 1, 3);
    out->point = out->n;
    if (*s != '.' || !digit(s[1])) return s;
    run = strspn(++s, digits);
    for (size_t i = 0; i < run; i++, out->n++)
        if (out->n < sizeof out->digits) out->digits[out->n] = s[i];
    while (out->n > out->point && out->n <= sizeof out->digits && out->digits[out->n - 1] == '0') out->n--;
    return s + run;
}

int cg_number_last(const char *text, struct cg_number *out)
{
    int found = 0;
    for (const char *s = text; *s;) {
        if (!digit(*s) && !(*s == '.' && digit(s[1]))) {
            s++;
            continue;
        }
        const char *start = s;
        s = read_number(s, out);
        found = out->n <= sizeof out->digits;
        int negative = is_negative(text, start) || is_negative(text, before_currency(text, start));
        out->negative = negative && out->n > 0; /* there is no -0 */
    }
    return found;
}

int cg_number_equal(const struct cg_number *a, const struct cg_number *b)
{
    return a->negative == b->negative && a->point == b->point && a->n == b->n &&
           memcmp(a->digits, b->digits, a->n) == 0;
}

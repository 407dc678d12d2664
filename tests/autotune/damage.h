/* Ways in which a text file goes bad. */
#ifndef CG_TESTS_AUTOTUNE_DAMAGE_H
#define CG_TESTS_AUTOTUNE_DAMAGE_H

#include "fixture.h"

#include <ctype.h>

enum { DAMAGE_KINDS = 11, DAMAGE_ROOM = 256 }; /* bytes that a damaged text may be longer */

/* The line that holds byte `at`: where it starts, and its length with its newline. */
static inline size_t line_at(const char *text, size_t size, size_t at, size_t *len)
{
    size_t start = at, end = at;
    while (start > 0 && text[start - 1] != '\n') start--;
    while (end < size && text[end] != '\n') end++;
    *len = (end < size ? end + 1 : end) - start;
    return start;
}

/* Puts len bytes in the place of `gone` bytes at `at`. */
static inline size_t splice(char *text, size_t size, size_t at, size_t gone, const char *in, size_t len)
{
    memmove(text + at + len, text + at + gone, size - at - gone);
    memcpy(text + at, in, len);
    return size - gone + len;
}

/* A number of the text becomes another one, or none. */
static inline size_t damage_number(char *text, size_t size, uint32_t *draws)
{
    static const char *const odd[] = {"0",
                                      "-1",
                                      "65536",
                                      "4294967295",
                                      "4294967296",
                                      "2147483649",
                                      "1e308",
                                      "1e999",
                                      "nan",
                                      "0x10",
                                      "+1",
                                      "1.",
                                      "",
                                      "00000000000001",
                                      "inf",
                                      "1e-99",
                                      "999999",
                                      "18446744073709551616",
                                      "340282366920938463463374607431768211456"};
    size_t at = draw(draws, (uint32_t)size), end;
    while (at < size && !isdigit((unsigned char)text[at])) at++;
    for (end = at; end < size && isdigit((unsigned char)text[end]);) end++;
    const char *to = odd[draw(draws, sizeof odd / sizeof *odd)];
    return splice(text, size, at, end - at, to, strlen(to));
}

static inline size_t damage_lines(char *text, size_t size, uint32_t kind, uint32_t *draws)
{
    char line[1024], other[1024];
    size_t la, lb, a = line_at(text, size, draw(draws, (uint32_t)size), &la),
                   b = line_at(text, size, draw(draws, (uint32_t)size), &lb);
    if (la > sizeof line || lb > sizeof other || la > DAMAGE_ROOM) return size;
    memcpy(line, text + a, la);
    memcpy(other, text + b, lb);
    if (kind == 0) return splice(text, size, a, la, "", 0);   /* gone */
    if (kind == 1) return splice(text, size, a, 0, line, la); /* twice */
    if (a == b) return size;
    if (a > b) { /* two change places */
        size = splice(text, size, a, la, other, lb);
        return splice(text, size, b, lb, line, la);
    }
    size = splice(text, size, b, lb, line, la);
    return splice(text, size, a, la, other, lb);
}

/* Damages `size` bytes of text in a way that depends on *draws, in place; there is DAMAGE_ROOM after them. Returns the
 * new size; *kind is for messages. */
static inline size_t damage(char *text, size_t size, uint32_t *draws, uint32_t *kind)
{
    size_t at = draw(draws, (uint32_t)size), len = 1 + draw(draws, 40);
    if (len > size - at) len = size - at;
    *kind = draw(draws, DAMAGE_KINDS);
    switch (*kind) {
    case 0: text[at] ^= (char)(1 << draw(draws, 8)); return size;
    case 1: /* a few bits */
        for (uint32_t i = 0, n = 2 + draw(draws, 6); i < n; i++)
            text[draw(draws, (uint32_t)size)] ^= (char)(1 << draw(draws, 8));
        return size;
    case 2: return at; /* cut short */
    case 3: {
        char byte = (char)draw(draws, 256);
        return splice(text, size, at, 0, &byte, 1);
    }
    case 4: /* digits */
        for (size_t i = 0; i < len; i++) text[at + i] = (char)('0' + draw(draws, 10));
        return size;
    case 5: /* noise */
        for (size_t i = 0; i < len; i++) text[at + i] = (char)draw(draws, 256);
        return size;
    case 6: memset(text + at, 0, len); return size; /* a block that the disk lost */
    case 7: return damage_number(text, size, draws);
    case 8: return damage_lines(text, size, 0, draws);
    case 9: return damage_lines(text, size, 1, draws);
    default: return damage_lines(text, size, 2, draws);
    }
}

#endif

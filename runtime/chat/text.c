/* Values as text. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/chat/lexer.h"
#include "runtime/tokenizer/utf8.h"

/* Python writes the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on. */
void cg_jreal_text(double d, char out[40])
{
    char e[40];
    if (!isfinite(d)) {
        snprintf(out, 40, "%s", isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    int precision = 0;
    for (; precision < 17; precision++) {
        snprintf(e, sizeof e, "%.*e", precision, d);
        if (strtod(e, NULL) == d) break;
    }
    int exponent = (int)strtol(strchr(e, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        size_t mantissa = strcspn(e, "e");
        snprintf(out, 40, "%.*se%c%02d", (int)mantissa, e, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = precision - exponent;
    snprintf(out, 40, "%.*f", decimals > 0 ? decimals : 0, d);
    if (decimals <= 0) strcat(out, ".0");
}

enum cg_status cg_jto_text(struct cg_jarena *a, struct cg_jv v, struct cg_jstr *out)
{
    char buf[40];
    switch (v.kind) {
    case CG_J_STR: *out = v.str; return CG_OK;
    case CG_J_UNDEFINED: *out = (struct cg_jstr){"", 0}; return CG_OK;
    case CG_J_NONE: *out = (struct cg_jstr){"None", 4}; return CG_OK;
    case CG_J_BOOL: *out = v.i ? (struct cg_jstr){"True", 4} : (struct cg_jstr){"False", 5}; return CG_OK;
    case CG_J_INT: snprintf(buf, sizeof buf, "%" PRId64, v.i); break;
    case CG_J_REAL: cg_jreal_text(v.d, buf); break;
    default:
        return cg_fail(CG_ERR_USER, "%s is used as text; a message's content must be a string here", cg_jkind_name(v));
    }
    *out = cg_jjoin(a, (struct cg_jstr){buf, strlen(buf)}, (struct cg_jstr){"", 0});
    return out->s ? CG_OK : a->failed;
}

size_t cg_jchars(struct cg_jstr s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.s[i] & 0xC0) != 0x80;
    return n;
}

size_t cg_jchar_at(struct cg_jstr s, size_t i)
{
    size_t at = 0;
    for (; at < s.n; at++)
        if (((unsigned char)s.s[at] & 0xC0) != 0x80 && i-- == 0) break;
    return at;
}

size_t cg_jspace(const char *s, size_t n)
{
    uint32_t cp;
    if (*s >= 0x1C && *s <= 0x1F) return 1; /* Python counts them, Unicode's property does not */
    int len = cg_utf8_next(s, n, &cp);
    return len && cg_is_space(cp) ? (size_t)len : 0;
}

struct cg_jstr cg_jlstrip(struct cg_jstr s)
{
    for (size_t len; s.n && (len = cg_jspace(s.s, s.n));) {
        s.s += len;
        s.n -= len;
    }
    return s;
}

struct cg_jstr cg_jrstrip(struct cg_jstr s)
{
    while (s.n) {
        size_t b = s.n - 1;
        while (b > 0 && ((unsigned char)s.s[b] & 0xC0) == 0x80) b--;
        if (cg_jspace(s.s + b, s.n - b) != s.n - b) break;
        s.n = b;
    }
    return s;
}

#include "runtime/chat/lexer.h"

#include <string.h>

#include "runtime/tokenizer/utf8.h"

struct lexer {
    struct cg_jarena *arena;
    const char *s;
    size_t n, at;
    int line, line_starting;
    int depth; /* open brackets inside a tag */
    struct cg_jtokens *out;
};

static enum cg_status fault(const struct lexer *l, const char *what)
{
    return cg_fail(CG_ERR_USER, "line %d: %s", l->line, what);
}

static enum cg_status push(struct lexer *l, enum cg_jtoken_kind kind, struct cg_jstr text)
{
    struct cg_jtokens *t = l->out;
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 128;
        struct cg_jtoken *more = cg_jalloc(l->arena, cap * sizeof *more);
        if (!more) return l->arena->failed;
        if (t->n) memcpy(more, t->v, t->n * sizeof *more);
        t->v = more;
        t->cap = cap;
    }
    t->v[t->n++] = (struct cg_jtoken){kind, l->line, text};
    return CG_OK;
}

static int looking_at(const struct lexer *l, const char *what)
{
    size_t n = strlen(what);
    return l->n - l->at >= n && memcmp(l->s + l->at, what, n) == 0;
}

static void advance(struct lexer *l, size_t n)
{
    for (size_t i = 0; i < n; i++) l->line += l->s[l->at + i] == '\n';
    l->at += n;
}

static void skip_space(struct lexer *l)
{
    for (size_t len; l->at < l->n && (len = cg_jspace(l->s + l->at, l->n - l->at));) advance(l, len);
}

/* The end of a tag, "%}", "}}" or "#}" with a sign before it: 1 when it was there and is passed with the white space
 * that it takes away. */
static int take_end(struct lexer *l, const char *end, int trim_newline)
{
    size_t start = l->at;
    int sign = l->at < l->n && (l->s[l->at] == '-' || (l->s[l->at] == '+' && trim_newline)) ? l->s[l->at] : 0;
    if (sign) l->at++;
    if (!looking_at(l, end)) {
        l->at = start;
        return 0;
    }
    l->at += strlen(end);
    if (sign == '-') skip_space(l);
    else if (!sign && trim_newline && looking_at(l, "\n")) advance(l, 1);
    l->line_starting = l->s[l->at - 1] == '\n';
    return 1;
}

/* Text before a tag: a '-' takes white space away, and a tag that is no variable takes the white space between the
 * start of its line and itself, unless it has a '+'. */
static enum cg_status push_data(struct lexer *l, struct cg_jstr text, char sign, int is_variable)
{
    if (sign == '-') text = cg_jrstrip(text);
    else if (sign != '+' && !is_variable) {
        size_t line = text.n;
        while (line > 0 && text.s[line - 1] != '\n') line--;
        struct cg_jstr rest = {text.s + line, text.n - line};
        if ((line > 0 || l->line_starting) && cg_jlstrip(rest).n == 0) text.n = line;
    }
    return text.n ? push(l, CG_JT_DATA, text) : CG_OK;
}

static int octal(const char **s, const char *end)
{
    int x = 0;
    for (int i = 0; i < 3 && *s < end && **s >= '0' && **s <= '7'; i++) x = 8 * x + (*(*s)++ - '0');
    return x;
}

static int hexadecimal(const char **s, const char *end, int digits, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, (*s)++) {
        static const char hex[] = "0123456789abcdef";
        const char *p = *s < end && **s ? strchr(hex, **s | 0x20) : NULL;
        if (!p || (**s >= 'A' && **s <= 'Z' && (**s | 0x20) > 'f')) return 0;
        *out = 16 * *out + (uint32_t)(p - hex);
    }
    return *out <= 0x10FFFF && (*out < 0xD800 || *out > 0xDFFF);
}

/* One escape after its backslash, as Python has them. */
static enum cg_status escape(struct lexer *l, const char **s, const char *end, char **o)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *p = strchr(from, **s);
    uint32_t cp;
    if (**s && p) *(*o)++ = to[p - from];
    else if (**s >= '0' && **s <= '7') {
        *o += cg_utf8_put((uint32_t)octal(s, end), *o);
        return CG_OK;
    } else if (**s == 'x' || **s == 'u' || **s == 'U') {
        int digits = **s == 'x' ? 2 : **s == 'u' ? 4 : 8;
        (*s)++;
        if (!hexadecimal(s, end, digits, &cp))
            return fault(l, "a string has an escape \\x, \\u or \\U that is no character");
        *o += cg_utf8_put(cp, *o);
        return CG_OK;
    } else if (**s == 'N') {
        return fault(l, "the escape \\N in a string is not supported");
    } else if (**s != '\n') { /* a backslash before the end of a line: both go; before anything else it stays */
        *(*o)++ = '\\';
        *(*o)++ = **s;
    }
    (*s)++;
    return CG_OK;
}

static enum cg_status lex_string(struct lexer *l)
{
    char quote = l->s[l->at];
    size_t end = l->at + 1;
    while (end < l->n && l->s[end] != quote) end += l->s[end] == '\\' ? 2 : 1;
    if (end >= l->n) return fault(l, "a string is not closed");
    const char *s = l->s + l->at + 1, *stop = l->s + end;
    char *out = cg_jalloc(l->arena, end - l->at + 4), *o = out;
    if (!out) return l->arena->failed;
    while (s < stop) {
        if (*s != '\\') {
            *o++ = *s++;
            continue;
        }
        s++;
        CG_TRY(escape(l, &s, stop, &o));
    }
    CG_TRY(push(l, CG_JT_STRING, (struct cg_jstr){out, (size_t)(o - out)}));
    advance(l, end + 1 - l->at);
    return CG_OK;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

static enum cg_status lex_number(struct lexer *l)
{
    size_t end = l->at;
    enum cg_jtoken_kind kind = CG_JT_INTEGER;
    while (end < l->n && (is_digit(l->s[end]) || l->s[end] == '_')) end++;
    if (end + 1 < l->n && l->s[end] == '.' && is_digit(l->s[end + 1])) {
        kind = CG_JT_REAL;
        for (end++; end < l->n && is_digit(l->s[end]);) end++;
    }
    if (end < l->n && (l->s[end] | 0x20) == 'e') {
        size_t e = end + 1 + (end + 1 < l->n && (l->s[end + 1] == '-' || l->s[end + 1] == '+'));
        if (e < l->n && is_digit(l->s[e])) {
            kind = CG_JT_REAL;
            for (end = e; end < l->n && is_digit(l->s[end]);) end++;
        }
    }
    if (end < l->n && is_word(l->s[end])) return fault(l, "a number is not written in plain decimal");
    CG_TRY(push(l, kind, (struct cg_jstr){l->s + l->at, end - l->at}));
    l->at = end;
    return CG_OK;
}

static enum cg_status lex_operator(struct lexer *l)
{
    static const char *const two[] = {"//", "**", "==", "!=", ">=", "<="};
    char c = l->s[l->at];
    size_t n = 1;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (looking_at(l, two[i])) n = 2;
    if (n == 1 && (!c || !strchr("+-/*%~[](){}><=.:|,;", c))) {
        char buf[64];
        return cg_fail(CG_ERR_USER, "line %d: unexpected '%s' in a tag", l->line, cg_shown(l->s + l->at, 1, buf));
    }
    l->depth += c == '(' || c == '[' || c == '{';
    l->depth -= (c == ')' || c == ']' || c == '}') && l->depth > 0;
    CG_TRY(push(l, CG_JT_OPERATOR, (struct cg_jstr){l->s + l->at, n}));
    l->at += n;
    return CG_OK;
}

/* What stands between the two ends of a tag. */
static enum cg_status lex_tag(struct lexer *l, int is_variable)
{
    const struct cg_jstr none = {"", 0};
    int first = l->line;
    CG_TRY(push(l, is_variable ? CG_JT_VARIABLE_BEGIN : CG_JT_BLOCK_BEGIN, none));
    l->depth = 0;
    for (;;) {
        skip_space(l);
        if (l->at == l->n) {
            l->line = first;
            return fault(l, is_variable ? "the tag '{{' is not closed" : "the tag '{%' is not closed");
        }
        if (l->depth == 0 && take_end(l, is_variable ? "}}" : "%}", !is_variable))
            return push(l, is_variable ? CG_JT_VARIABLE_END : CG_JT_BLOCK_END, none);
        char c = l->s[l->at];
        if (c == '\'' || c == '"') CG_TRY(lex_string(l));
        else if (is_digit(c)) CG_TRY(lex_number(l));
        else if (is_word(c)) {
            size_t end = l->at;
            while (end < l->n && is_word(l->s[end])) end++;
            CG_TRY(push(l, CG_JT_NAME, (struct cg_jstr){l->s + l->at, end - l->at}));
            l->at = end;
        } else CG_TRY(lex_operator(l));
    }
}

/* Passes "{%- WORD -%}" at l->at when it is there; the sign after {% in *sign. trim: as after a block. */
static int take_word_tag(struct lexer *l, const char *word, char *sign, int trim)
{
    struct lexer old = *l;
    *sign = 0;
    if (looking_at(l, "{%")) {
        l->at += 2;
        if (l->at < l->n && (l->s[l->at] == '-' || l->s[l->at] == '+')) *sign = l->s[l->at++];
        skip_space(l);
        if (looking_at(l, word) && !(l->at + strlen(word) < l->n && is_word(l->s[l->at + strlen(word)]))) {
            l->at += strlen(word);
            skip_space(l);
            if (take_end(l, "%}", trim)) return 1;
        }
    }
    *l = old;
    return 0;
}

static enum cg_status lex_raw(struct lexer *l)
{
    size_t from = l->at;
    int first = l->line;
    char sign;
    for (; l->at < l->n; advance(l, 1)) {
        size_t end = l->at;
        int starting = l->line_starting;
        if (!take_word_tag(l, "endraw", &sign, 1)) continue;
        int ended = l->line_starting;
        l->line_starting = starting;
        CG_TRY(push_data(l, (struct cg_jstr){l->s + from, end - from}, sign, 0));
        l->line_starting = ended;
        return CG_OK;
    }
    l->line = first;
    return fault(l, "'raw' has no 'endraw'");
}

static enum cg_status lex_comment(struct lexer *l)
{
    int first = l->line;
    for (; l->at < l->n; advance(l, 1))
        if (take_end(l, "#}", 1)) return CG_OK;
    l->line = first;
    return fault(l, "the comment '{#' is not closed");
}

/* The next tag begins at l->at. */
static enum cg_status lex_one(struct lexer *l, struct cg_jstr before)
{
    char sign, kind = l->s[l->at + 1];
    struct lexer start = *l;
    if (take_word_tag(l, "raw", &sign, 0)) {
        int ended = l->line_starting;
        l->line_starting = start.line_starting;
        CG_TRY(push_data(l, before, sign, 0));
        l->line_starting = ended;
        return lex_raw(l);
    }
    l->at += 2;
    sign = l->at < l->n && (l->s[l->at] == '-' || l->s[l->at] == '+') ? l->s[l->at] : 0;
    CG_TRY(push_data(l, before, sign, kind == '{'));
    l->line_starting = 0;
    l->at += sign != 0;
    if (kind == '#') return lex_comment(l);
    return lex_tag(l, kind == '{');
}

/* \r\n and \r become \n; one newline at the end goes. */
static enum cg_status normalise(struct cg_jarena *a, const char *s, size_t n, struct lexer *l)
{
    char *copy = cg_jalloc(a, n + 1);
    if (!copy) return a->failed;
    for (size_t i = 0; i < n; i++) {
        copy[l->n++] = s[i] == '\r' ? '\n' : s[i];
        if (s[i] == '\r' && i + 1 < n && s[i + 1] == '\n') i++;
    }
    if (l->n && copy[l->n - 1] == '\n') l->n--;
    copy[l->n] = 0;
    l->s = copy;
    return CG_OK;
}

enum cg_status cg_jlex(struct cg_jarena *a, const char *source, size_t n, struct cg_jtokens *out)
{
    struct lexer l = {.arena = a, .line = 1, .line_starting = 1, .out = out};
    CG_TRY(normalise(a, source, n, &l));
    while (l.at < l.n) {
        size_t from = l.at;
        while (l.at < l.n && !(l.s[l.at] == '{' && l.at + 1 < l.n && strchr("{%#", l.s[l.at + 1]) && l.s[l.at + 1]))
            advance(&l, 1);
        struct cg_jstr before = {l.s + from, l.at - from};
        if (l.at < l.n) CG_TRY(lex_one(&l, before));
        else if (before.n) CG_TRY(push(&l, CG_JT_DATA, before));
    }
    return push(&l, CG_JT_END, (struct cg_jstr){"", 0});
}

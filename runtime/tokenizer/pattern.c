#include "runtime/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tokenizer/utf8.h"

#define MAX_PATTERN 4096
#define MAX_STEPS 1000000000u /* of the matcher for one match: a pattern that backtracks without end fails instead */

struct cg_pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
};

/* Digits goes by a newer table (Unicode 17) than the patterns do. */
#define NUMERIC "[\\p{N}\U00011DE0-\U00011DE9\U00016FF4-\U00016FF6]"
const char cg_digit_pattern[] = NUMERIC;
const char cg_digits_pattern[] = NUMERIC "+";

const char cg_gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* PCRE2's \s holds U+180E, which has not been White_Space since Unicode 6.3; so \s is written out. */
#define SPACE_SET "\\x09-\\x0d\\x{85}\\p{Z}"

/* Letters and numbers that came with Unicode 15 to 16, which the reference knows: written out, so that the ids do not
 * depend on the release of PCRE2 (Unicode 14 since 10.40). */
#define LETTER_SET                                                                                              \
    "\\p{L}\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D65}" \
    "\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}"  \
    "\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}"   \
    "\\x{11F12}-\\x{11F33}\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}"            \
    "\\x{16D40}-\\x{16D6C}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}\\x{1E030}-\\x{1E06D}"             \
    "\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define NEW_DIGITS                                                                                              \
    "\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}\\x{16130}-\\x{16139}" \
    "\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}"
#define DIGIT_SET "\\p{Nd}" NEW_DIGITS
#define NUMBER_SET "\\p{N}\\x{1D2C0}-\\x{1D2D3}" NEW_DIGITS
#define GROWTH 128 /* a translation is less than so many times as long as the pattern: "\p{L}" grows most */
_Static_assert(sizeof LETTER_SET + 4 < GROWTH * 5, "room for \\p{L}");

struct translation {
    const char *in;
    size_t n, i;
    char *out; /* room for GROWTH * n */
    size_t k;
};

static void put(struct translation *t, const char *s, size_t n)
{
    memcpy(t->out + t->k, s, n);
    t->k += n;
}

static void puts_(struct translation *t, const char *s)
{
    put(t, s, strlen(s));
}

static enum cg_status unsupported(const struct translation *t, const char *what)
{
    return cg_fail(CG_ERR_USER, "the splitting pattern uses %s at character %zu, which is not supported", what,
                   t->i + 1);
}

static int peek(const struct translation *t, const char *s)
{
    size_t n = strlen(s);
    return t->n - t->i >= n && memcmp(t->in + t->i, s, n) == 0;
}

/* A set of characters, as a class or as a part of the class around it. */
static void put_set(struct translation *t, const char *set, int negated, int in_class)
{
    if (!in_class) puts_(t, negated ? "[^" : "[");
    puts_(t, set);
    if (!in_class) puts_(t, "]");
}

/* \p{Name}, \P{Name}: the general categories and scripts have the same names in both. */
static enum cg_status property(struct translation *t, int in_class)
{
    int negated = t->in[t->i + 1] == 'P';
    const char *set = peek(t, "\\p{L}") || peek(t, "\\P{L}")   ? LETTER_SET
                      : peek(t, "\\p{N}") || peek(t, "\\P{N}") ? NUMBER_SET
                                                               : NULL;
    if (set && negated && in_class) return unsupported(t, "a negated property in a class");
    if (set) {
        put_set(t, set, negated, in_class);
        t->i += 5;
        return CG_OK;
    }
    const char *close = memchr(t->in + t->i, '}', t->n - t->i);
    if (t->n - t->i < 4 || t->in[t->i + 2] != '{' || !close) return unsupported(t, "a property without braces");
    size_t n = (size_t)(close - (t->in + t->i)) + 1;
    put(t, t->in + t->i, n);
    t->i += n;
    return CG_OK;
}

/* A backslash and what it escapes. */
static enum cg_status escape(struct translation *t, int in_class)
{
    char c = t->n - t->i >= 2 ? t->in[t->i + 1] : 0;
    if (c == 'p' || c == 'P') return property(t, in_class);
    if (c == 's' || (c == 'S' && !in_class)) {
        put_set(t, SPACE_SET, c == 'S', in_class);
    } else if (c == 'd' || (c == 'D' && !in_class)) {
        put_set(t, DIGIT_SET, c == 'D', in_class);
    } else if (c == 'r' || c == 'n' || c == 't' || c == 'f' || (c && strchr("\\^$.|?*+()[]{}-/'\"&~#", c))) {
        put(t, t->in + t->i, 2);
    } else {
        return unsupported(t, "an escape");
    }
    t->i += 2;
    return CG_OK;
}

/* [...]: members, ranges and escapes; neither nested classes nor set operations. */
static enum cg_status class(struct translation *t) { put(t, "[", 1); t->i++; if (peek(t, "^")){put(t, "^", 1); t->i++;}
size_t first = t->i;
while (t->i < t->n) {
    char c = t->in[t->i];
    if (c == ']' && t->i > first) {
        put(t, "]", 1);
        t->i++;
        return CG_OK;
    }
    if (c == ']' || c == '[' || peek(t, "&&")) return unsupported(t, "a set operation");
    if (c == '\\') {
        CG_TRY(escape(t, 1));
    } else {
        put(t, &c, 1);
        t->i++;
    }
}
return unsupported(t, "an unclosed class");
}

/* * + ? {n} {n,} {n,m}; lazy and possessive forms are written differently or mean something else. */
static enum cg_status quantifier(struct translation *t)
{
    size_t start = t->i;
    if (t->in[t->i] == '{') {
        size_t j = t->i + 1, digits = 0;
        for (; j < t->n && t->in[j] >= '0' && t->in[j] <= '9'; j++) digits++;
        if (j < t->n && t->in[j] == ',') {
            for (j++; j < t->n && t->in[j] >= '0' && t->in[j] <= '9'; j++) {
            }
        }
        if (digits == 0 || j >= t->n || t->in[j] != '}') return unsupported(t, "a brace");
        t->i = j + 1;
    } else {
        t->i++;
    }
    put(t, t->in + start, t->i - start);
    if (t->i < t->n && strchr("+?*{", t->in[t->i])) return unsupported(t, "a lazy, possessive or repeated quantifier");
    return CG_OK;
}

static enum cg_status group(struct translation *t)
{
    static const char *const kinds[] = {"(?:", "(?i:", "(?=", "(?!"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (!peek(t, kinds[k])) continue;
        puts_(t, kinds[k]);
        t->i += strlen(kinds[k]);
        return CG_OK;
    }
    if (peek(t, "(?") || peek(t, "(*")) return unsupported(t, "a kind of group");
    put(t, "(", 1);
    t->i++;
    return CG_OK;
}

static enum cg_status translate(struct translation *t)
{
    while (t->i < t->n) {
        char c = t->in[t->i];
        if (c == 0 || c == '.' || c == '^' || c == '$') return unsupported(t, "'.', '^' or '$'");
        if (c == '\\') CG_TRY(escape(t, 0));
        else if (c == '[') CG_TRY(class(t));
        else if (c == '(') CG_TRY(group(t));
        else if (strchr("*+?{", c)) CG_TRY(quantifier(t));
        else {
            put(t, &c, 1);
            t->i++;
        }
    }
    return CG_OK;
}

static enum cg_status compile(const char *re, size_t n, struct cg_pattern *p)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    p->code = pcre2_compile((PCRE2_SPTR)re, n, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!p->code) {
        char msg[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)msg, sizeof msg);
        return cg_fail(CG_ERR_USER, "the splitting pattern cannot be compiled: %s", msg);
    }
    uint32_t empty = 0;
    pcre2_pattern_info(p->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty) return cg_fail(CG_ERR_USER, "the splitting pattern can match nothing, which is not supported");
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without JIT the same result comes from the interpreter */
    p->limits = pcre2_match_context_create(NULL);
    if (!p->limits) return cg_fail(CG_ERR_MEMORY, "out of memory for the splitting pattern");
    pcre2_set_match_limit(p->limits, MAX_STEPS);
    return CG_OK;
}

enum cg_status cg_pattern_compile(const char *pattern, size_t n, struct cg_pattern **out)
{
    *out = NULL;
    if (n == 0 || n > MAX_PATTERN || cg_utf8_valid(pattern, n) != n) {
        return cg_fail(CG_ERR_USER, "the splitting pattern is empty, not UTF-8, or longer than %d bytes", MAX_PATTERN);
    }
    struct translation t = {.in = pattern, .n = n};
    struct cg_pattern *p = calloc(1, sizeof *p);
    t.out = malloc(n * GROWTH);
    enum cg_status s = p && t.out ? translate(&t) : cg_fail(CG_ERR_MEMORY, "out of memory for the splitting pattern");
    if (s == CG_OK) s = compile(t.out, t.k, p);
    free(t.out);
    if (s == CG_OK) *out = p;
    else cg_pattern_free(p);
    return s;
}

void cg_pattern_free(struct cg_pattern *p)
{
    if (!p) return;
    pcre2_match_context_free(p->limits);
    pcre2_code_free(p->code);
    free(p);
}

/* One match from `at` on, by JIT, or by the interpreter (whose stack is the heap) when JIT's stack is too small. */
static int match(const struct cg_pattern *p, const char *s, size_t n, size_t at, pcre2_match_data *md)
{
    int rc = pcre2_match(p->code, (PCRE2_SPTR)s, n, at, PCRE2_NO_UTF_CHECK, md, p->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc = pcre2_match(p->code, (PCRE2_SPTR)s, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, md, p->limits);
    }
    return rc;
}

static enum cg_status walk(struct cg_pattern *const *ps, size_t n_ps, pcre2_match_data **mds, const char *s, size_t n,
                           cg_piece_fn fn, void *ctx)
{
    if (n == 0) return CG_OK;
    if (n_ps == 0) return fn(ctx, s, n);
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(*mds);
    for (size_t at = 0; at < n;) {
        int rc = match(*ps, s, n, at, *mds);
        if (rc == PCRE2_ERROR_NOMATCH) return walk(ps + 1, n_ps - 1, mds + 1, s + at, n - at, fn, ctx);
        if (rc < 0 || span[1] <= at) {
            char msg[128] = "no progress";
            if (rc < 0) pcre2_get_error_message(rc, (PCRE2_UCHAR *)msg, sizeof msg);
            return cg_fail(CG_ERR_USER, "the splitting pattern failed on the text: %s", msg);
        }
        size_t from = span[0], to = span[1];
        CG_TRY(walk(ps + 1, n_ps - 1, mds + 1, s + at, from - at, fn, ctx));
        CG_TRY(walk(ps + 1, n_ps - 1, mds + 1, s + from, to - from, fn, ctx));
        at = to;
    }
    return CG_OK;
}

enum cg_status cg_pattern_split(struct cg_pattern *const *patterns, size_t n_patterns, const char *s, size_t n,
                                cg_piece_fn fn, void *ctx)
{
    if (n_patterns == 0) return n ? fn(ctx, s, n) : CG_OK;
    pcre2_match_data **mds = calloc(n_patterns, sizeof *mds);
    enum cg_status st = mds ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n_patterns && st == CG_OK; i++) {
        mds[i] = pcre2_match_data_create(1, NULL);
        if (!mds[i]) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    if (st == CG_OK) st = walk(patterns, n_patterns, mds, s, n, fn, ctx);
    for (size_t i = 0; mds && i < n_patterns; i++) pcre2_match_data_free(mds[i]);
    free(mds);
    return st;
}

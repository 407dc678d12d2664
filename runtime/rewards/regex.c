#include "runtime/rewards/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "common/words.h"
#include "runtime/rewards/number.h"

#define MARK "{answer}"
#define MATCH_LIMIT 1000000 /* steps of backtracking; ordinary patterns need a few per character */

struct cg_regex {
    char *pattern;
    int has_answer;   /* {answer} is in it: compiled anew for each answer */
    pcre2_code *code; /* of `answer`, where there is one */
    char *answer;     /* that `code` was compiled for */
    uint32_t groups;  /* that capture */
    pcre2_match_context *limits;
    pcre2_match_data *match;
};

/* The pattern with the answer's bytes in place of the marks, each that could mean something else behind a backslash. */
static char *insert(const char *pattern, const char *answer)
{
    size_t marks = 0;
    for (const char *s = pattern; (s = strstr(s, MARK)); s += strlen(MARK)) marks++;
    char *out = malloc(strlen(pattern) + marks * 2 * strlen(answer) + 1), *o = out;
    if (!out) return NULL;
    for (const char *s = pattern; *s;) {
        if (strncmp(s, MARK, strlen(MARK)) != 0) {
            *o++ = *s++;
            continue;
        }
        for (const char *a = answer; *a; a++) {
            if ((unsigned char)*a < 0x80 && !isalnum((unsigned char)*a)) *o++ = '\\';
            *o++ = *a;
        }
        s += strlen(MARK);
    }
    *o = 0;
    return out;
}

static enum cg_status compile(struct cg_regex *x, const char *answer)
{
    if (x->code && (!x->has_answer || strcmp(x->answer, answer) == 0)) return CG_OK;
    int fault;
    PCRE2_SIZE at;
    char *text = insert(x->pattern, answer), *copy = strdup(answer);
    pcre2_code_free(x->code);
    x->code = NULL;
    free(x->answer);
    x->answer = copy;
    if (!text || !copy) {
        free(text);
        return cg_fail(CG_ERR_MEMORY, "out of memory for reward_regex");
    }
    x->code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &fault, &at, NULL);
    free(text);
    if (x->code) return CG_OK;
    char why[128] = "";
    pcre2_get_error_message(fault, (PCRE2_UCHAR *)why, sizeof why);
    return cg_fail(CG_ERR_USER, "reward_regex: character %zu: %s", (size_t)at + 1, why);
}

enum cg_status cg_regex_open(const char *pattern, struct cg_regex **out)
{
    struct cg_regex *x = *out = calloc(1, sizeof *x);
    if (!x) return cg_fail(CG_ERR_MEMORY, "out of memory for reward_regex");
    x->pattern = strdup(pattern);
    x->has_answer = strstr(pattern, MARK) != NULL;
    x->limits = pcre2_match_context_create(NULL);
    enum cg_status s = CG_OK;
    if (!*pattern)
        s = cg_fail(CG_ERR_USER, "reward_funcs has regex, and reward_regex is empty; give the pattern there");
    else if (!x->pattern || !x->limits) s = cg_fail(CG_ERR_MEMORY, "out of memory for reward_regex");
    else s = compile(x, x->has_answer ? "0" : "");
    if (s == CG_OK) {
        pcre2_set_match_limit(x->limits, MATCH_LIMIT);
        pcre2_pattern_info(x->code, PCRE2_INFO_CAPTURECOUNT, &x->groups);
        x->match = pcre2_match_data_create(x->groups + 1, NULL);
        if (!x->match) s = cg_fail(CG_ERR_MEMORY, "out of memory for reward_regex");
    }
    if (s == CG_OK) return CG_OK;
    cg_regex_free(x);
    *out = NULL;
    return s;
}

void cg_regex_free(struct cg_regex *x)
{
    if (!x) return;
    pcre2_code_free(x->code);
    pcre2_match_context_free(x->limits);
    pcre2_match_data_free(x->match);
    free(x->pattern);
    free(x->answer);
    free(x);
}

int cg_regex_needs_answer(const struct cg_regex *x)
{
    return x->has_answer || x->groups > 0;
}

/* Is s[0..n) the answer, as text or as a number? */
static enum cg_status is_answer(const char *s, size_t n, const char *answer, float *value)
{
    static const char space[] = " \t\r\n\v\f";
    struct cg_number a, b;
    size_t m;
    answer += strspn(answer, space);
    for (m = strlen(answer); m && strchr(space, answer[m - 1]);) m--;
    for (; n && strchr(space, s[0]); n--) s++;
    while (n && strchr(space, s[n - 1])) n--;
    char *copy = strndup(s, n);
    if (!copy) return cg_fail(CG_ERR_MEMORY, "out of memory for reward_regex");
    *value = (n == m && memcmp(copy, answer, n) == 0) ||
             (cg_number_last(copy, &a) && cg_number_last(answer, &b) && cg_number_equal(&a, &b));
    free(copy);
    return CG_OK;
}

enum cg_status cg_regex_reward(struct cg_regex *x, const char *text, const char *answer, float *value)
{
    size_t n = strlen(text), from = 0, group = 0, group_n = 0;
    int found = 0, by_group = !x->has_answer && x->groups > 0, got = 0;
    char shown[CG_SHOWN];
    *value = 0;
    CG_TRY(compile(x, answer));
    while (from <= n && (got = pcre2_match(x->code, (PCRE2_SPTR)text, n, from, 0, x->match, x->limits)) >= 0) {
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(x->match);
        found = 1;
        if (!by_group) break;
        int set = got > 1 && at[2] != PCRE2_UNSET;
        group = set ? at[2] : n;
        group_n = set ? at[3] - at[2] : 0;
        from = at[1] > from ? at[1] : from + 1; /* an empty match: go on behind it */
    }
    if (got < PCRE2_ERROR_NOMATCH && got > PCRE2_ERROR_UTF8_ERR1 - 100 && got != PCRE2_ERROR_BADUTFOFFSET)
        return cg_fail(CG_ERR_USER, "reward_regex takes too long on the completion '%s'; make the pattern simpler",
                       cg_show(text, shown));
    if (!by_group) {
        *value = (float)found;
        return CG_OK;
    }
    return found ? is_answer(text + group, group_n, answer, value) : CG_OK;
}

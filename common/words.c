#include "common/words.h"

#include <stdio.h>
#include <string.h>

const char *cg_show(const char *s, char buf[CG_SHOWN])
{
    size_t i = 0;
    for (; s[i] && i < 48; i++) buf[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
    strcpy(buf + i, s[i] ? "..." : "");
    return buf;
}

/* Edits that turn a into b: insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
 * Both are shorter than 64 characters. */
static size_t distance(const char *a, const char *b)
{
    size_t row[3][65], n = strlen(b);
    for (size_t j = 0; j <= n; j++) row[0][j] = j;
    size_t *before = row[2], *above = row[0], *now = row[1];
    for (size_t i = 1; a[i - 1]; i++) {
        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        size_t *old = before;
        before = above;
        above = now;
        now = old;
    }
    return above[n];
}

const char *cg_nearest(const char *word, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 3 + 1; /* further away than this is no typo */
    if (strlen(word) >= 64) return NULL;
    for (size_t i = 0; i < n; i++) {
        if (strlen(names[i]) >= 64) continue;
        size_t d = distance(word, names[i]);
        if (d > best || (d == best && nearest)) continue;
        best = d;
        nearest = names[i];
    }
    return nearest;
}

enum cg_status cg_unknown_option(const char *program, const char *arg, const char *const *names, size_t n)
{
    char word[64], shown[CG_SHOWN];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(arg, "="), arg);
    const char *nearest = strncmp(word, "--", 2) == 0 ? cg_nearest(word + 2, names, n) : NULL;
    if (nearest) return cg_fail(CG_ERR_USER, "unknown option %s; did you mean --%s?", cg_show(word, shown), nearest);
    return cg_fail(CG_ERR_USER, "unknown option %s; see %s --help", cg_show(word, shown), program);
}

#include "runtime/config/table.h"

#include <stdlib.h>
#include <string.h>

#define ANY .lo = -1e300, .hi = 1e300
#define AT_LEAST(x) .lo = (x), .hi = 1e9
#define RANGE(a, b) .lo = (a), .hi = (b)
#define ABOVE(x) .lo = (x), .hi = 1e9, .open = 1
#define BELOW_ONE .lo = 0, .hi = 1, .open = 2
#define TEXT .lo = 1, .hi = 1e300 /* length */
#define ONE_OF(names) .hi = 1e300, .one_of = names

const struct cg_option cg_options[] = {
#define OPT(kind, field, def, limits, doc) {#field, CG_KIND_##kind, offsetof(struct cg_run_config, field), def, limits},
#include "runtime/config/options.def"
};
const size_t cg_option_count = sizeof cg_options / sizeof *cg_options;

const struct cg_option *cg_option_find(const char *key)
{
    for (size_t i = 0; i < cg_option_count; i++)
        if (strcmp(cg_options[i].name, key) == 0) return &cg_options[i];
    return NULL;
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

enum cg_status cg_option_unknown(const char *key)
{
    char shown[52];
    const char *nearest = NULL;
    size_t best = strlen(key) / 3 + 1; /* further away than this is no typo */
    if (strlen(key) < 64) {
        for (size_t i = 0; i < cg_option_count; i++) {
            size_t d = distance(key, cg_options[i].name);
            if (d > best || (d == best && nearest)) continue;
            best = d;
            nearest = cg_options[i].name;
        }
    }
    if (nearest) return cg_fail(CG_ERR_USER, "unknown key '%s'; did you mean '%s'?", cg_show(key, shown), nearest);
    return cg_fail(CG_ERR_USER, "unknown key '%s'; 'man grpo-train' and docs/options.md list the keys",
                   cg_show(key, shown));
}

const char *cg_show(const char *s, char buf[52])
{
    size_t i = 0;
    for (; s[i] && i < 48; i++) buf[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
    strcpy(buf + i, s[i] ? "..." : "");
    return buf;
}

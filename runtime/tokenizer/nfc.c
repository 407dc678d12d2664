#include "runtime/tokenizer/nfc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tokenizer/nfc_tables.h"
#include "runtime/tokenizer/utf8.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Hangul syllables are made of jamo by arithmetic (Unicode, section 3.12). */
enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7, L_N = 19, V_N = 21, T_N = 28 };

/* A text as code points, with the combining class of each. */
struct points {
    uint32_t *cp;
    unsigned char *ccc;
    size_t n, cap;
};

static unsigned combining_class(uint32_t cp)
{
    if (cp < 0x300) return 0;
    size_t lo = 0, hi = COUNT(nfc_classes);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (nfc_classes[mid].last < cp) lo = mid + 1;
        else hi = mid;
    }
    return lo < COUNT(nfc_classes) && nfc_classes[lo].first <= cp ? nfc_classes[lo].ccc : 0;
}

static enum cg_status push(struct points *p, uint32_t cp)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 256;
        uint32_t *c = realloc(p->cp, cap * sizeof *c);
        if (c) p->cp = c;
        unsigned char *k = c ? realloc(p->ccc, cap) : NULL;
        if (!k) return cg_fail(CG_ERR_MEMORY, "out of memory while normalizing text");
        p->ccc = k;
        p->cap = cap;
    }
    p->cp[p->n] = cp;
    p->ccc[p->n++] = (unsigned char)combining_class(cp);
    return CG_OK;
}

static enum cg_status decompose(struct points *p, uint32_t cp)
{
    if (cp >= S_BASE && cp < S_BASE + L_N * V_N * T_N) {
        uint32_t s = cp - S_BASE;
        CG_TRY(push(p, L_BASE + s / (V_N * T_N)));
        CG_TRY(push(p, V_BASE + s % (V_N * T_N) / T_N));
        return s % T_N ? push(p, T_BASE + s % T_N) : CG_OK;
    }
    size_t lo = 0, hi = cp < 0xC0 ? 0 : COUNT(nfc_decompositions);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (nfc_decompositions[mid].c < cp) lo = mid + 1;
        else hi = mid;
    }
    if (cp < 0xC0 || lo == COUNT(nfc_decompositions) || nfc_decompositions[lo].c != cp) return push(p, cp);
    CG_TRY(decompose(p, nfc_decompositions[lo].a)); /* at most four deep */
    return nfc_decompositions[lo].b ? decompose(p, nfc_decompositions[lo].b) : CG_OK;
}

/* Sorts the marks i..j by class, keeping the order within a class: a counting sort, so that a text of nothing but
 * marks takes linear time. */
static enum cg_status sort_run(struct points *p, size_t i, size_t j)
{
    size_t start[257] = {0}, n = j - i;
    int sorted = 1;
    for (size_t k = i + 1; k < j; k++) sorted &= p->ccc[k - 1] <= p->ccc[k];
    if (sorted) return CG_OK;
    uint32_t *cp = malloc(n * (sizeof *cp + 1));
    if (!cp) return cg_fail(CG_ERR_MEMORY, "out of memory while normalizing text");
    unsigned char *ccc = (unsigned char *)(cp + n);
    for (size_t k = i; k < j; k++) start[p->ccc[k] + 1]++;
    for (int c = 0; c < 256; c++) start[c + 1] += start[c];
    for (size_t k = i; k < j; k++) {
        size_t to = start[p->ccc[k]]++;
        cp[to] = p->cp[k];
        ccc[to] = p->ccc[k];
    }
    memcpy(p->cp + i, cp, n * sizeof *cp);
    memcpy(p->ccc + i, ccc, n);
    free(cp);
    return CG_OK;
}

static enum cg_status order(struct points *p)
{
    for (size_t i = 0; i < p->n; i++) {
        size_t j = i;
        while (j < p->n && p->ccc[j]) j++;
        if (j > i + 1) CG_TRY(sort_run(p, i, j));
        if (j > i) i = j - 1;
    }
    return CG_OK;
}

/* The character that a and b compose to, 0 when they do not. */
static uint32_t composed(uint32_t a, uint32_t b)
{
    if (a >= L_BASE && a < L_BASE + L_N && b >= V_BASE && b < V_BASE + V_N) {
        return S_BASE + ((a - L_BASE) * V_N + (b - V_BASE)) * T_N;
    }
    if (a >= S_BASE && a < S_BASE + L_N * V_N * T_N && (a - S_BASE) % T_N == 0 && b > T_BASE && b < T_BASE + T_N) {
        return a + (b - T_BASE);
    }
    size_t lo = 0, hi = COUNT(nfc_pairs);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2, d = nfc_pairs[mid];
        uint32_t ma = nfc_decompositions[d].a, mb = nfc_decompositions[d].b;
        if (ma < a || (ma == a && mb < b)) lo = mid + 1;
        else hi = mid;
    }
    if (lo == COUNT(nfc_pairs)) return 0;
    size_t d = nfc_pairs[lo];
    return nfc_decompositions[d].a == a && nfc_decompositions[d].b == b ? nfc_decompositions[d].c : 0;
}

/* Joins each character to the last starter before it, unless one of the same or a higher class stands between. */
static void compose(struct points *p)
{
    size_t starter = SIZE_MAX, n = 0;
    int last = -1; /* class of the character kept last after the starter; -1: none stands between */
    for (size_t i = 0; i < p->n; i++) {
        unsigned c = p->ccc[i];
        uint32_t joined = 0;
        if (starter != SIZE_MAX && last < (int)c) joined = composed(p->cp[starter], p->cp[i]);
        if (joined) {
            p->cp[starter] = joined;
            continue;
        }
        if (c == 0) {
            starter = n;
            last = -1;
        } else {
            last = (int)c;
        }
        p->cp[n] = p->cp[i];
        p->ccc[n++] = (unsigned char)c;
    }
    p->n = n;
}

static enum cg_status normalize(struct points *p, const char *s, size_t n, char **out, size_t *out_n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        int len = cg_utf8_next(s + i, n - i, &cp);
        CG_TRY(decompose(p, cp));
        i += (size_t)(len ? len : 1);
    }
    CG_TRY(order(p));
    compose(p);
    char *text = malloc(p->n * 4 + 1);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory while normalizing text");
    size_t k = 0;
    for (size_t i = 0; i < p->n; i++) k += (size_t)cg_utf8_put(p->cp[i], text + k);
    *out = text;
    *out_n = k;
    return CG_OK;
}

enum cg_status cg_nfc(const char *s, size_t n, char **out, size_t *out_n)
{
    *out = NULL;
    *out_n = n;
    size_t i = 0;
    while (i < n && !(s[i] & 0x80)) i++;
    if (i == n) return CG_OK;
    struct points p = {0};
    enum cg_status st = normalize(&p, s, n, out, out_n);
    free(p.cp);
    free(p.ccc);
    return st;
}

#include "bench/shapes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/sizes.h"

enum { MAX_SIDE = 4 * 1024 * 1024 };

/* Reads a side of a shape and what must follow it. */
static const char *parse_side(const char *p, const char *after, size_t *out)
{
    char *end;
    if (*p < '0' || *p > '9') return NULL;
    errno = 0;
    unsigned long long v = strtoull(p, &end, 10);
    if (errno || v < 1 || v > MAX_SIDE) return NULL;
    *out = (size_t)v;
    if (*end == 0) return strchr(after, '$') ? end : NULL;
    return strchr(after, *end) ? end + 1 : NULL;
}

enum cg_status cg_layers_parse(struct cg_layers *all, const char *text)
{
    for (const char *p = text; all->n < CG_MAX_LAYERS;) {
        struct cg_layer l;
        const char *start = p;
        p = parse_side(p, ",", &l.m);
        if (p) p = parse_side(p, ",", &l.n);
        if (p) p = parse_side(p, ";$", &l.k);
        if (!p)
            return cg_fail(CG_ERR_USER,
                           "--shapes: \"%.*s\" is no shape; write M,N,K with numbers from 1 to %d, several with "
                           "semicolons: --shapes '16,576,576;64,1536,576'",
                           (int)strcspn(start, ";") > 60 ? 60 : (int)strcspn(start, ";"), start, MAX_SIDE);
        all->l[all->n++] = l;
        if (!*p) return CG_OK;
    }
    return cg_fail(CG_ERR_USER, "--shapes: more than %d shapes; give fewer", CG_MAX_LAYERS);
}

enum cg_status cg_tokens_parse(const char *text, size_t *out, size_t cap, size_t *n)
{
    *n = 0;
    for (const char *p = text; *n < cap;) {
        p = parse_side(p, ",$", &out[*n]);
        if (!p)
            return cg_fail(CG_ERR_USER, "--tokens %.60s: write numbers from 1 to %d with commas: --tokens 1,16,256",
                           text, MAX_SIDE);
        ++*n;
        if (!*p && p[-1] != ',') return CG_OK;
    }
    return cg_fail(CG_ERR_USER, "--tokens: more than %zu numbers; give fewer", cap);
}

static enum cg_status add(struct cg_layers *all, struct cg_layer l)
{
    for (size_t i = 0; i < all->n; i++)
        if (memcmp(&all->l[i], &l, sizeof l) == 0) return CG_OK;
    if (all->n == CG_MAX_LAYERS)
        return cg_fail(CG_ERR_USER, "more than %d shapes; give fewer --model or --tokens", CG_MAX_LAYERS);
    all->l[all->n++] = l;
    return CG_OK;
}

enum cg_status cg_layers_of_models(struct cg_layers *all, const char *models, const size_t *tokens, size_t n, int few)
{
    for (const char *p = models;; p++) {
        size_t length = strcspn(p, ",");
        struct cg_sizes m;
        char names[256];
        if (!cg_sizes_named(p, length, &m))
            return cg_fail(CG_ERR_USER, "--model: there is no \"%.*s\"; choose from %s, or give --shapes",
                           length > 40 ? 40 : (int)length, p, cg_sizes_names(names, sizeof names));
        size_t q = m.heads * m.head_dim, kv = m.kv_heads * m.head_dim;
        size_t sides[][2] = {{q, m.hidden}, {kv, m.hidden}, {m.ff, m.hidden}, {m.hidden, m.ff}, {m.vocab, m.hidden}};
        for (size_t s = 0; s < sizeof sides / sizeof *sides; s++)
            for (size_t t = 0; t < n; t++)
                if (!few || sides[s][0] < 16384 || tokens[t] <= 256)
                    CG_TRY(add(all, (struct cg_layer){tokens[t], sides[s][0], sides[s][1]}));
        p += length;
        if (!*p) return CG_OK;
    }
}

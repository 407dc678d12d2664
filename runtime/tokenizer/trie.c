#include "runtime/tokenizer/trie.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NODES (1u << 23)

static size_t place(const struct cg_trie_edge *e, size_t mask, uint32_t key)
{
    size_t i = (key * UINT32_C(2654435769)) >> 7 & mask;
    while (e[i].key != key && e[i].key != UINT32_MAX) i = (i + 1) & mask;
    return i;
}

static enum cg_status no_memory(void)
{
    return cg_fail(CG_ERR_MEMORY, "out of memory for the added tokens");
}

static enum cg_status grow_edges(struct cg_trie *t)
{
    size_t size = t->edges ? (t->mask + 1) * 2 : 256;
    struct cg_trie_edge *e = malloc(size * sizeof *e);
    if (!e) return no_memory();
    memset(e, 0xFF, size * sizeof *e);
    for (size_t i = 0; t->edges && i <= t->mask; i++) {
        if (t->edges[i].key != UINT32_MAX) e[place(e, size - 1, t->edges[i].key)] = t->edges[i];
    }
    free(t->edges);
    t->edges = e;
    t->mask = size - 1;
    return CG_OK;
}

static enum cg_status new_node(struct cg_trie *t)
{
    if (t->n_nodes >= MAX_NODES) return cg_fail(CG_ERR_USER, "the added tokens are too long together");
    if (t->n_nodes == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 256;
        uint32_t *p = realloc(t->value, cap * sizeof *p);
        if (!p) return no_memory();
        t->value = p;
        t->cap = cap;
    }
    t->value[t->n_nodes++] = UINT32_MAX;
    return CG_OK;
}

enum cg_status cg_trie_put(struct cg_trie *t, const char *s, size_t n, uint32_t value)
{
    if (t->n_nodes == 0) CG_TRY(new_node(t));
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        if (!t->edges || t->n_edges * 2 >= t->mask) CG_TRY(grow_edges(t));
        uint32_t key = node << 8 | (unsigned char)s[i];
        struct cg_trie_edge *e = &t->edges[place(t->edges, t->mask, key)];
        if (e->key == UINT32_MAX) {
            CG_TRY(new_node(t));
            e->key = key;
            e->to = (uint32_t)(t->n_nodes - 1);
            t->n_edges++;
        }
        node = e->to;
    }
    t->value[node] = value;
    t->first[(unsigned char)s[0]] = 1;
    return CG_OK;
}

size_t cg_trie_longest(const struct cg_trie *t, const char *s, size_t n, uint32_t *value)
{
    size_t best = 0;
    uint32_t node = 0;
    if (n == 0 || !t->first[(unsigned char)s[0]]) return 0;
    for (size_t i = 0; i < n; i++) {
        const struct cg_trie_edge *e = &t->edges[place(t->edges, t->mask, node << 8 | (unsigned char)s[i])];
        if (e->key == UINT32_MAX) break;
        node = e->to;
        if (t->value[node] != UINT32_MAX) {
            best = i + 1;
            *value = t->value[node];
        }
    }
    return best;
}

void cg_trie_free(struct cg_trie *t)
{
    free(t->edges);
    free(t->value);
    memset(t, 0, sizeof *t);
}

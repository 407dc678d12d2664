/* A set of strings, of which the longest that starts at a place is found in one walk: the added tokens. */
#ifndef CG_RUNTIME_TOKENIZER_TRIE_H
#define CG_RUNTIME_TOKENIZER_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct cg_trie_edge {
    uint32_t key; /* node << 8 | byte; UINT32_MAX: empty place */
    uint32_t to;
};

/* Zeroed memory is an empty trie. */
struct cg_trie {
    struct cg_trie_edge *edges; /* open addressing */
    size_t mask, n_edges;
    uint32_t *value; /* of each node; UINT32_MAX: no string ends here */
    size_t n_nodes, cap;
    unsigned char first[256]; /* whether a string starts with the byte */
};

/* Puts a string of n > 0 bytes; a string put twice has the later value. */
enum cg_status cg_trie_put(struct cg_trie *t, const char *s, size_t n, uint32_t value);

/* Length of the longest string of the set that s (n bytes left) starts with, and its value; 0: none. */
size_t cg_trie_longest(const struct cg_trie *t, const char *s, size_t n, uint32_t *value);

void cg_trie_free(struct cg_trie *t);

#endif

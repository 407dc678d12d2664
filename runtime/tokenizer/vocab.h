/* The vocabulary of a tokenizer: id -> token, string -> id, pair of ids -> merge. Parts of the tokenizer only. */
#ifndef CG_RUNTIME_TOKENIZER_VOCAB_H
#define CG_RUNTIME_TOKENIZER_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

#define CG_NO_ID UINT32_MAX
#define CG_MAX_IDS (1u << 22) /* far above any vocabulary; keeps hostile ids from asking for memory */
#define CG_MAX_TOKEN_BYTES (1u << 16)

enum cg_token_flags {
    CG_TOKEN_MODEL = 1,      /* has an entry in the model's vocabulary */
    CG_TOKEN_ADDED = 2,      /* is found in the text before anything else */
    CG_TOKEN_SPECIAL = 4,    /* left out by decoding with skip_special */
    CG_TOKEN_NORMALIZED = 8, /* an added token that is looked for in the normalized text */
    CG_TOKEN_LSTRIP = 16,    /* takes the white space before it */
    CG_TOKEN_RSTRIP = 32,    /* takes the white space after it */
};

/* `raw` is the string of the file, `text` the bytes that it decodes to; both are offsets into the blob. */
struct cg_token {
    size_t raw, raw_n, text, text_n;
    unsigned flags; /* 0: no such id */
};

struct cg_merge {
    uint32_t a, b;     /* a == CG_NO_ID: empty place */
    uint32_t rank, id; /* order in the list of merges, and the id that a and b become */
};

struct cg_vocab {
    struct cg_token *tokens;
    size_t n, cap;  /* ids 0..n-1 */
    size_t n_model; /* entries in the model's vocabulary */
    char *blob;
    size_t blob_n, blob_cap;
    uint32_t *slots; /* open addressing: ids of model tokens by raw string */
    size_t slot_mask;
    struct cg_merge *merges; /* open addressing by (a, b) */
    size_t merge_mask, n_merges;
};

/* Puts token `id` of the model: raw (valid UTF-8) as the file has it; with `byte_level`, its text is the bytes that
 * raw stands for. CG_ERR_USER when the id or the string is there already, or beyond the limits above. */
enum cg_status cg_vocab_put(struct cg_vocab *v, uint32_t id, const char *raw, size_t n, int byte_level);

/* Makes `id` an added token with this content: a new one, or one that the model has under the same string. */
enum cg_status cg_vocab_add(struct cg_vocab *v, uint32_t id, const char *raw, size_t n, unsigned flags);

/* Id of a model token by its raw string; CG_NO_ID when there is none. */
uint32_t cg_vocab_find(const struct cg_vocab *v, const char *raw, size_t n);

/* As cg_vocab_find, but added tokens come first. */
uint32_t cg_vocab_find_any(const struct cg_vocab *v, const char *raw, size_t n);

/* Puts the merge of raw strings a and b. CG_ERR_USER when a, b or ab is not in the model's vocabulary. */
enum cg_status cg_vocab_merge(struct cg_vocab *v, const char *a, size_t an, const char *b, size_t bn);

/* The merges in order of rank, in fresh memory (free()), and their number; NULL without memory. */
struct cg_merge *cg_vocab_merges(const struct cg_vocab *v, size_t *n);

void cg_vocab_free(struct cg_vocab *v);

static inline size_t cg_merge_hash(uint32_t a, uint32_t b)
{
    uint64_t h = ((uint64_t)a << 32 | b) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(h ^ h >> 29);
}

/* The merge of (a, b), or NULL. */
static inline const struct cg_merge *cg_vocab_pair(const struct cg_vocab *v, uint32_t a, uint32_t b)
{
    if (!v->merges) return NULL;
    for (size_t i = cg_merge_hash(a, b) & v->merge_mask;; i = (i + 1) & v->merge_mask) {
        const struct cg_merge *m = &v->merges[i];
        if (m->a == a && m->b == b) return m;
        if (m->a == CG_NO_ID) return NULL;
    }
}

#endif

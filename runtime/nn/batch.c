#include "runtime/nn/batch.h"

#include <stdlib.h>
#include <string.h>

/* Grows *p to hold `need` items of `size`; doubling keeps a steady state without allocation. */
static enum cg_status grow(void **p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap) return CG_OK;
    size_t n = *cap ? *cap : 64;
    while (n < need) n *= 2;
    void *q = realloc(*p, n * size);
    if (!q) return cg_fail(CG_ERR_MEMORY, "out of memory for a batch of %zu items", n);
    *p = q;
    *cap = n;
    return CG_OK;
}

void cg_batch_clear(struct cg_batch *b)
{
    b->n_tokens = b->n_segs = b->n_rows = 0;
}

void cg_batch_free(struct cg_batch *b)
{
    free(b->tokens);
    free(b->pos);
    free(b->segs);
    free(b->rows);
    memset(b, 0, sizeof *b);
}

enum cg_status cg_batch_segment(struct cg_batch *b, const int32_t *tokens, size_t len, size_t parent, size_t *index)
{
    size_t cap = b->cap_tokens;
    CG_TRY(grow((void **)&b->tokens, &cap, b->n_tokens + len, sizeof *b->tokens));
    CG_TRY(grow((void **)&b->pos, &b->cap_tokens, b->n_tokens + len, sizeof *b->pos));
    CG_TRY(grow((void **)&b->segs, &b->cap_segs, b->n_segs + 1, sizeof *b->segs));
    struct cg_segment s = {.start = b->n_tokens, .len = len, .parent = parent, .pos0 = 0};
    if (parent != CG_NO_PARENT) s.pos0 = b->segs[parent].len;
    for (size_t i = 0; i < len; i++) {
        b->tokens[s.start + i] = tokens[i];
        b->pos[s.start + i] = (int32_t)(s.pos0 + i);
    }
    b->n_tokens += len;
    if (index) *index = b->n_segs;
    b->segs[b->n_segs++] = s;
    return CG_OK;
}

enum cg_status cg_batch_row(struct cg_batch *b, size_t token, int32_t target)
{
    CG_TRY(grow((void **)&b->rows, &b->cap_rows, b->n_rows + 1, sizeof *b->rows));
    b->rows[b->n_rows++] = (struct cg_row){token, target};
    return CG_OK;
}

enum cg_status cg_batch_group(struct cg_batch *b, const int32_t *prompt, size_t prompt_len, size_t completions,
                              const int32_t *const *tokens, const size_t *len)
{
    size_t parent;
    CG_TRY(cg_batch_segment(b, prompt, prompt_len, CG_NO_PARENT, &parent));
    size_t last = b->n_tokens - 1;
    for (size_t i = 0; i < completions; i++) {
        if (len[i] == 0) continue;
        size_t start = b->n_tokens;
        if (len[i] > 1) CG_TRY(cg_batch_segment(b, tokens[i], len[i] - 1, parent, NULL));
        CG_TRY(cg_batch_row(b, last, tokens[i][0]));
        for (size_t j = 1; j < len[i]; j++) CG_TRY(cg_batch_row(b, start + j - 1, tokens[i][j]));
    }
    return CG_OK;
}

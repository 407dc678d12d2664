/* A batch of token sequences for training. Sequences that share a prompt share its tokens: the prompt is one segment,
 * each completion another whose parent it is, and the prompt's keys and values are computed once, forward and backward.
 */
#ifndef CG_RUNTIME_NN_BATCH_H
#define CG_RUNTIME_NN_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

#define CG_NO_PARENT SIZE_MAX

struct cg_segment {
    size_t start, len; /* its tokens in the batch */
    size_t parent;     /* the segment whose tokens come before its own, CG_NO_PARENT: none. A parent has no parent, and
                        * its children follow it at once */
    size_t pos0;       /* position of its first token */
};

/* One prediction: the hidden state of `token` (an index into the batch) predicts `target`. Ascending in token within a
 * segment; rows of one group stand together. */
struct cg_row {
    size_t token;
    int32_t target;
};

struct cg_batch {
    int32_t *tokens, *pos;
    size_t n_tokens, cap_tokens;
    struct cg_segment *segs;
    size_t n_segs, cap_segs;
    struct cg_row *rows;
    size_t n_rows, cap_rows;
};

void cg_batch_clear(struct cg_batch *b); /* empties it, keeps its memory */
void cg_batch_free(struct cg_batch *b);

/* Appends a segment of `len` tokens; *index (or NULL) is its number. */
enum cg_status cg_batch_segment(struct cg_batch *b, const int32_t *tokens, size_t len, size_t parent, size_t *index);
enum cg_status cg_batch_row(struct cg_batch *b, size_t token, int32_t target);

/* A prompt and its completions with one row per completion token: completion i is tokens[i][0..len[i]). All but its
 * last token are in the batch (the last predicts nothing). */
enum cg_status cg_batch_group(struct cg_batch *b, const int32_t *prompt, size_t prompt_len, size_t completions,
                              const int32_t *const *tokens, const size_t *len);

#endif

/* What is trained and evaluated on: problems with a prompt and an answer, whatever they came from. */
#ifndef CG_RUNTIME_DATA_DATASET_H
#define CG_RUNTIME_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct cg_item {
    char *prompt;                     /* as the model reads it, rendered by the chat template where there is one */
    char *answer;                     /* what completions are compared with; "" when there is none */
    int32_t *prompt_ids, *answer_ids; /* answer_ids: what supervised steps learn; ends with eos where there is one */
    size_t prompt_len, answer_len;    /* prompt_len > 0 */
    char *fields;                     /* the JSON object of its line in a data file, compact; NULL: not kept, or none */
    size_t line;                      /* in its data file, from 1; 0: of a built-in task */
};

struct cg_dataset {
    struct cg_item *items;
    size_t n, cap;
    size_t longest_prompt, longest_answer; /* tokens */
};

/* Puts *it at the end; what it points to belongs to the set from then on. On failure (memory) it is freed. */
enum cg_status cg_dataset_add(struct cg_dataset *d, struct cg_item *it);
void cg_dataset_free(struct cg_dataset *d);
void cg_item_free(struct cg_item *it);

/* Item `i` in the order of training: every epoch is another permutation, which (seed, stage, epoch) gives. n > 0. */
const struct cg_item *cg_dataset_at(const struct cg_dataset *d, uint64_t seed, size_t stage, uint64_t i);

/* Moves `n` items, chosen by the seed, from `d` to the empty set `out`; both keep their order. n <= d->n. */
enum cg_status cg_dataset_hold_out(struct cg_dataset *d, uint64_t seed, size_t n, struct cg_dataset *out);

#endif

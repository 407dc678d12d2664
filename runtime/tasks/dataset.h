/* The problems of one stage and split, tokenized once. */
#ifndef CG_RUNTIME_TASKS_DATASET_H
#define CG_RUNTIME_TASKS_DATASET_H

#include "runtime/tasks/task.h"
#include "runtime/tokenizer/tokenizer.h"

struct cg_item {
    char *prompt, *answer;
    int32_t *prompt_ids, *answer_ids; /* the answer ends with eos where the tokenizer has one */
    size_t prompt_len, answer_len;
};

struct cg_dataset {
    struct cg_item *items;
    size_t n, longest_prompt, longest_answer; /* tokens */
};

enum cg_status cg_dataset_create(const struct cg_problems *p, size_t stage, enum cg_split split,
                                 const struct cg_tokenizer *tok, struct cg_dataset *out);
void cg_dataset_free(struct cg_dataset *d);

#endif

/* From what a problem says to what the model reads. */
#ifndef CG_RUNTIME_DATA_PROMPT_H
#define CG_RUNTIME_DATA_PROMPT_H

#include "runtime/data/dataset.h"
#include "runtime/tokenizer/tokenizer.h"

struct cg_prompter {
    const struct cg_tokenizer *tok; /* must outlive it */
};

/* Sets it->prompt and its ids. */
enum cg_status cg_prompt_text(struct cg_prompter *p, const char *text, struct cg_item *it);

/* Sets it->answer and what supervised steps learn: `learned` (NULL: the answer itself) and the end of sequence. */
enum cg_status cg_prompt_answer(struct cg_prompter *p, const char *answer, const char *learned, struct cg_item *it);

#endif

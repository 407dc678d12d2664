/* Files of JSON Lines: one JSON object on a line. */
#ifndef CG_RUNTIME_DATA_JSONL_H
#define CG_RUNTIME_DATA_JSONL_H

#include <jansson.h>

#include "runtime/data/prompt.h"

/* The problems of `path`, in its order, into the empty set *out. A line has
 *   "prompt" (a string, or a list of messages) and "answer" (a string or a number), or
 *   "question" and "answer" as GSM8K has them: the answer is what follows "####";
 * and may have "completion", the text that supervised steps learn in place of the answer (of GSM8K: the whole
 * solution). need_answer: a line without one is a fault. keep_fields: items keep their line for reward programs.
 * Anything wrong is CG_ERR_USER with one line "PATH:LINE: what"; blank lines are skipped. */
struct cg_jsonl_options {
    int need_answer, keep_fields;
    int learn;           /* supervised steps: a line without both answer and completion is a fault */
    size_t max_prompt;   /* a prompt with more tokens is left out; 0: none is */
    size_t max_sequence; /* prompt and completion together: the model's context */
    size_t completion;   /* longest completion */
};
enum cg_status cg_jsonl_read(const char *path, const struct cg_jsonl_options *o, struct cg_prompter *p,
                             struct cg_dataset *out, size_t *left_out);

#endif

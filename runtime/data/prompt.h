/* From what a problem says to what the model reads: plain text, or a conversation in the model's chat template. */
#ifndef CG_RUNTIME_DATA_PROMPT_H
#define CG_RUNTIME_DATA_PROMPT_H

#include <jansson.h>

#include "runtime/chat/chat.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/tokenizer/tokenizer.h"

struct cg_prompter {
    const struct cg_run_config *cfg;
    const struct cg_tokenizer *tok;
    struct cg_chat *chat; /* compiled when the first conversation asks for it */
    json_t *vars;         /* what the template sees besides the messages */
};

/* cfg and tok must outlive it. CG_ERR_USER for chat_template_kwargs that is no JSON object. */
enum cg_status cg_prompter_open(const struct cg_run_config *cfg, const struct cg_tokenizer *tok, struct cg_prompter *p);
void cg_prompter_close(struct cg_prompter *p);

/* The template that conversations are written with: cfg's chat_template, or the tokenizer's own, in fresh memory
 * (free()) and what to call it in messages. CG_ERR_USER when there is none. */
enum cg_status cg_prompt_template(const struct cg_run_config *cfg, const struct cg_tokenizer *tok, char **text,
                                  const char **name);

/* Sets it->prompt and its ids. `text` is the prompt itself, or with prompt_format "chat" what a user says. */
enum cg_status cg_prompt_text(struct cg_prompter *p, const char *text, struct cg_item *it);

/* The same of a conversation: a list of {"role", "content"}. system_prompt comes first unless the list begins with a
 * system message; the template is asked for the beginning of the assistant's turn. */
enum cg_status cg_prompt_messages(struct cg_prompter *p, const json_t *messages, struct cg_item *it);

/* Sets it->answer and what supervised steps learn: `learned` (NULL: the answer itself) and the end of sequence. */
enum cg_status cg_prompt_answer(struct cg_prompter *p, const char *answer, const char *learned, struct cg_item *it);

#endif

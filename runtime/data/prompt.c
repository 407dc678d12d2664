#include "runtime/data/prompt.h"

#include <stdlib.h>
#include <string.h>

static enum cg_status no_memory(void)
{
    return cg_fail(CG_ERR_MEMORY, "out of memory for the prompts");
}

static enum cg_status encode(struct cg_prompter *p, struct cg_item *it)
{
    CG_TRY(cg_tokenizer_encode(p->tok, it->prompt, strlen(it->prompt), &it->prompt_ids, &it->prompt_len));
    if (it->prompt_len > 0) return CG_OK;
    return cg_fail(CG_ERR_USER, "the prompt has no tokens: there is nothing to continue");
}

enum cg_status cg_prompt_text(struct cg_prompter *p, const char *text, struct cg_item *it)
{
    it->prompt = strdup(text);
    return it->prompt ? encode(p, it) : no_memory();
}

enum cg_status cg_prompt_answer(struct cg_prompter *p, const char *answer, const char *learned, struct cg_item *it)
{
    if (!learned) learned = answer;
    it->answer = strdup(answer);
    if (!it->answer) return no_memory();
    CG_TRY(cg_tokenizer_encode(p->tok, learned, strlen(learned), &it->answer_ids, &it->answer_len));
    int eos = cg_tokenizer_eos(p->tok);
    if (eos < 0) return CG_OK;
    int32_t *more = realloc(it->answer_ids, (it->answer_len + 1) * sizeof *more);
    if (!more) return no_memory();
    more[it->answer_len++] = eos;
    it->answer_ids = more;
    return CG_OK;
}

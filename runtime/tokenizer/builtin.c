/* The tokenizers of the built-in models: one token a character, and one for the end. */
#include "common/builtin.h"

#include <stdio.h>
#include <string.h>

#include "runtime/tokenizer/internal.h"

/* Ids of the characters first, then "<end>" at the model's end-of-sequence id; the rest of the vocabulary is named
 * "<unused0>" and so on, so that the ids of model and tokenizer stay the same number. */
enum cg_status cg_tokenizer_read_builtin(struct cg_tokenizer *t, const char *name)
{
    const struct cg_builtin *b = cg_builtin_find(name);
    if (!b) return cg_fail(CG_ERR_USER, "there is no such built-in model");
    size_t n = strlen(b->tokens), unused = 0;
    for (size_t id = 0; id < b->vocab_size; id++) {
        char raw[32];
        if (id < n) snprintf(raw, sizeof raw, "%c", b->tokens[id]);
        else if ((int)id == b->eos_token_id) snprintf(raw, sizeof raw, "<end>");
        else snprintf(raw, sizeof raw, "<unused%zu>", unused++);
        CG_TRY(cg_vocab_put(&t->vocab, (uint32_t)id, raw, strlen(raw), 0));
    }
    t->chars = 1;
    t->eos = (uint32_t)b->eos_token_id;
    t->pad = (uint32_t)b->pad_token_id;
    return cg_vocab_add(&t->vocab, t->eos, "<end>", 5, CG_TOKEN_SPECIAL);
}

#include "runtime/tasks/dataset.h"

#include <stdlib.h>
#include <string.h>

static enum cg_status fill_item(const struct cg_problems *p, size_t stage, enum cg_split split, size_t i,
                                const struct cg_tokenizer *tok, struct cg_item *it)
{
    char prompt[CG_PROMPT_MAX], answer[CG_ANSWER_MAX];
    CG_TRY(cg_problems_get(p, stage, split, i, prompt, answer));
    it->prompt = strdup(prompt);
    it->answer = strdup(answer);
    if (!it->prompt || !it->answer) return cg_fail(CG_ERR_MEMORY, "out of memory for the problems");
    CG_TRY(cg_tokenizer_encode(tok, prompt, strlen(prompt), &it->prompt_ids, &it->prompt_len));
    CG_TRY(cg_tokenizer_encode(tok, answer, strlen(answer), &it->answer_ids, &it->answer_len));
    if (it->prompt_len == 0) return cg_fail(CG_ERR_USER, "task_prompt has no tokens: there is nothing to continue");
    int eos = cg_tokenizer_eos(tok);
    if (eos < 0) return CG_OK;
    int32_t *more = realloc(it->answer_ids, (it->answer_len + 1) * sizeof *more);
    if (!more) return cg_fail(CG_ERR_MEMORY, "out of memory for the problems");
    more[it->answer_len++] = eos;
    it->answer_ids = more;
    return CG_OK;
}

enum cg_status cg_dataset_create(const struct cg_problems *p, size_t stage, enum cg_split split,
                                 const struct cg_tokenizer *tok, struct cg_dataset *out)
{
    memset(out, 0, sizeof *out);
    const struct cg_stage *st = &p->stages[stage];
    size_t n = split == CG_SPLIT_EVAL ? st->n_eval : st->n_train;
    out->items = calloc(n, sizeof *out->items);
    if (!out->items) return cg_fail(CG_ERR_MEMORY, "out of memory for %zu problems", n);
    out->n = n;
    size_t rehearsed = split == CG_SPLIT_TRAIN && stage > 0 ? (size_t)(p->rehearsal * (double)n) : 0;
    for (size_t i = 0; i < n; i++) {
        struct cg_item *it = &out->items[i];
        size_t from = i < rehearsed ? i % stage : stage;
        size_t index = from == stage ? i : i / stage % p->stages[from].n_train;
        enum cg_status s = fill_item(p, from, split, index, tok, it);
        if (s != CG_OK) {
            cg_dataset_free(out);
            return s;
        }
        if (it->prompt_len > out->longest_prompt) out->longest_prompt = it->prompt_len;
        if (it->answer_len > out->longest_answer) out->longest_answer = it->answer_len;
    }
    return CG_OK;
}

void cg_dataset_free(struct cg_dataset *d)
{
    for (size_t i = 0; d->items && i < d->n; i++) {
        free(d->items[i].prompt);
        free(d->items[i].answer);
        free(d->items[i].prompt_ids);
        free(d->items[i].answer_ids);
    }
    free(d->items);
    memset(d, 0, sizeof *d);
}

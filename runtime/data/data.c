#include "runtime/data/data.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/words.h"
#include "runtime/data/jsonl.h"

/* One problem of a built-in task. */
static enum cg_status task_item(const struct cg_problems *t, size_t stage, enum cg_split split, size_t i,
                                struct cg_prompter *p, struct cg_item *it)
{
    char prompt[CG_PROMPT_MAX], answer[CG_ANSWER_MAX];
    CG_TRY(cg_problems_get(t, stage, split, i, prompt, answer));
    CG_TRY(cg_prompt_text(p, prompt, it));
    return cg_prompt_answer(p, answer, NULL, it);
}

/* The problems of a stage and split; the first of the training ones may come from the stages before. */
static enum cg_status task_set(const struct cg_problems *t, size_t stage, enum cg_split split, struct cg_prompter *p,
                               struct cg_dataset *out)
{
    const struct cg_stage *st = &t->stages[stage];
    size_t n = split == CG_SPLIT_EVAL ? st->n_eval : st->n_train;
    size_t rehearsed = split == CG_SPLIT_TRAIN && stage > 0 ? (size_t)(t->rehearsal * (double)n) : 0;
    for (size_t i = 0; i < n; i++) {
        struct cg_item it = {0};
        size_t from = i < rehearsed ? i % stage : stage;
        size_t index = from == stage ? i : i / stage % t->stages[from].n_train;
        enum cg_status s = task_item(t, from, split, index, p, &it);
        if (s != CG_OK) {
            cg_item_free(&it);
            return cg_fail_in(s, "task_prompt");
        }
        CG_TRY(cg_dataset_add(out, &it));
    }
    return CG_OK;
}

static enum cg_status make_stages(struct cg_data *d, size_t n)
{
    d->stages = calloc(n, sizeof *d->stages);
    if (!d->stages) return cg_fail(CG_ERR_MEMORY, "out of memory for %zu stages", n);
    d->n_stages = n;
    return CG_OK;
}

static enum cg_status from_task(struct cg_data *d, const struct cg_run_config *c, struct cg_prompter *p)
{
    struct cg_problems t;
    CG_TRY(cg_problems_create(c->task, c->task_prompt, (uint64_t)c->seed, c->task_stages.v, c->task_stages.n,
                              (uint64_t)c->task_min, (uint64_t)c->task_max, (size_t)c->task_train_size,
                              (size_t)c->task_eval_size, &t));
    t.rehearsal = c->task_rehearsal;
    d->task = t.task;
    d->source = t.task->name;
    enum cg_status s = make_stages(d, t.n_stages);
    for (size_t i = 0; i < t.n_stages && s == CG_OK; i++) {
        snprintf(d->stages[i].name, sizeof d->stages[i].name, "%s", t.stages[i].name);
        s = task_set(&t, i, CG_SPLIT_TRAIN, p, &d->stages[i].train);
        if (s == CG_OK) s = task_set(&t, i, CG_SPLIT_EVAL, p, &d->stages[i].eval);
    }
    cg_problems_free(&t);
    return s;
}

static enum cg_status read_file(const char *path, const struct cg_jsonl_options *o, struct cg_prompter *p,
                                struct cg_dataset *out)
{
    size_t left_out;
    CG_TRY(cg_jsonl_read(path, o, p, out, &left_out));
    if (left_out)
        cg_warn("%s: %zu of %zu prompts are longer than max_prompt_length (%zu tokens) and are left out", path,
                left_out, left_out + out->n, o->max_prompt);
    return CG_OK;
}

static enum cg_status from_files(struct cg_data *d, const struct cg_run_config *c, const struct cg_data_needs *needs,
                                 struct cg_prompter *p)
{
    struct cg_jsonl_options o = {.need_answer = needs->answers,
                                 .keep_fields = needs->fields,
                                 .max_prompt = (size_t)c->max_prompt_length,
                                 .max_sequence = needs->context,
                                 .completion = (size_t)c->max_completion_length};
    for (size_t i = 0; i < c->sft_steps.n; i++) o.learn |= c->sft_steps.v[i] > 0;
    d->source = c->train_file;
    CG_TRY(make_stages(d, 1));
    struct cg_data_stage *st = &d->stages[0];
    const char *slash = strrchr(c->train_file, '/');
    char shown[CG_SHOWN];
    snprintf(st->name, sizeof st->name, "%s", cg_show(slash ? slash + 1 : c->train_file, shown));
    CG_TRY(read_file(c->train_file, &o, p, &st->train));
    o.learn = 0; /* what is held out is not learned */
    if (*c->eval_file) return read_file(c->eval_file, &o, p, &st->eval);
    double n = (double)st->train.n, held = c->eval_size < 1 ? c->eval_size * n + 0.5 : c->eval_size;
    if (held < 1) return CG_OK;
    if (held >= n)
        return cg_fail(CG_ERR_USER,
                       "eval_size: %.0f lines are to be held out, and %s has only %zu; none is left to train "
                       "on",
                       held, c->train_file, st->train.n);
    return cg_dataset_hold_out(&st->train, (uint64_t)c->seed, (size_t)held, &st->eval);
}

enum cg_status cg_data_open(const struct cg_run_config *cfg, const struct cg_tokenizer *tok,
                            const struct cg_data_needs *needs, struct cg_data *out)
{
    struct cg_prompter p;
    memset(out, 0, sizeof *out);
    CG_TRY(cg_prompter_open(cfg, tok, &p));
    enum cg_status s = *cfg->train_file ? from_files(out, cfg, needs, &p) : from_task(out, cfg, &p);
    cg_prompter_close(&p);
    for (size_t i = 0; i < 2 * out->n_stages; i++) {
        const struct cg_dataset *d = i % 2 ? &out->stages[i / 2].eval : &out->stages[i / 2].train;
        if (d->longest_prompt > out->longest_prompt) out->longest_prompt = d->longest_prompt;
        if (d->longest_answer > out->longest_answer) out->longest_answer = d->longest_answer;
    }
    if (s != CG_OK) cg_data_close(out);
    return s;
}

void cg_data_close(struct cg_data *d)
{
    for (size_t i = 0; i < d->n_stages; i++) {
        cg_dataset_free(&d->stages[i].train);
        cg_dataset_free(&d->stages[i].eval);
    }
    free(d->stages);
    memset(d, 0, sizeof *d);
}

const struct cg_item *cg_data_item(const struct cg_data *d, uint64_t seed, size_t stage, uint64_t i)
{
    return cg_dataset_at(&d->stages[stage].train, seed, stage, i);
}

#include "runtime/rewards/rewards.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/rewards/functions.h"
#include "runtime/rewards/number.h"

static enum cg_status add(struct cg_rewards *r, const char *name)
{
    const struct cg_run_config *c = r->cfg;
    if (r->n == CG_MAX_REWARDS) return cg_fail(CG_ERR_USER, "reward_funcs has more than %d functions", CG_MAX_REWARDS);
    const struct cg_reward_fn *f = cg_reward_fn_named(name);
    if (!f) return CG_ERR_USER;
    for (size_t i = 0; i < r->n; i++)
        if (r->fn[i] == f) return cg_fail(CG_ERR_USER, "reward_funcs has '%s' twice; give it a weight instead", name);
    int is_task = strcmp(name, "task") == 0;
    if (is_task && !r->task)
        return cg_fail(CG_ERR_USER, "reward_funcs has 'task', and the data comes from train_file: no built-in task is "
                                    "there; use another function");
    if (strcmp(name, "regex") == 0) CG_TRY(cg_regex_open(c->reward_regex, &r->regex));
    if (strcmp(name, "program") == 0) CG_TRY(cg_reward_program_create(c, r->stop, &r->program));
    r->name[r->n] = is_task ? r->task->name : f->name;
    r->weight[r->n] = c->reward_weights.n ? (float)c->reward_weights.v[r->n] : 1.0f;
    r->fn[r->n++] = f;
    return CG_OK;
}

static enum cg_status open_all(struct cg_rewards *r)
{
    const struct cg_run_config *c = r->cfg;
    if (!*c->train_file) {
        r->task = cg_task_named(c->task);
        if (!r->task) return CG_ERR_USER;
    }
    size_t n = c->reward_funcs.n ? c->reward_funcs.n : 1;
    if (!c->reward_funcs.n && !r->task)
        return cg_fail(CG_ERR_USER,
                       "train_file needs reward_funcs, such as [last_number]: what is a completion worth?");
    if (c->reward_weights.n && c->reward_weights.n != n)
        return cg_fail(CG_ERR_USER,
                       "reward_weights has %zu number%s for %zu reward function%s; give one for each, or none",
                       c->reward_weights.n, c->reward_weights.n == 1 ? "" : "s", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n; i++) CG_TRY(add(r, c->reward_funcs.n ? c->reward_funcs.v[i] : "task"));
    if (*c->reward_program && !r->program)
        return cg_fail(CG_ERR_USER, "reward_program is given, and reward_funcs has no 'program' that would ask it");
    if (*c->reward_regex && !r->regex)
        return cg_fail(CG_ERR_USER, "reward_regex is given, and reward_funcs has no 'regex' that would use it");
    return CG_OK;
}

enum cg_status cg_rewards_open(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop,
                               struct cg_rewards **out)
{
    struct cg_rewards *r = *out = calloc(1, sizeof *r);
    if (!r) return cg_fail(CG_ERR_MEMORY, "out of memory for the rewards");
    r->cfg = cfg;
    r->stop = stop;
    enum cg_status s = open_all(r);
    if (s == CG_OK) return CG_OK;
    cg_rewards_close(r);
    *out = NULL;
    return s;
}

void cg_rewards_close(struct cg_rewards *r)
{
    if (!r) return;
    cg_regex_free(r->regex);
    cg_reward_program_free(r->program);
    free(r);
}

size_t cg_rewards_count(const struct cg_rewards *r)
{
    return r->n;
}

const char *cg_rewards_name(const struct cg_rewards *r, size_t i)
{
    return r->name[i];
}

int cg_rewards_need_answers(const struct cg_rewards *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->fn[i]->answer != CG_ANSWER_UNUSED) return 1;
    return r->regex && cg_regex_needs_answer(r->regex);
}

int cg_rewards_need_fields(const struct cg_rewards *r)
{
    return r->program != NULL;
}

enum cg_status cg_rewards_check(const struct cg_rewards *r, const char *source, const struct cg_dataset *d)
{
    struct cg_number x;
    for (size_t f = 0; f < r->n; f++) {
        if (r->fn[f]->answer != CG_ANSWER_NUMBER) continue;
        for (size_t i = 0; i < d->n; i++)
            if (!cg_number_last(d->items[i].answer, &x))
                return cg_fail(CG_ERR_USER, "%s:%zu: the answer has no number, and reward function %s compares numbers",
                               source, d->items[i].line, r->name[f]);
    }
    return CG_OK;
}

enum cg_status cg_rewards_one(struct cg_rewards *r, size_t i, size_t step, size_t n, const struct cg_reward_case *c,
                              float *value)
{
    if (!r->fn[i]->score) return cg_reward_program_score(r->program, step, n, c, value);
    for (size_t k = 0; k < n; k++) CG_TRY(r->fn[i]->score(r, &c[k], &value[k]));
    return CG_OK;
}

enum cg_status cg_rewards_all(struct cg_rewards *r, size_t step, size_t n, const struct cg_reward_case *c, float *value,
                              float *total)
{
    for (size_t i = 0; i < r->n; i++) CG_TRY(cg_rewards_one(r, i, step, n, c, value + i * n));
    for (size_t k = 0; k < n; k++) {
        total[k] = NAN;
        for (size_t i = 0; i < r->n; i++) {
            float x = value[i * n + k];
            if (!isnan(x)) total[k] = (isnan(total[k]) ? 0.0f : total[k]) + r->weight[i] * x;
        }
    }
    return CG_OK;
}

void cg_reward_mean_std(size_t n, const float *value, double *mean, double *std)
{
    double sum = 0, squares = 0, count = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(value[i])) {
            sum += (double)value[i];
            count++;
        }
    *mean = count > 0 ? sum / count : NAN;
    for (size_t i = 0; i < n; i++)
        if (!isnan(value[i])) squares += ((double)value[i] - *mean) * ((double)value[i] - *mean);
    *std = count > 1 ? sqrt(squares / (count - 1)) : NAN;
}

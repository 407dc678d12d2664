#include "runtime/curriculum/state.h"

#include <stdlib.h>
#include <string.h>

size_t cg_stage_grpo_steps(const struct cg_run_config *c, size_t stage)
{
    return (size_t)(c->stage_steps.n ? c->stage_steps.v[stage] : c->max_steps);
}

size_t cg_stage_sft_steps(const struct cg_run_config *c, size_t stage)
{
    return (size_t)(c->sft_steps.n ? c->sft_steps.v[stage] : 0);
}

static enum cg_status check_lists(const struct cg_run_config *c, size_t stages)
{
    if (c->stage_steps.n && c->stage_steps.n != stages)
        return cg_fail(CG_ERR_USER, "stage_steps has %zu numbers for %zu stages", c->stage_steps.n, stages);
    if (c->sft_steps.n && c->sft_steps.n != stages)
        return cg_fail(CG_ERR_USER, "sft_steps has %zu numbers for %zu stages", c->sft_steps.n, stages);
    return CG_OK;
}

static void name_examples(const struct cg_session *s, struct cg_run_state *r)
{
    for (size_t j = 0; j < r->stages; j++)
        for (size_t e = 0; e < CG_EXAMPLES && e < s->data.stages[j].eval.n; e++) {
            r->examples[j * CG_EXAMPLES + e].prompt = s->data.stages[j].eval.items[e].prompt;
            r->examples[j * CG_EXAMPLES + e].answer = s->data.stages[j].eval.items[e].answer;
        }
}

enum cg_status cg_run_state_create(const struct cg_session *s, struct cg_run_state *r)
{
    size_t grpo = 0, n = s->data.n_stages;
    memset(r, 0, sizeof *r);
    CG_TRY(check_lists(s->cfg, n));
    r->stages = n;
    r->accuracy = r->best_accuracy = -1;
    for (size_t i = 0; i < n; i++) {
        grpo += cg_stage_grpo_steps(s->cfg, i);
        r->total_steps += cg_stage_grpo_steps(s->cfg, i) + cg_stage_sft_steps(s->cfg, i);
    }
    r->total_grpo = r->times_room = grpo;
    r->R = calloc(n * n, sizeof *r->R);
    r->times = calloc(grpo ? grpo : 1, sizeof *r->times);
    r->examples = calloc(n * CG_EXAMPLES, sizeof *r->examples);
    if (!r->R || !r->times || !r->examples) {
        cg_run_state_free(r);
        return cg_fail(CG_ERR_MEMORY, "out of memory for the figures of a run");
    }
    name_examples(s, r);
    return CG_OK;
}

void cg_run_state_free(struct cg_run_state *r)
{
    for (size_t i = 0; r->examples && i < r->stages * CG_EXAMPLES; i++) {
        free(r->examples[i].before);
        free(r->examples[i].after);
    }
    free(r->examples);
    free(r->R);
    free(r->times);
    memset(r, 0, sizeof *r);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double cg_run_state_step_time(const struct cg_run_state *r)
{
    size_t n = r->n_times;
    double *x = n ? malloc(n * sizeof *x) : NULL, middle;
    if (!x) return 0;
    memcpy(x, r->times, n * sizeof *x);
    qsort(x, n, sizeof *x, by_value);
    middle = n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
    free(x);
    return middle;
}

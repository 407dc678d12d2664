#include "runtime/curriculum/state_json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/json.h"
#include "runtime/rl/saved.h"

static size_t numbers(struct cg_run_state *r, struct cg_number *out)
{
    const struct cg_number all[] = {
        CG_NUMBER("stage", &r->stage),
        CG_NUMBER("phase", &r->phase),
        CG_NUMBER("step", &r->step),
        CG_NUMBER("steps", &r->steps),
        CG_NUMBER("grpo_steps", &r->grpo_steps),
        CG_NUMBER("tokens", &r->tokens),
        CG_NUMBER("stages_done", &r->stages_done),
        CG_NUMBER("skipped", &r->skipped),
        CG_NUMBER("skipped_in_row", &r->skipped_in_row),
        CG_NUMBER("heldout_before", &r->before),
        CG_NUMBER("heldout_after", &r->after),
        CG_NUMBER("accuracy", &r->accuracy),
        CG_NUMBER("best_accuracy", &r->best_accuracy),
        CG_NUMBER("best_step", &r->best_step),
        CG_NUMBER("evaluated", &r->evaluated),
        CG_NUMBER("seconds", &r->seconds),
        CG_NUMBER("metrics_bytes", &r->metrics_bytes),
        CG_NUMBER("completions_bytes", &r->completions_bytes),
        CG_NUMBER("events_bytes", &r->events_bytes),
    };
    memcpy(out, all, sizeof all);
    return sizeof all / sizeof *all;
}

static json_t *reals(const double *x, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(a, cg_json_number(x[i]));
    return a;
}

/* An array of at most `max` numbers; how many into *n. */
static enum cg_status get_reals(const json_t *j, const char *name, size_t max, double *x, size_t *n)
{
    const json_t *a = json_object_get(j, name);
    *n = json_array_size(a);
    if (!json_is_array(a) || *n > max)
        return cg_fail(CG_ERR_USER, "its state has %zu numbers in '%s', where these options have room for %zu", *n,
                       name, max);
    for (size_t i = 0; i < *n; i++) {
        const json_t *v = json_array_get(a, i);
        x[i] = json_is_number(v) ? json_number_value(v) : (double)NAN;
    }
    return CG_OK;
}

/* The times so far, with room for as many steps as the options give: they may be others than before. */
static enum cg_status get_times(const json_t *j, struct cg_run_state *r)
{
    size_t room = json_array_size(json_object_get(j, "times")) + r->total_grpo;
    double *more = realloc(r->times, (room ? room : 1) * sizeof *more);
    if (!more) return cg_fail(CG_ERR_MEMORY, "out of memory for the times of %zu steps", room);
    r->times = more;
    r->times_room = room;
    return get_reals(j, "times", room, r->times, &r->n_times);
}

static enum cg_status get_answers(const json_t *j, struct cg_run_state *r)
{
    const json_t *a = json_object_get(j, "answers_before");
    for (size_t i = 0; i < r->stages * CG_EXAMPLES; i++) {
        const char *text = json_string_value(json_array_get(a, i));
        if (!text) continue;
        free(r->examples[i].before);
        r->examples[i].before = strdup(text);
        if (!r->examples[i].before) return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    return CG_OK;
}

/* {"NAME": [sum, n]} of what no line has said yet. */
static json_t *open_metrics(const struct cg_metrics *x)
{
    json_t *j = json_object();
    for (size_t i = 0; i < x->n; i++)
        if (x->m[i].open) json_object_set_new(j, x->m[i].name, json_pack("[f, I]", x->m[i].sum, (json_int_t)x->m[i].n));
    return j;
}

static void get_metrics(const json_t *j, struct cg_metrics *x)
{
    const char *name;
    json_t *pair;
    json_object_foreach(json_object_get(j, "metrics"), name, pair)
    {
        json_int_t n = json_integer_value(json_array_get(pair, 1));
        if (x->n == CG_METRICS_MAX) break;
        struct cg_metric *m = &x->m[x->n++];
        *m = (struct cg_metric){
            .sum = json_number_value(json_array_get(pair, 0)), .n = n > 0 ? (size_t)n : 0, .open = 1};
        snprintf(m->name, sizeof m->name, "%s", name);
    }
}

enum cg_status cg_run_state_to_json(struct cg_session *s, struct cg_run_state *r, json_t **out)
{
    struct cg_number list[CG_NUMBERS_MAX];
    json_t *j = json_object(), *session = json_object(), *answers = json_array();
    enum cg_status st = cg_numbers_put(list, numbers(r, list), j);
    if (st == CG_OK) st = cg_numbers_put(list, cg_session_numbers(s, list), session);
    for (size_t i = 0; i < r->stages * CG_EXAMPLES; i++)
        json_array_append_new(answers, r->examples[i].before ? cg_json_text(r->examples[i].before) : json_null());
    int bad = json_object_set_new(j, "session", session) || json_object_set_new(j, "answers_before", answers) ||
              json_object_set_new(j, "R", reals(r->R, r->stages * r->stages)) ||
              json_object_set_new(j, "times", reals(r->times, r->n_times)) ||
              json_object_set_new(j, "metrics", open_metrics(&r->metrics));
    if (st == CG_OK && bad) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    char hash[17];
    cg_data_hash(&s->data, hash);
    bad = json_object_set_new(j, "data_xxh3", json_string(hash));
    if (st == CG_OK && bad) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    *out = st == CG_OK ? j : NULL;
    if (st != CG_OK) json_decref(j);
    return st;
}

/* A position that the options have: they may give more steps than before, but not fewer than were made. */
static enum cg_status check_position(const struct cg_session *s, const struct cg_run_state *r)
{
    size_t steps = 0;
    int inside = r->stage <= r->stages && r->stages_done <= r->stages && (unsigned)r->phase <= CG_PHASE_END;
    if (inside && r->stage < r->stages && r->phase == CG_PHASE_SFT) steps = cg_stage_sft_steps(s->cfg, r->stage);
    if (inside && r->stage < r->stages && r->phase == CG_PHASE_GRPO) steps = cg_stage_grpo_steps(s->cfg, r->stage);
    if (inside && r->step <= steps) return CG_OK;
    return cg_fail(CG_ERR_USER, "it stands after step %zu of stage %zu, where these options have no such step", r->step,
                   r->stage + 1);
}

int cg_run_state_same_data(const json_t *j, const struct cg_session *s)
{
    char hash[17];
    const char *before = json_string_value(json_object_get(j, "data_xxh3"));
    cg_data_hash(&s->data, hash);
    return before && strcmp(before, hash) == 0;
}

enum cg_status cg_run_state_from_json(const json_t *j, struct cg_session *s, struct cg_run_state *r)
{
    struct cg_number list[CG_NUMBERS_MAX];
    size_t n;
    CG_TRY(cg_numbers_get(list, numbers(r, list), j));
    CG_TRY(cg_numbers_get(list, cg_session_numbers(s, list), json_object_get(j, "session")));
    CG_TRY(check_position(s, r));
    CG_TRY(get_reals(j, "R", r->stages * r->stages, r->R, &n));
    if (n != r->stages * r->stages) return cg_fail(CG_ERR_USER, "its state is of another number of stages");
    CG_TRY(get_times(j, r));
    get_metrics(j, &r->metrics);
    return get_answers(j, r);
}

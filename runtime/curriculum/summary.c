/* summary.json: the result of a run. */
#include <jansson.h>
#include <stdlib.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/curriculum/matrix.h"
#include "runtime/curriculum/report.h"
#include "runtime/rl/weights.h"
#include "runtime/model/json.h"

static json_t *accuracies(const struct cg_run_state *state)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < state->stages_done; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < state->stages; j++)
            json_array_append_new(row, cg_json_number(state->R[i * state->stages + j]));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *examples(const struct cg_run_state *state)
{
    json_t *j = json_array();
    size_t n = state->stages_done == state->stages ? state->stages * CG_EXAMPLES : 0;
    for (size_t i = 0; i < n; i++) {
        const struct cg_example *e = &state->examples[i];
        if (!e->prompt) continue;
        json_array_append_new(j, json_pack("{s:o, s:o, s:o, s:o}", "prompt", cg_json_text(e->prompt), "answer",
                                           cg_json_text(e->answer), "before", cg_json_text(e->before ? e->before : ""),
                                           "after", cg_json_text(e->after ? e->after : "")));
    }
    return j;
}

/* What was predicted, what the account says (common/mem.h, on top of what is not counted), what each part had at the
 * peak. */
static json_t *memory(const struct cg_session *s)
{
    struct cg_mem_use use[32];
    size_t n = cg_mem_uses(use, 32), base = s->memory.bytes[CG_MEMORY_LOADING][CG_MEMORY_BASE];
    json_t *parts = json_object();
    for (size_t i = 0; i < n && i < 32; i++)
        if (use[i].at_peak) json_object_set_new(parts, use[i].part, json_integer((json_int_t)use[i].at_peak));
    return json_pack("{s:I, s:I, s:I, s:o}", "budget_bytes", (json_int_t)s->memory_budget, "predicted_bytes",
                     (json_int_t)s->memory.peak, "counted_bytes", (json_int_t)(base + cg_mem_peak()), "parts_at_peak",
                     parts);
}

static json_t *describe(const struct cg_session *s, const struct cg_run_state *state, double seconds, int interrupted)
{
    char hash[17];
    cg_session_hash(s, hash);
    json_t *j = json_pack(
        "{s:o, s:o, s:I, s:i, s:s, s:s, s:I, s:f, s:f, s:I, s:s, s:o, s:o, s:b}", "model", cg_json_text(s->cfg->model),
        "task", cg_json_text(s->data.source), "seed", (json_int_t)s->cfg->seed, "threads", s->net.threads, "isa",
        s->net.rows->isa, "version", CG_VERSION, "steps", (json_int_t)state->grpo_steps, "step_time",
        cg_run_state_step_time(state), "train_time", seconds, "peak_rss_bytes", (json_int_t)cg_mem_resident_peak(),
        "weights_xxh3", hash, "heldout_before", cg_json_number(state->before), "heldout_after",
        cg_json_number(state->after), "interrupted", interrupted);
    if (!j) return NULL;
    json_object_set_new(j, "skipped_steps", json_integer((json_int_t)state->skipped));
    json_object_set_new(j, "memory", memory(s));
    json_object_set_new(j, "libraries", cg_libraries());
    json_object_set_new(j, "R", accuracies(state));
    if (state->stages_done == state->stages) {
        json_object_set_new(j, "ACC", cg_json_number(cg_acc(state->R, state->stages)));
        json_object_set_new(j, "BWT", cg_json_number(cg_bwt(state->R, state->stages)));
    }
    json_t *stages = json_array();
    for (size_t i = 0; i < s->data.n_stages; i++) json_array_append_new(stages, json_string(s->data.stages[i].name));
    json_object_set_new(j, "stages", stages);
    json_object_set_new(j, "examples", examples(state));
    return j;
}

enum cg_status cg_report_summary(const struct cg_report *r, const struct cg_session *s,
                                 const struct cg_run_state *state, double seconds, int interrupted)
{
    json_t *j = describe(s, state, seconds, interrupted);
    char *path = cg_path_join(r->dir, "summary.json");
    struct cg_out out;
    enum cg_status st = j && path ? cg_out_open(path, &out) : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (st == CG_OK) {
        json_dumpf(j, out.f, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        fputc('\n', out.f);
        st = cg_out_commit(&out);
    }
    json_decref(j);
    free(path);
    return st;
}

/* What grpo-bench predict found, as a table or JSON. */
#include <jansson.h>
#include <stdlib.h>

#include "bench/cases.h"
#include "bench/predict.h"

/* ---- The table --------------------------------------------------------------------------------------------------- */

static const char *cpu_of(const struct cg_prediction *p)
{
    const struct cg_machine *m = cg_plans_machine(p->plans);
    return m->model_name[0] ? m->model_name : m->vendor;
}

static void print_measured(const struct cg_prediction *p, FILE *f)
{
    const struct cg_measured *m = &p->measured;
    double train = m->step_time - m->generate_time, predicted = p->prices.seconds - p->prices.generate_seconds;
    const struct {
        const char *name;
        double predicted, measured;
    } all[] = {{"step", p->prices.seconds, m->step_time},
               {"generation", p->prices.generate_seconds, m->generate_time},
               {"training", predicted, train}};
    fprintf(f, "\n%-12s %12s %12s %8s   (median of %zu step%s)\n", "", "predicted s", "measured s", "ratio", m->steps,
            m->steps == 1 ? "" : "s");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fprintf(f, "%-12s %12.4f %12.4f %8.2f\n", all[i].name, all[i].predicted, all[i].measured,
                all[i].predicted / all[i].measured);
}

void cg_predict_print(const struct cg_prediction *p, FILE *f)
{
    const struct cg_workload *w = &p->o->w;
    const struct cg_step_prices *s = &p->prices;
    fprintf(f, "%s, %d thread%s, %s\n", cpu_of(p), cg_plans_threads(p->plans),
            cg_plans_threads(p->plans) == 1 ? "" : "s", cg_plans_source(p->plans));
    fprintf(
        f, "%s, %.1f million parameters; a step: %zu prompts of %zu tokens x %zu completions of %.4g (at most %zu)\n\n",
        p->model.name, p->step.params / 1e6, w->prompts, w->prompt_length, w->generations, w->completion_length,
        w->max_completion_length);
    fprintf(f, "%-10s %-15s %10s %10s %10s %7s  %s\n", "phase", "part", "calls", "GFLOP", "seconds", "share", "bound");
    for (int phase = 0; phase < CG_STEP_PHASE_COUNT; phase++)
        for (int part = 0; part < CG_STEP_PART_COUNT; part++) {
            const struct cg_step_row *r = &s->row[phase][part];
            if (r->seconds <= 0) continue;
            fprintf(f, "%-10s %-15s %10.0f %10.2f %10.4f %6.1f%%  %s\n", cg_step_phase_name((enum cg_step_phase)phase),
                    cg_step_part_name((enum cg_step_part)part), r->calls, r->flops / 1e9, r->seconds,
                    100 * r->seconds / s->seconds, cg_bound_name(cg_step_row_bound(r)));
        }
    fprintf(f, "%-10s %-15s %10s %10.2f %10.4f\n\n", "step", "", "", s->flops / 1e9, s->seconds);
    fprintf(f,
            "generation %.4f s, %.0f tokens/s; training %.4f s, %.0f tokens/s; %.1f GFLOP/s; about %.2f GB of memory\n",
            s->generate_seconds, p->step.generated / s->generate_seconds, s->seconds - s->generate_seconds,
            p->step.trained / (s->seconds - s->generate_seconds), s->flops / s->seconds / 1e9, p->step.memory / 1e9);
    if (p->measured.steps) print_measured(p, f);
}

static json_t *rows_json(const struct cg_step_prices *s)
{
    json_t *rows = json_array();
    for (int phase = 0; phase < CG_STEP_PHASE_COUNT; phase++)
        for (int part = 0; part < CG_STEP_PART_COUNT; part++) {
            const struct cg_step_row *r = &s->row[phase][part];
            if (r->seconds <= 0) continue;
            json_t *bounds = json_object();
            for (int b = 0; b < CG_BOUND_COUNT; b++)
                if (r->bound[b] > 0)
                    json_object_set_new(bounds, cg_bound_name((enum cg_bound)b), json_real(r->bound[b]));
            json_array_append_new(rows, json_pack("{s:s,s:s,s:f,s:f,s:f,s:s,s:o}", "phase",
                                                  cg_step_phase_name((enum cg_step_phase)phase), "part",
                                                  cg_step_part_name((enum cg_step_part)part), "calls", r->calls,
                                                  "gflop", r->flops / 1e9, "seconds", r->seconds, "bound",
                                                  cg_bound_name(cg_step_row_bound(r)), "bound_seconds", bounds));
        }
    return rows;
}

enum cg_status cg_predict_print_json(const struct cg_prediction *p, FILE *f)
{
    const struct cg_workload *w = &p->o->w;
    const struct cg_step_prices *s = &p->prices;
    double train = s->seconds - s->generate_seconds;
    json_t *work = json_pack("{s:I,s:I,s:I,s:f,s:I,s:I,s:I,s:b}", "prompts", (json_int_t)w->prompts, "num_generations",
                             (json_int_t)w->generations, "prompt_length", (json_int_t)w->prompt_length,
                             "completion_length", w->completion_length, "max_completion_length",
                             (json_int_t)w->max_completion_length, "micro_batch_tokens", (json_int_t)w->micro_tokens,
                             "num_iterations", (json_int_t)w->iterations, "reference", w->reference);
    json_t *root =
        json_pack("{s:s,s:i,s:s,s:s,s:f,s:o,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:o}", "cpu", cpu_of(p), "threads",
                  cg_plans_threads(p->plans), "plans", cg_bench_plans_text(p->plans), "model", p->model.name,
                  "parameters", p->step.params, "workload", work, "step_seconds", s->seconds, "generate_seconds",
                  s->generate_seconds, "train_seconds", train, "gflop", s->flops / 1e9, "generated_tokens_per_second",
                  p->step.generated / s->generate_seconds, "trained_tokens_per_second", p->step.trained / train,
                  "memory_bytes", p->step.memory, "rows", rows_json(s));
    if (root && p->measured.steps)
        json_object_set_new(root, "measured",
                            json_pack("{s:I,s:f,s:f,s:f}", "steps", (json_int_t)p->measured.steps, "step_time",
                                      p->measured.step_time, "generate_time", p->measured.generate_time,
                                      "completion_length", p->measured.completion_length));
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fprintf(f, "%s\n", text);
    free(text);
    return CG_OK;
}

#include <math.h>
#include <string.h>

#include "autotune/rates.h"
#include "bench/predict.h"
#include "common/log.h"
#include "detect/bind.h"
#include "detect/record.h"

#define MEASURE_SECONDS 2.0

/* A recorded machine and the rates that were recorded with it. */
static enum cg_status recorded(const char *path, struct cg_machine *m, struct cg_rates *rates)
{
    struct cg_record *record;
    CG_TRY(cg_machine_replay(path, m));
    CG_TRY(cg_record_load(path, &record));
    const char *lines = cg_record_rates(record);
    enum cg_status st;
    if (!lines[0])
        st = cg_fail(CG_ERR_USER,
                     "%s has no measured rates; record it again on that machine with grpo-tune detect --record FILE "
                     "--rates",
                     path);
    else if ((st = cg_rates_parse(lines, m->arch, rates)) != CG_OK) st = cg_fail_in(st, path);
    cg_record_free(record);
    return st;
}

/* The machine asked for, what it reaches, and with how many threads it is to be used. */
static enum cg_status machine_and_rates(struct cg_predict_options *o, struct cg_machine *m, struct cg_rates *rates)
{
    if (!o->machine) {
        CG_TRY(cg_machine_detect(m));
        if (!o->threads) o->threads = m->cores_usable;
        CG_TRY(cg_bind_threads(m, o->threads)); /* as training does */
        cg_progress("measuring what this machine reaches");
        enum cg_status st = cg_rates_measure(m, o->threads, MEASURE_SECONDS, INFINITY, NULL, rates);
        cg_bind_undo();
        return st;
    }
    CG_TRY(recorded(o->machine, m, rates));
    if (!o->threads) o->threads = rates->threads;
    if (o->threads > rates->threads)
        return cg_fail(CG_ERR_USER, "%s was measured with %d thread%s: --threads %d cannot be predicted", o->machine,
                       rates->threads, rates->threads == 1 ? "" : "s", o->threads);
    return CG_OK;
}

static enum cg_status predict(struct cg_predict_options *o, struct cg_prediction *p, const struct cg_rates *rates)
{
    CG_TRY(cg_step_list(&p->model, &o->w, p->plans, &p->step));
    CG_TRY(cg_step_price(&p->step, p->plans, rates, &p->prices));
    cg_progress_end();
    if (o->json) return cg_predict_print_json(p, stdout);
    cg_predict_print(p, stdout);
    return CG_OK;
}

enum cg_status cg_bench_predict(int argc, char **argv)
{
    static struct cg_machine machine;
    static struct cg_predict_options o;
    static struct cg_rates rates;
    struct cg_plans *plans;
    struct cg_prediction p = {.o = &o};
    int shown = 0;
    CG_TRY(cg_predict_parse(argc, argv, &o, &shown));
    if (shown) return CG_OK;
    CG_TRY(cg_sizes_load(o.model, &p.model));
    if (o.metrics) {
        CG_TRY(cg_measured_read(o.metrics, &p.measured));
        if (o.completion_length == 0)
            o.w.completion_length = fmin(fmax(p.measured.completion_length, 1), (double)o.w.max_completion_length);
    }
    CG_TRY(machine_and_rates(&o, &machine, &rates));
    CG_TRY(cg_plans_open(&machine, o.threads, &plans));
    p.plans = plans;
    enum cg_status st = predict(&o, &p, &rates);
    cg_step_list_free(&p.step);
    cg_plans_close(plans);
    return st;
}

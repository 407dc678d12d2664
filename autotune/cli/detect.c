#include <math.h>
#include <stdio.h>

#include "autotune/cli/cli.h"
#include "autotune/detect_report.h"
#include "autotune/rates.h"
#include "common/mem.h"
#include "detect/record.h"

#define RATES_SECONDS 2

/* The rates as text, for cg_free. */
static enum cg_status measure(const struct cg_machine *m, char **text)
{
    static struct cg_rates r;
    CG_TRY(cg_rates_measure(m, m->cores_usable, RATES_SECONDS, INFINITY, NULL, &r));
    *text = cg_rates_text(&r);
    return *text ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
}

static enum cg_status record(const struct cg_cli_options *o, const struct cg_machine *m)
{
    char *rates = NULL;
    enum cg_status st = o->rates ? measure(m, &rates) : CG_OK;
    if (st == CG_OK) st = cg_record_save(o->record, m, rates ? rates : "");
    cg_free(rates);
    return st;
}

enum cg_status cg_cli_detect(const struct cg_cli_options *o, const struct cg_machine *none)
{
    static struct cg_machine m; /* this one, or that of a record */
    (void)none;
    if (o->replay) {
        CG_TRY(cg_machine_replay(o->replay, &m));
        return cg_detect_report(&m, NULL, o->json, stdout);
    }
    CG_TRY(cg_machine_detect(&m));
    if (o->record) CG_TRY(record(o, &m));
    char why[256];
    struct cg_counters *counters = cg_counters_open(&m, 1, why, sizeof why);
    enum cg_status st = cg_detect_report(&m, &(struct cg_detect_counters){counters, why}, o->json, stdout);
    cg_counters_close(counters);
    return st;
}

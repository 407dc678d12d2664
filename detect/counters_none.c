/* In place of counters_papi.c where PAPI is not there to build with. */
#include "detect/counters_parts.h"

const int cg_counters_built = 0;

struct cg_counters *cg_counters_open_events(const struct cg_events *events, int threads, char *why, size_t size)
{
    (void)events, (void)threads;
    if (size) why[0] = 0;
    return NULL;
}

void cg_counters_close(struct cg_counters *c)
{
    (void)c;
}

const char *cg_counters_event(const struct cg_counters *c, enum cg_count count)
{
    (void)c, (void)count;
    return NULL;
}

enum cg_status cg_counters_start(struct cg_counters *c)
{
    (void)c;
    return cg_fail(CG_ERR_INTERNAL, "counters: built without PAPI");
}

enum cg_status cg_counters_stop(struct cg_counters *c, struct cg_counts *out)
{
    *out = (struct cg_counts){0};
    return cg_counters_start(c);
}

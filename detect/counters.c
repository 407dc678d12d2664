#include "detect/counters.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "detect/counters_parts.h"
#include "detect/parts.h"

/* PAPI's own events first, then the kernel's generic ones, which PAPI knows of CPUs it has no list for. The kernel's
 * CACHE-MISSES are left out: they are those of the last level on some CPUs and of L2 on others. */
static const struct cg_events hardware = {
    .names = {[CG_COUNT_CYCLES] = {"PAPI_TOT_CYC", "perf::CYCLES"},
              [CG_COUNT_INSTRUCTIONS] = {"PAPI_TOT_INS", "perf::INSTRUCTIONS"},
              [CG_COUNT_LLC_MISSES] = {"PAPI_L3_TCM", "PAPI_L3_LDM", "perf::LLC-LOAD-MISSES"},
              [CG_COUNT_L2_MISSES] = {"PAPI_L2_TCM", "PAPI_L2_DCM"},
              [CG_COUNT_L1D_MISSES] = {"PAPI_L1_DCM", "perf::L1-DCACHE-LOAD-MISSES"}},
    .least = {[CG_COUNT_CYCLES] = 1000, [CG_COUNT_INSTRUCTIONS] = 100000},
};

const char *cg_count_name(enum cg_count count)
{
    static const char *const names[] = {"cycles", "instructions", "llc_misses", "l2_misses", "l1d_misses"};
    return names[count];
}

/* The kernel counts such events on one kind of cores only, and PAPI 7.0 does not even start on some of them. */
static int kinds_differ(const struct cg_counters_facts *f)
{
    return f->kinds > 1;
}

void cg_counters_why(const struct cg_counters_facts *f, char *why, size_t size)
{
    char text[160];
    int error = f->kernel;
    if (!f->built) snprintf(text, sizeof text, "built without PAPI");
    else if (kinds_differ(f))
        snprintf(text, sizeof text, "PAPI cannot add up the counters of %d kinds of cores", f->kinds);
    else if ((error == EACCES || error == EPERM) && f->paranoid > 2)
        snprintf(text, sizeof text,
                 "kernel.perf_event_paranoid is %d, which keeps counters from users; root can allow them: sysctl "
                 "kernel.perf_event_paranoid=2",
                 f->paranoid);
    else if (error == EACCES || error == EPERM)
        snprintf(text, sizeof text, "perf_event_open is forbidden here (%s), as in most containers", strerror(error));
    else if (error == ENOSYS) snprintf(text, sizeof text, "this kernel has no perf events");
    else if ((error == ENOENT || error == ENODEV || error == EOPNOTSUPP) && f->hypervisor[0])
        snprintf(text, sizeof text, "this virtual machine has no hardware counters (hypervisor: %s)", f->hypervisor);
    else if (error == ENOENT || error == ENODEV || error == EOPNOTSUPP)
        snprintf(text, sizeof text, "the kernel has no driver for the counters of this CPU");
    else if (error) snprintf(text, sizeof text, "perf_event_open fails: %s", strerror(error));
    else snprintf(text, sizeof text, "the kernel counts, but PAPI cannot");
    snprintf(why, size, "%s%s%s%s", text, f->papi[0] ? " (PAPI: " : "", f->papi, f->papi[0] ? ")" : "");
}

void cg_counters_facts_read(const struct cg_machine *m, struct cg_counters_facts *f)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_HW_CPU_CYCLES,
                                   .disabled = 1,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    char text[32];
    f->built = cg_counters_built;
    f->kinds = m->n_kinds;
    f->hypervisor = m->hypervisor;
    f->paranoid = cg_read_text("", "/proc/sys/kernel/perf_event_paranoid", text, sizeof text) > 0 ? atoi(text)
                                                                                                  : CG_PARANOID_UNKNOWN;
    errno = 0;
    long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    f->kernel = fd < 0 ? errno : 0;
    if (fd >= 0) close((int)fd);
}

struct cg_counters *cg_counters_open(const struct cg_machine *m, int threads, char *why, size_t size)
{
    char papi[160] = "";
    struct cg_counters_facts f = {.papi = papi};
    cg_counters_facts_read(m, &f);
    struct cg_counters *c = kinds_differ(&f) ? NULL : cg_counters_open_events(&hardware, threads, papi, sizeof papi);
    if (!c) cg_counters_why(&f, why, size);
    return c;
}

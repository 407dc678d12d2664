/* Counters by PAPI: one set of events for each thread, started and read by that thread. */
#include <omp.h>
#include <papi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "detect/counters_parts.h"

const int cg_counters_built = 1;

/* What can fail besides PAPI, whose errors are negative. */
enum { TOO_FEW = 1, NO_THREAD, OTHER_THREAD };

/* What one thread counts. */
struct own {
    _Alignas(64) int set; /* PAPI_NULL: none */
    pid_t thread;
    int error; /* of the last call */
    long long value[CG_COUNTS];
};

struct cg_counters {
    int threads, n; /* events */
    enum cg_count count[CG_COUNTS];
    const char *name[CG_COUNTS];
    int code[CG_COUNTS];
    struct own *own;
};

static const char *error_text(int error)
{
    static const char *const own[] = {[TOO_FEW] = "counts nothing",
                                      [NO_THREAD] = "OpenMP does not give so many threads",
                                      [OTHER_THREAD] = "OpenMP has replaced a thread"};
    const char *text = error > 0 ? own[error] : PAPI_strerror(error);
    return text ? text : "unknown error";
}

static unsigned long this_thread(void)
{
    return (unsigned long)gettid(); /* not pthread_self(), which a later thread may share with an earlier one */
}

/* Once for the process: PAPI cannot be started anew in earnest. Only the part that counts for a CPU: others look for
 * GPUs and other libraries. PAPI_OK, or what went wrong. */
static int start_papi(void)
{
    static int state = 1;
    if (state <= 0) return state;
    for (int i = 0; i < PAPI_num_components(); i++) {
        const PAPI_component_info_t *part = PAPI_get_component_info(i);
        if (part && strcmp(part->name, "perf_event") != 0) PAPI_disable_component(i);
    }
    int got = PAPI_library_init(PAPI_VER_CURRENT);
    if (got != PAPI_VER_CURRENT) state = got < 0 ? got : PAPI_EINVAL; /* a version that this was not built for */
    else state = PAPI_thread_init(this_thread);
    return state;
}

/* ---- The set of one thread --------------------------------------------------------------------------------------- */

static void set_close(int *set)
{
    if (*set == PAPI_NULL) return;
    PAPI_stop(*set, NULL);       /* where starting another thread's failed */
    PAPI_cleanup_eventset(*set); /* closes what the kernel gave */
    PAPI_destroy_eventset(set);
    *set = PAPI_NULL;
}

static int set_open(const int *code, int n, int *set)
{
    *set = PAPI_NULL;
    int error = PAPI_create_eventset(set);
    for (int i = 0; i < n && error == PAPI_OK; i++) error = PAPI_add_event(*set, code[i]);
    if (error != PAPI_OK) set_close(set);
    return error;
}

/* ---- Which events ------------------------------------------------------------------------------------------------ */

/* Can the events that were chosen and `code` be counted together, and does it count? */
static int try_event(const struct cg_counters *c, int code, long long least)
{
    int codes[CG_COUNTS + 1], set;
    long long value[CG_COUNTS + 1] = {0};
    memcpy(codes, c->code, sizeof c->code);
    codes[c->n] = code;
    int error = set_open(codes, c->n + 1, &set);
    if (error == PAPI_OK) error = PAPI_start(set);
    if (error == PAPI_OK) {
        for (volatile int i = 0; i < 100000; i++) continue;
        error = PAPI_stop(set, value);
    }
    set_close(&set);
    return error == PAPI_OK && value[c->n] < least ? TOO_FEW : error;
}

/* Events are tried one by one, so that one that is missing does not lose the others. */
static void choose(struct cg_counters *c, const struct cg_events *events, char *why, size_t size)
{
    for (int k = 0; k < CG_COUNTS; k++)
        for (int i = 0; i < CG_EVENT_NAMES && events->names[k][i]; i++) {
            const char *name = events->names[k][i];
            int code, error = PAPI_event_name_to_code(name, &code);
            if (error == PAPI_OK) error = try_event(c, code, events->least[k]);
            if (error == PAPI_OK) {
                c->count[c->n] = (enum cg_count)k;
                c->name[c->n] = name;
                c->code[c->n++] = code;
                break;
            }
            if (!why[0]) snprintf(why, size, "%s: %s", name, error_text(error));
        }
}

/* ---- All threads ------------------------------------------------------------------------------------------------- */

/* A set for the calling thread, instead of that of a thread that has ended. */
static void open_own(struct cg_counters *c)
{
    struct own *o = &c->own[omp_get_thread_num()];
#pragma omp critical /* PAPI's lists of events are not safe otherwise */
    {
        set_close(&o->set);
        o->error = set_open(c->code, c->n, &o->set);
    }
    o->thread = gettid();
}

/* PAPI_OK when every thread is well. */
static int worst(const struct cg_counters *c)
{
    for (int i = 0; i < c->threads; i++)
        if (c->own[i].error != PAPI_OK) return c->own[i].error;
    return PAPI_OK;
}

/* Opens what counts of `events`; PAPI_OK although that may be nothing. */
static int open_all(struct cg_counters *c, const struct cg_events *events, char *why, size_t size)
{
    for (int i = 0; i < c->threads; i++) c->own[i] = (struct own){.set = PAPI_NULL, .error = NO_THREAD};
    choose(c, events, why, size);
    if (c->n == 0) return PAPI_OK;
#pragma omp parallel num_threads(c->threads)
    open_own(c);
    return worst(c);
}

struct cg_counters *cg_counters_open_events(const struct cg_events *events, int threads, char *why, size_t size)
{
    why[0] = 0;
    int error = start_papi();
    struct cg_counters *c = error == PAPI_OK ? cg_alloc(sizeof *c) : NULL;
    if (c) c->own = cg_alloc_n((size_t)threads, sizeof *c->own);
    if (c && c->own) {
        c->threads = threads;
        error = open_all(c, events, why, size);
        if (c->n && error == PAPI_OK) return c;
    } else if (error == PAPI_OK) {
        error = PAPI_ENOMEM;
    }
    if (error != PAPI_OK) snprintf(why, size, "%s", error_text(error));
    cg_counters_close(c);
    return NULL;
}

void cg_counters_close(struct cg_counters *c)
{
    if (!c) return;
    for (int i = 0; c->own && i < c->threads; i++) set_close(&c->own[i].set);
    cg_free(c->own);
    cg_free(c);
}

const char *cg_counters_event(const struct cg_counters *c, enum cg_count count)
{
    for (int i = 0; i < c->n; i++)
        if (c->count[i] == count) return c->name[i];
    return NULL;
}

static enum cg_status report(const struct cg_counters *c)
{
    int error = worst(c);
    return error == PAPI_OK ? CG_OK : cg_fail(CG_ERR_INTERNAL, "counters: %s", error_text(error));
}

enum cg_status cg_counters_start(struct cg_counters *c)
{
    for (int i = 0; i < c->threads; i++) c->own[i].error = NO_THREAD;
#pragma omp parallel num_threads(c->threads)
    {
        struct own *o = &c->own[omp_get_thread_num()];
        o->error = PAPI_OK;
        if (o->thread != gettid()) open_own(c);
        if (o->error == PAPI_OK) o->error = PAPI_start(o->set);
    }
    return report(c);
}

enum cg_status cg_counters_stop(struct cg_counters *c, struct cg_counts *out)
{
    *out = (struct cg_counts){0};
    for (int i = 0; i < c->threads; i++) c->own[i].error = NO_THREAD;
#pragma omp parallel num_threads(c->threads)
    {
        struct own *o = &c->own[omp_get_thread_num()];
        o->error = o->thread == gettid() ? PAPI_stop(o->set, o->value) : OTHER_THREAD;
    }
    CG_TRY(report(c));
    for (int e = 0; e < c->n; e++) {
        out->have |= 1u << c->count[e];
        for (int i = 0; i < c->threads; i++) out->value[c->count[e]] += (uint64_t)c->own[i].value[e];
    }
    return CG_OK;
}

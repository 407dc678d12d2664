/* Hardware counters: the reason where there are none, from made-up facts; that PAPI's part works, with events of the
 * kernel's software, which virtual machines have too; and this machine's own counters where it has some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "detect/counters_parts.h"

enum { THREADS = 3, PAGES = 300 };

static void reasons(void **state)
{
    (void)state;
    static const struct {
        struct cg_counters_facts f;
        const char *says;
    } all[] = {
        {{1, 1, "KVM", ENOENT, 2, "PAPI_TOT_CYC: Event does not exist"},
         "this virtual machine has no hardware counters (hypervisor: KVM) (PAPI: PAPI_TOT_CYC: Event does not exist)"},
        {{1, 1, "", ENOENT, 2, ""}, "the kernel has no driver for the counters of this CPU"},
        {{1, 1, "KVM", EACCES, 3, ""},
         "kernel.perf_event_paranoid is 3, which keeps counters from users; root can allow them: sysctl "
         "kernel.perf_event_paranoid=2"},
        {{1, 1, "", EPERM, 2, ""},
         "perf_event_open is forbidden here (Operation not permitted), as in most containers"},
        {{1, 1, "", EACCES, CG_PARANOID_UNKNOWN, ""},
         "perf_event_open is forbidden here (Permission denied), as in most containers"},
        {{1, 1, "", ENOSYS, CG_PARANOID_UNKNOWN, ""}, "this kernel has no perf events"},
        {{1, 1, "", EMFILE, 2, ""}, "perf_event_open fails: Too many open files"},
        {{1, 2, "", 0, 2, ""}, "PAPI cannot add up the counters of 2 kinds of cores"},
        {{1, 1, "KVM", 0, 2, "Not supported"}, "the kernel counts, but PAPI cannot (PAPI: Not supported)"},
        {{0, 1, "KVM", 0, 2, ""}, "built without PAPI"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char why[256], small[16];
        cg_counters_why(&all[i].f, why, sizeof why);
        assert_string_equal(why, all[i].says);
        cg_counters_why(&all[i].f, small, sizeof small);
        assert_int_equal(strlen(small), 15);
    }
}

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

/* Events that every kernel has: page faults as cycles, time on the CPU as instructions; the one between is missing. */
static const struct cg_events software = {
    .names = {[CG_COUNT_CYCLES] = {"perf::NO-SUCH-EVENT", "perf::PAGE-FAULTS"},
              [CG_COUNT_INSTRUCTIONS] = {"perf::NO-SUCH-EVENT"},
              [CG_COUNT_LLC_MISSES] = {"perf::TASK-CLOCK"},
              [CG_COUNT_L2_MISSES] = {"perf::CONTEXT-SWITCHES"}},
    .least = {[CG_COUNT_LLC_MISSES] = 1, [CG_COUNT_L2_MISSES] = INT64_MAX}, /* the last counts too little */
};

static struct cg_counters *open_software(int threads)
{
    char why[256];
    struct cg_counters *c = cg_counters_open_events(&software, threads, why, sizeof why);
    if (c) return c;
    printf("SKIP counters: %s\n", cg_counters_built ? why : "built without PAPI");
    skip();
    return NULL;
}

/* Touches fresh pages: PAGES * (1 + the thread's number) of them. */
static void touch_pages(void)
{
#pragma omp parallel num_threads(THREADS)
    {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), size = PAGES * page * (size_t)(1 + omp_get_thread_num());
        char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p != MAP_FAILED) {
            madvise(p, size, MADV_NOHUGEPAGE);
            for (size_t i = 0; i < size; i += page) ((volatile char *)p)[i] = 1;
            munmap(p, size);
        }
    }
}

static void sums_of_threads(void **state)
{
    (void)state;
    const uint64_t pages = PAGES * THREADS * (THREADS + 1) / 2;
    struct cg_counters *c = open_software(THREADS);
    struct cg_counts counts;
    assert_string_equal(cg_counters_event(c, CG_COUNT_CYCLES), "perf::PAGE-FAULTS");
    assert_null(cg_counters_event(c, CG_COUNT_INSTRUCTIONS));
    assert_string_equal(cg_counters_event(c, CG_COUNT_LLC_MISSES), "perf::TASK-CLOCK");
    assert_null(cg_counters_event(c, CG_COUNT_L2_MISSES));
    assert_null(cg_counters_event(c, CG_COUNT_L1D_MISSES));
    for (int i = 0; i < 3; i++) { /* each time from 0 */
        assert_int_equal(cg_counters_start(c), CG_OK);
        touch_pages();
        assert_int_equal(cg_counters_stop(c, &counts), CG_OK);
        assert_int_equal(counts.have, 1u << CG_COUNT_CYCLES | 1u << CG_COUNT_LLC_MISSES);
        if (counts.value[CG_COUNT_CYCLES] < pages || counts.value[CG_COUNT_CYCLES] > pages + pages / 2)
            fail_msg("%llu page faults, not about %llu", (unsigned long long)counts.value[CG_COUNT_CYCLES],
                     (unsigned long long)pages);
        assert_true(counts.value[CG_COUNT_LLC_MISSES] > 0);
        assert_int_equal(counts.value[CG_COUNT_INSTRUCTIONS], 0);
    }
    touch_pages(); /* not while counting */
    assert_int_equal(cg_counters_start(c), CG_OK);
    assert_int_equal(cg_counters_stop(c, &counts), CG_OK);
    assert_true(counts.value[CG_COUNT_CYCLES] < pages / 2);
    cg_counters_close(c);
}

/* A region of another size makes the runtime end threads and begin others: before counting that does no harm, while
 * counting their counts are lost, which is said. */
static void replaced_threads(void **state)
{
    (void)state;
    const uint64_t pages = PAGES * THREADS * (THREADS + 1) / 2;
    struct cg_counters *c = open_software(THREADS);
    struct cg_counts counts;
    int before = open_files();
#pragma omp parallel num_threads(2)
    __asm__ volatile("");
    assert_int_equal(cg_counters_start(c), CG_OK);
    touch_pages();
    assert_int_equal(cg_counters_stop(c, &counts), CG_OK);
    assert_true(counts.value[CG_COUNT_CYCLES] >= pages);
    assert_int_equal(open_files(), before);
    assert_int_equal(cg_counters_start(c), CG_OK);
#pragma omp parallel num_threads(2)
    __asm__ volatile("");
    enum cg_status st = cg_counters_stop(c, &counts);
    if (st == CG_OK) /* a runtime that keeps its threads */
        assert_true(counts.have != 0);
    else {
        assert_non_null(strstr(cg_error(), "replaced a thread"));
        assert_int_equal(counts.have, 0);
    }
    cg_counters_close(c);
}

static void leaves_nothing_open(void **state)
{
    (void)state;
    cg_counters_close(open_software(THREADS));
    int before = open_files();
    for (int i = 0; i < 3; i++) {
        struct cg_counters *c = open_software(THREADS);
        assert_true(open_files() > before);
        assert_int_equal(cg_counters_start(c), CG_OK); /* closed while it counts */
        cg_counters_close(c);
        assert_int_equal(open_files(), before);
    }
}

static void this_machine(void **state)
{
    (void)state;
    static struct cg_machine m;
    char why[256] = "";
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    struct cg_counters *c = cg_counters_open(&m, 2, why, sizeof why);
    if (!c) {
        assert_true(strlen(why) > 10 && !strchr(why, '\n'));
        printf("SKIP this_machine: %s\n", why);
        skip();
    }
    struct cg_counts counts;
    assert_int_equal(cg_counters_start(c), CG_OK);
#pragma omp parallel num_threads(2)
    for (volatile int i = 0; i < 1000000; i++) continue;
    assert_int_equal(cg_counters_stop(c, &counts), CG_OK);
    if (cg_counters_event(c, CG_COUNT_INSTRUCTIONS)) {
        assert_true(counts.value[CG_COUNT_INSTRUCTIONS] >= 2 * 1000000);
        assert_true(counts.value[CG_COUNT_INSTRUCTIONS] < 100 * 1000000);
    }
    cg_counters_close(c);
}

static void names(void **state)
{
    (void)state;
    for (int i = 0; i < CG_COUNTS; i++) {
        assert_true(strlen(cg_count_name((enum cg_count)i)) > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(cg_count_name((enum cg_count)i), cg_count_name((enum cg_count)j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons),          cmocka_unit_test(sums_of_threads),
        cmocka_unit_test(replaced_threads), cmocka_unit_test(leaves_nothing_open),
        cmocka_unit_test(this_machine),     cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

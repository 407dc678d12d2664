/* How products run on threads: every part once, the second job after the first, and the same threads of the system
 * again and again however few a plan uses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detect/bind.h"
#include "kernels/team.h"

enum { MOST = 9 };

struct work {
    size_t parts;
    int first[MOST], second[MOST]; /* how often a part was done */
    int early;                     /* parts of `second` that began too soon */
    int wide;                      /* the most threads that a region had */
};

static void first(const void *job, size_t parts, size_t part)
{
    struct work *w = (struct work *)(uintptr_t)job;
    if (part % 2) usleep(1000); /* some are late */
    w->first[part] += parts == w->parts ? 1 : 100;
#pragma omp critical
    if (omp_get_num_threads() > w->wide) w->wide = omp_get_num_threads();
}

static void second(const void *job, size_t parts, size_t part)
{
    struct work *w = (struct work *)(uintptr_t)job;
    int early = 0;
    for (size_t i = 0; i < parts; i++) early |= !__atomic_load_n(&w->first[i], __ATOMIC_RELAXED);
#pragma omp atomic
    w->early += early;
    w->second[part] += parts == w->parts ? 1 : 100;
}

static void check(uint16_t threads, uint16_t team, int both, int wide)
{
    struct cg_plan plan = {.threads = threads, .team = team};
    struct work w = {.parts = cg_team_parts(&plan)};
    cg_team_run(&plan, first, both ? second : NULL, &w);
    for (size_t i = 0; i < MOST; i++)
        if (w.first[i] != (i < w.parts) || w.second[i] != (both && i < w.parts))
            fail_msg("threads %d team %d: part %zu done %d and %d times", threads, team, i, w.first[i], w.second[i]);
    assert_int_equal(w.early, 0);
    assert_int_equal(w.wide, wide);
}

static void every_part_once(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        check(0, 0, both, 1);
        check(1, 0, both, 1);
        check(1, 8, both, 1); /* no region */
        check(5, 0, both, 5);
        check(5, 3, both, 5);
        check(5, 5, both, 5);
        check(2, 6, both, 6);
        check(9, 9, both, 9);
    }
}

/* Inside a region OpenMP gives one thread, by default. */
static void inside_a_region(void **state)
{
    (void)state;
#pragma omp parallel num_threads(2)
    {
#pragma omp single
        check(5, 7, 1, 1);
    }
}

/* The system's numbers of a region's threads. */
static void threads_of(int n, pid_t *out)
{
#pragma omp parallel num_threads(n)
    out[omp_get_thread_num()] = gettid();
}

static void threads_stay(void **state)
{
    (void)state;
    pid_t before[6], after[6];
    threads_of(6, before);
    for (uint16_t threads = 1; threads <= 6; threads++) {
        check(threads, 6, 1, threads == 1 ? 1 : 6);
        threads_of(6, after);
        assert_memory_equal(before, after, sizeof before);
    }
}

/* A thread that OpenMP makes while the main thread is bound begins on that one CPU: the next product moves it. The
 * first test of all, since there must be no thread yet. */
static void new_threads_are_moved(void **state)
{
    (void)state;
    static struct cg_machine m;
    cpu_set_t before, sets[2];
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    sched_getaffinity(0, sizeof before, &before);
    setenv("CPU_GRPO_BIND", "on", 1);
    assert_int_equal(cg_bind_threads(&m, 1), CG_OK);
    if (m.n_cpus < 2 || !cg_bind_text()) {
        printf("SKIP new_threads_are_moved: one CPU only, or the user has spoken to OpenMP\n");
        skip();
    }
    check(2, 2, 0, 2);
#pragma omp parallel num_threads(2)
    sched_getaffinity(0, sizeof *sets, &sets[omp_get_thread_num()]);
    assert_true(CPU_COUNT(&sets[0]) == 1 && CPU_ISSET(m.cpus[0].os_index, &sets[0]));
    assert_true(CPU_EQUAL(&sets[1], &before));
    cg_bind_undo();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_threads_are_moved),
        cmocka_unit_test(every_part_once),
        cmocka_unit_test(inside_a_region),
        cmocka_unit_test(threads_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

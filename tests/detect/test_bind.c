/* Where threads run: what is chosen for made-up machines, and that threads really are bound and given back. */
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

#include "common/threads.h"
#include "detect/bind.h"

static const char *self;

static int clear(void **state)
{
    (void)state;
    static const char *const variables[] = {"CPU_GRPO_BIND", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY",
                                            "KMP_AFFINITY"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    return 0;
}

/* Eight CPUs: cpus of `kinds` kinds, then `nodes` nodes, numbered 10, 11, ... */
static const struct cg_machine *machine_of(int kinds, int nodes)
{
    static struct cg_machine m;
    memset(&m, 0, sizeof m);
    m.n_cpus = m.affinity = m.threads = 8;
    m.n_kinds = kinds;
    m.n_nodes = nodes;
    for (int i = 0; i < 8; i++)
        m.cpus[i] = (struct cg_cpu){.os_index = 10 + i, .core = i, .kind = i * kinds / 8, .node = i * nodes / 8};
    return &m;
}

static enum cg_bind chosen(const struct cg_machine *m, int threads, const char *variable, const char *value)
{
    enum cg_bind how = CG_BIND_CPUS;
    if (variable) setenv(variable, value, 1);
    assert_int_equal(cg_bind_choose(m, threads, &how), CG_OK);
    if (variable) unsetenv(variable);
    return how;
}

static void choice(void **state)
{
    (void)state;
    assert_int_equal(chosen(machine_of(1, 1), 8, NULL, NULL), CG_BIND_NONE);
    assert_int_equal(chosen(machine_of(1, 2), 8, NULL, NULL), CG_BIND_GROUPS);
    assert_int_equal(chosen(machine_of(2, 1), 2, NULL, NULL), CG_BIND_GROUPS);
    assert_int_equal(chosen(machine_of(2, 1), 1, NULL, NULL), CG_BIND_GROUPS);
    assert_int_equal(chosen(machine_of(2, 2), 9, NULL, NULL), CG_BIND_NONE);
    assert_int_equal(chosen(machine_of(2, 2), 4, "CPU_GRPO_BIND", ""), CG_BIND_GROUPS);
    assert_int_equal(chosen(machine_of(2, 2), 4, "CPU_GRPO_BIND", "auto"), CG_BIND_GROUPS);
    assert_int_equal(chosen(machine_of(2, 2), 4, "CPU_GRPO_BIND", "off"), CG_BIND_NONE);
    assert_int_equal(chosen(machine_of(1, 1), 8, "CPU_GRPO_BIND", "on"), CG_BIND_CPUS);
    assert_int_equal(chosen(machine_of(1, 1), 9, "CPU_GRPO_BIND", "on"), CG_BIND_NONE);
    assert_int_equal(chosen(machine_of(2, 2), 4, "OMP_PROC_BIND", "close"), CG_BIND_NONE);
    assert_int_equal(chosen(machine_of(2, 2), 4, "OMP_PROC_BIND", "false"), CG_BIND_NONE);
    assert_int_equal(chosen(machine_of(2, 2), 4, "OMP_PLACES", "cores"), CG_BIND_NONE);
    assert_int_equal(chosen(machine_of(2, 2), 4, "GOMP_CPU_AFFINITY", "0-3"), CG_BIND_NONE);
    setenv("KMP_AFFINITY", "compact", 1);
    assert_int_equal(chosen(machine_of(2, 2), 4, "CPU_GRPO_BIND", "on"), CG_BIND_NONE);
}

static void mistake(void **state)
{
    (void)state;
    enum cg_bind how;
    setenv("CPU_GRPO_BIND", "yes", 1);
    assert_int_equal(cg_bind_choose(machine_of(1, 1), 2, &how), CG_ERR_USER);
    assert_string_equal(cg_error(), "CPU_GRPO_BIND=yes: use auto, on or off");
    assert_int_equal(cg_bind_threads(machine_of(1, 1), 2), CG_ERR_USER);
    assert_null(cg_bind_text());
}

static void places(void **state)
{
    (void)state;
    int cpus[8];
    const struct cg_machine *m = machine_of(2, 4);
    for (int t = 0; t < 8; t++) {
        assert_int_equal(cg_bind_place(m, CG_BIND_CPUS, t, cpus), 1);
        assert_int_equal(cpus[0], 10 + t);
        assert_int_equal(cg_bind_place(m, CG_BIND_GROUPS, t, cpus), 2);
        assert_int_equal(cpus[0], 10 + t / 2 * 2);
        assert_int_equal(cpus[1], 11 + t / 2 * 2);
    }
    m = machine_of(1, 1);
    assert_int_equal(cg_bind_place(m, CG_BIND_GROUPS, 3, cpus), 8);
}

/* ---- This machine ------------------------------------------------------------------------------------------------ */

enum { MOST = 8 };

/* The sets of CPUs of a region's threads, as the system has them; with `follow`, after they looked where they belong.
 */
static void sets_of(int threads, int follow, cpu_set_t *sets)
{
#pragma omp parallel num_threads(threads)
    {
        if (follow) cg_bind_follow();
        sched_getaffinity(0, sizeof *sets, &sets[omp_get_thread_num()]);
    }
}

static struct cg_machine here, again;

/* This machine; where it has one CPU only there is nothing to see. */
static void detect(void)
{
    assert_int_equal(cg_machine_detect(&here), CG_OK);
    if (here.n_cpus >= 2) return;
    printf("SKIP bind: this process may run on one CPU only\n");
    skip();
}

static int has_only(const cpu_set_t *set, int cpu)
{
    return CPU_COUNT(set) == 1 && CPU_ISSET(cpu, set);
}

static void binds_and_gives_back(void **state)
{
    (void)state;
    cpu_set_t before, sets[MOST];
    detect();
    sched_getaffinity(0, sizeof before, &before);
    setenv("CPU_GRPO_BIND", "on", 1);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(cg_bind_threads(&here, 2), CG_OK);
        assert_non_null(cg_bind_text());
        sets_of(2, 0, sets);
        for (int i = 0; i < 2; i++) assert_true(has_only(&sets[i], here.cpus[i].os_index));
        /* What is found out of the machine does not depend on it. */
        assert_int_equal(cg_machine_detect(&again), CG_OK);
        assert_memory_equal(&again, &here, sizeof here);
    }
    cg_bind_undo();
    assert_null(cg_bind_text());
    sets_of(2, 0, sets);
    for (int i = 0; i < 2; i++) assert_true(CPU_EQUAL(&sets[i], &before));
    cg_bind_undo(); /* nothing */
}

/* Threads that the runtime makes anew begin where the main thread is bound: they are moved. */
static void new_threads(void **state)
{
    (void)state;
    cpu_set_t before, sets[MOST];
    detect();
    sched_getaffinity(0, sizeof before, &before);
    setenv("CPU_GRPO_BIND", "on", 1);
    sets_of(1, 0, sets);
    assert_int_equal(cg_bind_threads(&here, 2), CG_OK);
    assert_true(cg_bind_is_mine());
    sets_of(3, 1, sets);
    assert_true(has_only(&sets[0], here.cpus[0].os_index) && has_only(&sets[1], here.cpus[1].os_index));
    assert_true(CPU_EQUAL(&sets[2], &before)); /* more than were spoken of */
    sets_of(2, 1, sets);
    assert_true(has_only(&sets[1], here.cpus[1].os_index));
    cg_bind_undo();
    sets_of(2, 1, sets);
    for (int i = 0; i < 2; i++) assert_true(CPU_EQUAL(&sets[i], &before));
}

/* By groups, if this machine had two: each thread keeps the CPUs of its own. */
static void groups(void **state)
{
    (void)state;
    cpu_set_t sets[MOST];
    detect();
    int half = here.n_cpus / 2, n[2] = {half, here.n_cpus - half};
    for (int i = 0; i < here.n_cpus; i++) here.cpus[i].node = i >= half;
    int threads = half + 1;
    if (threads > MOST) {
        printf("SKIP groups: more CPUs than this test has room for\n");
        skip();
    }
    assert_int_equal(cg_bind_threads(&here, threads), CG_OK);
    sets_of(threads, 0, sets);
    for (int t = 0; t < threads; t++) {
        assert_int_equal(CPU_COUNT(&sets[t]), n[t >= half]);
        for (int i = 0; i < here.n_cpus; i++)
            assert_int_equal(CPU_ISSET(here.cpus[i].os_index, &sets[t]) != 0, (i >= half) == (t >= half));
    }
    cg_bind_undo();
}

/* ---- Bound by OpenMP before main --------------------------------------------------------------------------------- */

/* What this program finds of the machine in a process with these variables: CPUs that it may run on. */
static int affinity_with(const char *variables)
{
    char command[512], out[64] = "";
    const char *emulator = getenv("MESON_EXE_WRAPPER");
    snprintf(command, sizeof command, "%s %s '%s' affinity", variables, emulator ? emulator : "", self);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(out, sizeof out, p));
    assert_int_equal(pclose(p), 0);
    return atoi(out);
}

static void bound_by_openmp(void **state)
{
    (void)state;
    detect();
    char variables[64];
    assert_int_equal(affinity_with(""), here.affinity);
    assert_int_equal(affinity_with("OMP_PROC_BIND=true"), here.affinity);
    assert_int_equal(affinity_with("OMP_PROC_BIND=false"), here.affinity);
    snprintf(variables, sizeof variables, "OMP_PLACES={%d}", here.cpus[1].os_index);
    assert_int_equal(affinity_with(variables), 1); /* what the user allows */
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc > 1 && strcmp(argv[1], "affinity") == 0) {
        cg_threads_setup(argv);
        if (cg_machine_detect(&here) != CG_OK) return 1;
        printf("%d\n", here.affinity);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(choice, clear),          cmocka_unit_test_setup(mistake, clear),
        cmocka_unit_test_setup(places, clear),          cmocka_unit_test_setup(binds_and_gives_back, clear),
        cmocka_unit_test_setup(new_threads, clear),     cmocka_unit_test_setup(groups, clear),
        cmocka_unit_test_setup(bound_by_openmp, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

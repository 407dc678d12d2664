/* This very machine: whatever it is, what is said about it holds together; caches and fingerprints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "detect/parts.h"

static void detect(struct cg_machine *m)
{
    if (cg_machine_detect(m) != CG_OK) fail_msg("%s", cg_error());
}

static void holds_together(void **state)
{
    (void)state;
    static struct cg_machine m, again;
    detect(&m);
    assert_true(m.cores >= 1 && m.threads >= m.cores && m.affinity >= 1 && m.affinity <= m.threads);
    assert_true(m.cores_usable >= 1 && m.cores_usable <= m.cores && m.cores_usable <= m.affinity);
    assert_int_equal(m.isa & ~m.isa_cpu, 0);
    assert_true(m.n_kinds >= 1 && m.n_kinds <= CG_MAX_KINDS);
    assert_true(cg_machine_cache(&m, 1) >= 4096 && cg_machine_cache(&m, 2) > cg_machine_cache(&m, 1));
    assert_int_equal(cg_machine_cache(&m, 7), 0);
    assert_true(m.quota >= 0 && (m.quota > 0) == (m.quota_from[0] != 0));
    for (int i = 1; i < CG_ISA_COUNT; i++)
        assert_int_equal(m.isa_why[i][0] != 0, (m.isa_cpu & ~m.isa & CG_ISA_BIT(i)) != 0);
    detect(&again);
    assert_memory_equal(&m, &again, sizeof m);
}

static void affinity(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    if (CPU_COUNT(&before) < 2) skip(); /* nothing to take away */
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
    static struct cg_machine all, bound;
    detect(&all);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    enum cg_status st = cg_machine_detect(&bound);
    sched_setaffinity(0, sizeof before, &before);
    assert_int_equal(st, CG_OK);
    assert_int_equal(bound.affinity, 1);
    assert_int_equal(bound.cores_usable, 1);
    assert_int_equal(bound.threads, all.threads);
    if (all.cores_usable > 1) assert_true(bound.fingerprint != all.fingerprint);
}

static void mask_from_the_environment(void **state)
{
    (void)state;
    static struct cg_machine all, masked;
    char *old = getenv("CPU_GRPO_ISA");
    old = old ? strdup(old) : NULL;
    unsetenv("CPU_GRPO_ISA");
    detect(&all);
    setenv("CPU_GRPO_ISA", "scalar", 1);
    detect(&masked);
    assert_int_equal(masked.isa, 0);
    assert_int_equal(masked.isa_cpu, all.isa_cpu);
    assert_true(masked.fingerprint != all.fingerprint);
    setenv("CPU_GRPO_ISA", "z80", 1);
    assert_int_equal(cg_machine_detect(&masked), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "CPU_GRPO_ISA=z80"));
    if (old) setenv("CPU_GRPO_ISA", old, 1);
    else unsetenv("CPU_GRPO_ISA");
    free(old);
}

static void absurd_caches(void **state)
{
    (void)state;
    static struct cg_machine m;
    const uint64_t kib = 1024, mib = 1024 * kib;
    m.n_caches = 3; /* as virtual machines have told it */
    m.caches[0] = (struct cg_cache){.level = 1, .type = 'd', .size = 0, .line = 0};
    m.caches[1] = (struct cg_cache){.level = 2, .type = 'u', .size = 16 * mib, .reported = 16 * mib, .line = 64};
    m.caches[2] = (struct cg_cache){.level = 3, .type = 'u', .size = 8192 * mib, .reported = 8192 * mib, .line = 64};
    const struct cg_cache cpuid[] = {
        {.level = 1, .type = 'd', .size = 48 * kib, .reported = 48 * kib, .line = 64},
        {.level = 1, .type = 'i', .size = 32 * kib, .reported = 32 * kib, .line = 64},
        {.level = 2, .type = 'u', .size = 2 * mib, .reported = 2 * mib, .line = 64},
        {.level = 3, .type = 'u', .size = 0, .line = 64},
    };
    cg_check_caches(&m, cpuid, 4);
    assert_int_equal(m.n_caches, 4);
    assert_int_equal(cg_machine_cache(&m, 1), 48 * kib);
    assert_int_equal(m.caches[0].reported, 0);
    assert_int_equal(m.caches[0].line, 64);
    assert_int_equal(cg_machine_cache(&m, 2), 2 * mib);
    assert_true(cg_machine_cache(&m, 3) >= mib && cg_machine_cache(&m, 3) <= 64 * mib);
    assert_int_equal(m.caches[3].reported, 8192 * mib);
    for (int i = 1; i < m.n_caches; i++) assert_true(m.caches[i].level >= m.caches[i - 1].level);
}

static void no_caches(void **state)
{
    (void)state;
    static struct cg_machine m;
    cg_check_caches(&m, NULL, 0);
    assert_int_equal(m.n_caches, 2);
    assert_int_equal(cg_machine_cache(&m, 1), 32 * 1024);
    assert_int_equal(cg_machine_cache(&m, 2), 512 * 1024);
    assert_int_equal(cg_machine_cache(&m, 3), 0);
}

/* Every fact that tuning depends on changes the fingerprint; others do not. */
static void fingerprint(void **state)
{
    (void)state;
    static struct cg_machine base, m;
    detect(&base);
    uint64_t h = cg_fingerprint(&base);
    assert_int_equal(h, base.fingerprint);
#define CHANGES(what)                                                                           \
    do {                                                                                        \
        m = base;                                                                               \
        what;                                                                                   \
        if (cg_fingerprint(&m) == h) fail_msg("the fingerprint does not depend on: %s", #what); \
    } while (0)
    CHANGES(m.vendor[0] ^= 1);
    CHANGES(m.model_name[0] = 'Q');
    CHANGES(m.family++);
    CHANGES(m.model++);
    CHANGES(m.stepping++);
    CHANGES(m.microcode++);
    CHANGES(m.midr++);
    CHANGES(m.isa ^= CG_ISA_BIT(CG_ISA_AVX512));
    CHANGES(m.isa ^= CG_ISA_BIT(CG_ISA_SVE2));
    CHANGES(m.sve_bytes += 16);
    CHANGES(m.caches[0].size *= 2);
    CHANGES(m.caches[1].shared_by++);
    CHANGES(m.kinds[0].threads++);
    CHANGES(m.kinds[0].cores++);
    CHANGES(m.nodes[0].threads++);
    CHANGES(m.cores_usable++);
    m = base;
    m.quota = 1.25;
    memset(m.isa_why, 'x', sizeof m.isa_why);
    assert_int_equal(cg_fingerprint(&m), h);
}

/* Slower cores hold the faster ones up, as work is divided evenly. */
static void cores_worth_using(void **state)
{
    (void)state;
    static const struct {
        int n, cores[CG_MAX_KINDS];
        double speed[CG_MAX_KINDS];
        int want;
    } cases[] = {
        {1, {8}, {1}, 8},
        {2, {6, 8}, {1, 0.38}, 6},         /* 14 small ones are worth 5.3 large ones */
        {2, {2, 8}, {1, 0.38}, 10},        /* 10 are worth 3.8 */
        {2, {8, 16}, {1, 0.37}, 8},        /* 8.9: not worth while */
        {2, {4, 8}, {1, 0.65}, 12},        /* 7.8 */
        {2, {0, 8}, {1, 0.38}, 8},         /* the affinity leaves only small ones */
        {3, {1, 3, 4}, {1, 0.8, 0.25}, 4}, /* a telephone */
        {3, {6, 8, 2}, {1, 0.38, 0.26}, 6},
        {3, {0, 0, 2}, {1, 0.38, 0.26}, 2},
        {4, {1, 2, 4, 8}, {1, 0.9, 0.8, 0.7}, 15}, /* each step a quarter more */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cg_kind kinds[CG_MAX_KINDS] = {{0}};
        for (int k = 0; k < cases[i].n; k++) kinds[k].speed = cases[i].speed[k];
        int got = cg_kinds_worth(kinds, cases[i].cores, cases[i].n);
        if (got != cases[i].want) fail_msg("case %zu: %d cores, expected %d", i, got, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_together),    cmocka_unit_test(affinity),  cmocka_unit_test(mask_from_the_environment),
        cmocka_unit_test(absurd_caches),     cmocka_unit_test(no_caches), cmocka_unit_test(fingerprint),
        cmocka_unit_test(cores_worth_using),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the tests of the kernels share: the machine, random numbers, memory that ends at an unreadable page, and
 * the walk over the variants of an operation. Include it first of all; SEED must be defined before. */
#ifndef CG_TESTS_KERNELS_FIXTURE_H
#define CG_TESTS_KERNELS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/mem.h"
#include "detect/machine.h"
#include "kernels/gemm.h"
#include "tests/kernels/some.h"

#define CANARY 0x7fc0dead /* a NaN that no kernel makes of numbers */

static struct cg_machine machine;
static uint64_t rng_state = SEED;

/* 24 random bits. */
static inline uint32_t rng(void)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng_state >> 40);
}

static inline float uniform(float lo, float hi)
{
    return lo + (hi - lo) * (float)rng() * 0x1p-24f;
}

static inline float bits_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline float *floats(size_t n)
{
    float *p = cg_alloc_n(n, sizeof *p);
    assert_non_null(p);
    return p;
}

/* Any NaN is as good as any other: IEEE 754 leaves their signs and payloads open, and ISAs differ. */
static inline int same_bits(float x, float y)
{
    return memcmp(&x, &y, sizeof x) == 0 || (isnan(x) && isnan(y));
}

/* Bytes between two unreadable pages. */
struct guarded {
    unsigned char *data; /* the first that can be read */
    size_t size, page;
};

/* Room for `bytes` up to the second page; what lies before them is 0. */
static inline void *guarded_open(struct guarded *g, size_t bytes)
{
    g->page = (size_t)sysconf(_SC_PAGESIZE);
    g->size = (bytes + g->page - 1) / g->page * g->page;
    unsigned char *map = mmap(NULL, g->size + 2 * g->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    g->data = map + g->page;
    if (g->size) assert_int_equal(mprotect(g->data, g->size, PROT_READ | PROT_WRITE), 0);
    return g->data + g->size - bytes;
}

static inline void guarded_close(struct guarded *g)
{
    munmap(g->data - g->page, g->size + 2 * g->page);
}

/* n floats up to an unreadable page; free them with edge_free, which fails where anything was written before them. */
static inline float *edge_floats(size_t n)
{
    struct guarded g;
    return guarded_open(&g, n * sizeof(float));
}

static inline void edge_free(const float *p, size_t n)
{
    size_t bytes = n * sizeof *p, page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded g = {.size = (bytes + page - 1) / page * page, .page = page};
    g.data = (unsigned char *)(uintptr_t)p + bytes - g.size;
    for (const unsigned char *q = g.data; q < (const unsigned char *)p; q++)
        if (*q != 0) fail_msg("something was written before an array");
    guarded_close(&g);
}

/* What a variant needs and this process has not, in words. */
static inline const char *why_not(const struct cg_variant *v)
{
    static char text[160];
    for (int i = 1; i < CG_ISA_COUNT; i++) {
        if ((v->isa & CG_ISA_BIT(i)) == 0 || (machine.isa & CG_ISA_BIT(i)) != 0) continue;
        snprintf(text, sizeof text, "needs %s%s%s", cg_isa_name((enum cg_isa)i), machine.isa_why[i][0] ? ": " : "",
                 machine.isa_why[i]);
        return text;
    }
    return "needs an ISA that this CPU does not have";
}

/* Calls f for every variant of `op` from the same seed on, and names those that cannot run here. Every level of this
 * machine that the list has variants of `op` for must have run one. */
static inline void each_variant(enum cg_op op, void (*f)(const struct cg_variant *v))
{
    size_t count;
    uint64_t listed = 0, ran = 0;
    const struct cg_variant *list = cg_variants(&count);
    for (size_t i = 0; i < count; i++) {
        if (list[i].op != op) continue;
        listed |= list[i].isa;
        if (!some_wanted(&list[i])) continue;
        if (!cg_variant_runs(&list[i], machine.isa)) {
            printf("SKIP %s: %s\n", list[i].name, why_not(&list[i]));
            continue;
        }
        rng_state = SEED;
        f(&list[i]);
        ran |= list[i].isa;
    }
    if (!getenv("CG_TEST_VARIANTS")) assert_true((listed & machine.isa & ~ran) == 0);
}

/* Detects the machine and runs the tests: the body of main. */
#define RUN_TESTS(name, ...)                                         \
    do {                                                             \
        if (cg_machine_detect(&machine) != CG_OK) {                  \
            fprintf(stderr, "%s\n", cg_error());                     \
            return 1;                                                \
        }                                                            \
        const struct CMUnitTest tests[] = {__VA_ARGS__};             \
        return cmocka_run_group_tests_name(name, tests, NULL, NULL); \
    } while (0)

#endif

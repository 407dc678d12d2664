/* How much of the kernels' tests to run. scripts/test runs them once for each length of SVE's vectors, where emulation
 * makes them slow; what has been run before is left out there by two variables of the environment:
 *   CG_TEST_VARIANTS=TEXT  only variants whose name contains TEXT
 *   CG_TEST_AMOUNT=smoke   fewer sizes and plans of each */
#ifndef CG_TESTS_KERNELS_SOME_H
#define CG_TESTS_KERNELS_SOME_H

#include <stdlib.h>
#include <string.h>

#include "kernels/registry.h"

static inline int some_wanted(const struct cg_variant *v)
{
    const char *text = getenv("CG_TEST_VARIANTS");
    return !text || strstr(v->name, text) != NULL;
}

static inline int some_smoke(void)
{
    const char *amount = getenv("CG_TEST_AMOUNT");
    return amount && strcmp(amount, "smoke") == 0;
}

#endif

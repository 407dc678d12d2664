/* Recorded references of tests/goldens (made by scripts/make-goldens). Include after <cmocka.h>. */
#ifndef CG_TESTS_RUNTIME_GOLDEN_H
#define CG_TESTS_RUNTIME_GOLDEN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/safetensors.h"

/* "tests/goldens/NAME" under the source root. */
static inline const char *golden_path(const char *name, char buf[512])
{
    const char *root = getenv("CG_SOURCE_ROOT");
    snprintf(buf, 512, "%s/tests/goldens/%s", root ? root : ".", name);
    return buf;
}

/* Opens tests/goldens/NAME (a .safetensors file); cg_st_close it. */
static inline struct cg_st *golden_open(const char *name)
{
    char path[512];
    struct cg_st *st;
    if (cg_st_open(golden_path(name, path), &st) != CG_OK) fail_msg("%s", cg_error());
    return st;
}

/* The values of a recorded tensor in fresh memory (free()), their number in *n; the test fails when there is none. */
static inline float *golden_f32(const struct cg_st *st, const char *name, size_t *n)
{
    const struct cg_st_tensor *t = cg_st_find(st, name);
    float *x = t ? malloc(t->bytes + 1) : NULL;
    if (!x || strcmp(t->dtype, "F32") != 0) fail_msg("%s has no F32 tensor %s", cg_st_path(st), name);
    memcpy(x, t->data, t->bytes);
    *n = t->count;
    return x;
}

static inline int32_t *golden_i32(const struct cg_st *st, const char *name, size_t *n)
{
    const struct cg_st_tensor *t = cg_st_find(st, name);
    int32_t *x = t ? malloc(t->bytes + 1) : NULL;
    if (!x || strcmp(t->dtype, "I32") != 0) fail_msg("%s has no I32 tensor %s", cg_st_path(st), name);
    memcpy(x, t->data, t->bytes);
    *n = t->count;
    return x;
}

#endif

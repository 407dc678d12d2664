/* A folder of its own for a test, and whole files in it. Include after <cmocka.h>. */
#ifndef CG_TESTS_RUNTIME_SCRATCH_H
#define CG_TESTS_RUNTIME_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "tests/runtime/golden.h"

static char scratch[256]; /* the folder */

static inline int scratch_setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/cg-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline int scratch_teardown(void **state)
{
    (void)state;
    return nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *scratch_path(const char *name, char buf[512])
{
    snprintf(buf, 512, "%s/%s", scratch, name);
    return buf;
}

static inline void scratch_write(const char *name, const void *data, size_t n)
{
    char path[512];
    /* Some file systems flush a file that is cut to nothing and written again; a new one they do not. */
    (void)unlink(scratch_path(name, path));
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) fail_msg("cannot write %s", path);
}

/* A recorded file whole, with a 0 after its end (cg_free). */
static inline char *golden_read(const char *name, size_t *n)
{
    char path[512], *data = NULL;
    enum cg_status status = cg_file_read(golden_path(name, path), (size_t)1 << 24, &data, n);
    if (status != CG_OK || !data) {
        fail_msg("%s", cg_error());
        abort(); /* not reached */
    }
    return data;
}

static inline void scratch_copy(const char *golden, const char *name)
{
    size_t n;
    char *data = golden_read(golden, &n);
    scratch_write(name, data, n);
    cg_free(data);
}

/* `text` with its first `from` replaced by `to`, in fresh memory (free()); the test fails when there is no `from`. */
static inline char *replaced(const char *text, const char *from, const char *to)
{
    size_t n = strlen(text), k = strlen(from), before = 0;
    while (before + k <= n && memcmp(text + before, from, k) != 0) before++;
    char *out = malloc(n + strlen(to) + 1);
    if (before + k > n || !out) {
        fail_msg("no \"%s\" in the text", from);
        abort(); /* not reached */
    }
    memcpy(out, text, before);
    strcpy(out + before, to);
    strcat(out, text + before + k);
    return out;
}

#endif

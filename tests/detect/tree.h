/* Made-up file systems for tests: files below a folder of their own in the temporary directory. */
#ifndef CG_TESTS_DETECT_TREE_H
#define CG_TESTS_DETECT_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

struct tree {
    char root[256];
};

static inline int tree_make(struct tree *t)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(t->root, sizeof t->root, "%.200s/cpu-grpo-test-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    return mkdtemp(t->root) ? 0 : -1;
}

/* Writes root + path, and the folders above it. */
static inline int tree_put(const struct tree *t, const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof full, "%s%s", t->root, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    if (cg_mkdirs(full) != CG_OK) return -1;
    *slash = '/';
    FILE *f = fopen(full, "wb");
    if (!f) return -1;
    int bad = fputs(text, f) < 0;
    return fclose(f) != 0 || bad ? -1 : 0;
}

static inline int tree_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void tree_remove(const struct tree *t)
{
    nftw(t->root, tree_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

#endif

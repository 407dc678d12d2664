/* What tests of records share: a record of this machine in a folder of their own, and text as a record. */
#ifndef CG_TESTS_DETECT_RECORDS_H
#define CG_TESTS_DETECT_RECORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "detect/record_parts.h"
#include "tests/detect/tree.h"

#define MAGIC "cpu-grpo machine record 1\n"

static struct tree tree;
static char saved[1100]; /* a record of this machine */

static inline int setup(void **state)
{
    (void)state;
    static struct cg_machine m;
    if (tree_make(&tree) != 0 || tree_put(&tree, "/tmp/x", "") != 0) return -1;
    snprintf(saved, sizeof saved, "%s/tmp", tree.root);
    setenv("TMPDIR", saved, 1);
    snprintf(saved, sizeof saved, "%s/tmp/x", tree.root);
    unlink(saved);
    snprintf(saved, sizeof saved, "%s/this.record", tree.root);
    if (cg_machine_detect(&m) == CG_OK && cg_record_save(saved, &m, "rate memory 12.5\nrate fma \\x 3\n") == CG_OK)
        return 0;
    fprintf(stderr, "%s\n", cg_error());
    return -1;
}

static inline int teardown(void **state)
{
    (void)state;
    tree_remove(&tree);
    return 0;
}

/* Files that lie in the folder where records are laid out: none may stay. */
static inline int left_behind(void)
{
    DIR *d = opendir(getenv("TMPDIR"));
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static inline enum cg_status parse(const char *text, struct cg_record **r)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return cg_record_parse("x.record", copy, strlen(text), r);
}

#endif

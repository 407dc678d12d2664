/* The folders of checkpoints: which there are, and how one goes. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "runtime/checkpoint/internal.h"

#define PREFIX "checkpoint-"

char *cg_checkpoint_path(const char *dir, size_t step)
{
    char name[64];
    snprintf(name, sizeof name, PREFIX "%zu", step);
    return cg_path_join(dir, name);
}

char *cg_checkpoint_temporary(const char *dir, size_t step)
{
    char name[64];
    snprintf(name, sizeof name, PREFIX "%zu" CG_CHECKPOINT_TMP, step);
    return cg_path_join(dir, name);
}

/* "checkpoint-12" -> 12; what comes after the number into *rest. */
static int parse(const char *name, size_t *step, const char **rest)
{
    size_t k = strlen(PREFIX);
    char *end;
    if (strncmp(name, PREFIX, k) != 0 || name[k] < '0' || name[k] > '9' || strspn(name + k, "0123456789") > 18)
        return 0;
    *step = (size_t)strtoull(name + k, &end, 10);
    *rest = end;
    return 1;
}

static int ascending(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

enum cg_status cg_checkpoint_list(const char *dir, size_t **steps, size_t *n)
{
    DIR *d = opendir(dir);
    size_t cap = 0, step;
    enum cg_status s = CG_OK;
    *steps = NULL;
    *n = 0;
    for (struct dirent *e; d && s == CG_OK && (e = readdir(d));) {
        const char *rest;
        if (!parse(e->d_name, &step, &rest) || *rest) continue;
        if (*n == cap) {
            cap = 2 * cap + 16;
            size_t *more = realloc(*steps, cap * sizeof *more);
            if (!more) {
                s = cg_fail(CG_ERR_MEMORY, "out of memory");
                break;
            }
            *steps = more;
        }
        (*steps)[(*n)++] = step;
    }
    if (d) closedir(d);
    if (s != CG_OK) {
        free(*steps);
        *steps = NULL;
        *n = 0;
    }
    if (*n) qsort(*steps, *n, sizeof **steps, ascending);
    return s;
}

void cg_remove_folder(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    rmdir(path);
}

void cg_checkpoint_remove(const char *dir, size_t step)
{
    char *path = cg_checkpoint_path(dir, step), *tmp = cg_checkpoint_temporary(dir, step);
    if (path && tmp) {
        cg_remove_folder(tmp);
        if (rename(path, tmp) == 0) cg_remove_folder(tmp);
    }
    free(path);
    free(tmp);
}

static void remove_leftovers(const char *dir)
{
    DIR *d = opendir(dir);
    size_t step;
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *rest;
        if (!parse(e->d_name, &step, &rest) || strcmp(rest, CG_CHECKPOINT_TMP) != 0) continue;
        char *path = cg_path_join(dir, e->d_name);
        if (path) cg_remove_folder(path);
        free(path);
    }
    if (d) closedir(d);
}

void cg_checkpoint_prune(const char *dir, size_t keep, size_t best)
{
    size_t *steps, n;
    remove_leftovers(dir);
    if (cg_checkpoint_list(dir, &steps, &n) != CG_OK) return;
    for (size_t i = 0; i + keep < n; i++)
        if (steps[i] != best) cg_checkpoint_remove(dir, steps[i]);
    free(steps);
}

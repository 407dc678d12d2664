#include "autotune/waits.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"

void cg_waits_open(struct cg_waits *w)
{
    *w = (struct cg_waits){.fd = cg_alloc_n(CG_WAITS_MOST, sizeof *w->fd)};
    DIR *d = w->fd ? opendir("/proc/self/task") : NULL;
    for (struct dirent *e; d && (e = readdir(d)) && w->n < CG_WAITS_MOST;) {
        char path[320];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) w->fd[w->n++] = fd;
    }
    if (d) closedir(d);
}

void cg_waits_close(struct cg_waits *w)
{
    for (size_t i = 0; i < w->n; i++) close(w->fd[i]);
    cg_free(w->fd);
    *w = (struct cg_waits){0};
}

double cg_waits_seconds(const struct cg_waits *w)
{
    double sum = 0;
    for (size_t i = 0; i < w->n; i++) {
        char text[96], *end;
        ssize_t got = pread(w->fd[i], text, sizeof text - 1, 0);
        if (got <= 0) return -1;
        text[got] = 0;
        (void)strtoull(text, &end, 10); /* time on a processor, then time in a queue for one, in nanoseconds */
        sum += 1e-9 * (double)strtoull(end, NULL, 10);
    }
    return w->n ? sum : -1;
}

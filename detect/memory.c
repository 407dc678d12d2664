#include "detect/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/parts.h"

#define PATH_SIZE 2048

static size_t read_bytes(const char *root, const char *folder, const char *name)
{
    char path[2 * PATH_SIZE], text[64], *end;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (cg_read_text(root, path, text, sizeof text) <= 0) return SIZE_MAX;
    unsigned long long n = strtoull(text, &end, 10); /* v2 writes "max", v1 a number beyond any memory */
    return end != text && n < SIZE_MAX ? (size_t)n : SIZE_MAX;
}

/* The least limit of the groups from `path` up to the mount point. */
static void walk(const char *root, const char *mount, const char *path, int v2, size_t *least, char *from, size_t size)
{
    char folder[PATH_SIZE];
    snprintf(folder, sizeof folder, "%s%s", mount, path);
    for (size_t top = strlen(mount);;) {
        size_t n = strlen(folder);
        while (n > top && folder[n - 1] == '/') folder[--n] = 0;
        size_t limit = read_bytes(root, folder, v2 ? "memory.max" : "memory.limit_in_bytes");
        if (limit < *least) {
            *least = limit;
            snprintf(from, size, v2 ? "cgroup v2 memory.max" : "cgroup v1 memory.limit_in_bytes");
        }
        if (n <= top) return;
        *strrchr(folder, '/') = 0;
    }
}

/* The path in a line of /proc/self/cgroup: "0::/a/b" (v2) or "4:memory:/a/b". */
static const char *group_path(char *line, int *v2)
{
    char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
    if (!path) return NULL;
    *path++ = 0;
    *v2 = line[0] == '0' && names[1] == 0;
    return *v2 || strstr(names + 1, "memory") ? path : NULL;
}

static void groups(const char *root, size_t *least, char *from, size_t size)
{
    char text[16384], *rest = text;
    if (cg_read_text(root, "/proc/self/cgroup", text, sizeof text) <= 0) return;
    for (char *line; (line = strsep(&rest, "\n"));) {
        int v2 = 0;
        const char *path = group_path(line, &v2);
        if (!path || strstr(path, "..") || strlen(path) > PATH_SIZE / 2) continue;
        walk(root, v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory", path, v2, least, from, size);
    }
}

size_t cg_memory_available(const char *root, char *from, size_t from_size)
{
    size_t least = SIZE_MAX;
    unsigned long long kib;
    char text[8192];
    from[0] = 0;
    const char *at = cg_read_text(root, "/proc/meminfo", text, sizeof text) > 0 ? strstr(text, "MemAvailable:") : NULL;
    if (at && sscanf(at, "MemAvailable: %llu", &kib) == 1) {
        least = (size_t)kib * 1024;
        snprintf(from, from_size, "memory available");
    }
    groups(root, &least, from, from_size);
    return least;
}

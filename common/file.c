#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

static enum cg_status io_error(const char *what, const char *path)
{
    return cg_fail(CG_ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

enum cg_status cg_file_read(const char *path, size_t max, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    FILE *f = fopen(path, "rb");
    if (!f) return io_error("open", path);
    size_t cap = 65536, n = 0;
    char *buf = malloc(cap + 1);
    while (buf) {
        n += fread(buf + n, 1, cap - n, f);
        if (n < cap || n > max) break;
        cap *= 2;
        char *more = realloc(buf, cap + 1);
        if (!more) free(buf);
        buf = more;
    }
    int bad = ferror(f);
    fclose(f);
    if (!buf) return cg_fail(CG_ERR_MEMORY, "out of memory while reading %s", path);
    if (bad) {
        free(buf);
        return io_error("read", path);
    }
    if (n > max) {
        free(buf);
        return cg_fail(CG_ERR_IO, "%s is longer than the %zu bytes such a file may have", path, max);
    }
    buf[n] = 0;
    *data = buf;
    *size = n;
    return CG_OK;
}

enum cg_status cg_map_open(const char *path, struct cg_map *map)
{
    map->data = NULL;
    map->size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_error("open", path);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        enum cg_status s = io_error("read", path);
        close(fd);
        return s;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return cg_fail(CG_ERR_IO, "%s is not a regular file", path);
    }
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            enum cg_status s = io_error("map", path);
            close(fd);
            return s;
        }
        map->data = p;
        map->size = (size_t)st.st_size;
    }
    close(fd);
    return CG_OK;
}

void cg_map_close(struct cg_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    map->data = NULL;
    map->size = 0;
}

enum cg_status cg_out_open(const char *path, struct cg_out *out)
{
    memset(out, 0, sizeof *out);
    size_t n = strlen(path) + 32;
    out->path = strdup(path);
    out->tmp = malloc(n);
    if (!out->path || !out->tmp) {
        cg_out_discard(out);
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    snprintf(out->tmp, n, "%s.tmp.%ld", path, (long)getpid());
    out->f = fopen(out->tmp, "wb");
    if (!out->f) {
        enum cg_status s = io_error("write", path);
        cg_out_discard(out);
        return s;
    }
    return CG_OK;
}

enum cg_status cg_out_commit(struct cg_out *out)
{
    enum cg_status s = CG_OK;
    int bad = ferror(out->f);
    if (fflush(out->f) != 0 || bad || fsync(fileno(out->f)) != 0) s = io_error("write", out->path);
    if (fclose(out->f) != 0 && s == CG_OK) s = io_error("write", out->path);
    out->f = NULL;
    if (s == CG_OK && rename(out->tmp, out->path) != 0) s = io_error("replace", out->path);
    cg_out_discard(out);
    return s;
}

void cg_out_discard(struct cg_out *out)
{
    if (out->f) fclose(out->f);
    if (out->tmp) unlink(out->tmp);
    free(out->tmp);
    free(out->path);
    memset(out, 0, sizeof *out);
}

enum cg_status cg_mkdirs(const char *path)
{
    char *p = strdup(path);
    if (!p) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = CG_OK;
    for (char *q = p + 1;; q++) {
        if (*q && *q != '/') continue;
        char c = *q;
        *q = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST && errno != EISDIR) {
            s = io_error("make folder", p);
            break;
        }
        *q = c;
        if (!c) break;
    }
    if (s == CG_OK && !cg_is_dir(path)) s = cg_fail(CG_ERR_IO, "%s is not a folder", path);
    free(p);
    return s;
}

char *cg_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *p = malloc(n);
    if (p) snprintf(p, n, "%s/%s", dir, name);
    return p;
}

int cg_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

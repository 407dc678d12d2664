#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"

/* What temporary files have between the name of the file that they are for and a random number. */
#define TMP ".tmp."

static enum cg_status io_error(const char *what, const char *path)
{
    int why = errno;
    cg_fail(CG_ERR_IO, "cannot %s %s: %s", what, path, strerror(why));
    errno = why;
    return CG_ERR_IO;
}

enum cg_status cg_stream_read(FILE *f, const char *name, size_t max, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
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
    if (!buf) return cg_fail(CG_ERR_MEMORY, "out of memory while reading %s", name);
    enum cg_status st = CG_OK;
    if (ferror(f)) st = io_error("read", name);
    else if (n > max) st = cg_fail(CG_ERR_USER, "%s is longer than the %zu bytes such a file may have", name, max);
    if (st != CG_OK) {
        int why = errno;
        free(buf);
        errno = why;
        return st;
    }
    buf[n] = 0;
    *data = buf;
    *size = n;
    return CG_OK;
}

enum cg_status cg_file_read(const char *path, size_t max, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    FILE *f = fopen(path, "rb");
    if (!f) return io_error("open", path);
    enum cg_status st = cg_stream_read(f, path, max, data, size);
    int why = errno;
    fclose(f);
    errno = why;
    return st;
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

void cg_map_release(const struct cg_map *map, const void *data, size_t n)
{
    /* A page that is read brings along those of its 64 KiB that are in memory: also some from before `data`. */
    const uintptr_t around = (uintptr_t)64 << 10, start = (uintptr_t)map->data, end = (uintptr_t)data + n;
    uintptr_t at = (uintptr_t)data / around * around;
    if (at < start) at = start;
    if (n) (void)madvise((void *)at, end - at, MADV_DONTNEED); /* a hint */
}

/* A file beside out->path whose name nobody else has: neither a process of this machine nor one of another that shares
 * the folder. Its permissions are those that the umask leaves, as of any new file. */
static FILE *open_beside(struct cg_out *out, size_t cap)
{
    for (int i = 0; i < 100; i++) {
        uint64_t name = 0;
        if (getrandom(&name, sizeof name, 0) != sizeof name) return NULL;
        snprintf(out->tmp, cap, "%s" TMP "%016llx", out->path, (unsigned long long)name);
        int fd = open(out->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno == EEXIST) continue;
        FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
        if (!f && fd >= 0) close(fd);
        return f;
    }
    return NULL;
}

enum cg_status cg_out_open(const char *path, struct cg_out *out)
{
    struct stat st;
    memset(out, 0, sizeof *out);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) /* root would lose /dev/null or a pipe to the rename */
        return cg_fail(CG_ERR_USER, "cannot write %s: it is no regular file", path);
    size_t n = strlen(path) + 32;
    out->path = strdup(path);
    out->tmp = malloc(n);
    if (!out->path || !out->tmp) {
        cg_out_discard(out);
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    *out->tmp = 0;
    out->f = open_beside(out, n);
    if (!out->f) {
        enum cg_status s = io_error("write", path);
        cg_out_discard(out);
        return s;
    }
    return CG_OK;
}

enum cg_status cg_out_finish(struct cg_out *out)
{
    enum cg_status s = CG_OK;
    int bad = ferror(out->f);
    if (fflush(out->f) != 0 || bad || fsync(fileno(out->f)) != 0) s = io_error("write", out->path);
    if (fclose(out->f) != 0 && s == CG_OK) s = io_error("write", out->path);
    out->f = NULL;
    return s;
}

int cg_open_folder_of(const char *path)
{
    char *dir = cg_path_folder(path);
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(dir);
    return fd;
}

/* A new name has to reach the disk as well, or a power cut could bring the old file back. Not every file system can do
 * that for a folder; the file itself is whole in any case. */
static void sync_folder_of(const char *path)
{
    int fd = cg_open_folder_of(path);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

enum cg_status cg_out_commit(struct cg_out *out)
{
    enum cg_status s = out->f ? cg_out_finish(out) : CG_OK;
    if (s == CG_OK && rename(out->tmp, out->path) != 0) s = io_error("replace", out->path);
    if (s == CG_OK) {
        *out->tmp = 0;
        sync_folder_of(out->path);
    }
    cg_out_discard(out);
    return s;
}

enum cg_status cg_out_commit_new(struct cg_out *out, int *exists)
{
    *exists = 0;
    enum cg_status s = out->f ? cg_out_finish(out) : CG_OK;
    if (s == CG_OK && link(out->tmp, out->path) != 0) {
        if (errno != EEXIST) return cg_out_commit(out); /* a file system without links */
        *exists = 1;
    }
    if (s == CG_OK && !*exists) sync_folder_of(out->path);
    cg_out_discard(out);
    return s;
}

void cg_out_clean(const char *path, double seconds)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    size_t len = strlen(name);
    struct stat mine, st;
    int fd = cg_open_folder_of(path);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d && fd >= 0) close(fd);
    if (!d) return;
    if (stat(path, &mine) == 0)
        for (struct dirent *e; (e = readdir(d));)
            if (strncmp(e->d_name, name, len) == 0 && strncmp(e->d_name + len, TMP, strlen(TMP)) == 0 &&
                fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
                difftime(mine.st_mtime, st.st_mtime) > seconds)
                unlinkat(fd, e->d_name, 0);
    closedir(d);
}

void cg_out_discard(struct cg_out *out)
{
    if (out->f) fclose(out->f);
    if (out->tmp && *out->tmp) unlink(out->tmp);
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
        if (mkdir(p, 0777) != 0) {
            int why = errno; /* a folder that is there may be refused as one that must not be made */
            if (why != EEXIST && !cg_is_dir(p)) {
                errno = why;
                s = io_error("make folder", p);
                break;
            }
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

char *cg_path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

int cg_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void cg_hold_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) return;
}

/* The store as a file that several processes, and several machines over a network, write at once. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "autotune/store_parts.h"
#include "common/file.h"
#include "common/mem.h"

enum {
    LOCK_PATIENCE = 10000, /* ms that another writer is waited for */
    MAX_TURNS = 100,       /* of writers that cannot lock each other out */
    LOOKS = 2,             /* afterwards, for what another of them may have overwritten */
};
/* A writer takes milliseconds. One that was stopped for so long finds its temporary file gone and says so. */
#define LEFTOVER_SECONDS 3600.0

enum cg_status cg_store_load(const char *path, const struct cg_machine *m, const char *advice, struct cg_store *s)
{
    memset(s, 0, sizeof *s);
    char *text = NULL, why[512];
    size_t size;
    enum cg_status st;
    int in = strcmp(path, "-") == 0, tries = 0;
    do { /* NFS: another machine may replace the file while it is read */
        st = in ? cg_stream_read(stdin, "standard input", CG_STORE_MAX_BYTES, &text, &size)
                : cg_file_read(path, CG_STORE_MAX_BYTES, &text, &size);
    } while (st == CG_ERR_IO && errno == ESTALE && ++tries < 5);
    if (st != CG_OK) return st;
    st = cg_store_parse(text, size, m, s);
    cg_free(text);
    if (st != CG_ERR_USER) return st;
    snprintf(why, sizeof why, "%s", cg_error());
    return cg_fail(st, "%s: %s; %s", in ? "standard input" : path, why, advice);
}

enum cg_status cg_store_read(const char *path, const struct cg_machine *m, struct cg_store *s)
{
    memset(s, 0, sizeof *s);
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return CG_OK;
    if (cg_is_dir(path)) return cg_fail(CG_ERR_IO, "%s is a folder; remove it and run grpo-tune", path);
    return cg_store_load(path, m, "run grpo-tune to make it again", s);
}

static void wait_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* A random time, so that two writers do not meet again. */
static void wait_a_little(void)
{
    unsigned r = 0;
    if (getrandom(&r, sizeof r, 0) != sizeof r) r = (unsigned)getpid();
    wait_ms(5 + r % 40);
}

/* Which content a file has, by what the system says of it; all zero when there is none. Opened, not only looked at:
 * over a network that asks the server. */
struct version {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec time;
};

static struct version version_of(const char *path)
{
    struct stat st;
    struct version v = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0) v = (struct version){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    if (fd >= 0) close(fd);
    return v;
}

static int same_version(struct version a, struct version b)
{
    return a.dev == b.dev && a.ino == b.ino && a.size == b.size && a.time.tv_sec == b.time.tv_sec &&
           a.time.tv_nsec == b.time.tv_nsec;
}

/* What keeps other writers out. */
enum hold {
    HOLD_LOCK, /* a lock on the file itself: who replaces it has that */
    HOLD_NEW,  /* there is no file: who makes it first wins */
    HOLD_NONE, /* nothing: a file system without locks, or somebody who holds one for too long */
};

/* A lock on the file that is at `path`; no lock file can stay behind. *fd: to be closed, or -1. */
static enum hold hold(const char *path, int *fd)
{
    for (unsigned waited = 0; waited < LOCK_PATIENCE;) {
        struct stat st;
        *fd = open(path, O_RDWR | O_CLOEXEC); /* NFS locks nothing else */
        if (*fd < 0 && errno != ENOENT) *fd = open(path, O_RDONLY | O_CLOEXEC);
        if (*fd < 0) return errno == ENOENT && lstat(path, &st) != 0 ? HOLD_NEW : HOLD_NONE;
        int locked = flock(*fd, LOCK_EX | LOCK_NB) == 0, busy = !locked && errno == EWOULDBLOCK;
        struct version now = version_of(path);
        if (locked && fstat(*fd, &st) == 0 && st.st_dev == now.dev && st.st_ino == now.ino) return HOLD_LOCK;
        close(*fd);
        *fd = -1;
        if (!locked && !busy) return HOLD_NONE;
        if (busy) wait_ms(10); /* else it was replaced just before */
        waited += busy ? 10 : 1;
    }
    return HOLD_NONE;
}

/* Puts `all` in place; *done is 0 when it was not, since somebody else has written the file since `before`. */
static enum cg_status put(const char *path, const struct cg_machine *m, const struct cg_store *all, enum hold how,
                          struct version before, int *done)
{
    struct cg_out out;
    CG_TRY(cg_out_open(path, &out));
    enum cg_status st = cg_store_print(out.f, m, all);
    if (st == CG_OK) st = cg_out_finish(&out);
    int exists = 0;
    *done = st == CG_OK && (how != HOLD_NONE || same_version(before, version_of(path)));
    if (!*done) cg_out_discard(&out);
    else if (how == HOLD_NEW) st = cg_out_commit_new(&out, &exists);
    else st = cg_out_commit(&out);
    *done = *done && !exists;
    return st;
}

/* Joins `add` to what is there. What cannot be used is replaced, but not what only cannot be read: it may be sound. */
static enum cg_status take_turn(const char *path, const struct cg_machine *m, const struct cg_store *add, enum hold how,
                                int *done, size_t *total)
{
    struct cg_store old = {0}, all = {0};
    struct version before = version_of(path);
    enum cg_status st = cg_store_read(path, m, &old);
    if (st == CG_OK || st == CG_ERR_USER) st = cg_store_join(&old, add, &all);
    *total = all.n;
    if (st == CG_OK) st = put(path, m, &all, how, before, done);
    cg_store_free(&old);
    cg_store_free(&all);
    return st;
}

/* Without a lock: is `add` still there after a while? Somebody may have looked at the file before this writer replaced
 * it, and replaced it after that. */
static int stays(const char *path, const struct cg_machine *m, const struct cg_store *add)
{
    int there = 1;
    for (int i = 0; i < LOOKS && there; i++) {
        struct cg_store s;
        wait_a_little();
        there = cg_store_read(path, m, &s) == CG_OK && cg_store_covers(&s, add);
        cg_store_free(&s);
    }
    return there;
}

static enum cg_status make_folder_of(const char *path)
{
    char *dir = cg_path_folder(path);
    if (!dir) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status st = cg_mkdirs(dir);
    cg_free(dir);
    return st;
}

enum cg_status cg_store_merge(const char *path, const struct cg_machine *m, const struct cg_store *add, size_t *total)
{
    int done = 0;
    *total = 0;
    enum cg_status st = make_folder_of(path);
    for (int turn = 0; turn < MAX_TURNS && st == CG_OK && !done; turn++) {
        int lock;
        enum hold how = hold(path, &lock);
        st = take_turn(path, m, add, how, &done, total);
        if (lock >= 0) close(lock);
        if (how != HOLD_NONE || st != CG_OK) continue;
        if (!done) wait_a_little();
        else done = stays(path, m, add);
    }
    if (st == CG_OK && !done) st = cg_fail(CG_ERR_IO, "%s: other programs write it all the time", path);
    if (st == CG_OK) {
        cg_out_clean(path, LEFTOVER_SECONDS);
        return CG_OK;
    }
    *total = 0;
    return cg_fail_in(st,
                      "cannot store the plans (make room or ask for the right to write there, or set CPU_GRPO_CACHE "
                      "to another folder)");
}

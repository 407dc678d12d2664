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
    LOOKS = 3,             /* afterwards, for what another of them may have overwritten */
};
/* A writer takes milliseconds. One that was stopped for so long finds its temporary file gone and says so. */
#define LEFTOVER_SECONDS 3600.0

enum cg_status cg_store_read(const char *path, const struct cg_machine *m, struct cg_store *s)
{
    memset(s, 0, sizeof *s);
    char *text = NULL;
    size_t size;
    enum cg_status st;
    int tries = 0;
    do { /* NFS: another machine may replace the file while it is read */
        if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return CG_OK;
        if (cg_is_dir(path)) return cg_fail(CG_ERR_IO, "%s is a folder; remove it and run grpo-tune", path);
        st = cg_file_read(path, CG_STORE_MAX_BYTES, &text, &size);
    } while (st == CG_ERR_IO && errno == ESTALE && ++tries < 5);
    if (st != CG_OK) return st;
    st = cg_store_parse(text, size, m, s);
    cg_free(text);
    if (st != CG_ERR_USER) return st;
    char why[512];
    snprintf(why, sizeof why, "%s", cg_error());
    return cg_fail(st, "%s: %s; run grpo-tune to make it again", path, why);
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

/* Locks the folder itself, so that no lock file can stay behind. A descriptor to close, or -1 where that is not to be
 * had: NFS locks no folders, and somebody else may hold it for long. */
static int lock_folder(const char *path)
{
    int fd = cg_open_folder_of(path);
    for (unsigned waited = 0; fd >= 0; waited += 50) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
        if (errno != EWOULDBLOCK || waited >= LOCK_PATIENCE) break;
        wait_ms(50);
    }
    if (fd >= 0) close(fd);
    return -1;
}

/* Which content a file has, by what the system says of it; zero when there is none. Opened, not only looked at: over a
 * network that asks the server. */
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

/* Reads what is there, joins `add` to it and replaces the file; *done is 0 when it was not replaced, since somebody
 * else has done so in the meantime (which is asked only with `careful`). What cannot be used is replaced, but not what
 * only cannot be read: it may be sound. */
static enum cg_status take_turn(const char *path, const struct cg_machine *m, const struct cg_store *add, int careful,
                                int *done, size_t *total)
{
    struct cg_store old = {0}, all = {0};
    struct cg_out out;
    struct version before = version_of(path);
    *done = 1;
    enum cg_status st = cg_store_read(path, m, &old);
    if (st == CG_OK || st == CG_ERR_USER) st = cg_store_join(&old, add, &all);
    *total = all.n;
    if (st == CG_OK) st = cg_out_open(path, &out);
    if (st == CG_OK) {
        st = cg_store_print(out.f, m, &all);
        if (st == CG_OK) st = cg_out_flush(&out);
        if (st == CG_OK && careful) *done = same_version(before, version_of(path));
        if (st == CG_OK && *done) st = cg_out_commit(&out);
        else cg_out_discard(&out);
    }
    cg_store_free(&old);
    cg_store_free(&all);
    return st;
}

/* Without a lock: is `add` still there after a while? A writer that read the file before this one replaced it has then
 * replaced it as well. */
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
    int lock = -1, done = 0;
    *total = 0;
    enum cg_status st = make_folder_of(path);
    if (st == CG_OK) {
        lock = lock_folder(path);
        for (int turn = 1; turn <= MAX_TURNS && st == CG_OK; turn++) {
            st = take_turn(path, m, add, lock < 0 && turn < MAX_TURNS, &done, total);
            if (lock >= 0 || (st == CG_OK && done && stays(path, m, add))) break;
            wait_a_little();
        }
    }
    if (st == CG_OK) cg_out_clean(path, LEFTOVER_SECONDS);
    if (lock >= 0) close(lock);
    if (st == CG_OK) return CG_OK;
    *total = 0;
    return cg_fail_in(st,
                      "cannot store the plans (make room or ask for the right to write there, or set CPU_GRPO_CACHE "
                      "to another folder)");
}

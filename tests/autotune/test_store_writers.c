/* The store under several writers, killed writers and file systems that refuse: whole at any moment, and nothing lost.
 */
#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* ---- What the system refuses: these stand in for the C library's ----------------------------------------------------
 */

static int flock_fails, fsync_fails, rename_fails, link_fails; /* errno, or 0 */
static void (*before_fsync)(void), (*before_rename)(void), (*before_sleep)(void);

int flock(int fd, int how)
{
    if (!flock_fails) return (int)syscall(SYS_flock, fd, how);
    errno = flock_fails;
    return -1;
}

int fsync(int fd)
{
    void (*hook)(void) = before_fsync;
    before_fsync = NULL;
    if (hook) hook();
    if (!fsync_fails) return (int)syscall(SYS_fsync, fd);
    errno = fsync_fails;
    return -1;
}

int rename(const char *from, const char *to)
{
    void (*hook)(void) = before_rename;
    before_rename = NULL;
    if (hook) hook();
    if (!rename_fails) return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    errno = rename_fails;
    return -1;
}

int link(const char *from, const char *to)
{
    if (!link_fails) return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    errno = link_fails;
    return -1;
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
    void (*hook)(void) = before_sleep;
    before_sleep = NULL;
    if (hook) hook();
    return (int)syscall(SYS_nanosleep, t, left);
}

static int setup_writers(void **state)
{
    flock_fails = fsync_fails = rename_fails = link_fails = 0;
    before_fsync = before_rename = before_sleep = NULL;
    return setup(state);
}

/* ---- Helpers --------------------------------------------------------------------------------------------------------
 */

static size_t files_in_dir(void)
{
    char command[160], line[32] = "";
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(line, sizeof line, p));
    pclose(p);
    return strtoul(line, NULL, 10);
}

static size_t stored(void)
{
    struct cg_store s;
    if (cg_store_read(path, &machine, &s) != CG_OK) fail_msg("%s", cg_error());
    size_t n = s.n;
    cg_store_free(&s);
    return n;
}

static struct cg_tuned numbered(size_t i)
{
    return entry(CG_FORM_NT, 64, 100 + i, 576, variant_of(CG_OP_gemm_f32, 0));
}

static enum cg_status merge_numbered(size_t i)
{
    size_t total;
    struct cg_tuned add = numbered(i);
    return merge_one(&add, &total);
}

/* Processes that store `each` plans, one at a time. */
static void write_together(size_t writers, size_t each)
{
    for (size_t w = 0; w < writers; w++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid > 0) continue;
        int bad = 0;
        for (size_t i = 0; i < each; i++) bad |= merge_numbered(w * each + i) != CG_OK;
        _exit(bad);
    }
    for (size_t w = 0; w < writers; w++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
}

/* ---- Several writers ------------------------------------------------------------------------------------------------
 */

static void together(void **state)
{
    (void)state;
    write_together(2, 16);
    assert_int_equal(stored(), 32);
    write_together(4, 16);
    assert_int_equal(stored(), 64);
    assert_int_equal(files_in_dir(), 1);
}

/* All find no file at first. */
static void first_together(void **state)
{
    (void)state;
    write_together(8, 1);
    assert_int_equal(stored(), 8);
    assert_int_equal(files_in_dir(), 1);
}

/* Where nothing can be locked the file stays whole, and writers who do not meet lose nothing. */
static void without_locks(void **state)
{
    (void)state;
    static const int refusals[] = {EBADF, ENOLCK, ENOSYS, EOPNOTSUPP};
    link_fails = EPERM;
    for (size_t i = 0; i < 4; i++) {
        flock_fails = refusals[i];
        assert_int_equal(merge_numbered(i), CG_OK);
        assert_int_equal(stored(), i + 1);
    }
    write_together(4, 4);
    assert_in_range(stored(), 4, 16);
    assert_int_equal(files_in_dir(), 1);
}

static void other_writes(void)
{
    assert_int_equal(merge_numbered(1), CG_OK);
}

/* Without locks: somebody else writes the file while this process prepares its own. It looks before it replaces. */
static void overtaken(void **state)
{
    (void)state;
    assert_int_equal(merge_numbered(0), CG_OK);
    flock_fails = EBADF;
    before_fsync = other_writes;
    assert_int_equal(merge_numbered(2), CG_OK);
    assert_int_equal(stored(), 3);
}

/* The same where both want to make the first file. */
static void overtaken_at_first(void **state)
{
    (void)state;
    before_fsync = other_writes;
    assert_int_equal(merge_numbered(2), CG_OK);
    assert_int_equal(stored(), 2);
}

static int to_child[2], to_parent[2];

static void say(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void hear(int fd)
{
    char c;
    assert_int_equal(read(fd, &c, 1), 1);
}

/* In the child: it has written and is about to look whether that stays. The parent overwrites it only now. */
static void let_parent_rename(void)
{
    say(to_parent[1]);
    hear(to_child[0]);
}

static pid_t child;

/* In the parent: it has looked for others and found nobody; now a child writes. */
static void child_writes(void)
{
    child = fork();
    if (child == 0) {
        before_rename = NULL;
        before_sleep = let_parent_rename;
        _exit(merge_numbered(1) != CG_OK);
    }
    hear(to_parent[0]);
}

/* In the parent, after its rename: it waits before it looks. */
static void let_child_go_on(void)
{
    say(to_child[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Without locks: two writers overlap in the worst way, the second between the first one's last look and its rename. The
 * second sees that its plan is gone and writes again. */
static void overwritten(void **state)
{
    (void)state;
    assert_int_equal(merge_numbered(0), CG_OK);
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    flock_fails = EBADF;
    before_rename = child_writes;
    before_sleep = let_child_go_on;
    assert_int_equal(merge_numbered(2), CG_OK);
    assert_int_equal(stored(), 3);
    for (int i = 0; i < 2; i++) close(to_child[i]), close(to_parent[i]);
}

/* ---- Killed writers -------------------------------------------------------------------------------------------------
 */

/* Stores of one generation after the other: all plans of one have its number as a block. */
static void write_generations(uint32_t from)
{
    for (uint32_t g = from;; g++) {
        struct cg_tuned e[24];
        size_t total;
        for (size_t i = 0; i < 24; i++) {
            e[i] = numbered(i);
            e[i].plan.mc = g;
        }
        if (cg_store_merge(path, &machine, &(struct cg_store){.e = e, .n = 24}, &total) != CG_OK) _exit(1);
    }
}

static uint32_t generation(void)
{
    struct cg_store s;
    if (cg_store_read(path, &machine, &s) != CG_OK) fail_msg("%s", cg_error());
    uint32_t g = s.n ? s.e[0].plan.mc : 0;
    if (s.n) assert_int_equal(s.n, 24);
    for (size_t i = 0; i < s.n; i++) assert_int_equal(s.e[i].plan.mc, g);
    cg_store_free(&s);
    return g;
}

static void killed(void **state)
{
    (void)state;
    uint32_t at = 0, last = 0, moved = 0;
    for (int i = 0; i < 300; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) write_generations(last + 1);
        nanosleep(&(struct timespec){.tv_nsec = draw(&at, 4000000)}, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        uint32_t now = generation();
        assert_true(now >= last);
        moved += now > last;
        last = now;
    }
    assert_true(moved > 10); /* or nothing was written at all */
    /* No lock stayed behind, and what did stay goes as soon as it is surely nobody's. */
    size_t left = files_in_dir();
    assert_int_equal(merge_numbered(0), CG_OK);
    assert_true(files_in_dir() >= left);
    char command[192];
    snprintf(command, sizeof command, "touch '%s.tmp.0' '%s/other.tmp.1' && touch -d '-2 hours' '%s'/*.tmp.*", path,
             dir, dir);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "touch '%s.tmp.young'", path);
    assert_int_equal(system(command), 0);
    assert_int_equal(merge_numbered(0), CG_OK);
    assert_int_equal(files_in_dir(), 3); /* the store, a young one, and one of some other file */
}

/* ---- Places that cannot be written ----------------------------------------------------------------------------------
 */

static void expect_refusal(const char *where, const char *why)
{
    struct cg_tuned add = numbered(5);
    size_t total = 7;
    assert_int_equal(cg_store_merge(where, &machine, &(struct cg_store){.e = &add, .n = 1}, &total), CG_ERR_IO);
    if (!strstr(cg_error(), "cannot store the plans") || !strstr(cg_error(), "CPU_GRPO_CACHE") ||
        !strstr(cg_error(), why) || strchr(cg_error(), '\n'))
        fail_msg("expected \"%s\", got: %s", why, cg_error());
    assert_int_equal(total, 0);
}

static void unwritable(void **state)
{
    (void)state;
    char file[96], below[128];
    snprintf(file, sizeof file, "%s/file", dir);
    snprintf(below, sizeof below, "%s/file/sub/plans.txt", dir);
    write_file(file, "x", 1);
    expect_refusal(below, "Not a directory");
    expect_refusal("/proc/nowhere/plans.txt", "cannot make folder /proc/nowhere");
    snprintf(below, sizeof below, "mkdir '%s'", path);
    assert_int_equal(system(below), 0);
    expect_refusal(path, "is a folder");
}

/* Whatever the disk says while a store is written: the old one stays, and nothing beside it. */
static void refused(void **state)
{
    (void)state;
    size_t n = write_some();
    static const int reasons[] = {ENOSPC, EDQUOT, EIO, EROFS, EACCES};
    for (size_t i = 0; i < 5; i++) {
        fsync_fails = reasons[i];
        expect_refusal(path, strerror(reasons[i]));
        fsync_fails = 0;
        rename_fails = reasons[i];
        expect_refusal(path, strerror(reasons[i]));
        rename_fails = 0;
        assert_int_equal(stored(), n);
        assert_int_equal(files_in_dir(), 1);
    }
    assert_int_equal(merge_numbered(5), CG_OK);
    assert_int_equal(stored(), n + 1);
}

/* A store that only cannot be read now is not replaced. */
static void unreadable(void **state)
{
    (void)state;
    enum { NOBODY = 65534 };
    size_t n = write_some();
    assert_int_equal(chmod(path, 0), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* Root may read everything. */
        if (geteuid() == 0 && (chown(dir, NOBODY, (gid_t)-1) != 0 || setuid(NOBODY) != 0)) _exit(77);
        expect_refusal(path, "Permission denied");
        expect_defaults("Permission denied");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(stored(), n);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("SKIP unreadable: root may read everything, and cannot become somebody else here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* A file system that is mounted read-only, in a child with mounts of its own; 77: that is not to be had here. */
static int read_only_child(size_t n)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount(dir, dir, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        return 77;
    struct cg_plans *p = open_plans();
    int tuned = strstr(cg_plans_source(p), "tuned shapes") != NULL;
    cg_plans_close(p);
    expect_refusal(path, "Read-only file system");
    char below[160];
    snprintf(below, sizeof below, "%s/new/plans.txt", dir);
    expect_refusal(below, "Read-only file system");
    return !tuned || stored() != n;
}

static void read_only(void **state)
{
    (void)state;
    size_t n = write_some();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(read_only_child(n));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("SKIP read_only: this process may not mount anything\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* New stores have the permissions that the umask leaves. */
static void permissions(void **state)
{
    (void)state;
    struct stat st;
    mode_t old = umask(027);
    write_some();
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

/* A damaged store is no obstacle to the next tuning, and no temporary file or lock stays behind. */
static void replaced(void **state)
{
    (void)state;
    char text[32];
    write_file(path, "rubbish\n", 8);
    snprintf(text, sizeof text, "%zu tuned shapes", write_some());
    struct cg_plans *p = open_plans();
    assert_non_null(strstr(cg_plans_source(p), text));
    cg_plans_close(p);
    assert_int_equal(files_in_dir(), 1);
    /* A link to nowhere is replaced as well. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/nowhere/plans", path), 0);
    write_some();
    assert_int_equal(files_in_dir(), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_writers, teardown)
    const struct CMUnitTest tests[] = {
        TEST(together),    TEST(first_together), TEST(without_locks), TEST(overtaken), TEST(overtaken_at_first),
        TEST(overwritten), TEST(killed),         TEST(unwritable),    TEST(refused),   TEST(unreadable),
        TEST(read_only),   TEST(permissions),    TEST(replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

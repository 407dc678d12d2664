#include "runtime/rewards/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "detect/bind.h"

extern char **environ;

static void close_pair(int fd[2])
{
    if (fd[0] >= 0) close(fd[0]);
    if (fd[1] >= 0) close(fd[1]);
}

/* The CPUs of this process for the one thread that starts a program, which inherits them. */
static void widen(cpu_set_t *old, int *widened)
{
    uint64_t mask[CG_MAX_CPUS / 64] = {0};
    *widened = 0;
    if (!cg_bind_mask(mask) || sched_getaffinity(0, sizeof *old, old) != 0) return;
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int i = 0; i < CG_MAX_CPUS && i < CPU_SETSIZE; i++)
        if (mask[i / 64] >> (i % 64) & 1) CPU_SET(i, &all);
    *widened = sched_setaffinity(0, sizeof all, &all) == 0;
}

static int set_up(posix_spawnattr_t *attr, posix_spawn_file_actions_t *files, const int in[2], const int out[2])
{
    sigset_t defaults, none;
    sigemptyset(&none);
    sigemptyset(&defaults);
    const int signals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaddset(&defaults, signals[i]);
    return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK) ||
           posix_spawnattr_setpgroup(attr, 0) || posix_spawnattr_setsigdefault(attr, &defaults) ||
           posix_spawnattr_setsigmask(attr, &none) || posix_spawn_file_actions_adddup2(files, in[0], 0) ||
           posix_spawn_file_actions_adddup2(files, out[1], 1) || posix_spawn_file_actions_addclosefrom_np(files, 3);
}

static int spawn(const char *command, const int in[2], const int out[2], pid_t *pid)
{
    char sh[] = "sh", c[] = "-c", text[strlen(command) + 1];
    char *argv[] = {sh, c, text, NULL};
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    cpu_set_t old;
    int widened, e;
    strcpy(text, command);
    if (posix_spawnattr_init(&attr) != 0) return ENOMEM;
    if (posix_spawn_file_actions_init(&files) != 0) {
        posix_spawnattr_destroy(&attr);
        return ENOMEM;
    }
    widen(&old, &widened);
    e = set_up(&attr, &files, in, out) ? ENOMEM : posix_spawn(pid, "/bin/sh", &files, &attr, argv, environ);
    if (widened) sched_setaffinity(0, sizeof old, &old);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return e;
}

enum cg_status cg_child_start(const char *command, struct cg_child *c)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, e = 0;
    *c = (struct cg_child){.in = -1, .out = -1};
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || fcntl(in[1], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(out[0], F_SETFL, O_NONBLOCK) != 0)
        e = errno;
    if (!e) e = spawn(command, in, out, &c->pid);
    if (e) {
        close_pair(in);
        close_pair(out);
        c->pid = 0;
        return cg_fail(CG_ERR_IO, "reward_program cannot be started: %s", strerror(e));
    }
    close(in[0]);
    close(out[1]);
    c->in = in[1];
    c->out = out[0];
    return CG_OK;
}

ssize_t cg_child_write(const struct cg_child *c, const char *data, size_t n)
{
    sigset_t pipe_signal, old, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
    ssize_t done = write(c->in, data, n);
    int e = errno;
    if (done < 0 && e == EPIPE && !sigismember(&pending, SIGPIPE)) {
        const struct timespec now = {0};
        while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR) continue;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = e;
    return done;
}

/* Has it left within so many seconds? */
static int left_within(pid_t pid, double seconds, int *status)
{
    double until = cg_now() + seconds;
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid || (got < 0 && errno != EINTR)) return 1;
        if (cg_now() >= until) return 0;
        const struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
    }
}

void cg_child_end(struct cg_child *c, double patience, char *how)
{
    int status = 0;
    if (how) *how = 0;
    if (c->pid <= 0) return;
    close(c->in);
    int left = left_within(c->pid, patience, &status);
    /* Its own children first get the chance to go as well; the group is gone when none is left. */
    kill(-c->pid, SIGTERM);
    if (!left && !left_within(c->pid, 1.0, &status)) {
        kill(-c->pid, SIGKILL);
        while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) continue;
    } else {
        kill(-c->pid, SIGKILL);
    }
    close(c->out);
    if (how && WIFEXITED(status)) snprintf(how, 64, "exit code %d", WEXITSTATUS(status));
    else if (how && WIFSIGNALED(status))
        snprintf(how, 64, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    *c = (struct cg_child){.in = -1, .out = -1};
}

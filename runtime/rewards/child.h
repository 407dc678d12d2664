/* A program of the user at two pipes. */
#ifndef CG_RUNTIME_REWARDS_CHILD_H
#define CG_RUNTIME_REWARDS_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include "common/status.h"

struct cg_child {
    pid_t pid;   /* 0: none */
    int in, out; /* its standard input, which we write, and its standard output, which we read; both non-blocking */
};

/* Starts `sh -c command` in a process group of its own, so that Ctrl-C reaches only this process, on all CPUs that this
 * process may use. Its standard error is ours; no other file of ours is open in it. */
enum cg_status cg_child_start(const char *command, struct cg_child *c);

/* As write(2), but a closed pipe is EPIPE and never a signal. */
ssize_t cg_child_write(const struct cg_child *c, const char *data, size_t n);

/* Ends it: closes its input, waits up to `patience` seconds for it to leave, then SIGTERM to its group, then SIGKILL;
 * nothing of it stays. `how` (64 bytes, or NULL) tells how it left: "exit code 3", "signal 9 (Killed)". */
void cg_child_end(struct cg_child *c, double patience, char *how);

#endif

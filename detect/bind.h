/* Where the threads of this process's parallel regions run: as the scheduler likes, each near its memory and on cores
 * of its kind, or each on a CPU of its own. It changes the speed, never a result. */
#ifndef CG_DETECT_BIND_H
#define CG_DETECT_BIND_H

#include "common/status.h"
#include "detect/machine.h"

enum cg_bind {
    CG_BIND_NONE,   /* where the scheduler puts them */
    CG_BIND_GROUPS, /* thread i on any usable CPU of the kind and the NUMA node of m->cpus[i]: it can still make way for
                       another program, which all threads would wait for at the next barrier */
    CG_BIND_CPUS    /* thread i on m->cpus[i] */
};

/* How `threads` threads are bound on `m`, from the environment. CPU_GRPO_BIND=auto (the default): by groups where the
 * usable CPUs are of several kinds or nodes; on: by CPUs; off: not at all. Not at all either when there are fewer CPUs
 * than threads, or the user has spoken to OpenMP (OMP_PROC_BIND, OMP_PLACES, GOMP_CPU_AFFINITY, KMP_AFFINITY).
 * CG_ERR_USER for another value of CPU_GRPO_BIND. */
enum cg_status cg_bind_choose(const struct cg_machine *m, int threads, enum cg_bind *how);

/* The CPUs of one thread of those that are bound (Linux's numbers) into out[m->n_cpus]; how many. */
int cg_bind_place(const struct cg_machine *m, enum cg_bind how, int thread, int *out);

/* Binds the calling thread and the others of its regions of `threads` threads, as cg_bind_choose says; `m` is the
 * machine at hand, detected by this process. What was bound before is undone first. Threads that OpenMP makes later
 * are bound as cg_bind_follow meets them. To be called outside of parallel regions, by the one thread of the process
 * that opens them. Where the system refuses, threads run where it likes. Errors as cg_bind_choose, and CG_ERR_MEMORY
 * and CG_ERR_INTERNAL (hwloc); nothing is bound then. */
enum cg_status cg_bind_threads(const struct cg_machine *m, int threads);

/* Gives all threads back the CPUs that the caller of cg_bind_threads had; before other programs are started, which
 * would inherit what the caller is bound to. */
void cg_bind_undo(void);

/* What was done, for people: "threads are bound to ..."; NULL when nothing is bound. */
const char *cg_bind_text(void);

/* Was it this thread that called cg_bind_threads? To be asked before a region opens. */
int cg_bind_is_mine(void);

/* Called by each thread in such a region: binds it where that is new to it, else costs a comparison. */
void cg_bind_follow(void);

/* The CPUs of this process while the calling thread has fewer, because cg_bind_threads or OpenMP has bound it: bits
 * into mask[CG_MAX_CPUS / 64]. 0 when neither has. */
int cg_bind_mask(uint64_t mask[CG_MAX_CPUS / 64]);

#endif

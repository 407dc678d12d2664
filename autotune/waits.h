/* How long the threads of this process have waited for a processor that others held: what no clock around a batch can
 * tell from work, and no count of involuntary switches counts when a sleeping thread wakes up late. */
#ifndef CG_AUTOTUNE_WAITS_H
#define CG_AUTOTUNE_WAITS_H

#include <stddef.h>

enum { CG_WAITS_MOST = 1024 }; /* threads that are looked at */

struct cg_waits {
    int *fd; /* [n] of the threads' /proc/self/task/TID/schedstat */
    size_t n;
};

/* Looks for the threads there are now; those that are made later are not seen. Where the system does not tell (another
 * kernel, a sandbox), n stays 0. */
void cg_waits_open(struct cg_waits *w);
void cg_waits_close(struct cg_waits *w);

/* Seconds that all of them have waited so far, together; negative when that is not known or a thread has ended. */
double cg_waits_seconds(const struct cg_waits *w);

#endif

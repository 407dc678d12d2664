/* Is the machine still the one that was tuned? A few stored plans are timed again, in turn with the default plans. */
#ifndef CG_AUTOTUNE_CHECK_H
#define CG_AUTOTUNE_CHECK_H

#include <signal.h>
#include <stddef.h>

#include "autotune/store.h"
#include "common/status.h"
#include "detect/machine.h"

enum { CG_CHECK_MOST = 5 };

/* One plan, timed again. */
struct cg_checked {
    const struct cg_tuned *tuned;  /* of the store */
    double gflops, gflops_default; /* now */
    double ratio, lo, hi;          /* time of the plan over the default's now, and its interval at 98% confidence */
    size_t samples;                /* pairs behind that */
};

enum cg_check_verdict {
    CG_CHECK_SAME,
    CG_CHECK_BUSY,   /* other programs were in the way: nothing can be said */
    CG_CHECK_LOSES,  /* a plan is surely slower than the default now */
    CG_CHECK_SLOWER, /* plans and defaults alike */
    CG_CHECK_FASTER,
    CG_CHECK_VERDICTS
};

struct cg_check {
    struct cg_checked e[CG_CHECK_MOST];
    size_t n;
    size_t batches, disturbed; /* disturbed: other programs held processors */
    size_t shifts;             /* changes of the machine's speed meanwhile */
    double speed;              /* now, of what was stored */
    double gain, gain_stored;  /* of the plans over their defaults, now and when they were tuned */
    enum cg_check_verdict verdict;
};

/* "same", "busy", "loses", "slower", "faster". */
const char *cg_check_verdict_name(enum cg_check_verdict v);

/* Chooses up to CG_CHECK_MOST plans of `s` for `threads` threads that can be timed in `seconds` together: those that
 * gain or lose the most, of the ones with so many tokens that it hardly counts from where the weights come, which a
 * short check cannot have as the model has them. At least one when there is any. Returns how many. */
size_t cg_check_choose(const struct cg_store *s, int threads, double seconds, const struct cg_tuned **out);

/* What the figures of `c` mean: fills speed, the gains and the verdict. */
void cg_check_judge(struct cg_check *c);

/* Does both, and the timing between them, in about `seconds` and what it takes to prepare the operands. `stop`: set by
 * Ctrl-C, or NULL. CG_ERR_USER when no such plan is stored for so many threads; CG_ERR_MEMORY. */
enum cg_status cg_check_run(const struct cg_machine *m, const struct cg_store *s, int threads, double seconds,
                            const volatile sig_atomic_t *stop, struct cg_check *c);

#endif

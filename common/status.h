/* Errors: functions return a status; the message that says what, where and what to do is kept per thread. */
#ifndef CG_COMMON_STATUS_H
#define CG_COMMON_STATUS_H

enum cg_status {
    CG_OK = 0,
    CG_ERR_USER,     /* a mistake of the user: bad option, bad file; programs exit with 2 */
    CG_ERR_IO,       /* the system refused: no such file, no space, no permission; exit 2 when it names a user's path */
    CG_ERR_MEMORY,   /* out of memory; exit 1 */
    CG_ERR_INTERNAL, /* a fault of ours; exit 1 */
    CG_ERR_CHECK,    /* what was looked at is not as it should be, by no one's fault; exit 1 */
    CG_ERR_INTERRUPTED, /* Ctrl-C; exit 130 */
};

/* Stores the message for this thread (one line, no trailing newline) and returns `status`. A CG_ERR_MEMORY also says
 * where the memory budget was the reason (common/mem.h). */
enum cg_status cg_fail(enum cg_status status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "PREFIX: " before the message stored last; returns `status`. */
enum cg_status cg_fail_in(enum cg_status status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The message stored last by this thread; "" when none. Valid until the next cg_fail of this thread. */
const char *cg_error(void);

/* Exit code of a program that ends with `status`: 0, 2 (user, I/O), 130 (interrupted) or 1. */
int cg_exit_code(enum cg_status status);

/* Returns from the calling function when `expr` is not CG_OK. */
#define CG_TRY(expr)                          \
    do {                                      \
        enum cg_status cg_try_ = (expr);      \
        if (cg_try_ != CG_OK) return cg_try_; \
    } while (0)

#endif

#include "common/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"

static _Thread_local char message[1024];

enum cg_status cg_fail(enum cg_status status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    char why[256];
    if (status == CG_ERR_MEMORY && n >= 0 && (size_t)n < sizeof message)
        snprintf(message + n, sizeof message - (size_t)n, "%s", cg_mem_refusal(why, sizeof why));
    return status;
}

enum cg_status cg_fail_in(enum cg_status status, const char *fmt, ...)
{
    char old[sizeof message];
    memcpy(old, message, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof message) snprintf(message + n, sizeof message - (size_t)n, ": %.900s", old);
    return status;
}

const char *cg_error(void)
{
    return message;
}

int cg_exit_code(enum cg_status status)
{
    switch (status) {
    case CG_OK: return 0;
    case CG_ERR_USER:
    case CG_ERR_IO: return 2;
    case CG_ERR_INTERRUPTED: return 130;
    case CG_ERR_MEMORY:
    case CG_ERR_INTERNAL:
    case CG_ERR_CHECK: break;
    }
    return 1;
}

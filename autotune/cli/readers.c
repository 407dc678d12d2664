/* What stands behind an option, by kind. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "common/words.h"
#include "kernels/registry.h"

static enum cg_status number(const struct cg_cli_option *o, const char *text, double *out)
{
    char *end, shown[CG_SHOWN];
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || *end || errno || !(*out >= o->lo && *out <= o->hi))
        return cg_fail(CG_ERR_USER, "--%s %s: give a number from %g to %g", o->name, cg_show(text, shown), o->lo,
                       o->hi);
    return CG_OK;
}

CG_CLI_READER(REAL)
{
    return number(o, text, field);
}

CG_CLI_READER(INT)
{
    double x;
    char shown[CG_SHOWN];
    CG_TRY(number(o, text, &x));
    if (x != floor(x)) return cg_fail(CG_ERR_USER, "--%s %s is no whole number", o->name, cg_show(text, shown));
    *(int *)field = (int)x;
    return CG_OK;
}

CG_CLI_READER(FILE)
{
    if (!*text) return cg_fail(CG_ERR_USER, "--%s needs a file", o->name);
    *(const char **)field = text;
    return CG_OK;
}

CG_CLI_READER(MODELS)
{
    struct cg_cli_texts *texts = field;
    if (!*text) return cg_fail(CG_ERR_USER, "--%s needs a path", o->name);
    if (texts->n == CG_CLI_MOST) return cg_fail(CG_ERR_USER, "--%s: at most %d may be given", o->name, CG_CLI_MOST);
    texts->t[texts->n++] = text;
    return CG_OK;
}

CG_CLI_READER(OPS)
{
    static const enum cg_op all[] = {CG_OP_gemm_f32, CG_OP_gemm_s8, CG_OP_gemm_bf16w, CG_OP_gemm_bf16};
    unsigned *ops = field;
    char shown[CG_SHOWN];
    *ops = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ","), i = 0;
        for (; i < 4; i++) {
            const char *name = cg_op_name(all[i]) + strlen("gemm_");
            if (strlen(name) == len && strncmp(p, name, len) == 0) break;
        }
        if (i == 4)
            return cg_fail(CG_ERR_USER, "--%s %s: give some of f32, s8, bf16w and bf16, as in f32,s8", o->name,
                           cg_show(text, shown));
        *ops |= 1u << all[i];
        p += len;
        if (!*p) return CG_OK;
    }
}

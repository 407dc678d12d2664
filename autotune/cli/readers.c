/* What stands behind an option, by kind. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/cli/cli.h"
#include "common/words.h"
#include "kernels/registry.h"

CG_CLI_READER(REAL)
{
    double *x = field;
    char *end, shown[CG_SHOWN];
    errno = 0;
    *x = strtod(text, &end);
    if (end == text || *end || errno || !(*x >= o->lo && *x <= o->hi))
        return cg_fail(CG_ERR_USER, "--%s %s: give a number from %g to %g", o->name, cg_show(text, shown), o->lo,
                       o->hi);
    return CG_OK;
}

/* Numbers of at most 4096, each once. */
CG_CLI_READER(THREADS)
{
    struct cg_cli_threads *all = field;
    char shown[CG_SHOWN];
    all->n = 0;
    for (const char *p = text;; p++) {
        char *end;
        long t = *p >= '0' && *p <= '9' ? strtol(p, &end, 10) : -1;
        if (t < 0 || t > 4096 || (*end && *end != ','))
            return cg_fail(CG_ERR_USER, "--%s %s: give a number from 0 to 4096, or several with commas", o->name,
                           cg_show(text, shown));
        size_t i = 0;
        while (i < all->n && all->t[i] != (int)t) i++;
        if (i == CG_CLI_MOST) return cg_fail(CG_ERR_USER, "--%s: at most %d may be given", o->name, CG_CLI_MOST);
        all->t[i] = (int)t;
        all->n += i == all->n;
        p = end;
        if (!*p) return CG_OK;
    }
}

CG_CLI_READER(SHAPES)
{
    if (strcmp(text, "@") == 0) return cg_fail(CG_ERR_USER, "--%s @ needs a file", o->name);
    enum cg_status st = text[0] == '@' ? cg_shapes_read(field, text + 1) : cg_shapes_parse(field, text);
    return st == CG_OK ? st : cg_fail_in(st, "--%s", o->name);
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

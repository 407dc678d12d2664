/* Shapes as people write them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/shapes.h"
#include "autotune/store.h"
#include "common/file.h"
#include "common/mem.h"
#include "common/words.h"

enum { MAX_SIDE = 1 << 24, MAX_SHAPES = 1024, MAX_FILE = 1 << 20 };
#define MODEL_BYTES ((size_t)1 << 30) /* as in a model whose weights no cache holds between two calls */

/* The index of `name`, `len` characters, in names[n]; n when it is none of them. */
static size_t index_of(const char *name, size_t len, const char *const *names, size_t n)
{
    size_t i = 0;
    while (i < n && (strlen(names[i]) != len || strncmp(names[i], name, len) != 0)) i++;
    return i;
}

static int parse_sides(const char *p, const char *end, size_t sides[3])
{
    for (int i = 0; i < 3; i++) {
        char *after;
        if (p >= end || *p < '0' || *p > '9') return 0;
        errno = 0;
        unsigned long long v = strtoull(p, &after, 10);
        if (errno || v < 1 || v > MAX_SIDE) return 0;
        sides[i] = (size_t)v;
        if (i < 2 && *after++ != 'x') return 0;
        p = after;
    }
    return p == end;
}

/* "[OP:][FORM:]MxNxK"; what is left out is f32 and nt. */
static int parse_one(const char *p, const char *end, struct cg_shape *s)
{
    static const enum cg_op op_of[] = {CG_OP_gemm_f32, CG_OP_gemm_s8, CG_OP_gemm_bf16w, CG_OP_gemm_bf16};
    static const char *const ops[] = {"f32", "s8", "bf16w", "bf16"}, *const forms[] = {"nt", "nn", "tn"};
    size_t sides[3], n, i;
    *s = (struct cg_shape){.op = CG_OP_gemm_f32, .form = CG_FORM_NT, .model_bytes = MODEL_BYTES, .weight = 1};
    n = strcspn(p, ":");
    if (p + n < end && (i = index_of(p, n, ops, 4)) < 4) {
        s->op = op_of[i];
        p += n + 1;
    }
    n = strcspn(p, ":");
    if (p + n < end && (i = index_of(p, n, forms, 3)) < 3) {
        s->form = (enum cg_form)i;
        p += n + 1;
    }
    if (!parse_sides(p, end, sides)) return 0;
    s->m = sides[0];
    s->n = sides[1];
    s->k = sides[2];
    return 1;
}

static enum cg_status parse_add(struct cg_shapes *all, const char *p, size_t len)
{
    struct cg_shape s;
    char text[64], shown[CG_SHOWN];
    snprintf(text, sizeof text, "%.*s", len < 60 ? (int)len : 60, p);
    cg_show(text, shown);
    if (!parse_one(p, p + len, &s))
        return cg_fail(CG_ERR_USER,
                       "\"%s\" is no shape; write MxNxK or OP:FORM:MxNxK, as in 64x1536x576, s8:32x576x576 or "
                       "f32:nn:256x576x1536",
                       shown);
    if (s.op != CG_OP_gemm_f32 && s.form != CG_FORM_NT)
        return cg_fail(CG_ERR_USER, "\"%s\": only f32 has the forms nn and tn", shown);
    if (all->n >= MAX_SHAPES) return cg_fail(CG_ERR_USER, "more than %d shapes", MAX_SHAPES);
    size_t *tokens = s.form == CG_FORM_TN ? &s.k : &s.m;
    *tokens = cg_token_bucket(*tokens);
    if (cg_shape_flops(&s) / 2 > CG_SHAPE_MAX_WORK)
        return cg_fail(CG_ERR_USER, "\"%s\" takes more than %g multiply-adds; give fewer rows", shown,
                       CG_SHAPE_MAX_WORK);
    snprintf(s.what, sizeof s.what, "given");
    return cg_shapes_add_one(all, &s);
}

enum cg_status cg_shapes_parse(struct cg_shapes *all, const char *text)
{
    size_t before = all->n;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ", \t\r\n#");
        if (len) CG_TRY(parse_add(all, p, len));
        p += len;
        p += *p == '#' ? strcspn(p, "\n") : strspn(p, ", \t\r\n");
    }
    return all->n > before ? CG_OK : cg_fail(CG_ERR_USER, "no shape is given");
}

enum cg_status cg_shapes_read(struct cg_shapes *all, const char *path)
{
    char *text;
    size_t size;
    CG_TRY(cg_file_read(path, MAX_FILE, &text, &size));
    enum cg_status st = strlen(text) == size ? cg_shapes_parse(all, text) : cg_fail(CG_ERR_USER, "it is no text");
    cg_free(text);
    return st == CG_OK ? st : cg_fail_in(st, "%s", path);
}

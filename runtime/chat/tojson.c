/* The filter tojson as transformers has it: json.dumps(x, ensure_ascii=False, indent=...). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/chat/run.h"

#define MAX_DEPTH 200

struct writer {
    FILE *f;
    size_t *steps;
    int64_t indent; /* -1: all on one line */
};

static void write_string(const struct writer *w, struct cg_jstr s)
{
    static const char special[] = "\"\\\n\r\t\b\f", letter[] = "\"\\nrtbf";
    fputc('"', w->f);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.s[i];
        const char *p = c ? strchr(special, c) : NULL;
        if (p) fprintf(w->f, "\\%c", letter[p - special]);
        else if (c < 0x20) fprintf(w->f, "\\u%04x", c);
        else fputc(c, w->f);
    }
    fputc('"', w->f);
}

static void new_line(const struct writer *w, int depth)
{
    if (w->indent < 0) return;
    fprintf(w->f, "\n%*s", (int)(w->indent * depth), "");
}

static enum cg_status write_value(const struct writer *w, struct cg_jv v, int depth);

static enum cg_status write_items(const struct writer *w, const struct cg_jv *v, const struct cg_jstr *keys, size_t n,
                                  int depth)
{
    const char *ends = keys ? "{}" : "[]";
    if (depth == MAX_DEPTH) return cg_fail(CG_ERR_USER, "tojson: more than %d levels of values", MAX_DEPTH);
    fputc(ends[0], w->f);
    for (size_t i = 0; i < n; i++) {
        if (i) fputs(w->indent < 0 ? ", " : ",", w->f);
        new_line(w, depth + 1);
        if (keys) {
            write_string(w, keys[i]);
            fputs(": ", w->f);
        }
        CG_TRY(write_value(w, v[i], depth + 1));
    }
    if (n) new_line(w, depth);
    fputc(ends[1], w->f);
    return CG_OK;
}

static enum cg_status write_value(const struct writer *w, struct cg_jv v, int depth)
{
    char real[40];
    if (*w->steps == 0) return cg_fail(CG_ERR_USER, "the template runs too long");
    --*w->steps;
    static const struct cg_jstr no_keys;
    switch (v.kind) {
    case CG_J_NONE: fputs("null", w->f); return CG_OK;
    case CG_J_BOOL: fputs(v.i ? "true" : "false", w->f); return CG_OK;
    case CG_J_INT: fprintf(w->f, "%" PRId64, v.i); return CG_OK;
    case CG_J_REAL:
        cg_jreal_text(v.d, real);
        fputs(isnan(v.d) ? "NaN" : isinf(v.d) ? (v.d > 0 ? "Infinity" : "-Infinity") : real, w->f);
        return CG_OK;
    case CG_J_STR: write_string(w, v.str); return CG_OK;
    case CG_J_LIST: return write_items(w, v.list->v, NULL, v.list->n, depth);
    case CG_J_DICT: return write_items(w, v.dict->v, v.dict->n ? v.dict->key : &no_keys, v.dict->n, depth);
    case CG_J_UNDEFINED: return cg_jundefined_fault(v);
    default: return cg_fail(CG_ERR_USER, "tojson: %s cannot be written as JSON", cg_jkind_name(v));
    }
}

enum cg_status cg_jtojson(struct cg_jrun *r, struct cg_jv v, const struct cg_jargs *args, struct cg_jv *out)
{
    struct writer w = {.indent = -1, .steps = &r->steps};
    char *text = NULL;
    size_t n = 0;
    CG_TRY(cg_jargs_check(args, "tojson", 2, "indent|ensure_ascii"));
    const struct cg_jv *ascii = cg_jarg(args, 0, "ensure_ascii"), *indent = cg_jarg(args, 1, "indent");
    if (ascii && cg_jtrue(*ascii))
        return cg_fail(CG_ERR_USER, "the argument 'ensure_ascii' of tojson is not supported");
    if (indent && indent->kind != CG_J_NONE) CG_TRY(cg_jarg_int(args, 1, "indent", "tojson", &w.indent));
    if (w.indent > 64) return cg_fail(CG_ERR_USER, "tojson: an indent of more than 64");
    w.f = open_memstream(&text, &n);
    if (!w.f) return cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
    enum cg_status s = write_value(&w, v, 0);
    if (fclose(w.f) != 0 && s == CG_OK) s = cg_fail(CG_ERR_MEMORY, "out of memory for the chat template");
    if (s == CG_OK) {
        struct cg_jstr copy = cg_jjoin(r->arena, (struct cg_jstr){text, n}, (struct cg_jstr){"", 0});
        *out = cg_jtext(copy.s, copy.n);
        if (!copy.s) s = r->arena->failed;
    }
    free(text);
    return s;
}

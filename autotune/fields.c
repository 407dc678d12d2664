#include "autotune/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bounds are within the member. */
#define CG_FIELD(name, kind, member, least, most, meaning) \
    _Static_assert((uint64_t)(most) >> (8 * sizeof(((struct cg_tuned *)0)->member) - 1) >> 1 == 0, #name " is wider");
#include "autotune/fields.def"
#undef CG_FIELD

#define PLAN_START offsetof(struct cg_tuned, plan)
#define PLAN_END (PLAN_START + sizeof(struct cg_plan))

const struct cg_field *cg_fields(size_t *n)
{
    static const struct cg_field fields[] = {
#define CG_FIELD(name_, kind_, member, least_, most_, meaning_) \
    {.name = #name_,                                            \
     .meaning = meaning_,                                       \
     .kind = CG_KIND_##kind_,                                   \
     .at = offsetof(struct cg_tuned, member),                   \
     .size = sizeof(((struct cg_tuned *)0)->member),            \
     .least = least_,                                           \
     .most = most_,                                             \
     .in_plan = offsetof(struct cg_tuned, member) >= PLAN_START && offsetof(struct cg_tuned, member) < PLAN_END},
#include "autotune/fields.def"
#undef CG_FIELD
    };
    *n = sizeof fields / sizeof *fields;
    return fields;
}

static enum cg_status out_of_bounds(const struct cg_field *f, const char *text)
{
    return cg_fail(CG_ERR_USER, "%s is \"%.32s\", not a number from %.15g to %.15g", f->name, text, f->least, f->most);
}

static enum cg_status parse_count(const struct cg_field *f, const char *text, char *to)
{
    size_t len = strlen(text);
    if (len == 0 || len > 18 || strspn(text, "0123456789") != len) return out_of_bounds(f, text);
    uint64_t v = strtoull(text, NULL, 10);
    if ((double)v < f->least || (double)v > f->most) return out_of_bounds(f, text);
    uint16_t v16 = (uint16_t)v;
    uint32_t v32 = (uint32_t)v;
    if (f->size == sizeof v) memcpy(to, &v, sizeof v);
    else if (f->size == sizeof v32) memcpy(to, &v32, sizeof v32);
    else memcpy(to, &v16, sizeof v16);
    return CG_OK;
}

static enum cg_status parse_real(const struct cg_field *f, const char *text, char *to)
{
    char *end;
    if (!*text || strspn(text, "0123456789.e+-") != strlen(text)) return out_of_bounds(f, text);
    double v = strtod(text, &end);
    if (*end || !isfinite(v) || !(v >= f->least && v <= f->most)) return out_of_bounds(f, text);
    memcpy(to, &v, sizeof v);
    return CG_OK;
}

static enum cg_status parse_op(const char *text, enum cg_op *op)
{
    for (int i = 0; i < CG_OP_COUNT; i++) {
        *op = (enum cg_op)i;
        if (cg_op_is_gemm(*op) && strcmp(text, cg_op_name(*op)) == 0) return CG_OK;
    }
    return cg_fail(CG_ERR_USER, "unknown operation \"%.32s\"", text);
}

static enum cg_status parse_form(const char *text, enum cg_form *form)
{
    for (int i = CG_FORM_NT; i <= CG_FORM_TN; i++) {
        *form = (enum cg_form)i;
        if (strcmp(text, cg_form_name(*form)) == 0) return CG_OK;
    }
    return cg_fail(CG_ERR_USER, "unknown form \"%.32s\"", text);
}

enum cg_status cg_field_parse(const struct cg_field *f, const char *text, struct cg_tuned *t)
{
    char *to = (char *)t + f->at;
    switch (f->kind) {
    case CG_KIND_OP: return parse_op(text, &t->op);
    case CG_KIND_FORM: return parse_form(text, &t->form);
    case CG_KIND_COUNT: return parse_count(f, text, to);
    case CG_KIND_REAL: return parse_real(f, text, to);
    case CG_KIND_VARIANT: break;
    }
    t->plan.variant = cg_variant_named(text);
    return t->plan.variant ? CG_OK : cg_fail(CG_ERR_USER, "unknown variant \"%.64s\"", text);
}

const char *cg_field_name_of(const struct cg_field *f, const struct cg_tuned *t)
{
    switch (f->kind) {
    case CG_KIND_OP: return cg_op_name(t->op);
    case CG_KIND_FORM: return cg_form_name(t->form);
    case CG_KIND_VARIANT: return t->plan.variant->name;
    case CG_KIND_COUNT:
    case CG_KIND_REAL: break;
    }
    return NULL;
}

double cg_field_number_of(const struct cg_field *f, const struct cg_tuned *t)
{
    const char *from = (const char *)t + f->at;
    double real = 0;
    uint64_t v = 0;
    uint32_t v32;
    uint16_t v16;
    switch (f->kind) {
    case CG_KIND_REAL: memcpy(&real, from, sizeof real); return real;
    case CG_KIND_COUNT: break;
    case CG_KIND_OP:
    case CG_KIND_FORM:
    case CG_KIND_VARIANT: return 0;
    }
    if (f->size == sizeof v) memcpy(&v, from, sizeof v);
    else if (f->size == sizeof v32) memcpy(&v32, from, sizeof v32), v = v32;
    else memcpy(&v16, from, sizeof v16), v = v16;
    return (double)v;
}

/* The fields of a tuned plan as data: what the store's text and the reports go through. */
#ifndef CG_AUTOTUNE_FIELDS_H
#define CG_AUTOTUNE_FIELDS_H

#include <stdio.h>

#include "autotune/store.h"

enum cg_field_kind {
    CG_KIND_OP,      /* enum cg_op, by its name; GEMMs only */
    CG_KIND_FORM,    /* enum cg_form, by its name */
    CG_KIND_VARIANT, /* const struct cg_variant *, by its name */
    CG_KIND_COUNT,   /* an unsigned integer of 2, 4 or 8 bytes */
    CG_KIND_REAL,    /* double */
};

struct cg_field {
    const char *name, *meaning;
    enum cg_field_kind kind;
    size_t at, size;    /* of the member of struct cg_tuned */
    double least, most; /* numbers only */
    int in_plan;        /* of cg_tuned.plan, not of the shape or what was measured */
};

/* All of them, in the order of the file (fields.def). */
const struct cg_field *cg_fields(size_t *n);

/* Reads one field into `t`. CG_ERR_USER when `text` is no name or number of that kind, or out of bounds. */
enum cg_status cg_field_parse(const struct cg_field *f, const char *text, struct cg_tuned *t);

/* The name that a field of `t` has as its value; NULL for numbers. */
const char *cg_field_name_of(const struct cg_field *f, const struct cg_tuned *t);
/* The number; 0 for names. */
double cg_field_number_of(const struct cg_field *f, const struct cg_tuned *t);

#endif

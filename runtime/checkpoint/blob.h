/* What a checkpoint holds beside model, tokenizer and options: named arrays and named numbers. Whoever has something to
 * be kept lists it once, by where it lies in memory; writing and reading go through the same list, so that nothing is
 * copied and neither can forget what the other knows. */
#ifndef CG_RUNTIME_CHECKPOINT_BLOB_H
#define CG_RUNTIME_CHECKPOINT_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct json_t;

/* An array of numbers in little-endian order: those of the f32 contract row by row, whatever a kernel has made of
 * them. */
struct cg_blob {
    const char *name;  /* "adamw.exp_avg"; a literal */
    const char *dtype; /* as safetensors has it: "F32", "U8", "I32", ... */
    void *data;        /* [count] */
    size_t count;
};
#define CG_BLOBS_MAX 32 /* in one list */

enum cg_number_kind { CG_NUMBER_I32, CG_NUMBER_U32, CG_NUMBER_U64, CG_NUMBER_F64 };
struct cg_number {
    const char *name;
    enum cg_number_kind kind;
    void *at;
};
#define CG_NUMBERS_MAX 32 /* in one list */

/* A number of the list: CG_NUMBER("draws", &s->draws). */
#define CG_NUMBER(title, where)                         \
    {                                                   \
        .name = (title),                                \
        .kind = _Generic(*(where), int                  \
                         : CG_NUMBER_I32, unsigned      \
                         : CG_NUMBER_U32, unsigned long \
                         : CG_NUMBER_U64, double        \
                         : CG_NUMBER_F64),              \
        .at = (where)                                   \
    }

/* The numbers as members of the JSON object `to`; CG_ERR_MEMORY. One that is not finite becomes null. */
enum cg_status cg_numbers_put(const struct cg_number *list, size_t n, struct json_t *to);
/* And back. CG_ERR_USER names a number that is missing or of another kind; what it held before stays. null: NaN. */
enum cg_status cg_numbers_get(const struct cg_number *list, size_t n, const struct json_t *from);

#endif

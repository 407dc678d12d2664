#include "runtime/checkpoint/blob.h"

#include <jansson.h>
#include <math.h>

#include "runtime/model/json.h"

static json_t *to_json(const struct cg_number *x)
{
    switch (x->kind) {
    case CG_NUMBER_I32: return json_integer(*(const int *)x->at);
    case CG_NUMBER_U32: return json_integer(*(const uint32_t *)x->at);
    case CG_NUMBER_U64: return json_integer((json_int_t) * (const uint64_t *)x->at);
    case CG_NUMBER_F64: break;
    }
    return cg_json_number(*(const double *)x->at);
}

enum cg_status cg_numbers_put(const struct cg_number *list, size_t n, json_t *to)
{
    for (size_t i = 0; i < n; i++)
        if (json_object_set_new(to, list[i].name, to_json(&list[i])) != 0)
            return cg_fail(CG_ERR_MEMORY, "out of memory");
    return CG_OK;
}

static int from_json(const struct cg_number *x, const json_t *j)
{
    json_int_t i = json_integer_value(j);
    if (x->kind == CG_NUMBER_F64) {
        if (!json_is_number(j) && !json_is_null(j)) return 0;
        *(double *)x->at = json_is_null(j) ? (double)NAN : json_number_value(j);
        return 1;
    }
    if (!json_is_integer(j)) return 0;
    switch (x->kind) {
    case CG_NUMBER_I32:
        if (i < INT32_MIN || i > INT32_MAX) return 0;
        *(int *)x->at = (int)i;
        return 1;
    case CG_NUMBER_U32:
        if (i < 0 || i > UINT32_MAX) return 0;
        *(uint32_t *)x->at = (uint32_t)i;
        return 1;
    case CG_NUMBER_U64:
        if (i < 0) return 0;
        *(uint64_t *)x->at = (uint64_t)i;
        return 1;
    case CG_NUMBER_F64: break;
    }
    return 0;
}

enum cg_status cg_numbers_get(const struct cg_number *list, size_t n, const json_t *from)
{
    for (size_t i = 0; i < n; i++)
        if (!from_json(&list[i], json_object_get(from, list[i].name)))
            return cg_fail(CG_ERR_USER, "its state has no usable '%s'; was it made by another version?", list[i].name);
    return CG_OK;
}

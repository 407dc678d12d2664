#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/model/safetensors.h"

static size_t item_bytes(const struct cg_st_item *t)
{
    size_t n = sizeof(float);
    for (size_t i = 0; i < t->n_dims; i++) n *= t->dims[i];
    return n;
}

/* The JSON header, padded with spaces so that the data after it starts at a multiple of 8; NULL without memory. */
static char *make_header(const struct cg_st_item *items, size_t n, size_t *len)
{
    json_t *h = json_pack("{s{ss}}", "__metadata__", "format", "pt");
    size_t at = 0;
    int bad = h == NULL;
    for (size_t i = 0; i < n && !bad; i++) {
        json_t *shape = json_array();
        size_t end = at + item_bytes(&items[i]);
        for (size_t k = 0; k < items[i].n_dims; k++)
            bad |= json_array_append_new(shape, json_integer((json_int_t)items[i].dims[k]));
        json_t *t =
            json_pack("{sssos[II]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)at, (json_int_t)end);
        bad |= json_object_set_new(h, items[i].name, t);
        at = end;
    }
    char *text = bad ? NULL : json_dumps(h, JSON_COMPACT);
    json_decref(h);
    if (!text) return NULL;
    size_t used = strlen(text), padded = (used + 7) / 8 * 8;
    char *out = realloc(text, padded + 1);
    if (!out) {
        free(text);
        return NULL;
    }
    memset(out + used, ' ', padded - used);
    *len = padded;
    return out;
}

enum cg_status cg_st_write(const char *path, const struct cg_st_item *items, size_t n)
{
    size_t len;
    char *header = make_header(items, n, &len);
    if (!header) return cg_fail(CG_ERR_MEMORY, "out of memory while writing %s", path);
    struct cg_out out;
    enum cg_status s = cg_out_open(path, &out);
    if (s == CG_OK) {
        uint64_t n64 = len;
        int ok = fwrite(&n64, 8, 1, out.f) == 1 && fwrite(header, 1, len, out.f) == len;
        /* The first failure ends it, so that the commit reports that one's reason. */
        for (size_t i = 0; i < n && ok; i++) {
            size_t bytes = item_bytes(&items[i]);
            ok = fwrite(items[i].data, 1, bytes, out.f) == bytes;
        }
        s = cg_out_commit(&out);
    }
    free(header);
    return s;
}

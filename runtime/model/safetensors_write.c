#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/model/dtype.h"
#include "runtime/model/safetensors.h"

#define PIECE ((size_t)65536) /* values that are converted at a time */

static size_t item_count(const struct cg_st_item *t)
{
    size_t n = 1;
    for (size_t i = 0; i < t->n_dims; i++) n *= t->dims[i];
    return n;
}

static const char *dtype(const struct cg_st_item *t)
{
    return t->dtype ? t->dtype : t->bf16 ? "BF16" : "F32";
}

static size_t item_bytes(const struct cg_st_item *t)
{
    return item_count(t) * cg_st_dtype_size(dtype(t));
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
        json_t *t = json_pack("{sssos[II]}", "dtype", dtype(&items[i]), "shape", shape, "data_offsets", (json_int_t)at,
                              (json_int_t)end);
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

/* Values of one piece: whole rows, about PIECE of them. */
static size_t piece_of(const struct cg_st_item *t)
{
    if (t->dtype) return 0;
    size_t cols = t->n_dims ? t->dims[t->n_dims - 1] : 1;
    return cols == 0 || cols >= PIECE ? cols : PIECE / cols * cols;
}

/* The data of one item. A failed write is left to the commit, which reports it; *ok is 0 then. buf: [piece_of(t)]. */
static enum cg_status write_item(const struct cg_st_item *t, FILE *f, float *buf, int *ok)
{
    if (t->dtype) {
        *ok = fwrite(t->raw, 1, item_bytes(t), f) == item_bytes(t);
        return CG_OK;
    }
    size_t count = item_count(t), piece = piece_of(t), size = t->bf16 ? sizeof(uint16_t) : sizeof(float);
    for (size_t at = 0, n; at < count && *ok; at += n) {
        n = count - at < piece ? count - at : piece;
        if (t->data) memcpy(buf, t->data + at, n * sizeof *buf);
        else CG_TRY(t->read(t->ctx, at, n, buf));
        if (t->bf16) cg_to_bf16(buf, n, (unsigned char *)buf); /* a value is read before its place is written */
        *ok = fwrite(buf, size, n, f) == n;
    }
    return CG_OK;
}

static enum cg_status write_all(FILE *f, const char *header, size_t len, const struct cg_st_item *items, size_t n)
{
    uint64_t n64 = len;
    size_t most = 1;
    for (size_t i = 0; i < n; i++) most = piece_of(&items[i]) > most ? piece_of(&items[i]) : most;
    float *buf = malloc(most * sizeof *buf);
    if (!buf) return cg_fail(CG_ERR_MEMORY, "out of memory");
    enum cg_status s = CG_OK;
    int ok = fwrite(&n64, 8, 1, f) == 1 && fwrite(header, 1, len, f) == len;
    for (size_t i = 0; i < n && ok && s == CG_OK; i++) s = write_item(&items[i], f, buf, &ok);
    free(buf);
    return s;
}

enum cg_status cg_st_write(const char *path, const struct cg_st_item *items, size_t n)
{
    size_t len;
    char *header = make_header(items, n, &len);
    if (!header) return cg_fail(CG_ERR_MEMORY, "out of memory while writing %s", path);
    struct cg_out out;
    enum cg_status s = cg_out_open(path, &out);
    if (s == CG_OK) {
        s = write_all(out.f, header, len, items, n);
        if (s == CG_OK) s = cg_out_commit(&out);
        else cg_out_discard(&out);
    }
    free(header);
    return s;
}

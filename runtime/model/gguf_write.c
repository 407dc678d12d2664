#include "runtime/model/gguf_write.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "runtime/model/dtype.h"
#include "runtime/model/gguf_internal.h"
#include "runtime/model/gguf_names.h"

#define ALIGNMENT ((uint64_t)32)
#define PIECE ((size_t)1 << 18) /* values that are converted at a time */

/* ---- Metadata ---------------------------------------------------------------------------------------------------- */

enum cg_status cg_gguf_meta_open(struct cg_gguf_meta *m)
{
    memset(m, 0, sizeof *m);
    m->f = open_memstream(&m->data, &m->size);
    return m->f ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory for the metadata");
}

void cg_gguf_meta_close(struct cg_gguf_meta *m)
{
    if (m->f) fclose(m->f);
    free(m->data);
    memset(m, 0, sizeof *m);
}

static void put_str(FILE *f, const char *s, size_t n)
{
    uint64_t n64 = n;
    fwrite(&n64, sizeof n64, 1, f);
    fwrite(s, 1, n, f);
}

static void put_key(struct cg_gguf_meta *m, const char *key, uint32_t type)
{
    put_str(m->f, key, strlen(key));
    fwrite(&type, sizeof type, 1, m->f);
    m->count++;
}

void cg_gguf_put_u32(struct cg_gguf_meta *m, const char *key, uint32_t v)
{
    put_key(m, key, CG_GGUF_U32);
    fwrite(&v, sizeof v, 1, m->f);
}

void cg_gguf_put_f32(struct cg_gguf_meta *m, const char *key, float v)
{
    put_key(m, key, CG_GGUF_F32);
    fwrite(&v, sizeof v, 1, m->f);
}

void cg_gguf_put_bool(struct cg_gguf_meta *m, const char *key, int v)
{
    put_key(m, key, CG_GGUF_BOOL);
    fputc(v != 0, m->f);
}

void cg_gguf_put_string(struct cg_gguf_meta *m, const char *key, const char *s, size_t n)
{
    put_key(m, key, CG_GGUF_STRING);
    put_str(m->f, s, n);
}

static void put_array(struct cg_gguf_meta *m, const char *key, uint32_t type, uint64_t n)
{
    put_key(m, key, CG_GGUF_ARRAY);
    fwrite(&type, sizeof type, 1, m->f);
    fwrite(&n, sizeof n, 1, m->f);
}

void cg_gguf_put_strings(struct cg_gguf_meta *m, const char *key, size_t n)
{
    put_array(m, key, CG_GGUF_STRING, n);
}

void cg_gguf_put_ints(struct cg_gguf_meta *m, const char *key, size_t n)
{
    put_array(m, key, CG_GGUF_I32, n);
}

void cg_gguf_item_string(struct cg_gguf_meta *m, const char *s, size_t n)
{
    put_str(m->f, s, n);
}

void cg_gguf_item_int(struct cg_gguf_meta *m, int32_t v)
{
    fwrite(&v, sizeof v, 1, m->f);
}

/* "ARCH.KEY" = v. */
static void arch_u32(struct cg_gguf_meta *m, const struct cg_config *c, const char *key, size_t v)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", cg_architecture(c->arch)->name, key);
    cg_gguf_put_u32(m, full, (uint32_t)v);
}

static void arch_f32(struct cg_gguf_meta *m, const struct cg_config *c, const char *key, float v)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", cg_architecture(c->arch)->name, key);
    cg_gguf_put_f32(m, full, v);
}

/* general.file_type, as llama.cpp counts them. */
static uint32_t file_type(enum cg_gguf_dtype type)
{
    return type == CG_GGUF_TO_Q8_0 ? 7 : type == CG_GGUF_TO_BF16 ? 32 : 0;
}

static void put_config(struct cg_gguf_meta *m, const struct cg_config *c, enum cg_gguf_dtype type)
{
    const char *name = cg_architecture(c->arch)->name;
    cg_gguf_put_string(m, "general.architecture", name, strlen(name));
    cg_gguf_put_string(m, "general.type", "model", 5);
    cg_gguf_put_u32(m, "general.file_type", file_type(type));
    cg_gguf_put_u32(m, "general.quantization_version", 2);
    arch_u32(m, c, "block_count", c->num_hidden_layers);
    arch_u32(m, c, "context_length", c->max_position_embeddings);
    arch_u32(m, c, "embedding_length", c->hidden_size);
    arch_u32(m, c, "feed_forward_length", c->intermediate_size);
    arch_u32(m, c, "attention.head_count", c->num_attention_heads);
    arch_u32(m, c, "attention.head_count_kv", c->num_key_value_heads);
    arch_u32(m, c, "attention.key_length", c->head_dim);
    arch_u32(m, c, "attention.value_length", c->head_dim);
    arch_u32(m, c, "rope.dimension_count", c->head_dim);
    arch_u32(m, c, "vocab_size", c->vocab_size);
    arch_f32(m, c, "attention.layer_norm_rms_epsilon", c->rms_norm_eps);
    arch_f32(m, c, "rope.freq_base", (float)c->rope_theta);
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

static size_t columns(const struct cg_tensor_ref *t)
{
    return t->cols ? t->cols : t->rows;
}

static enum cg_gguf_dtype type_of(const struct cg_tensor_ref *t, enum cg_gguf_dtype wanted)
{
    return t->cols == 0 || (wanted == CG_GGUF_TO_Q8_0 && t->cols % 32) ? CG_GGUF_TO_F32 : wanted;
}

static size_t row_bytes(const struct cg_tensor_ref *t, enum cg_gguf_dtype type)
{
    size_t n = columns(t);
    return type == CG_GGUF_TO_Q8_0 ? n / 32 * 34 : type == CG_GGUF_TO_BF16 ? n * 2 : n * 4;
}

static uint64_t aligned(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void put_infos(FILE *f, const struct cg_model *m, enum cg_gguf_dtype wanted)
{
    uint64_t at = 0;
    for (size_t i = 0; i < cg_model_tensor_count(m); i++) {
        struct cg_tensor_ref t = cg_model_tensor(m, i);
        char name[CG_GGUF_NAME];
        enum cg_gguf_dtype type = type_of(&t, wanted);
        uint64_t dims[2] = {columns(&t), t.rows};
        uint32_t n_dims = t.cols ? 2 : 1, number = type;
        cg_gguf_name(&t, name);
        put_str(f, name, strlen(name));
        fwrite(&n_dims, sizeof n_dims, 1, f);
        fwrite(dims, sizeof *dims, n_dims, f);
        fwrite(&number, sizeof number, 1, f);
        fwrite(&at, sizeof at, 1, f);
        at = aligned(at + (t.cols ? t.rows : 1) * row_bytes(&t, type));
    }
}

static int pad_to(FILE *f, uint64_t n)
{
    static const char zeros[ALIGNMENT];
    return fwrite(zeros, 1, aligned(n) - n, f) == aligned(n) - n;
}

struct buffers {
    float *values;
    unsigned char *row;
};

/* Rows of one tensor that are read at a time; of q and k, whole heads, whose rows change places. */
static size_t rows_of(const struct cg_config *c, const struct cg_tensor_ref *t)
{
    size_t unit = cg_gguf_interleaved(c, t->kind) ? c->head_dim : 1, rows = PIECE / columns(t) / unit * unit;
    return t->cols == 0 ? 1 : rows ? rows : unit;
}

static enum cg_status buffers_create(const struct cg_model *m, struct buffers *b)
{
    size_t values = 0, cols = 0;
    for (size_t i = 0; i < cg_model_tensor_count(m); i++) {
        struct cg_tensor_ref t = cg_model_tensor(m, i);
        size_t n = rows_of(&m->cfg, &t) * columns(&t);
        values = n > values ? n : values;
        cols = columns(&t) > cols ? columns(&t) : cols;
    }
    b->values = malloc(values * sizeof *b->values);
    b->row = malloc(cols * sizeof *b->values);
    return b->values && b->row ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
}

/* The data of one tensor. A failed write is left to the commit, which reports it; *ok is 0 then. */
static enum cg_status write_tensor(FILE *f, const struct cg_source *s, const struct cg_tensor_ref *t,
                                   enum cg_gguf_dtype type, const struct buffers *b, int *ok)
{
    const struct cg_config *c = &s->model.cfg;
    size_t rows = t->cols ? t->rows : 1, cols = columns(t), most = rows_of(c, t), bytes = row_bytes(t, type);
    for (size_t row = 0, n; row < rows && *ok; row += n) {
        n = rows - row < most ? rows - row : most;
        CG_TRY(cg_source_read(s, t->offset + row * cols, n * cols, b->values));
        for (size_t r = 0; r < n && *ok; r++) {
            size_t from = cg_gguf_interleaved(c, t->kind) ? cg_gguf_row_back(r, c->head_dim) : r;
            const float *x = b->values + from * cols;
            if (type == CG_GGUF_TO_Q8_0) cg_to_q8_0(x, cols, b->row);
            else if (type == CG_GGUF_TO_BF16) cg_to_bf16(x, cols, b->row);
            else cg_to_f32(x, cols, b->row);
            *ok = fwrite(b->row, 1, bytes, f) == bytes;
        }
    }
    *ok = *ok && pad_to(f, rows * bytes);
    return CG_OK;
}

static enum cg_status write_tensors(FILE *f, const struct cg_source *s, enum cg_gguf_dtype wanted)
{
    struct buffers b;
    int ok = 1;
    enum cg_status r = buffers_create(&s->model, &b);
    for (size_t i = 0; i < cg_model_tensor_count(&s->model) && ok && r == CG_OK; i++) {
        struct cg_tensor_ref t = cg_model_tensor(&s->model, i);
        r = write_tensor(f, s, &t, type_of(&t, wanted), &b, &ok);
    }
    free(b.values);
    free(b.row);
    return r;
}

static enum cg_status write_all(FILE *f, const struct cg_source *s, enum cg_gguf_dtype type, struct cg_gguf_meta *meta)
{
    const uint32_t version = 3;
    uint64_t counts[2] = {cg_model_tensor_count(&s->model)};
    put_config(meta, &s->model.cfg, type);
    if (fflush(meta->f) != 0 || ferror(meta->f)) return cg_fail(CG_ERR_MEMORY, "out of memory for the metadata");
    counts[1] = meta->count;
    fwrite("GGUF", 1, 4, f);
    fwrite(&version, sizeof version, 1, f);
    fwrite(counts, sizeof *counts, 2, f);
    fwrite(meta->data, 1, meta->size, f);
    put_infos(f, &s->model, type);
    long at = ftell(f);
    if (at < 0 || !pad_to(f, (uint64_t)at)) return CG_OK; /* the commit reports it */
    return write_tensors(f, s, type);
}

enum cg_status cg_gguf_write(const char *path, const struct cg_source *s, enum cg_gguf_dtype type,
                             struct cg_gguf_meta *meta)
{
    struct cg_out out;
    CG_TRY(cg_out_open(path, &out));
    enum cg_status r = write_all(out.f, s, type, meta);
    if (r == CG_OK) return cg_out_commit(&out);
    cg_out_discard(&out);
    return r;
}

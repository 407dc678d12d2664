/* A library with as much of oneDNN's C interface as --peer uses, in version DNNL_MAJOR, that multiplies plainly; it
 * lets the peer's code be tested where oneDNN is not. `any` layouts are column-major here, so that a reorder matters.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct md {
    int64_t rows, cols, rs, cs;
    int type, any;
};
struct memory {
    struct md md;
    char *data;
};
struct pd {
    struct md a, b, c;
    int matmul;
};
struct matmul2 {
    struct md a, b, c;
};
struct exec_arg {
    int arg;
    struct memory *memory;
};
struct version {
    int major, minor, patch;
};

#define EXPORT(result, name, ...) \
    result name(__VA_ARGS__);     \
    result name(__VA_ARGS__)

static size_t width(int type)
{
    return type == 3 ? 4 : type == 2 ? 2 : 1;
}

static double load(const struct memory *m, int64_t i, int64_t j)
{
    int64_t at = i * m->md.rs + j * m->md.cs;
    if (m->md.type == 3) return ((float *)m->data)[at];
    if (m->md.type == 5) return ((int8_t *)m->data)[at];
    if (m->md.type == 6) return ((uint8_t *)m->data)[at];
    uint32_t bits = (uint32_t)((uint16_t *)m->data)[at] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

EXPORT(const struct version *, dnnl_version, void)
{
    static const struct version v = {DNNL_MAJOR, 0, 0};
    return &v;
}

static void *thing(void *from, size_t size)
{
    void *p = calloc(1, size);
    if (p && from) memcpy(p, from, size);
    return p;
}

EXPORT(int, dnnl_engine_create, void **e, int kind, size_t index)
{
    *e = kind == 1 && index == 0 ? thing(NULL, 8) : NULL;
    return *e == NULL;
}

EXPORT(int, dnnl_stream_create, void **s, void *engine, unsigned flags)
{
    *s = engine && flags == 1 ? thing(NULL, 8) : NULL;
    return *s == NULL;
}

EXPORT(int, dnnl_stream_wait, void *s)
{
    return s == NULL;
}

#define DESTROY(name)          \
    EXPORT(int, name, void *p) \
    {                          \
        free(p);               \
        return 0;              \
    }
DESTROY(dnnl_engine_destroy)
DESTROY(dnnl_stream_destroy)
DESTROY(dnnl_memory_destroy)
DESTROY(dnnl_primitive_destroy)
DESTROY(dnnl_primitive_desc_destroy)

EXPORT(size_t, dnnl_memory_desc_get_size, const struct md *d)
{
    return (size_t)(d->rows * d->cols) * width(d->type);
}

EXPORT(int, dnnl_memory_create, void **m, const struct md *d, void *engine, void *data)
{
    struct memory mem = {*d, data};
    *m = engine && data ? thing(&mem, sizeof mem) : NULL;
    return *m == NULL;
}

EXPORT(const void *, dnnl_primitive_desc_query_md, const struct pd *pd, int what, int index)
{
    return what == 131 && index == 0 ? &pd->b : NULL;
}

EXPORT(int, dnnl_primitive_create, void **p, const struct pd *pd)
{
    *p = thing((void *)pd, sizeof *pd);
    return *p == NULL;
}

EXPORT(int, dnnl_reorder_primitive_desc_create, void **pd, const struct md *a, void *ea, const struct md *c, void *ec,
       const void *attr)
{
    struct pd d = {*a, *a, *c, 0};
    *pd = ea && ec && !attr && a->type == c->type ? thing(&d, sizeof d) : NULL;
    return *pd == NULL;
}

static struct memory *arg(const struct exec_arg *args, int n, int which)
{
    for (int i = 0; i < n; i++)
        if (args[i].arg == which) return args[i].memory;
    return NULL;
}

EXPORT(int, dnnl_primitive_execute, const struct pd *pd, void *stream, int n, const struct exec_arg *args)
{
    struct memory *a = arg(args, n, 1), *b = arg(args, n, 33), *c = arg(args, n, 17);
    if (!stream || !a || !c || (pd->matmul && !b)) return 1;
    size_t w = width(c->md.type);
    for (int64_t i = 0; i < c->md.rows; i++)
        for (int64_t j = 0; j < c->md.cols; j++) {
            char *to = c->data + (size_t)(i * c->md.rs + j * c->md.cs) * w;
            if (!pd->matmul) {
                memcpy(to, a->data + (size_t)(i * a->md.rs + j * a->md.cs) * w, w);
                continue;
            }
            double sum = 0;
            for (int64_t p = 0; p < pd->a.cols; p++) sum += load(a, i, p) * load(b, p, j);
            float x = (float)sum;
            memcpy(to, &x, sizeof x);
        }
    return 0;
}

static struct md strided(const int64_t *dims, int type, const int64_t *strides)
{
    return (struct md){dims[0], dims[1], strides[0], strides[1], type, 0};
}

static struct md chosen(const int64_t *dims, int type)
{
    return (struct md){dims[0], dims[1], 1, dims[0], type, 1};
}

static int matmul(void **pd, const struct md *a, const struct md *b, const struct md *c, void *engine)
{
    struct pd d = {*a, *b, *c, 1};
    /* Like an older CPU, it has no bf16. */
    *pd = engine && a->type != 2 && c->type == 3 ? thing(&d, sizeof d) : NULL;
    return *pd == NULL;
}

#if DNNL_MAJOR == 2
EXPORT(int, dnnl_memory_desc_init_by_strides, struct md *d, int n, const int64_t *dims, int type,
       const int64_t *strides)
{
    *d = strided(dims, type, strides);
    return n != 2;
}

EXPORT(int, dnnl_memory_desc_init_by_tag, struct md *d, int n, const int64_t *dims, int type, int tag)
{
    *d = chosen(dims, type);
    return n != 2 || tag != 1;
}

EXPORT(int, dnnl_matmul_desc_init, struct matmul2 *m, const struct md *a, const struct md *b, const void *bias,
       const struct md *c)
{
    *m = (struct matmul2){*a, *b, *c};
    return bias != NULL;
}

EXPORT(int, dnnl_primitive_desc_create, void **pd, const struct matmul2 *m, const void *attr, void *engine,
       const void *hint)
{
    return attr || hint ? 1 : matmul(pd, &m->a, &m->b, &m->c, engine);
}
#else
EXPORT(int, dnnl_memory_desc_create_with_strides, void **d, int n, const int64_t *dims, int type,
       const int64_t *strides)
{
    struct md md = strided(dims, type, strides);
    *d = n == 2 ? thing(&md, sizeof md) : NULL;
    return *d == NULL;
}

EXPORT(int, dnnl_memory_desc_create_with_tag, void **d, int n, const int64_t *dims, int type, int tag)
{
    struct md md = chosen(dims, type);
    *d = n == 2 && tag == 1 ? thing(&md, sizeof md) : NULL;
    return *d == NULL;
}

DESTROY(dnnl_memory_desc_destroy)

EXPORT(int, dnnl_matmul_primitive_desc_create, void **pd, void *engine, const struct md *a, const struct md *b,
       const void *bias, const struct md *c, const void *attr)
{
    return bias || attr ? 1 : matmul(pd, a, b, c, engine);
}
#endif

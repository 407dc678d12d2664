/* GGUF files: their directory, and as a model's sizes.
 *
 * instrument: runtime/model/gguf.c runtime/model/gguf_meta.c runtime/model/dtype.c runtime/model/dtype_k.c
 * common/file.c seeds: tests/fuzz/seeds/gguf/empty */
#include "fuzz.h"

#include "runtime/model/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"general.architecture", "tokenizer.ggml.tokens", "tokenizer.ggml.scores"};
    struct cg_gguf *g;
    enum cg_status st = cg_gguf_open(as_file(data, size), &g);
    expect_one_line(st);
    if (st != CG_OK) return 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct cg_gguf_str one, *items;
        int32_t *ints;
        size_t n;
        uint64_t u;
        double d;
        (void)cg_gguf_string(g, keys[i], &one);
        (void)cg_gguf_uint(g, keys[i], &u);
        (void)cg_gguf_float(g, keys[i], &d);
        if (cg_gguf_strings(g, keys[i], &items, &n) == CG_OK) free(items);
        if (cg_gguf_ints(g, keys[i], &ints, &n) == CG_OK) free(ints);
    }
    for (size_t i = 0; i < cg_gguf_tensor_count(g); i++) {
        const struct cg_gguf_tensor *t = cg_gguf_tensor(g, i);
        (void)cg_gguf_type_name(t->type);
    }
    cg_gguf_close(g);
    return 0;
}

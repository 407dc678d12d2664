/* GGUF files: their directory, their values and as a model's sizes.
 *
 * instrument: runtime/model/gguf.c runtime/model/gguf_meta.c common/file.c
 * instrument: runtime/model/dtype.c runtime/model/dtype_k.c
 * seeds: tests/fuzz/seeds/gguf/empty tests/fuzz/seeds/gguf/q4_k
 * seeds: tests/fuzz/seeds/gguf/q5_1 tests/fuzz/seeds/gguf/q6_k */
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
        static float values[65536];
        (void)cg_gguf_type_name(t->type);
        /* No value takes less than half a byte. */
        if (t->bytes <= sizeof values / sizeof *values / 2)
            expect_one_line(
                cg_gguf_rows(g, t, 0, t->bytes ? (size_t)(t->dims[1] * t->dims[2] * t->dims[3]) : 0, values));
    }
    cg_gguf_close(g);
    return 0;
}

/* The number formats of weight files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/model/dtype.h"
#include "runtime/model/gguf.h"
#include "tests/runtime/scratch.h"

/* Every half-precision number against its definition, (-1)^s * 2^(e - 15) * 1.m. */
static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint32_t e = h >> 10 & 31, m = h & 1023;
        float got = cg_f16_to_f32((uint16_t)h);
        double want = e ? (1.0 + m / 1024.0) * (e >= 15 ? (double)(1u << (e - 15)) : 1.0 / (1u << (15 - e)))
                        : m / 1024.0 / 16384.0;
        if (h & 0x8000) want = -want;
        if (e == 31) assert_false(cg_all_finite(&got, 1));
        else assert_true((double)got == want && (__builtin_signbitf(got) != 0) == (h >> 15));
    }
}

/* Types that only ggml writes: random blocks against what the package gguf makes of them. */
static void test_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t type, block;
    } types[] = {{"Q5_0", 6, 32}, {"Q5_1", 7, 32}, {"Q4_K", 12, 256}, {"Q5_K", 13, 256}, {"Q6_K", 14, 256}};
    struct cg_st *st = golden_open("formats/blocks.safetensors");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char name[32], path[512];
        size_t n;
        snprintf(name, sizeof name, "%s.bytes", types[i].name);
        const struct cg_st_tensor *bytes = cg_st_find(st, name);
        assert_non_null(bytes);
        snprintf(name, sizeof name, "%s.values", types[i].name);
        float *want = golden_f32(st, name, &n), *got = calloc(n, sizeof *got);
        const uint64_t head[] = {1, 0, 1, 'x', types[i].block, n / types[i].block};
        unsigned char file[8192] = "GGUF\3\0\0", *at = file + 8;
        for (size_t k = 0; k < 6; k++) { /* tensors, keys, length of a name, the name, dimensions, sizes */
            size_t size = k == 3 ? 1 : 8;
            memcpy(at, &head[k], size);
            at += size;
            if (k == 3) memcpy(at, &(uint32_t){2}, 4), at += 4;
        }
        memcpy(at, &types[i].type, 4); /* and an offset of 0, then the data at a multiple of 32 */
        assert_true(96 + bytes->bytes <= sizeof file && at + 12 - file > 64 && at + 12 - file <= 96);
        memcpy(file + 96, bytes->data, bytes->bytes);
        scratch_write("blocks.gguf", file, 96 + bytes->bytes);
        struct cg_gguf *g;
        if (cg_gguf_open(scratch_path("blocks.gguf", path), &g) != CG_OK) fail_msg("%s", cg_error());
        const struct cg_gguf_tensor *t = cg_gguf_find(g, "x");
        assert_string_equal(cg_gguf_type_name(t->type), types[i].name);
        assert_int_equal(t->bytes, bytes->bytes);
        assert_int_equal(cg_gguf_rows(g, t, 0, n / types[i].block, got), CG_OK);
        assert_true(cg_all_finite(want, n));
        assert_memory_equal(got, want, n * sizeof *got);
        cg_gguf_close(g);
        free(want);
        free(got);
    }
    cg_st_close(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half),
        cmocka_unit_test_setup_teardown(test_blocks, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Damaged model files: whatever is in them, loading gives an error of one line or a model, never a crash (run it under
 * the sanitizers). A failure names the kind of file, the seed and the case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/rng.h"
#include "runtime/model/gguf.h"
#include "runtime/model/model.h"
#include "tests/runtime/scratch.h"

#define SEED 20250101

static int loads;

/* Loads `path`; whether it loaded. What failed must have left nothing behind and one line. */
static int try_load(const char *path)
{
    struct cg_model m;
    enum cg_status s = cg_model_load(path, 0, &m);
    if (s == CG_OK) {
        cg_model_free(&m);
        loads++;
        return 1;
    }
    assert_true(s == CG_ERR_USER || s == CG_ERR_IO);
    assert_null(m.w);
    assert_null(m.layers);
    assert_true(cg_error()[0] != 0);
    for (const char *c = cg_error(); *c; c++) assert_true((unsigned char)*c >= 32 && (unsigned char)*c < 127);
    return 0;
}

/* What a tokenizer reads out of a GGUF file. */
static void read_metadata(const char *path)
{
    struct cg_gguf *g;
    if (cg_gguf_open(path, &g) != CG_OK) return;
    struct cg_gguf_str *list = NULL, s;
    int32_t *ints = NULL;
    size_t n;
    uint64_t u, sum = 0;
    int b;
    if (cg_gguf_strings(g, "tokenizer.ggml.tokens", &list, &n) == CG_OK)
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < list[i].n; k++) sum += (unsigned char)list[i].s[k];
    free(list);
    if (cg_gguf_ints(g, "tokenizer.ggml.token_type", &ints, &n) == CG_OK)
        for (size_t i = 0; i < n; i++) sum += (uint64_t)ints[i];
    free(ints);
    if (cg_gguf_string(g, "tokenizer.ggml.model", &s) == CG_OK)
        for (size_t k = 0; k < s.n; k++) sum += (unsigned char)s.s[k];
    if (cg_gguf_uint(g, "tokenizer.ggml.bos_token_id", &u) == CG_OK) sum += u;
    if (cg_gguf_bool(g, "tokenizer.ggml.add_bos_token", &b) == CG_OK) sum += (uint64_t)b;
    for (size_t i = 0; i < cg_gguf_tensor_count(g); i++) {
        const struct cg_gguf_tensor *t = cg_gguf_tensor(g, i);
        if (t->bytes) sum += t->data[0] + t->data[t->bytes - 1];
    }
    /* Keeps the reads from being left out. */
    if (sum == UINT64_MAX) print_message("%llu\n", (unsigned long long)sum);
    cg_gguf_close(g);
}

static uint32_t draw(uint32_t test, uint32_t i, uint32_t what, uint32_t below)
{
    return cg_rng_below(SEED, CG_RNG_TEST, test, i, what, below);
}

/* One to four changes, most of them within the first `head` bytes; returns the new length. */
static size_t mutate(uint32_t test, uint32_t i, unsigned char *x, size_t n, size_t head)
{
    static const uint64_t words[] = {0,
                                     1,
                                     2,
                                     3,
                                     7,
                                     31,
                                     32,
                                     127,
                                     128,
                                     255,
                                     65536,
                                     INT32_MAX,
                                     UINT32_MAX,
                                     (uint64_t)1 << 32,
                                     INT64_MAX,
                                     UINT64_MAX,
                                     UINT64_MAX - 7,
                                     (uint64_t)1 << 63};
    uint32_t changes = 1 + draw(test, i, 0, 4);
    for (uint32_t c = 0; c < changes; c++) {
        uint32_t w = 1 + 8 * c, reach = (uint32_t)(draw(test, i, w, 8) && head < n ? head : n);
        size_t at = draw(test, i, w + 1, reach);
        switch (draw(test, i, w + 2, 6)) {
        case 0: x[at] ^= (unsigned char)(1u << draw(test, i, w + 3, 8)); break;
        case 1: x[at] = (unsigned char)draw(test, i, w + 3, 256); break;
        case 2:
        case 3: {
            uint64_t v = words[draw(test, i, w + 3, sizeof words / sizeof words[0])];
            size_t k = draw(test, i, w + 4, 2) ? 8 : 4;
            memcpy(x + at, &v, k < n - at ? k : n - at);
            break;
        }
        case 4: {
            size_t from = draw(test, i, w + 3, reach), k = draw(test, i, w + 4, 64);
            size_t last = from > at ? from : at;
            memmove(x + at, x + from, k < n - last ? k : n - last);
            break;
        }
        default: {
            size_t k = 1 + draw(test, i, w + 3, 40);
            k = k < n - at - 1 ? k : n - at - 1;
            memmove(x + at, x + at + k, n - at - k);
            n -= k;
            break;
        }
        }
    }
    return n;
}

/* `count` mutations of tests/goldens/NAME, each written as scratch file `to`; `path` is then loaded. */
static void mutations(uint32_t test, const char *name, const char *to, const char *path, size_t head, uint32_t count)
{
    size_t n;
    char *data = golden_read(name, &n);
    unsigned char *x = malloc(n);
    assert_non_null(x);
    loads = 0;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(x, data, n);
        size_t k = mutate(test, i, x, n, head < n ? head : n);
        scratch_write(to, x, k);
        try_load(path);
        if (strstr(to, ".gguf")) read_metadata(path);
    }
    print_message("%s: %u mutations (seed %d), %d of them still load\n", name, count, SEED, loads);
    /* All failing, or none, would mean that the mutations miss what they are to hit. */
    assert_true(loads > 0 && loads < (int)count);
    free(x);
    cg_free(data);
}

static void test_gguf(void **state)
{
    (void)state;
    char path[512];
    scratch_path("m.gguf", path);
    mutations(1, "formats/q4_0.gguf", "m.gguf", path, 2560, 3000);
    mutations(2, "formats/f32.gguf", "m.gguf", path, 2560, 1000);
}

static void test_safetensors(void **state)
{
    (void)state;
    scratch_copy("formats/hf-f16/config.json", "config.json");
    mutations(3, "formats/hf-f16/model.safetensors", "model.safetensors", scratch, 1200, 3000);
}

static void test_config(void **state)
{
    (void)state;
    scratch_copy("formats/hf-f16/model.safetensors", "model.safetensors");
    mutations(4, "formats/hf-f16/config.json", "config.json", scratch, 4096, 2000);
}

static void test_index(void **state)
{
    (void)state;
    scratch_copy("formats/hf-bf16/config.json", "config.json");
    for (int i = 1; i <= 4; i++) {
        char from[128], to[64];
        snprintf(to, sizeof to, "model-%05d-of-00004.safetensors", i);
        snprintf(from, sizeof from, "formats/hf-bf16/%s", to);
        scratch_copy(from, to);
    }
    mutations(5, "formats/hf-bf16/model.safetensors.index.json", "model.safetensors.index.json", scratch, 4096, 1500);
}

/* Numbers in texts: every one of them in turn becomes something else. */
static void numbers(const char *name, const char *to, const char *path, size_t skip, size_t text)
{
    static const char *const others[] = {"0",
                                         "-1",
                                         "1",
                                         "4294967296",
                                         "9223372036854775807",
                                         "18446744073709551616",
                                         "1e999",
                                         "0.5",
                                         "null",
                                         "\"x\"",
                                         "[]",
                                         "{}",
                                         "true",
                                         "1e-3"};
    size_t n;
    char *data = golden_read(name, &n), *x = malloc(n + 64);
    assert_non_null(x);
    if (text > n) text = n;
    for (size_t i = skip; i < text; i++) {
        if (data[i] < '0' || data[i] > '9' || (data[i - 1] >= '0' && data[i - 1] <= '9')) continue;
        size_t end = i;
        while (end < n && data[end] >= '0' && data[end] <= '9') end++;
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
            size_t len = strlen(others[k]);
            memcpy(x, data, i);
            memcpy(x + i, others[k], len);
            memcpy(x + i + len, data + end, n - end);
            /* The length of a safetensors header is kept right. */
            uint64_t header;
            if (skip) {
                memcpy(&header, x, 8);
                header += len - (end - i);
                memcpy(x, &header, 8);
            }
            scratch_write(to, x, n - (end - i) + len);
            try_load(path);
        }
    }
    free(x);
    cg_free(data);
}

static void test_numbers(void **state)
{
    (void)state;
    scratch_copy("formats/hf-f16/config.json", "config.json");
    numbers("formats/hf-f16/model.safetensors", "model.safetensors", scratch, 8, 1200);
    scratch_copy("formats/hf-f16/model.safetensors", "model.safetensors");
    numbers("formats/hf-f16/config.json", "config.json", scratch, 0, 4096);
}

/* Cut after every byte of the header and after every 61st of the data. `pad`: bytes at the end that may be missing. */
static void truncations(const char *name, const char *to, const char *path, size_t head, size_t pad)
{
    size_t n;
    char *data = golden_read(name, &n);
    for (size_t k = 0; k + pad < n; k += k < head ? 1 : 61) {
        scratch_write(to, data, k);
        if (try_load(path)) fail_msg("%s loads when cut to %zu of %zu bytes", name, k, n);
    }
    scratch_write(to, data, n);
    if (!try_load(path)) fail_msg("%s: %s", name, cg_error());
    cg_free(data);
}

static void test_truncations(void **state)
{
    (void)state;
    char path[512];
    scratch_path("m.gguf", path);
    truncations("formats/q4_0.gguf", "m.gguf", path, 2560, 32);
    truncations("formats/q8_0.gguf", "m.gguf", path, 0, 64);
    scratch_copy("formats/hf-f16/config.json", "config.json");
    truncations("formats/hf-f16/model.safetensors", "model.safetensors", scratch, 1200, 0);
    scratch_copy("formats/hf-f16/model.safetensors", "model.safetensors");
    truncations("formats/hf-f16/config.json", "config.json", scratch, 4096, 1);
}

/* Deep nesting, which would end the stack of a reader that recurses without a limit. */
static void test_nesting(void **state)
{
    (void)state;
    size_t n = 1 << 20;
    char *deep = malloc(n), path[512];
    assert_non_null(deep);
    memset(deep, '[', n);
    memcpy(deep, "{\"a\":", 5);
    scratch_write("config.json", deep, n - 1);
    assert_false(try_load(scratch));
    uint64_t header = n - 8;
    memmove(deep + 8, deep, n - 8);
    memcpy(deep, &header, 8);
    scratch_copy("formats/hf-f16/config.json", "config.json");
    scratch_write("model.safetensors", deep, n);
    assert_false(try_load(scratch));
    /* GGUF: one key whose value is an array of arrays of arrays ... */
    static const unsigned char start[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0a\11\0\0";
    static const unsigned char level[] = {9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    size_t at = sizeof start; /* its last 0 is the fourth byte of the type */
    memcpy(deep, start, at);
    for (; at + sizeof level <= n; at += sizeof level) memcpy(deep + at, level, sizeof level);
    scratch_write("deep.gguf", deep, at);
    assert_false(try_load(scratch_path("deep.gguf", path)));
    assert_non_null(strstr(cg_error(), "metadata"));
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gguf, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_safetensors, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_config, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_index, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_numbers, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_truncations, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_nesting, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

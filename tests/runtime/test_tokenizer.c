/* Tokenizers against recorded ids of the reference, round trips of any bytes, saving and loading again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "common/rng.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/runtime/scratch.h"
#include "tests/runtime/tokenizer_gguf.h"

static struct cg_tokenizer *load(const char *path)
{
    struct cg_tokenizer *t;
    if (cg_tokenizer_load(path, &t) != CG_OK) fail_msg("%s", cg_error());
    return t;
}

static struct cg_tokenizer *load_golden(const char *name)
{
    char path[512];
    return load(golden_path(name, path));
}

/* Encodes `text` and wants `n` given ids. */
static void check_ids(const struct cg_tokenizer *t, const char *text, size_t len, const int32_t *want, size_t n)
{
    int32_t *ids;
    size_t count;
    if (cg_tokenizer_encode(t, text, len, &ids, &count) != CG_OK) fail_msg("%s", cg_error());
    if (count != n || memcmp(ids, want, n * sizeof *ids) != 0) fail_msg("other ids for \"%s\"", text);
    free(ids);
}

/* Every string of tests/goldens/NAME/strings.jsonl has the ids recorded there. Strings with ids that the tokenizer has
 * not (tokens added to the golden) are passed over. */
static void check_golden(const struct cg_tokenizer *t, const char *name)
{
    char file[128];
    size_t n, lines = 0, checked = 0;
    snprintf(file, sizeof file, "%s/strings.jsonl", name);
    char *all = golden_read(file, &n);
    for (char *line = all, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        json_error_t e;
        json_t *o = json_loadb(line, (size_t)(end - line), JSON_ALLOW_NUL, &e);
        json_t *text = json_object_get(o, "text"), *ids = json_object_get(o, "ids"), *id;
        int32_t want[4096];
        size_t i, unknown = 0;
        assert_true(json_is_string(text) && json_array_size(ids) < 4096);
        json_array_foreach(ids, i, id)
        {
            want[i] = (int32_t)json_integer_value(id);
            unknown += (size_t)want[i] >= cg_tokenizer_vocab(t);
        }
        if (!unknown) check_ids(t, json_string_value(text), json_string_length(text), want, json_array_size(ids));
        checked += !unknown;
        json_decref(o);
    }
    assert_int_equal(lines, 800);
    assert_true(checked > 700);
    cg_free(all);
}

static const char *const goldens[] = {"tokenizer-small", "tokenizer-qwen2", "tokenizer-llama3"};

static void test_goldens(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct cg_tokenizer *t = load_golden(goldens[i]);
        assert_int_equal(cg_tokenizer_vocab(t), i == 1 ? 604 : 600);
        assert_int_equal(cg_tokenizer_eos(t), 2);
        assert_int_equal(cg_tokenizer_pad(t), 0);
        check_golden(t, goldens[i]);
        cg_tokenizer_free(t);
    }
}

static void test_save_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct cg_tokenizer *t = load_golden(goldens[i]);
        if (cg_tokenizer_save(t, scratch) != CG_OK) fail_msg("%s", cg_error());
        cg_tokenizer_free(t);
        t = load(scratch);
        check_golden(t, goldens[i]);
        assert_int_equal(cg_tokenizer_pad(t), 0);
        cg_tokenizer_free(t);
    }
}

/* The recorded vocabulary as GGUF has it gives the recorded ids, and so does the folder made from that. */
static void test_gguf(void **state)
{
    (void)state;
    char path[512];
    static const char *const pres[] = {"smollm", "qwen2", "llama-bpe"};
    for (size_t i = 0; i < 3; i++) {
        gguf_from_golden(goldens[i], pres[i], scratch_path("m.gguf", path));
        struct cg_tokenizer *t = load(path);
        assert_int_equal(cg_tokenizer_vocab(t), 600);
        assert_int_equal(cg_tokenizer_eos(t), 2);
        assert_int_equal(cg_tokenizer_pad(t), 2);
        check_golden(t, goldens[i]);
        if (cg_tokenizer_save(t, scratch) != CG_OK) fail_msg("%s", cg_error());
        cg_tokenizer_free(t);
        t = load(scratch);
        check_golden(t, goldens[i]);
        assert_int_equal(cg_tokenizer_eos(t), 2);
        cg_tokenizer_free(t);
        size_t n;
        char *config;
        assert_int_equal(cg_file_read(scratch_path("tokenizer_config.json", path), 65536, &config, &n), CG_OK);
        assert_non_null(strstr(config, "{% for m in messages %}"));
        cg_free(config);
    }
}

static void check_round_trip(const struct cg_tokenizer *t, const char *text, size_t n)
{
    int32_t *ids;
    size_t count, back_n;
    char *back;
    assert_int_equal(cg_tokenizer_encode(t, text, n, &ids, &count), CG_OK);
    assert_int_equal(cg_tokenizer_decode(t, ids, count, 0, &back, &back_n), CG_OK);
    assert_int_equal(back_n, n);
    assert_memory_equal(back, text, n);
    assert_int_equal(back[n], 0);
    free(ids);
    free(back);
}

/* Bytes of any kind, half of them from a small set that makes UTF-8 sequences, whole and broken, likely. */
static void test_any_bytes(void **state)
{
    (void)state;
    static const unsigned char likely[] = {0xE2, 0x80, 0x99, 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xA0, 0xC0, 0xC3, 0xA9,
                                           ' ',  '\n', 'a',  '1',  0,    '<',  '|',  0xFF, 0xF4, 0x90, '\'', 's'};
    struct cg_tokenizer *t[2] = {load_golden("tokenizer-small"), load_golden("tokenizer-llama3")};
    for (uint32_t k = 0; k < 4000; k++) {
        char text[128];
        uint32_t n = cg_rng_below(3, CG_RNG_TEST, k, 0, 0, sizeof text), w[4];
        for (uint32_t i = 0; i < n; i++) {
            cg_rng4(3, CG_RNG_TEST, k, i, 1, w);
            text[i] = (char)(w[0] & 1 ? w[1] & 0xFF : likely[w[1] % sizeof likely]);
        }
        check_round_trip(t[k % 2], text, n);
    }
    cg_tokenizer_free(t[0]);
    cg_tokenizer_free(t[1]);
}

/* One word of 1 MB: seconds at most, where scanning for the best pair would take hours. */
static void test_long_word(void **state)
{
    (void)state;
    struct cg_tokenizer *t = load_golden("tokenizer-small");
    size_t n = 1 << 20;
    char *text = malloc(n);
    assert_non_null(text);
    for (int kind = 0; kind < 4; kind++) {
        for (size_t i = 0; i < n; i++) {
            uint32_t r = (uint32_t)i * 2654435761u >> 24;
            text[i] = (char)(kind == 0   ? 'a'
                             : kind == 1 ? ' '
                             : kind == 2 ? 'a' + (int)(r % 26)
                                         : 0x80 + (int)(r & 63));
        }
        check_round_trip(t, text, n);
    }
    free(text);
    cg_tokenizer_free(t);
}

static void test_special(void **state)
{
    (void)state;
    static const char text[] = "<|im_start|>hi<|im_end|>";
    struct cg_tokenizer *t = load_golden("tokenizer-small");
    int32_t *ids, odd[] = {1, 599, 600, 100000, -1, 2};
    size_t count, n, n2;
    char *s, *one;
    assert_int_equal(cg_tokenizer_encode(t, text, sizeof text - 1, &ids, &count), CG_OK);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[count - 1], 2);
    assert_int_equal(cg_tokenizer_decode(t, ids, count, 1, &s, &n), CG_OK);
    assert_string_equal(s, "hi");
    free(s);
    free(ids);
    /* ids that the tokenizer has not have no text: a model may have more ids */
    assert_int_equal(cg_tokenizer_decode(t, odd, 6, 1, &s, &n), CG_OK);
    assert_int_equal(cg_tokenizer_decode(t, odd + 1, 1, 0, &one, &n2), CG_OK);
    assert_true(n > 0);
    assert_string_equal(s, one);
    free(s);
    free(one);
    assert_int_equal(cg_tokenizer_encode(t, "", 0, &ids, &count), CG_OK);
    assert_int_equal(count, 0);
    free(ids);
    cg_tokenizer_free(t);
}

static void test_builtin(void **state)
{
    (void)state;
    static const int32_t want[] = {1, 2, 10, 9, 0, 11, 12};
    struct cg_tokenizer *t = load("builtin:tiny");
    for (int again = 0; again < 2; again++) {
        int32_t *ids;
        size_t count, n;
        char *s;
        assert_int_equal(cg_tokenizer_vocab(t), 16);
        assert_int_equal(cg_tokenizer_eos(t), 12);
        assert_int_equal(cg_tokenizer_pad(t), 12);
        check_ids(t, "12+90=<end>", 11, want, 7);
        assert_int_equal(cg_tokenizer_decode(t, want, 7, 0, &s, &n), CG_OK);
        assert_string_equal(s, "12+90=<end>");
        free(s);
        assert_int_equal(cg_tokenizer_decode(t, want, 7, 1, &s, &n), CG_OK);
        assert_string_equal(s, "12+90=");
        free(s);
        assert_int_equal(cg_tokenizer_encode(t, "1\xC3\xA9", 3, &ids, &count), CG_ERR_USER);
        assert_non_null(strstr(cg_error(), "'\xC3\xA9' (U+00E9)"));
        assert_null(ids);
        assert_int_equal(cg_tokenizer_encode(t, "1\xFF", 2, &ids, &count), CG_ERR_USER);
        assert_non_null(strstr(cg_error(), "byte 0xFF"));
        if (cg_tokenizer_save(t, scratch) != CG_OK) fail_msg("%s", cg_error());
        cg_tokenizer_free(t);
        t = load(scratch);
    }
    cg_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test_setup_teardown(test_save_folder, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_gguf, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_long_word),
        cmocka_unit_test(test_special),
        cmocka_unit_test_setup_teardown(test_builtin, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

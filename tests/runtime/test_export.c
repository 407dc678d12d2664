/* Models written for others, read again: GGUF files in each type, with and without a tokenizer, and folders. What other
 * programs make of them is not tested here (docs/models.md says how it was). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "kernels/bf16.h"
#include "runtime/export/export.h"
#include "runtime/model/gguf.h"
#include "runtime/model/gguf_write.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/runtime/model_check.h"
#include "tests/runtime/scratch.h"

/* Writes m to the scratch file `to`, with the tokenizer's metadata where there is one, else with the model's ids. */
static void write_gguf(const struct cg_model *m, enum cg_gguf_dtype type, const struct cg_tokenizer *tok,
                       const char *to)
{
    struct cg_source s;
    struct cg_gguf_meta meta;
    char path[512];
    assert_int_equal(cg_source_of_model(m, &s), CG_OK);
    assert_int_equal(cg_gguf_meta_open(&meta), CG_OK);
    if (!tok) {
        cg_gguf_put_u32(&meta, "tokenizer.ggml.bos_token_id", (uint32_t)m->cfg.bos_token_id);
        cg_gguf_put_u32(&meta, "tokenizer.ggml.eos_token_id", (uint32_t)m->cfg.eos_token_id);
        cg_gguf_put_u32(&meta, "tokenizer.ggml.padding_token_id", (uint32_t)m->cfg.pad_token_id);
    } else if (cg_tokenizer_put_gguf(tok, &m->cfg, &meta) != CG_OK) {
        fail_msg("%s", cg_error());
    }
    if (cg_gguf_write(scratch_path(to, path), &s, type, &meta) != CG_OK) fail_msg("%s", cg_error());
    cg_gguf_meta_close(&meta);
    cg_source_close(&s);
}

static void test_gguf_f32(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        char path[512];
        struct cg_model m = load(golden_path(kinds[i], path), 0), back;
        write_gguf(&m, CG_GGUF_TO_F32, NULL, "f32.gguf");
        back = load(scratch_path("f32.gguf", path), 0);
        assert_int_equal(m.cfg.arch, back.cfg.arch);
        check_same(&m, &back);
        cg_model_free(&m);
        cg_model_free(&back);
    }
}

static int is_matrix(const struct cg_model *m, size_t at)
{
    for (size_t i = cg_model_tensor_count(m); i-- > 0;) {
        struct cg_tensor_ref r = cg_model_tensor(m, i);
        if (r.offset <= at) return r.cols != 0;
    }
    return 0;
}

static void test_gguf_bf16(void **state)
{
    (void)state;
    char path[512];
    struct cg_model m = load(golden_path("qwen2-odd", path), 0), back;
    write_gguf(&m, CG_GGUF_TO_BF16, NULL, "bf16.gguf");
    back = load(scratch_path("bf16.gguf", path), 0);
    for (size_t i = 0; i < m.n_params; i++)
        if (is_matrix(&m, i)) m.w[i] = cg_bf16_value(cg_bf16_of(m.w[i]));
    check_same(&m, &back);
    cg_model_free(&m);
    cg_model_free(&back);
}

/* The bytes that the package gguf makes of the same model. */
static void test_gguf_q8_0(void **state)
{
    (void)state;
    char path[512];
    struct cg_model m = load(golden_path("formats/f32.gguf", path), 0);
    struct cg_gguf *a, *b;
    write_gguf(&m, CG_GGUF_TO_Q8_0, NULL, "q8_0.gguf");
    assert_int_equal(cg_gguf_open(scratch_path("q8_0.gguf", path), &a), CG_OK);
    assert_int_equal(cg_gguf_open(golden_path("formats/q8_0.gguf", path), &b), CG_OK);
    size_t quantised = 0;
    assert_int_equal(cg_gguf_tensor_count(a), cg_gguf_tensor_count(b));
    for (size_t i = 0; i < cg_gguf_tensor_count(a); i++) {
        const struct cg_gguf_tensor *x = cg_gguf_tensor(a, i), *y = cg_gguf_tensor(b, i);
        assert_int_equal(x->name.n, y->name.n);
        assert_memory_equal(x->name.s, y->name.s, x->name.n);
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
        quantised += x->type == CG_GGUF_TO_Q8_0;
    }
    assert_int_equal(quantised, 9);
    cg_gguf_close(a);
    cg_gguf_close(b);
    cg_model_free(&m);
}

/* Rows that are no whole blocks stay as they are. */
static void test_gguf_q8_0_odd(void **state)
{
    (void)state;
    char path[512];
    struct cg_model m = load(golden_path("qwen3-odd", path), 0), back;
    write_gguf(&m, CG_GGUF_TO_Q8_0, NULL, "odd.gguf");
    back = load(scratch_path("odd.gguf", path), 0);
    check_same(&m, &back);
    cg_model_free(&m);
    cg_model_free(&back);
}

static const char text[] = "Hello there, it's 12345 o'clock!\n\n  Zażółć gęślą jaźń 漢字\t<|im_end|> x<|eot_id|>";

static void same_ids(const struct cg_tokenizer *a, const struct cg_tokenizer *b)
{
    int32_t *x, *y;
    size_t n, k;
    assert_int_equal(cg_tokenizer_encode(a, text, sizeof text - 1, &x, &n), CG_OK);
    assert_int_equal(cg_tokenizer_encode(b, text, sizeof text - 1, &y, &k), CG_OK);
    assert_int_equal(n, k);
    assert_memory_equal(x, y, n * sizeof *x);
    assert_int_equal(cg_tokenizer_eos(a), cg_tokenizer_eos(b));
    assert_int_equal(cg_tokenizer_pad(a), cg_tokenizer_pad(b));
    free(x);
    free(y);
}

/* A tokenizer's folder to GGUF, to a folder, to GGUF: the same ids, and the same bytes of the two GGUF files. */
static void test_tokenizers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *pre;
    } from[] = {{"tokenizer-small", "smollm"}, {"tokenizer-qwen2", "qwen2"}, {"tokenizer-llama3", "llama-bpe"}};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        char path[512], folder[512], again[512];
        struct cg_tokenizer *tok, *back;
        struct cg_gguf *g;
        struct cg_gguf_str pre;
        const struct cg_config c = {.vocab_size = 700,
                                    .hidden_size = 8,
                                    .intermediate_size = 8,
                                    .num_hidden_layers = 1,
                                    .num_attention_heads = 2,
                                    .num_key_value_heads = 1,
                                    .head_dim = 4,
                                    .max_position_embeddings = 8,
                                    .rms_norm_eps = 1e-5f,
                                    .rope_theta = 10000,
                                    .bos_token_id = -1,
                                    .eos_token_id = -1,
                                    .pad_token_id = -1};
        struct cg_model m;
        assert_int_equal(cg_model_create(&c, &m), CG_OK);
        if (cg_tokenizer_load(golden_path(from[i].name, path), &tok) != CG_OK) fail_msg("%s", cg_error());
        assert_true(cg_tokenizer_vocab(tok) < 700);
        write_gguf(&m, CG_GGUF_TO_F32, tok, "tok.gguf");
        scratch_path("tok.gguf", path);
        assert_int_equal(cg_gguf_open(path, &g), CG_OK);
        assert_int_equal(cg_gguf_string(g, "tokenizer.ggml.pre", &pre), CG_OK);
        assert_int_equal(pre.n, strlen(from[i].pre));
        assert_memory_equal(pre.s, from[i].pre, pre.n);
        cg_gguf_close(g);
        if (cg_tokenizer_load(path, &back) != CG_OK) fail_msg("%s", cg_error());
        same_ids(tok, back);
        cg_tokenizer_free(back);
        assert_int_equal(cg_export(path, 0, scratch_path("folder", folder), CG_EXPORT_F32), CG_OK);
        if (cg_tokenizer_load(folder, &back) != CG_OK) fail_msg("%s", cg_error());
        same_ids(tok, back);
        cg_tokenizer_free(back);
        if (cg_export(folder, 0, scratch_path("new/again.gguf", again), CG_EXPORT_F32) != CG_OK)
            fail_msg("%s", cg_error());
        char *x, *y;
        size_t n, k;
        assert_int_equal(cg_file_read(path, (size_t)1 << 24, &x, &n), CG_OK);
        assert_int_equal(cg_file_read(again, (size_t)1 << 24, &y, &k), CG_OK);
        assert_int_equal(n, k);
        assert_memory_equal(x, y, n);
        cg_free(x);
        cg_free(y);
        cg_tokenizer_free(tok);
        cg_model_free(&m);
    }
}

static void refused(enum cg_status s, enum cg_status want, const char *what)
{
    assert_int_equal(s, want);
    if (!strstr(cg_error(), what) || strchr(cg_error(), '\n')) fail_msg("\"%s\" lacks %s", cg_error(), what);
}

static void test_refused(void **state)
{
    (void)state;
    char a[512], b[512];
    scratch_path("out", a);
    scratch_path("out.gguf", b);
    assert_int_equal(cg_export("builtin:tiny", 1, a, CG_EXPORT_BF16), CG_OK);
    refused(cg_export("builtin:tiny", 1, b, CG_EXPORT_F32), CG_ERR_USER, "no tokenizer for the characters");
    refused(cg_export(a, 1, b, CG_EXPORT_F32), CG_ERR_USER, "no tokenizer for the characters");
    refused(cg_export("builtin:tiny", 1, a, CG_EXPORT_Q8_0), CG_ERR_USER, "q8_0 is a type of GGUF");
    refused(cg_export(a, 1, a, CG_EXPORT_F32), CG_ERR_USER, "give another place");
    refused(cg_export(scratch_path("none", a), 1, b, CG_EXPORT_F32), CG_ERR_IO, "none");
    assert_int_equal(access(b, F_OK), -1);
    /* A tokenizer for another model. */
    char path[512];
    struct cg_tokenizer *tok;
    struct cg_model m = load("builtin:tiny", 1);
    struct cg_gguf_meta meta;
    assert_int_equal(cg_tokenizer_load(golden_path("tokenizer-small", path), &tok), CG_OK);
    assert_int_equal(cg_gguf_meta_open(&meta), CG_OK);
    refused(cg_tokenizer_put_gguf(tok, &m.cfg, &meta), CG_ERR_USER, "the model only");
    cg_gguf_meta_close(&meta);
    cg_tokenizer_free(tok);
    cg_model_free(&m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_gguf_f32),      TEST(test_gguf_bf16),  TEST(test_gguf_q8_0),
                                       TEST(test_gguf_q8_0_odd), TEST(test_tokenizers), TEST(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

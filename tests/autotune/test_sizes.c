/* Readers of model sizes on sound, odd and hostile files, and the shapes that follow. */
#include "fixture.h"

#include "autotune/shapes.h"
#include "autotune/sizes.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    make_dir(dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_dir(dir);
    return 0;
}

static void expect_sizes(const struct cg_sizes *s, size_t vocab, size_t hidden, size_t layers, size_t heads, size_t kv,
                         size_t head_dim, size_t ff)
{
    assert_int_equal(s->vocab, vocab);
    assert_int_equal(s->hidden, hidden);
    assert_int_equal(s->layers, layers);
    assert_int_equal(s->heads, heads);
    assert_int_equal(s->kv_heads, kv);
    assert_int_equal(s->head_dim, head_dim);
    assert_int_equal(s->ff, ff);
}

static void refused(const char *path, const char *why)
{
    struct cg_sizes s;
    enum cg_status st = cg_sizes_load(path, &s);
    if ((st != CG_ERR_USER && st != CG_ERR_IO) || !strstr(cg_error(), why) || strchr(cg_error(), '\n'))
        fail_msg("%s: status %d, \"%s\", expected \"%s\"", path, st, cg_error(), why);
}

static void builtin(void **state)
{
    (void)state;
    struct cg_sizes s;
    assert_int_equal(cg_sizes_load("builtin:tiny", &s), CG_OK);
    expect_sizes(&s, 16, 128, 3, 4, 4, 32, 384);
    assert_int_equal(cg_sizes_load("builtin:smollm2-135m", &s), CG_OK);
    expect_sizes(&s, 49152, 576, 30, 9, 3, 64, 1536);
    assert_true(s.tied && s.usual);
    assert_int_equal(cg_sizes_load("llama-3.2-1b", &s), CG_OK);
    expect_sizes(&s, 128256, 2048, 16, 32, 8, 64, 8192);
    assert_true(!s.usual);
    refused("builtin:huge", "no built-in model \"huge\"; there are tiny");
    refused("builtin:", "no built-in model");
    refused("/nowhere/model", "cannot open the model /nowhere/model");
}

static void config(const char *text)
{
    char path[96];
    snprintf(path, sizeof path, "%s/config.json", dir);
    write_file(path, text, strlen(text));
}

static void config_json(void **state)
{
    (void)state;
    struct cg_sizes s;
    refused(dir, "config.json");
    config("{\"vocab_size\": 100, \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
           " \"intermediate_size\": 200, \"torch_dtype\": \"float32\", \"rope_scaling\": null}");
    assert_int_equal(cg_sizes_load(dir, &s), CG_OK);
    expect_sizes(&s, 100, 64, 2, 4, 4, 16, 200);
    config("{\"vocab_size\": 100, \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
           " \"num_key_value_heads\": 2, \"head_dim\": 32, \"intermediate_size\": 200}");
    assert_int_equal(cg_sizes_load(dir, &s), CG_OK);
    expect_sizes(&s, 100, 64, 2, 4, 2, 32, 200);
    assert_false(s.tied);
    config("{\"vocab_size\": 100, \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
           " \"intermediate_size\": 200, \"tie_word_embeddings\": true}");
    assert_int_equal(cg_sizes_load(dir, &s), CG_OK);
    assert_true(s.tied);
    config("");
    refused(dir, "not a JSON object");
    config("[1, 2]");
    refused(dir, "not a JSON object");
    config("{\"vocab_size\": 100,");
    refused(dir, "not a JSON object");
    config("{\"hidden_size\": 64}");
    refused(dir, "does not give the model's vocabulary");
    config("{\"vocab_size\": -1, \"hidden_size\": 64}");
    refused(dir, "vocabulary");
    config("{\"vocab_size\": \"many\", \"hidden_size\": 64}");
    refused(dir, "vocabulary");
    config("{\"vocab_size\": 100, \"hidden_size\": 9000000000000, \"num_hidden_layers\": 2, "
           "\"num_attention_heads\": 4, \"intermediate_size\": 200}");
    refused(dir, "more than this program takes");
    config("{\"vocab_size\": 100, \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 16777216,"
           " \"head_dim\": 16777216, \"intermediate_size\": 200}");
    refused(dir, "more than this program takes");
}

/* ---- GGUF -------------------------------------------------------------------------------------------------------- */

struct bytes {
    unsigned char b[4096];
    size_t n;
};

static void put(struct bytes *f, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) f->b[f->n++] = (unsigned char)(v >> (8 * i));
}

static void put_string(struct bytes *f, const char *s)
{
    put(f, strlen(s), 8);
    memcpy(f->b + f->n, s, strlen(s));
    f->n += strlen(s);
}

static void put_u32(struct bytes *f, const char *key, uint32_t v)
{
    put_string(f, key);
    put(f, 4, 4);
    put(f, v, 4);
}

/* A file with every kind of value and the sizes 7 tokens, 64 wide, 2 layers, 4 and 2 heads of 16, 200. */
static void gguf(struct bytes *f)
{
    f->n = 0;
    put(f, 0x46554747, 4);
    put(f, 3, 4);
    put(f, 0, 8);
    put(f, 10, 8);
    put_string(f, "general.architecture");
    put(f, 8, 4);
    put_string(f, "llama");
    put_u32(f, "llama.embedding_length", 64);
    put_u32(f, "llama.block_count", 2);
    put_u32(f, "llama.feed_forward_length", 200);
    put_u32(f, "llama.attention.head_count", 4);
    put_u32(f, "llama.attention.head_count_kv", 2);
    put_string(f, "llama.rope.freq_base");
    put(f, 6, 4);
    put(f, 0x47c35000, 4);
    put_string(f, "tokenizer.ggml.tokens");
    put(f, 9, 4);
    put(f, 8, 4);
    put(f, 7, 8);
    for (int i = 0; i < 7; i++) put_string(f, "tok");
    put_string(f, "tokenizer.ggml.scores");
    put(f, 9, 4);
    put(f, 12, 4);
    put(f, 3, 8);
    for (int i = 0; i < 3; i++) put(f, 0, 8);
    put_string(f, "tokenizer.ggml.add_bos_token");
    put(f, 7, 4);
    put(f, 1, 1);
}

static const char *gguf_file(const void *data, size_t size)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    write_file(path, data, size);
    return path;
}

static void gguf_sound(void **state)
{
    (void)state;
    struct bytes f;
    struct cg_sizes s;
    gguf(&f);
    assert_int_equal(cg_sizes_load(gguf_file(f.b, f.n), &s), CG_OK);
    expect_sizes(&s, 7, 64, 2, 4, 2, 16, 200);
    assert_string_equal(s.name, "model.gguf");
}

/* The head has weights of its own where the file has them. */
static void gguf_tied(void **state)
{
    (void)state;
    struct bytes f;
    struct cg_sizes s;
    for (int own = 0; own < 2; own++) {
        gguf(&f);
        f.b[8] = 2;
        for (int i = 0; i < 2; i++) {
            put_string(&f, i == 0 ? "token_embd.weight" : own ? "output.weight" : "output_norm.weight");
            put(&f, 2, 4);
            put(&f, 64, 8);
            put(&f, 7, 8);
            put(&f, 0, 4);
            put(&f, 0, 8);
        }
        assert_int_equal(cg_sizes_load(gguf_file(f.b, f.n), &s), CG_OK);
        assert_int_equal(s.tied, !own);
        refused(gguf_file(f.b, f.n - 1), "damaged or cut short");
    }
    f.b[8] = 3; /* tensors */
    refused(gguf_file(f.b, f.n), "damaged or cut short");
}

static void gguf_bad(void **state)
{
    (void)state;
    struct bytes f;
    gguf(&f);
    refused(gguf_file("", 0), "no GGUF file");
    refused(gguf_file("GGUF", 4), "no GGUF file");
    refused(gguf_file("plain text of some length, no model", 35), "no GGUF file");
    f.b[4] = 1;
    refused(gguf_file(f.b, f.n), "version 1");
    f.b[4] = 3;
    for (size_t n = 24; n < f.n; n++) refused(gguf_file(f.b, n), "");
    memset(f.b + 16, 0xff, 8); /* more pairs than bytes */
    refused(gguf_file(f.b, f.n), "damaged or cut short");
}

/* Damaged files are read or refused; under the sanitizers this shows that no byte outside the file is touched. */
static void gguf_damage(void **state)
{
    (void)state;
    struct bytes good, bad;
    gguf(&good);
    uint32_t at = 0, taken = 0;
    for (int i = 0; i < 3000; i++) {
        bad = good;
        for (uint32_t j = 0; j <= draw(&at, 3); j++) {
            size_t where = draw(&at, (uint32_t)bad.n), kind = draw(&at, 3);
            if (kind == 0) bad.b[where] ^= (unsigned char)(1 << draw(&at, 8));
            if (kind == 1) memset(bad.b + where, 0xff, bad.n - where < 8 ? bad.n - where : 8);
            if (kind == 2) bad.n = where ? where : 1;
        }
        struct cg_sizes s;
        enum cg_status st = cg_sizes_load(gguf_file(bad.b, bad.n), &s);
        assert_true(st == CG_OK || st == CG_ERR_USER || st == CG_ERR_IO);
        if (st != CG_OK) continue;
        taken++;
        struct cg_shapes shapes = {0};
        assert_int_equal(cg_shapes_add(&shapes, &s, CG_SHAPES_TRAINING), CG_OK);
        for (size_t j = 0; j < shapes.n; j++) assert_true(shapes.s[j].m && shapes.s[j].n && shapes.s[j].k);
        cg_shapes_free(&shapes);
    }
    assert_true(taken > 0 && taken < 3000);
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

static void shapes(void **state)
{
    (void)state;
    struct cg_shapes all = {0};
    struct cg_sizes s;
    for (size_t i = 0; cg_sizes_known(i, &s); i++) assert_int_equal(cg_shapes_add(&all, &s, CG_SHAPES_TRAINING), CG_OK);
    size_t n = all.n;
    assert_int_equal(cg_sizes_load("builtin:tiny", &s), CG_OK);
    assert_int_equal(cg_shapes_add(&all, &s, CG_SHAPES_TRAINING), CG_OK);
    assert_int_equal(all.n, n); /* nothing twice */
    cg_shapes_sort(&all);
    assert_int_equal(all.n, n);
    int gate_up = 0;
    for (size_t i = 0; i < n; i++) {
        const struct cg_shape *a = &all.s[i];
        gate_up += a->form == CG_FORM_NT && a->op == CG_OP_gemm_f32 && a->n == 3072 && a->k == 576;
        for (size_t j = i + 2; j < n; j++) /* shapes of one weight stand together */
            if (cg_shapes_share_layout(a, &all.s[j])) assert_true(cg_shapes_share_layout(a, &all.s[j - 1]));
    }
    assert_int_equal(gate_up, 6);
    double most = all.s[0].weight;
    for (size_t i = 1; i < n; i++) assert_true(all.s[i].weight <= most);
    cg_shapes_fit(&all, 1e6);
    assert_int_equal(all.n, n);
    cg_shapes_fit(&all, 8);
    assert_true(all.n > 5 && all.n < n);
    assert_true(all.s[0].weight == most);
    cg_shapes_fit(&all, 1e-3);
    assert_int_equal(all.n, 0);
    cg_shapes_free(&all);
}

/* bf16 has the shapes of f32's forward pass. */
static void shapes_bf16(void **state)
{
    (void)state;
    struct cg_sizes s;
    struct cg_shapes f32 = {0}, bf16 = {0};
    assert_int_equal(cg_sizes_load("builtin:tiny", &s), CG_OK);
    assert_int_equal(cg_shapes_add(&f32, &s, 1u << CG_OP_gemm_f32), CG_OK);
    assert_int_equal(cg_shapes_add(&bf16, &s, 1u << CG_OP_gemm_bf16w | 1u << CG_OP_gemm_bf16), CG_OK);
    size_t same[2] = {0}, forward = 0;
    for (size_t i = 0; i < f32.n; i++) forward += f32.s[i].form == CG_FORM_NT;
    for (size_t i = 0; i < bf16.n; i++) {
        assert_true(bf16.s[i].op == CG_OP_gemm_bf16w || bf16.s[i].op == CG_OP_gemm_bf16);
        for (size_t j = 0; j < f32.n; j++)
            same[bf16.s[i].op == CG_OP_gemm_bf16] += f32.s[j].form == CG_FORM_NT && bf16.s[i].form == CG_FORM_NT &&
                                                     f32.s[j].m == bf16.s[i].m && f32.s[j].n == bf16.s[i].n &&
                                                     f32.s[j].k == bf16.s[i].k && f32.s[j].weight == bf16.s[i].weight;
    }
    assert_true(forward > 0 && same[0] == forward && same[1] == forward && bf16.n == 2 * forward);
    cg_shapes_free(&f32);
    cg_shapes_free(&bf16);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(builtin),  TEST(config_json), TEST(gguf_sound), TEST(gguf_tied),
        TEST(gguf_bad), TEST(gguf_damage), TEST(shapes),     TEST(shapes_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

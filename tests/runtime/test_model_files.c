/* Models from every format against what transformers reads, saved and loaded again, and the metadata of GGUF. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>
#include <xxhash.h>

#include "kernels/bf16.h"
#include "runtime/model/gguf.h"
#include "runtime/model/source.h"
#include "tests/runtime/model_check.h"
#include "tests/runtime/scratch.h"

static void test_builtin(void **state)
{
    (void)state;
    struct cg_model m = load("builtin:tiny", 1);
    char hash[17];
    cg_model_hash(&m, hash);
    /* The same on every machine; another value is another model for everybody. */
    assert_string_equal(hash, "56734582eee6c049");
    assert_int_equal(m.n_params, 641920);
    assert_int_equal(m.cfg.eos_token_id, 12);
    assert_int_equal(m.cfg.bos_token_id, -1);
    assert_string_equal(m.source, "builtin:tiny");
    struct cg_model other = load("builtin:tiny", 2);
    assert_memory_not_equal(m.w, other.w, 1024);
    cg_model_free(&m);
    cg_model_free(&other);
    assert_int_equal(cg_model_load("builtin:huge", 1, &m), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "builtin:tiny"));
}

/* The named tensors are the flat block, one after the other. */
static void test_layout(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t tied, head_dim, per_layer;
    } models[] = {
        {"llama-odd", 0, 6, 9},       {"llama-odd-tied", 1, 10, 9}, {"qwen2-odd", 0, 4, 12},
        {"qwen2-odd-tied", 1, 4, 12}, {"qwen3-odd", 0, 6, 11},      {"qwen3-odd-tied", 1, 6, 11},
    };
    for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
        char path[512];
        struct cg_model m = load(golden_path(models[k].name, path), 0);
        size_t at = 0, n = cg_model_tensor_count(&m);
        for (size_t i = 0; i < n; i++) {
            struct cg_tensor_ref r = cg_model_tensor(&m, i);
            assert_int_equal(r.offset, at);
            at += r.rows * (r.cols ? r.cols : 1);
        }
        assert_int_equal(at, m.n_params);
        size_t tied = models[k].tied;
        assert_int_equal(m.cfg.tie_word_embeddings, tied);
        assert_string_equal(cg_model_tensor(&m, n - 1).name, tied ? "model.norm.weight" : "lm_head.weight");
        assert_int_equal(m.lm_head == m.embed, tied);
        assert_int_equal(m.cfg.head_dim, models[k].head_dim);
        assert_int_equal(n, 2 * models[k].per_layer + 3 - tied);
        cg_model_free(&m);
    }
}

static void test_formats(void **state)
{
    (void)state;
    size_t size;
    char path[512], *text = golden_read("formats/hashes.json", &size);
    json_t *all = json_loadb(text, size, 0, NULL), *tensors;
    const char *file;
    int files = 0;
    json_object_foreach(all, file, tensors)
    {
        char name[128];
        snprintf(name, sizeof name, "formats/%s", file);
        struct cg_model m = load(golden_path(name, path), 0);
        assert_int_equal(cg_model_tensor_count(&m), json_object_size(tensors));
        for (size_t i = 0; i < cg_model_tensor_count(&m); i++) {
            struct cg_tensor_ref r = cg_model_tensor(&m, i);
            char got[17];
            size_t n = r.rows * (r.cols ? r.cols : 1);
            snprintf(got, sizeof got, "%016llx", (unsigned long long)XXH3_64bits(m.w + r.offset, n * sizeof(float)));
            const char *want = json_string_value(json_object_get(tensors, r.name));
            if (!want || strcmp(got, want) != 0) fail_msg("%s: %s is %s, not %s", file, r.name, got, want);
        }
        assert_int_equal(m.cfg.num_key_value_heads, 2);
        assert_int_equal(m.cfg.max_position_embeddings, 48);
        assert_int_equal(m.cfg.bos_token_id, 0);
        assert_int_equal(m.cfg.eos_token_id, 1);
        assert_int_equal(m.cfg.pad_token_id, 1);
        assert_true(m.cfg.rms_norm_eps == 0x1p-17f && m.cfg.rope_theta == 10000.0);
        cg_model_free(&m);
        files++;
    }
    assert_int_equal(files, 8);
    json_decref(all);
    cg_free(text);
}

static int files_in(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void test_round_trip(void **state)
{
    (void)state;
    char path[512], out[512];
    scratch_path("a/b/saved", out);
    for (int i = 0; i <= KINDS; i++) {
        struct cg_model m = load(i < KINDS ? golden_path(kinds[i], path) : "builtin:tiny", 7), back;
        /* Numbers without a short decimal form must survive as well. */
        m.cfg.rms_norm_eps = 1.2345679e-5f;
        m.cfg.rope_theta = 12345.678901234567;
        assert_int_equal(cg_model_save(&m, out), CG_OK); /* over the one saved before */
        back = load(out, 0);
        check_same(&m, &back);
        assert_int_equal(files_in(out), 3);
        cg_model_free(&m);
        cg_model_free(&back);
    }
}

/* bfloat16 keeps the upper half of each number, rounded. */
static void test_save_bf16(void **state)
{
    (void)state;
    char path[512], out[512];
    struct cg_source s;
    struct cg_model m = load(golden_path("qwen3-odd", path), 0), back;
    assert_int_equal(cg_source_open(path, 0, &s), CG_OK);
    assert_int_equal(cg_source_save(&s, scratch_path("bf16", out), 1), CG_OK);
    cg_source_close(&s);
    back = load(out, 0);
    for (size_t i = 0; i < m.n_params; i++) m.w[i] = cg_bf16_value(cg_bf16_of(m.w[i]));
    check_same(&m, &back);
    cg_model_free(&m);
    cg_model_free(&back);
}

/* A model in pieces is the whole model; pieces are whole rows. */
static void test_pieces(void **state)
{
    (void)state;
    char path[512];
    const char *const more[] = {"formats/hf-bf16", "formats/q4_1.gguf", "builtin:tiny"};
    for (int i = 0; i < KINDS + 3; i++) {
        const char *name = i < KINDS ? kinds[i] : more[i - KINDS];
        if (strncmp(name, "builtin", 7) != 0) name = golden_path(name, path);
        struct cg_source s;
        struct cg_model m = load(name, 3);
        if (cg_source_open(name, 3, &s) != CG_OK) fail_msg("%s", cg_error());
        assert_null(s.model.w);
        assert_int_equal(s.model.n_params, m.n_params);
        assert_string_equal(s.model.source, name);
        float *w = calloc(m.n_params, sizeof *w);
        assert_non_null(w);
        const struct cg_config *c = &m.cfg;
        size_t d = c->hidden_size, qkv = (c->num_attention_heads + 2 * c->num_key_value_heads) * c->head_dim * d;
        assert_int_equal(cg_source_read(&s, m.layers[0].qkv, qkv, w), CG_OK); /* of three tensors */
        assert_memory_equal(w, m.w + m.layers[0].qkv, qkv * sizeof *w);
        for (size_t row = 0; row < c->vocab_size; row++) /* rows of one */
            assert_int_equal(cg_source_read(&s, m.embed + row * d, d, w + row * d), CG_OK);
        assert_memory_equal(w, m.w + m.embed, c->vocab_size * d * sizeof *w);
        assert_int_equal(cg_source_read(&s, m.embed + 1, d, w), CG_ERR_INTERNAL);
        assert_int_equal(cg_source_read(&s, m.embed, d + 1, w), CG_ERR_INTERNAL);
        assert_int_equal(cg_source_read(&s, m.n_params, d, w), CG_ERR_INTERNAL);
        free(w);
        cg_model_free(&m);
        cg_source_close(&s);
    }
}

/* A file-size limit stands for a full disk: both make the write fail in its middle. */
static void test_disk_full(void **state)
{
    (void)state;
    char out[512], file[600];
    struct cg_model m = load("builtin:tiny", 1), other = load("builtin:tiny", 2), back;
    assert_int_equal(cg_model_save(&m, scratch_path("full", out)), CG_OK);
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 1000000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    enum cg_status s = cg_model_save(&other, out);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(s, CG_ERR_IO);
    snprintf(file, sizeof file, "%s/model.safetensors", out);
    assert_non_null(strstr(cg_error(), file));
    assert_null(strchr(cg_error(), '\n'));
    back = load(out, 0);
    check_same(&m, &back);
    assert_int_equal(files_in(out), 3);
    cg_model_free(&m);
    cg_model_free(&other);
    cg_model_free(&back);
}

static void test_gguf_metadata(void **state)
{
    (void)state;
    char path[512];
    struct cg_gguf *g;
    assert_int_equal(cg_gguf_open(golden_path("formats/q8_0.gguf", path), &g), CG_OK);
    struct cg_gguf_str s, *list;
    int32_t *ints;
    size_t n;
    uint64_t u;
    double d;
    int b;
    assert_int_equal(cg_gguf_string(g, "tokenizer.ggml.model", &s), CG_OK);
    assert_int_equal(s.n, 4);
    assert_memory_equal(s.s, "gpt2", 4);
    assert_int_equal(cg_gguf_strings(g, "tokenizer.ggml.tokens", &list, &n), CG_OK);
    assert_int_equal(n, 40);
    assert_int_equal(list[39].n, 3);
    assert_memory_equal(list[39].s, "t39", 3);
    free(list);
    assert_int_equal(cg_gguf_ints(g, "tokenizer.ggml.token_type", &ints, &n), CG_OK);
    assert_int_equal(n, 40);
    assert_int_equal(ints[39], 1);
    free(ints);
    assert_int_equal(cg_gguf_bool(g, "tokenizer.ggml.add_bos_token", &b), CG_OK);
    assert_int_equal(b, 0);
    assert_int_equal(cg_gguf_uint(g, "general.alignment", &u), CG_OK);
    assert_int_equal(u, 64);
    assert_int_equal(cg_gguf_float(g, "llama.rope.freq_base", &d), CG_OK);
    assert_true(d == 10000.0);
    /* Another kind, or none: the message names the key. */
    assert_int_equal(cg_gguf_uint(g, "tokenizer.ggml.model", &u), CG_ERR_USER);
    assert_int_equal(cg_gguf_float(g, "general.alignment", &d), CG_ERR_USER);
    assert_int_equal(cg_gguf_string(g, "general.alignment", &s), CG_ERR_USER);
    assert_int_equal(cg_gguf_bool(g, "general.alignment", &b), CG_ERR_USER);
    assert_int_equal(cg_gguf_strings(g, "tokenizer.ggml.token_type", &list, &n), CG_ERR_USER);
    assert_int_equal(cg_gguf_ints(g, "tokenizer.ggml.tokens", &ints, &n), CG_ERR_USER);
    assert_int_equal(cg_gguf_strings(g, "tokenizer.none", &list, &n), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "tokenizer.none"));
    assert_false(cg_gguf_has(g, "tokenizer.none"));
    cg_gguf_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test_setup_teardown(test_round_trip, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_save_bf16, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_disk_full, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_gguf_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is refused, and that the message says what, where, and what would do instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/model/model.h"
#include "tests/runtime/scratch.h"

/* Loads `path`, expects `status` and both texts in a one-line message. */
static void expect(const char *path, enum cg_status status, const char *a, const char *b)
{
    struct cg_model m;
    enum cg_status s = cg_model_load(path, 0, &m);
    if (s == CG_OK) fail_msg("%s was loaded, expected: %s ... %s", path, a, b);
    if (s != status || !strstr(cg_error(), a) || !strstr(cg_error(), b) || strchr(cg_error(), '\n'))
        fail_msg("status %d, \"%s\", expected %d and: %s ... %s", s, cg_error(), status, a, b);
    assert_null(m.w);
}

static void folder(void)
{
    scratch_copy("formats/hf-f16/config.json", "config.json");
    scratch_copy("formats/hf-f16/model.safetensors", "model.safetensors");
}

/* The folder with one replacement in its config.json. */
static void edit_config(const char *from, const char *to)
{
    size_t n;
    char *text = golden_read("formats/hf-f16/config.json", &n);
    char *edited = replaced(text, from, to);
    scratch_write("config.json", edited, strlen(edited));
    free(edited);
    cg_free(text);
}

static void test_config_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *a, *b;
    } edits[] = {
        {"LlamaForCausalLM", "Qwen9ForCausalLM", "Qwen9ForCausalLM is not supported", "supported: LlamaForCausalLM"},
        {"\"LlamaForCausalLM\"", "\"Evil\\u001b[2J\\nName\"", "Evil?[2J?Name", "supported"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"llama3\"", "rope_parameters", "llama3"},
        {"\"use_cache\": true", "\"rope_scaling\": {\"type\": \"yarn\"}", "rope_scaling", "yarn"},
        {"\"use_cache\": true", "\"rope_scaling\": \"yarn\"", "rope_scaling", "not understood"},
        {"\"attention_bias\": false", "\"attention_bias\": true", "attention_bias", "only as Qwen2"},
        {"\"mlp_bias\": false", "\"mlp_bias\": true", "mlp_bias", "only as Qwen2"},
        {"\"use_cache\": true", "\"use_sliding_window\": true", "use_sliding_window", "all positions"},
        {"\"use_cache\": true", "\"layer_types\": [\"full_attention\", \"sliding_attention\"]", "sliding_attention",
         "full_attention"},
        {"\"LlamaForCausalLM\"", "\"Qwen2ForCausalLM\"", "lack the tensor", "self_attn.q_proj.bias"},
        {"\"LlamaForCausalLM\"", "\"Qwen3MoeForCausalLM\"", "Qwen3MoeForCausalLM is not supported", "Qwen3ForCausalLM"},
        {"\"mlp_bias\": false", "\"mlp_bias\": 1", "mlp_bias", "true nor false"},
        {"\"silu\"", "\"gelu\"", "hidden_act is gelu", "silu"},
        {"\"use_cache\": true", "\"quantization_config\": {}", "quantized", "original"},
        {"\"head_dim\": 8", "\"head_dim\": 7", "head_dim is 7", "even"},
        {"\"head_dim\": 8", "\"head_dim\": 8000", "head_dim is 8000", "1024"},
        {"\"head_dim\": 8", "\"head_dim\": 16", "q_proj.weight", "[32, 32], config.json asks for [64, 32]"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads (3)", "multiple"},
        {"\"num_attention_heads\": 4", "\"num_attention_heads\": 0", "num_attention_heads", "whole number"},
        {"\"num_attention_heads\": 4", "\"num_attention_heads\": 4.5", "num_attention_heads", "whole number"},
        {"\"vocab_size\": 40", "\"vocab_size\": 41", "embed_tokens", "[40, 32], config.json asks for [41, 32]"},
        {"\"vocab_size\": 40", "\"vocab_size\": 1000000000000", "vocab_size", "from 1 to"},
        {"\"vocab_size\": 40", "\"vocab_size\": 99999999999999999999", "config.json", "line"},
        {"\"vocab_size\": 40", "\"x\": 40", "vocab_size", "missing"},
        {"\"hidden_size\": 32", "\"vocab_size\": 40", "config.json", "duplicate"},
        {"\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2", "lack the tensor", "model.layers.1."},
        {"\"tie_word_embeddings\": false", "\"tie_word_embeddings\": \"no\"", "tie_word_embeddings", "true nor false"},
        {"\"eos_token_id\": 1", "\"eos_token_id\": 40", "eos_token_id is 40", "vocabulary of 40"},
        {"\"eos_token_id\": 1", "\"eos_token_id\": [\"x\"]", "eos_token_id", "token id"},
        {"\"rms_norm_eps\": ", "\"rms_norm_eps\": -", "rms_norm_eps", "above 0"},
        {"\"rope_theta\": ", "\"rope_theta\": -", "rope_theta", "from 1 on"},
        {"\"rope_theta\": ", "\"partial_rotary_factor\": 0.5, \"rope_theta\": ", "partial_rotary_factor", "0.5"},
        {"{", "[{", "config.json", "JSON"},
        {"{", "7 {", "config.json", "JSON"},
    };
    folder();
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        edit_config(edits[i].from, edits[i].to);
        expect(scratch, CG_ERR_USER, edits[i].a, edits[i].b);
    }
    scratch_write("config.json", "[1]", 3);
    expect(scratch, CG_ERR_USER, "config.json", "not a JSON object");
}

/* Other spellings of the same model. */
static void test_config_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        int eos;
    } edits[] = {
        {"\"eos_token_id\": 1", "\"eos_token_id\": [3, 4]", 3},
        {"\"eos_token_id\": 1", "\"eos_token_id\": null", 5},
        {"\"eos_token_id\": 1,", "", 5},
        {"\"head_dim\": 8,", "", 1},
        {"\"head_dim\": 8", "\"head_dim\": null", 1},
        {"\"use_cache\": true", "\"rope_scaling\": null", 1},
        {"\"use_cache\": true", "\"rope_scaling\": {\"rope_type\": \"default\"}", 1},
        {"\"architectures\": [\n    \"LlamaForCausalLM\"\n  ],", "", 1},
    };
    struct cg_model m;
    folder();
    static const char generation[] = "{\"eos_token_id\": [5, 6]}";
    scratch_write("generation_config.json", generation, sizeof generation - 1);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        edit_config(edits[i].from, edits[i].to);
        if (cg_model_load(scratch, 0, &m) != CG_OK) fail_msg("\"%s\": %s", edits[i].to, cg_error());
        assert_int_equal(m.cfg.eos_token_id, edits[i].eos);
        assert_true(m.cfg.rope_theta == 10000.0);
        cg_model_free(&m);
    }
    /* transformers 4: rope_theta at the top. */
    edit_config("\"rope_parameters\": {", "\"rope_theta\": 77.5, \"x\": {");
    if (cg_model_load(scratch, 0, &m) != CG_OK) fail_msg("%s", cg_error());
    assert_true(m.cfg.rope_theta == 77.5);
    cg_model_free(&m);
}

static void test_missing(void **state)
{
    (void)state;
    char path[512];
    expect(scratch_path("nothing", path), CG_ERR_IO, path, "No such file");
    expect(scratch, CG_ERR_IO, "config.json", "No such file");
    scratch_copy("formats/hf-f16/config.json", "config.json");
    expect(scratch, CG_ERR_IO, scratch, "neither model.safetensors nor");
    scratch_write("model.safetensors", "", 0);
    expect(scratch, CG_ERR_USER, "model.safetensors", "not a safetensors file");
    scratch_write("note.txt", "hello, this is no model at all", 30);
    expect(scratch_path("note.txt", path), CG_ERR_USER, path, "not a GGUF file");
    scratch_write("empty.gguf", "", 0);
    expect(scratch_path("empty.gguf", path), CG_ERR_USER, path, "not a GGUF file");
}

/* Writes tests/goldens/NAME as scratch file `to`, with bytes replaced (of equal length) everywhere they occur. */
static void edit_bytes(const char *name, const char *to, const char *from, const char *with, size_t k)
{
    size_t n, hits = 0;
    char *data = golden_read(name, &n);
    for (size_t i = 0; i + k <= n; i++)
        if (memcmp(data + i, from, k) == 0) {
            memcpy(data + i, with, k);
            hits++;
        }
    if (!hits) fail_msg("nothing to replace in %s", name);
    scratch_write(to, data, n);
    cg_free(data);
}

static void test_safetensors_refused(void **state)
{
    (void)state;
    static const char *const s = "formats/hf-f16/model.safetensors", *const to = "model.safetensors";
    folder();
    edit_bytes(s, to, "\"F16\"", "\"I16\"", 5);
    expect(scratch, CG_ERR_USER, "is I16", "F32, F16 and BF16");
    edit_bytes(s, to, "\"F16\"", "\"F8X\"", 5);
    expect(scratch, CG_ERR_USER, "is F8X", "F32, F16 and BF16");
    edit_bytes(s, to, "\"F16\"", "\"F32\"", 5);
    expect(scratch, CG_ERR_USER, "shape that does not fit its data", "damaged");
    edit_bytes(s, to, "model.norm.weight", "model.form.weight", 17);
    expect(scratch, CG_ERR_USER, "lack the tensor", "model.norm.weight");
    edit_bytes(s, to, "[32]", "[33]", 4);
    expect(scratch, CG_ERR_USER, "layernorm.weight", "does not fit");
    edit_bytes(s, to, "[40,32]", "[32,40]", 7);
    expect(scratch, CG_ERR_USER, "has the shape [32, 40]", "asks for [40, 32]");
    /* An attention bias that the configuration does not tell of. */
    size_t n;
    char *config = golden_read("llama-odd/config.json", &n), path[512];
    struct cg_st_item extra = {.name = "model.layers.0.self_attn.q_proj.bias", .n_dims = 1, .dims = {1}};
    float one = 1.0f;
    struct cg_model m;
    struct cg_st_item items[64];
    struct cg_tensor_ref refs[64];
    scratch_write("config.json", config, n);
    assert_int_equal(cg_model_load(golden_path("llama-odd", path), 0, &m), CG_OK);
    size_t count = cg_model_tensor_count(&m);
    for (size_t i = 0; i < count; i++) {
        refs[i] = cg_model_tensor(&m, i);
        items[i] = (struct cg_st_item){.name = refs[i].name,
                                       .n_dims = refs[i].cols ? 2 : 1,
                                       .dims = {refs[i].rows, refs[i].cols},
                                       .data = m.w + refs[i].offset};
    }
    extra.data = &one;
    items[count] = extra;
    assert_int_equal(cg_st_write(scratch_path(to, path), items, count + 1), CG_OK);
    expect(scratch, CG_ERR_USER, "self_attn.q_proj.bias", "not part of the LlamaForCausalLM");
    /* Not a number. */
    m.w[m.final_norm] = (float)__builtin_nan("");
    assert_int_equal(cg_st_write(path, items, count), CG_OK);
    expect(scratch, CG_ERR_USER, "model.norm.weight", "infinite or not numbers");
    cg_model_free(&m);
    cg_free(config);
}

static void test_shards_refused(void **state)
{
    (void)state;
    static const char *const index = "model.safetensors.index.json";
    size_t n;
    char *text = golden_read("formats/hf-bf16/model.safetensors.index.json", &n), *edited;
    scratch_copy("formats/hf-bf16/config.json", "config.json");
    scratch_write(index, text, n);
    expect(scratch, CG_ERR_IO, ".safetensors", "No such file");
    for (int i = 1; i <= 4; i++) {
        char from[128], to[64];
        snprintf(to, sizeof to, "model-%05d-of-00004.safetensors", i);
        snprintf(from, sizeof from, "formats/hf-bf16/%s", to);
        scratch_copy(from, to);
    }
    struct cg_model m;
    if (cg_model_load(scratch, 0, &m) != CG_OK) fail_msg("%s", cg_error());
    cg_model_free(&m);
    static const struct {
        const char *from, *to, *a;
    } edits[] = {
        {"\"model-00001", "\"../model-00001", "no plain name"},
        {"\"model-00001", "\"model\\u001b-00001", "no plain name"},
        {"\"weight_map\"", "\"weight_mop\"", "no weight_map"},
        {"\"model-00001-of-00004.safetensors\"", "1", "not a name"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        edited = replaced(text, edits[i].from, edits[i].to);
        scratch_write(index, edited, strlen(edited));
        expect(scratch, CG_ERR_USER, index, edits[i].a);
        free(edited);
    }
    cg_free(text);
}

static void test_gguf_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        size_t k;
        const char *a, *b;
    } edits[] = {
        {"GGUF\3", "GGUF\1", 5, "version 1", "2 and 3"},
        {"GGUF\3", "GGUF\0", 5, "version 0", "2 and 3"},
        {"GGUF", "GGML", 4, "not a GGUF file", "x.gguf"},
        {"\5\0\0\0\0\0\0\0llama", "\5\0\0\0\0\0\0\0gemma", 13, "gemma is not supported", "supported: llama"},
        {"llama.block_count", "llama.block_kount", 17, "lacks", "llama.block_count"},
        {"llama.block_count\4\0\0\0\1", "llama.block_count\4\0\0\0\2", 22, "lacks the tensor", "blk.1."},
        {"llama.block_count\4\0\0\0\1", "llama.block_count\6\0\0\0\2", 22, "llama.block_count", "whole number"},
        {"head_count_kv\4\0\0\0\2", "head_count_kv\4\0\0\0\3", 18, "num_key_value_heads (3)", "multiple"},
        {"head_count_kv\4\0\0\0\2", "head_count_kv\4\0\0\0\1", 18, "blk.0.attn_k.weight", "asks for 32 and 8"},
        {"dimension_count\4\0\0\0\x8", "dimension_count\4\0\0\0\4", 20, "rope.dimension_count is 4",
         "size of a head, 8"},
        {"llama.context_length", "llama.embedding_lengt", 20, "lacks", "llama.context_length"},
        {"output_norm.weight", "output_form.weight", 18, "lacks the tensor", "output_norm.weight"},
        /* Without the extra tensor it would be a model with tied embeddings. */
        {"\xd\0\0\0\0\0\0\0output.weight", "\xd\0\0\0\0\0\0\0output.weighd", 21, "has 12 tensors", "has 11"},
        {"\x13\0\0\0\0\0\0\0blk.0.attn_q.weight\2\0\0\0 \0\0\0\0\0\0\0 \0\0\0\0\0\0\0\0",
         "\x13\0\0\0\0\0\0\0blk.0.attn_q.weight\2\0\0\0 \0\0\0\0\0\0\0 \0\0\0\0\0\0\0\x16", 48,
         "blk.0.attn_q.weight is stored as IQ2_S", "supported are F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K"},
        {"blk.0.attn_q.weight\2\0\0\0 \0\0\0\0\0\0\0 \0\0\0\0\0\0\0\0",
         "blk.0.attn_q.weight\2\0\0\0 \0\0\0\0\0\0\0 \0\0\0\0\0\0\0\xe", 40, "blk.0.attn_q.weight", "whole blocks"},
        {"blk.0.attn_q.weight\2\0\0\0 \0\0\0\0\0\0\0 \0\0\0\0\0\0\0\0",
         "blk.0.attn_q.weight\2\0\0\0 \0\0\0\0\0\0\0 \0\0\0\0\0\0\0\xc8", 40, "an unknown type (type 200)",
         "supported"},
        {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", 27, "tokenizer.ggml.eos_token_id", "twice"},
        {"blk.0.attn_k.weight", "blk.0.attn_q.weight", 19, "blk.0.attn_q.weight", "twice"},
    };
    char path[512];
    scratch_path("x.gguf", path);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        edit_bytes("formats/f32.gguf", "x.gguf", edits[i].from, edits[i].to, edits[i].k);
        expect(path, CG_ERR_USER, edits[i].a, edits[i].b);
    }
    /* Version 2 has the same layout as 3. */
    struct cg_model m;
    edit_bytes("formats/f32.gguf", "x.gguf", "GGUF\3", "GGUF\2", 5);
    if (cg_model_load(path, 0, &m) != CG_OK) fail_msg("%s", cg_error());
    cg_model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_config_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_config_accepted, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_missing, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_safetensors_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_shards_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_gguf_refused, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

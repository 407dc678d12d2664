/* Tokenizer files that are wrong, foreign or hostile: one line that names the fault, and never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/rng.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/runtime/scratch.h"
#include "tests/runtime/tokenizer_gguf.h"

#define PARTS(normalizer, pre, decoder, model)                                                                 \
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],\"normalizer\":" normalizer \
    ",\"pre_tokenizer\":" pre ",\"post_processor\":null,\"decoder\":" decoder ",\"model\":" model "}"
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define BPE "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
static const char good[] = PARTS("null", BYTES, BYTES, BPE);

/* Loads the scratch folder; the message must hold `want`, or the load succeed when `want` is NULL. */
static void check_load(const char *path, const char *what, const char *want)
{
    struct cg_tokenizer *t;
    enum cg_status s = cg_tokenizer_load(path, &t);
    if (!want && s != CG_OK) fail_msg("%s: %s", what, cg_error());
    if (want && s == CG_OK) fail_msg("%s: was loaded", what);
    if (want) {
        assert_null(t);
        if (!strstr(cg_error(), want) || strchr(cg_error(), '\n')) fail_msg("%s: \"%s\"", what, cg_error());
        assert_true(s == CG_ERR_USER || s == CG_ERR_IO);
    }
    cg_tokenizer_free(t);
}

static void check_json(const char *json, const char *want)
{
    scratch_write("tokenizer.json", json, strlen(json));
    check_load(scratch, json, want);
}

/* The good file with one text replaced, and what the message has to name. */
static const struct {
    const char *from, *to, *want;
} edits[] = {
    {"\"version\"", "\"\":1,\"version\"", "'' is not supported"},
    {"\"type\":\"BPE\"", "\"type\":\"BPE\",\"vocab merges\":1", "'vocab merges' is not supported"},
    {"\"version\"", "\"extra\":1,\"version\"", "'extra' is not supported"},
    {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFKC\"}", "normalizer of type 'NFKC'"},
    {"\"normalizer\":null", "\"normalizer\":[]", "normalizer has no type"},
    {"\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"Metaspace\"", "'Metaspace'"},
    {"\"add_prefix_space\":false", "\"add_prefix_space\":true", "'add_prefix_space' true"},
    {"\"add_prefix_space\":false", "\"add_prefix_space\":3", "'add_prefix_space' is neither"},
    {"\"use_regex\":true", "\"use_regex\":true,\"foo\":1", "'foo'"},
    {"\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\"", "decoder of type 'WordPiece'"},
    {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", "model of type 'Unigram'"},
    {"\"type\":\"BPE\"", "\"type\":\"BPE\",\"dropout\":0.1", "'dropout'"},
    {"\"type\":\"BPE\"", "\"type\":\"BPE\",\"byte_fallback\":true", "'byte_fallback'"},
    {"\"type\":\"BPE\"", "\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\"", "'end_of_word_suffix'"},
    {"\"type\":\"BPE\"", "\"type\":\"BPE\",\"unk_token\":\"<unk>\"", "'unk_token' is not in"},
    {"\"type\":\"BPE\"", "\"type\":\"BPE\",\"unk_token\":7", "'unk_token' is not in"},
    {"\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}", "\"vocab\":[]", "'vocab' is not an object"},
    {"\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}", "\"vocab\":{}", "is not in the vocabulary"},
    {"\"b\":1", "\"b\":-1", "an id is not a whole number"},
    {"\"b\":1", "\"b\":1.5", "an id is not a whole number"},
    {"\"b\":1", "\"b\":\"1\"", "an id is not a whole number"},
    {"\"b\":1", "\"b\":4000000000", "an id is not a whole number"},
    {"\"b\":1", "\"b\":123456789012345678901234567890", "not sound JSON"},
    {"\"b\":1", "\"b\":0", "two tokens have id 0: 'a' and 'b'"},
    {"\"b\":1", "\"a\":1", "not sound JSON"},
    {"\"ab\":2", "\"abc\":2", "merge 0 names 'ab'"},
    {"\"a b\"", "\"a c\"", "merge 0 names 'c'"},
    {"\"a b\"", "\"ab\"", "merge 0 is neither"},
    {"\"a b\"", "\"a b c\"", "merge 0 is neither"},
    {"\"a b\"", "[\"a\"]", "merge 0 is neither"},
    {"\"a b\"", "[\"a\",1]", "merge 0 is neither"},
    {"\"a b\"", "{\"a\":\"b\"}", "merge 0 is neither"},
    {"[\"a b\"]", "{}", "'merges' is not a list"},
    {",\"merges\":[\"a b\"]", "", "'merges' is not a list"},
    {"\"model\":{", "\"model\":3,\"decoder2\":{", "'decoder2'"},
    {"\"added_tokens\":[]", "\"added_tokens\":{}", "'added_tokens' is not a list"},
    {"\"added_tokens\":[]", "\"added_tokens\":[7]", "added_tokens is not an object"},
    {"\"added_tokens\":[]", "\"added_tokens\":[{\"id\":3}]", "id 3 has no content"},
    {"\"added_tokens\":[]", "\"added_tokens\":[{\"content\":\"x\"}]", "an id is not a whole number"},
    {"\"added_tokens\":[]", "\"added_tokens\":[{\"id\":9,\"content\":\"x\"}]", "'x' has id 9 where 3 was expected"},
    {"\"added_tokens\":[]", "\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]", "'a' has id 1 where 0 was expected"},
    {"\"added_tokens\":[]", "\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"single_word\":true}]", "'single_word'"},
    {"\"added_tokens\":[]", "\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"odd\":true}]", "'odd'"},
    {"\"added_tokens\":[]", "\"added_tokens\":[{\"id\":3,\"content\":\"x\"}]", NULL},
    {"\"a b\"", "[\"a\",\"b\"]", NULL},
    {"\"type\":\"BPE\",", "", NULL},
};

static void test_edits(void **state)
{
    (void)state;
    check_json(good, NULL);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char *json = replaced(good, edits[i].from, edits[i].to);
        check_json(json, edits[i].want);
        free(json);
    }
    check_json("", "not sound JSON");
    check_json("[]", "not a JSON object");
    check_json("{}", "there is no model");
    check_load("/nonexistent/model", "missing", "not a model");
    check_load("builtin:huge", "builtin", "no such built-in model");
}

/* A pre-tokenizer Split by this pattern. */
static void check_pattern(const char *pattern, const char *want)
{
    char split[1024], *json;
    snprintf(split, sizeof split,
             "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},"
             "\"behavior\":\"Isolated\",\"invert\":false}," BYTES "]}",
             pattern);
    json = replaced(good, BYTES, split);
    check_json(json, want);
    free(json);
}

static void test_patterns(void **state)
{
    (void)state;
    check_pattern("\\\\p{L}+|[^\\\\s\\\\p{N}]{1,3}", NULL);
    check_pattern("", "empty");
    check_pattern("a*", "can match nothing");
    check_pattern("(?<=a)b", "a kind of group at character 1");
    check_pattern("a+?", "quantifier");
    check_pattern("a++", "quantifier");
    check_pattern("a{2", "a brace");
    check_pattern(".", "'.', '^' or '$'");
    check_pattern("\\\\bx", "an escape at character 1");
    check_pattern("[a&&b]", "a set operation");
    check_pattern("[a[b]]", "a set operation");
    check_pattern("[a", "an unclosed class");
    check_pattern("[^\\\\P{L}]", "a negated property");
    check_pattern("\\\\pL", "a property without braces");
    check_pattern("\\\\p{Nonsense}", "cannot be compiled");
    check_pattern("(a", "cannot be compiled");
    check_pattern("a\\\\", "an escape");
}

static void test_splits(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{\"type\":\"Sequence\",\"pretokenizers\":{}}", "'pretokenizers' is not a list"},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[]}", "has no ByteLevel"},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[" BYTES "," BYTES "]}", "after ByteLevel"},
        {"{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Isolated\"}", "the kind 'Regex'"},
        {"{\"type\":\"Split\",\"pattern\":\"a\",\"behavior\":\"Isolated\"}", "the kind 'Regex'"},
        {"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Removed\"}", "'Isolated'"},
        {"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Isolated\",\"invert\":true}", "'invert'"},
        {"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Isolated\"}", "has no ByteLevel"},
        {"null", "there is no pre_tokenizer"},
        {"{}", "pre_tokenizer has no type"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *json = replaced(good, BYTES, bad[i][0]);
        check_json(json, bad[i][1]);
        free(json);
    }
}

static void test_config(void **state)
{
    (void)state;
    static const char *const configs[][2] = {
        {"{\"eos_token\":\"<end>\"}", "'eos_token' is '<end>'"},
        {"{\"pad_token\":{\"content\":\"p\\nad\"}}", "'pad_token' is 'p?ad'"},
        {"{\"eos_token\":3}", "'eos_token' is not a string"},
        {"{\"add_prefix_space\":true}", "'add_prefix_space'"},
        {"{\"added_tokens_decoder\":{\"0\":{\"content\":\"zz\"}}}", "says that 'zz' is 0"},
        {"{\"added_tokens_decoder\":{\"x\":{\"content\":\"a\"}}}", "'added_tokens_decoder' is not sound"},
        {"{\"added_tokens_decoder\":{\"0\":7}}", "'added_tokens_decoder' is not sound"},
        {"{", "tokenizer_config.json is not sound JSON"},
        {"{\"eos_token\":\"ab\",\"model_max_length\":1000000000000000019884624838656}", NULL},
    };
    scratch_write("tokenizer.json", good, sizeof good - 1);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        scratch_write("tokenizer_config.json", configs[i][0], strlen(configs[i][0]));
        check_load(scratch, configs[i][0], configs[i][1]);
    }
}

/* Loads what may or may not be sound, and uses it when it loads. */
static void try_file(const char *path)
{
    struct cg_tokenizer *t;
    if (cg_tokenizer_load(path, &t) != CG_OK) {
        assert_true(cg_error()[0] != 0);
        return;
    }
    static const char text[] = "Hello, \xF0\x9F\x98\x80 don't 123 <|im_end|>\n  x\xFF\xC3";
    int32_t *ids;
    size_t count, n;
    char *s;
    if (cg_tokenizer_encode(t, text, sizeof text, &ids, &count) == CG_OK) {
        assert_int_equal(cg_tokenizer_decode(t, ids, count, 1, &s, &n), CG_OK);
        free(s);
        free(ids);
    }
    cg_tokenizer_free(t);
}

/* Changes a few bytes of the file again and again; the seed and case are in the failure's name. */
static void mutate(const char *name, const char *path, char *data, size_t n, uint32_t cases)
{
    char *copy = malloc(n);
    assert_non_null(copy);
    for (uint32_t k = 0; k < cases; k++) {
        uint32_t w[4], changes;
        memcpy(copy, data, n);
        changes = 1 + cg_rng_below(5, CG_RNG_TEST, k, 0, 0, 4);
        for (uint32_t i = 1; i <= changes; i++) {
            cg_rng4(5, CG_RNG_TEST, k, i, 0, w);
            size_t at = (w[3] & 1 ? w[0] % n : w[0] % (n < 1200 ? n : 1200));
            copy[at] = w[1] & 1 ? (char)w[2] : "\"{}[]:,0129-"[w[2] % 12];
        }
        size_t len = cg_rng_below(5, CG_RNG_TEST, k, 9, 0, 8) ? n : cg_rng_below(5, CG_RNG_TEST, k, 10, 0, (uint32_t)n);
        scratch_write(name, copy, len);
        try_file(path);
    }
    free(copy);
}

static void test_mutations(void **state)
{
    (void)state;
    char path[512], *data;
    size_t n;
    data = golden_read("tokenizer-qwen2/tokenizer.json", &n);
    mutate("tokenizer.json", scratch, data, n, 600);
    cg_free(data);
    gguf_from_golden("tokenizer-small", "smollm", scratch_path("m.gguf", path));
    assert_int_equal(cg_file_read(path, (size_t)1 << 24, &data, &n), CG_OK);
    mutate("m.gguf", path, data, n, 600);
    cg_free(data);
}

/* A GGUF tokenizer of three tokens with these values; -1 leaves a key out. */
static void write_gguf(const char *path, const char *model, const char *pre, const char *last, int type, int eos)
{
    const char *tokens[] = {"a", "b", last};
    FILE *f = gguf_begin(path, 6);
    gguf_string(f, "model", model);
    gguf_string(f, "pre", pre);
    gguf_array(f, "tokens", GGUF_STRING, 3);
    for (int i = 0; i < 3; i++) gguf_str(f, tokens[i], strlen(tokens[i]));
    gguf_array(f, "token_type", GGUF_I32, 3);
    for (int i = 0; i < 3; i++) gguf_u32(f, i < 2 ? 1 : (uint32_t)type);
    gguf_array(f, "merges", GGUF_STRING, 1);
    gguf_str(f, "a b", 3);
    gguf_uint(f, "eos_token_id", (uint32_t)eos);
    assert_int_equal(fclose(f), 0);
}

static void test_gguf(void **state)
{
    (void)state;
    static const struct {
        const char *model, *pre, *last;
        int type, eos;
        const char *want;
    } cases[] = {
        {"gpt2", "smollm", "ab", 1, 1, NULL},
        {"llama", "smollm", "ab", 1, 1, "tokenizer.ggml.model 'llama'"},
        {"gpt2", "chatglm-bpe", "ab", 1, 1, "tokenizer.ggml.pre 'chatglm-bpe'"},
        {"gpt2", "smollm", "a", 1, 1, "ids 0 and 2 are the same token 'a'"},
        {"gpt2", "smollm", "\xFF\xFE", 1, 1, "token 2 is not valid UTF-8"},
        {"gpt2", "smollm", "", 3, 1, "special token 2 is empty"},
        {"gpt2", "smollm", "ab", 77, 1, "token 2 has type 77"},
        {"gpt2", "smollm", "ab", 1, 3, "eos_token_id is 3, which is not a token"},
        {"gpt2", "smollm", "ab", 1, 2000000000, "eos_token_id is 2000000000"},
        {"gpt2", "smollm", "xy", 1, 1, "merge 0 names 'ab'"},
    };
    char path[512];
    scratch_path("m.gguf", path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_gguf(path, cases[i].model, cases[i].pre, cases[i].last, cases[i].type, cases[i].eos);
        check_load(path, cases[i].want ? cases[i].want : "good", cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_edits, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_patterns, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_splits, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_config, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_mutations, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_gguf, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

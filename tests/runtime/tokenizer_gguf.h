/* A GGUF file that holds nothing but a tokenizer. Include after "tests/runtime/scratch.h". */
#ifndef CG_TESTS_RUNTIME_TOKENIZER_GGUF_H
#define CG_TESTS_RUNTIME_TOKENIZER_GGUF_H

#include <jansson.h>
#include <stdint.h>

enum { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_STRING = 8, GGUF_ARRAY = 9 };

/* The files are little-endian, as are the machines of the tests. */
static inline void gguf_u32(FILE *f, uint32_t v)
{
    fwrite(&v, 4, 1, f);
}

static inline void gguf_u64(FILE *f, uint64_t v)
{
    fwrite(&v, 8, 1, f);
}

static inline void gguf_str(FILE *f, const char *s, size_t n)
{
    gguf_u64(f, n);
    fwrite(s, 1, n, f);
}

/* "tokenizer.ggml.KEY" (or KEY itself when it has a dot), and the type of its value. */
static inline void gguf_key(FILE *f, const char *key, uint32_t type)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", strchr(key, '.') ? "" : "tokenizer.ggml.", key);
    gguf_str(f, full, strlen(full));
    gguf_u32(f, type);
}

static inline void gguf_array(FILE *f, const char *key, uint32_t type, uint64_t n)
{
    gguf_key(f, key, GGUF_ARRAY);
    gguf_u32(f, type);
    gguf_u64(f, n);
}

static inline void gguf_string(FILE *f, const char *key, const char *s)
{
    gguf_key(f, key, GGUF_STRING);
    gguf_str(f, s, strlen(s));
}

static inline void gguf_uint(FILE *f, const char *key, uint32_t v)
{
    gguf_key(f, key, GGUF_U32);
    gguf_u32(f, v);
}

/* Starts a file without tensors that has n_keys keys. */
static inline FILE *gguf_begin(const char *path, uint64_t n_keys)
{
    (void)unlink(path);
    FILE *f = fopen(path, "wb");
    if (!f) {
        fail_msg("cannot write %s", path);
        abort(); /* not reached */
    }
    fwrite("GGUF", 1, 4, f);
    gguf_u32(f, 3);
    gguf_u64(f, 0);
    gguf_u64(f, n_keys);
    return f;
}

static inline void gguf_merges(FILE *f, json_t *merges)
{
    size_t i;
    json_t *m;
    gguf_array(f, "merges", GGUF_STRING, json_array_size(merges));
    json_array_foreach(merges, i, m)
    {
        char s[256];
        if (json_is_string(m)) snprintf(s, sizeof s, "%s", json_string_value(m));
        else {
            snprintf(s, sizeof s, "%s %s", json_string_value(json_array_get(m, 0)),
                     json_string_value(json_array_get(m, 1)));
        }
        gguf_str(f, s, strlen(s));
    }
}

/* Writes the vocabulary of tests/goldens/NAME, of which the first three tokens are special, as GGUF. */
static inline void gguf_from_golden(const char *name, const char *pre, const char *path)
{
    char file[128];
    const char *key, *tokens[1024] = {0};
    size_t n;
    json_error_t e;
    json_t *id;
    snprintf(file, sizeof file, "%s/tokenizer.json", name);
    char *text = golden_read(file, &n);
    json_t *root = json_loadb(text, n, 0, &e), *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab");
    n = json_object_size(vocab);
    assert_in_range(n, 3, 1024);
    json_object_foreach(vocab, key, id) tokens[json_integer_value(id) & 1023] = key;
    FILE *f = gguf_begin(path, 8);
    gguf_string(f, "model", "gpt2");
    gguf_string(f, "pre", pre);
    gguf_array(f, "tokens", GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) gguf_str(f, tokens[i], strlen(tokens[i]));
    gguf_array(f, "token_type", GGUF_I32, n);
    for (size_t i = 0; i < n; i++) gguf_u32(f, i < 3 ? 3 : 1);
    gguf_merges(f, json_object_get(model, "merges"));
    gguf_uint(f, "bos_token_id", 1);
    gguf_uint(f, "eos_token_id", 2);
    gguf_string(f, "tokenizer.chat_template", "{% for m in messages %}{{ m.content }}{% endfor %}");
    assert_int_equal(fclose(f), 0);
    json_decref(root);
    cg_free(text);
}

#endif

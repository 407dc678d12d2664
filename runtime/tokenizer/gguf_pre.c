/* tokenizer.ggml.pre: GGUF's names for the ways to cut text, and what they stand for in tokenizer.json. */
#include <string.h>

#include "runtime/tokenizer/internal.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char qwen2_pattern[] = CONTRACTIONS "\\p{N}" REST;
static const char llama3_pattern[] = CONTRACTIONS "\\p{N}{1,3}" REST;

/* The names of tokenizer.ggml.pre, and the pre-tokenizers of the models that they stand for. */
static const struct cg_pre pres[] = {
    {.name = "gpt-2"},
    {.name = "default"},
    {.name = "phi-2"},
    {.name = "smollm", .digits = 1},
    {.name = "starcoder", .digits = 1},
    {.name = "qwen2", .pattern = qwen2_pattern, .nfc = 1},
    {.name = "deepseek-r1-qwen", .pattern = qwen2_pattern, .nfc = 1},
    {.name = "llama-bpe", .pattern = llama3_pattern, .ignore_merges = 1},
    {.name = "llama3", .pattern = llama3_pattern, .ignore_merges = 1},
    {.name = "llama-v3", .pattern = llama3_pattern, .ignore_merges = 1},
};

const struct cg_pre *cg_pre_named(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++)
        if (strlen(pres[i].name) == n && memcmp(name, pres[i].name, n) == 0) return &pres[i];
    return NULL;
}

static int is_type(json_t *o, const char *name)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type && strcmp(type, name) == 0;
}

/* What one step of a pre_tokenizer says goes into `p`; 0 for what no entry of the table has. */
static int take_step(json_t *step, struct cg_pre *p, int *gpt2)
{
    const char *regex = json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    if (is_type(step, "Digits")) {
        p->digits = json_is_true(json_object_get(step, "individual_digits"));
        return p->digits && !p->pattern;
    }
    if (is_type(step, "Split") && regex && !p->pattern) {
        p->pattern = regex;
        return 1;
    }
    json_t *use = json_object_get(step, "use_regex");
    if (!is_type(step, "ByteLevel")) return 0;
    *gpt2 = !use || json_is_true(use);
    return 1;
}

const struct cg_pre *cg_pre_of_json(json_t *root)
{
    json_t *pre = json_object_get(root, "pre_tokenizer"), *steps = json_object_get(pre, "pretokenizers"), *step;
    struct cg_pre p = {.nfc = is_type(json_object_get(root, "normalizer"), "NFC"),
                       .ignore_merges = json_is_true(json_object_get(json_object_get(root, "model"), "ignore_merges"))};
    int gpt2 = 0;
    size_t i;
    if (!steps && !take_step(pre, &p, &gpt2)) return NULL;
    json_array_foreach(steps, i, step) if (!take_step(step, &p, &gpt2)) return NULL;
    if (gpt2 == (p.pattern != NULL)) return NULL; /* one of the two, not both */
    for (i = 0; i < sizeof pres / sizeof *pres; i++) {
        const struct cg_pre *q = &pres[i];
        int same = p.pattern ? q->pattern && strcmp(p.pattern, q->pattern) == 0 : !q->pattern;
        if (same && p.digits == q->digits && p.nfc == q->nfc && p.ignore_merges == q->ignore_merges) return q;
    }
    return NULL;
}

/* What the parts of the tokenizer share; others include tokenizer.h. */
#ifndef CG_RUNTIME_TOKENIZER_INTERNAL_H
#define CG_RUNTIME_TOKENIZER_INTERNAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/tokenizer/pattern.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/trie.h"
#include "runtime/tokenizer/vocab.h"

#define CG_MAX_PATTERNS 8
#define CG_MAX_FILES 4
#define CG_MAX_TEXT ((size_t)1 << 30)

/* How GGUF's tokenizer.ggml.pre says that text is cut. */
struct cg_pre {
    const char *name;
    int digits;          /* every digit is a piece, before the pattern */
    const char *pattern; /* NULL: GPT-2's, which ByteLevel has built in */
    int nfc, ignore_merges;
};

/* The way with this name; the one that this tokenizer.json describes. NULL: none that is known. */
const struct cg_pre *cg_pre_named(const char *name, size_t n);
const struct cg_pre *cg_pre_of_json(json_t *root);

/* tokenizer.ggml.token_type. */
enum {
    CG_GGUF_NORMAL = 1,
    CG_GGUF_UNKNOWN,
    CG_GGUF_CONTROL,
    CG_GGUF_USER_DEFINED,
    CG_GGUF_UNUSED,
    CG_GGUF_BYTE,
};

/* A file of the source folder, written again as it was. */
struct cg_kept_file {
    const char *name;
    char *data;
    size_t n;
};

struct cg_tokenizer {
    char *source; /* for messages */
    struct cg_vocab vocab;
    int chars; /* every character is a token: no bytes, no merges, and a character without a token is an error */
    int nfc, ignore_merges, fuse_unk;
    uint32_t unk; /* stands for bytes without a token; CG_NO_ID: such bytes are left out, as in the reference */
    uint32_t byte_id[256];
    struct cg_pattern *patterns[CG_MAX_PATTERNS];
    size_t n_patterns;
    struct cg_trie raw_added, normalized_added; /* looked for before and after normalization */
    uint32_t bos, eos, pad, unk_name; /* CG_NO_ID: none; unk_name: the special token that the source calls unknown */

    struct cg_kept_file files[CG_MAX_FILES]; /* from a folder; else the fields below say what to write */
    size_t n_files;
    const struct cg_pre *pre;
    int add_bos;
    char *chat_template;
};

/* Readers fill a zeroed tokenizer whose ids (unk, bos, ...) are CG_NO_ID. */
enum cg_status cg_tokenizer_read_folder(struct cg_tokenizer *t, const char *dir);
enum cg_status cg_tokenizer_read_gguf(struct cg_tokenizer *t, const char *path);
enum cg_status cg_tokenizer_read_builtin(struct cg_tokenizer *t, const char *name);

/* The parts of tokenizer.json (in read_json.c). `root` is not kept. */
enum cg_status cg_tokenizer_read_json(struct cg_tokenizer *t, json_t *root);

/* After the vocabulary: the tables for encoding. */
enum cg_status cg_tokenizer_finish(struct cg_tokenizer *t);

enum cg_status cg_tokenizer_add_pattern(struct cg_tokenizer *t, const char *pattern, size_t n);

/* Ids being collected. */
struct cg_ids {
    int32_t *p;
    size_t n, cap;
};
enum cg_status cg_ids_push(struct cg_ids *ids, uint32_t id);

/* Memory of the merges of one word, used again for the next; zeroed memory to begin with. */
struct cg_bpe_work {
    struct cg_bpe_symbol *symbols;
    size_t symbols_cap;
    uint64_t *heap; /* rank << 32 | position */
    size_t heap_n, heap_cap;
    char *chars; /* a word in the characters of the vocabulary */
    size_t chars_cap;
};
void cg_bpe_work_free(struct cg_bpe_work *w);

/* Appends the ids of one word (n > 0 bytes). */
enum cg_status cg_bpe_word(const struct cg_tokenizer *t, struct cg_bpe_work *w, const char *s, size_t n,
                           struct cg_ids *out);

#endif

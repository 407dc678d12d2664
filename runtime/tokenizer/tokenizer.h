/* Tokenizers: byte-level BPE (GPT-2 family) from tokenizer.json or GGUF metadata, and characters for builtin models. */
#ifndef CG_RUNTIME_TOKENIZER_TOKENIZER_H
#define CG_RUNTIME_TOKENIZER_TOKENIZER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct cg_tokenizer;
struct cg_config;
struct cg_gguf_meta;

/* From the same `path` as the model: a folder with tokenizer.json, a .gguf file, or "builtin:NAME". */
enum cg_status cg_tokenizer_load(const char *path, struct cg_tokenizer **out);
void cg_tokenizer_free(struct cg_tokenizer *t);

size_t cg_tokenizer_vocab(const struct cg_tokenizer *t); /* number of ids, added tokens included */
int cg_tokenizer_eos(const struct cg_tokenizer *t);      /* -1: none */
int cg_tokenizer_pad(const struct cg_tokenizer *t);      /* falls back to eos; -1: none */

/* Ids of `text` (n bytes; any bytes: invalid UTF-8 is encoded byte by byte). Added tokens in the text, such as
 * <|im_start|>, become their ids; nothing is put before or after. *ids is fresh memory (free()). */
enum cg_status cg_tokenizer_encode(const struct cg_tokenizer *t, const char *text, size_t n, int32_t **ids,
                                   size_t *count);

/* Text of `ids`, fresh memory (free()), 0-terminated; special tokens are left out when skip_special is set. Bytes come
 * out as they are (a token may be part of a character). */
enum cg_status cg_tokenizer_decode(const struct cg_tokenizer *t, const int32_t *ids, size_t count, int skip_special,
                                   char **text, size_t *n);

/* The chat template (Jinja) that comes with the tokenizer, in fresh memory (free()); NULL when there is none. From
 * chat_template.jinja, else 'chat_template' of tokenizer_config.json, or tokenizer.chat_template of a .gguf file. */
enum cg_status cg_tokenizer_chat_template(const struct cg_tokenizer *t, char **out);

/* Makes `text` the template that cg_tokenizer_save writes from then on (chat_template.jinja in a folder). */
enum cg_status cg_tokenizer_set_chat_template(struct cg_tokenizer *t, const char *text);

/* Sets bos_token, eos_token, pad_token and unk_token, those there are, in the JSON object `vars` to their texts. */
enum cg_status cg_tokenizer_special_texts(const struct cg_tokenizer *t, json_t *vars);

/* Writes tokenizer.json and tokenizer_config.json into `dir`, so that transformers opens the folder. */
enum cg_status cg_tokenizer_save(const struct cg_tokenizer *t, const char *dir);

/* Puts what GGUF keeps of a tokenizer into `meta` (runtime/model/gguf_write.h), for a model with this configuration:
 * its ids are taken where the tokenizer names no token, and its vocabulary is filled up with unused ones. CG_ERR_USER
 * for a tokenizer that GGUF has no name for. */
enum cg_status cg_tokenizer_put_gguf(const struct cg_tokenizer *t, const struct cg_config *c,
                                     struct cg_gguf_meta *meta);

#endif

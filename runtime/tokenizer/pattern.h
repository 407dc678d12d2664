/* Pre-splitting patterns: regular expressions as tokenizer.json writes them (Oniguruma's syntax), run by PCRE2. */
#ifndef CG_RUNTIME_TOKENIZER_PATTERN_H
#define CG_RUNTIME_TOKENIZER_PATTERN_H

#include <stddef.h>

#include "common/status.h"

struct cg_pattern;

/* GPT-2's pattern, which the pre-tokenizer ByteLevel stands for when it has use_regex. */
extern const char cg_gpt2_pattern[];

/* What Digits cuts out: each digit (and other number), or each run of them. */
extern const char cg_digit_pattern[], cg_digits_pattern[];

/* Compiles n bytes of pattern. CG_ERR_USER names what is not supported: only constructs that mean the same in both
 * syntaxes are (literals, classes, \s \S \d \D \p{..} \P{..}, groups, lookahead, alternation, greedy quantifiers). */
enum cg_status cg_pattern_compile(const char *pattern, size_t n, struct cg_pattern **out);
void cg_pattern_free(struct cg_pattern *p);

/* Called with each piece, in order; a status other than CG_OK ends the walk. */
typedef enum cg_status (*cg_piece_fn)(void *ctx, const char *s, size_t n);

/* Cuts `s` (valid UTF-8) with the patterns one after the other: the matches and what lies between them are the pieces
 * that the next pattern gets, each as a text of its own. No piece is empty. */
enum cg_status cg_pattern_split(struct cg_pattern *const *patterns, size_t n_patterns, const char *s, size_t n,
                                cg_piece_fn fn, void *ctx);

#endif

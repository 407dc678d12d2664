/* UTF-8, and the characters that byte-level vocabularies write for bytes. */
#ifndef CG_RUNTIME_TOKENIZER_UTF8_H
#define CG_RUNTIME_TOKENIZER_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length (1 to 4) of the character at s, of which n > 0 bytes are left, and its code point in *cp; 0 when the bytes
 * are not valid UTF-8 (overlong forms, surrogates and code points above U+10FFFF are not). */
int cg_utf8_next(const char *s, size_t n, uint32_t *cp);

/* Writes a code point (at most U+10FFFF) as UTF-8; returns its length. */
int cg_utf8_put(uint32_t cp, char out[4]);

/* Bytes of `s` from its start that are valid UTF-8. */
size_t cg_utf8_valid(const char *s, size_t n);

/* A copy of `s` (any bytes but 0; n of them) with U+FFFD in place of every byte that is not valid UTF-8, in fresh
 * memory (free()); NULL without memory. */
char *cg_utf8_clean(const char *s, size_t n);

/* Unicode's White_Space property. */
int cg_is_space(uint32_t cp);

/* GPT-2's bijection between bytes and printable characters: printable Latin-1 stands for itself, the other 68 bytes
 * for U+0100 and up, in ascending order. */
uint32_t cg_byte_to_char(unsigned char byte);
int cg_char_to_byte(uint32_t cp); /* -1: not one of the 256 */

/* `s` written in those characters; out has room for 2 n bytes. Returns the bytes written. */
size_t cg_bytes_to_chars(const char *s, size_t n, char *out);

/* The bytes that `s` (valid UTF-8) stands for; out has room for n. Returns 0 and leaves *out_n alone when some
 * character stands for no byte. */
int cg_chars_to_bytes(const char *s, size_t n, char *out, size_t *out_n);

/* The first characters of `s` (any bytes) as they can be shown in a message. Returns buf. */
const char *cg_shown(const char *s, size_t n, char buf[64]);

#endif

/* Unicode normalization form C, with the characters that the reference's tables know (Unicode 9). */
#ifndef CG_RUNTIME_TOKENIZER_NFC_H
#define CG_RUNTIME_TOKENIZER_NFC_H

#include <stddef.h>

#include "common/status.h"

/* `s` (valid UTF-8) in NFC. *out is fresh memory (free()), or NULL when the text is plain ASCII and stays as it is. */
enum cg_status cg_nfc(const char *s, size_t n, char **out, size_t *out_n);

#endif

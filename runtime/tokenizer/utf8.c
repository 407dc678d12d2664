#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

int cg_utf8_next(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *b = (const unsigned char *)s;
    if (b[0] < 0x80) {
        *cp = b[0];
        return 1;
    }
    int len = b[0] >= 0xC2 && b[0] < 0xE0 ? 2 : b[0] >= 0xE0 && b[0] < 0xF0 ? 3 : b[0] >= 0xF0 && b[0] < 0xF5 ? 4 : 0;
    if (len == 0 || n < (size_t)len) return 0;
    uint32_t c = b[0] & (0xFFu >> (len + 1));
    for (int i = 1; i < len; i++) {
        if ((b[i] & 0xC0) != 0x80) return 0;
        c = c << 6 | (b[i] & 0x3F);
    }
    if ((len == 3 && c < 0x800) || (len == 4 && c < 0x10000) || c > 0x10FFFF) return 0;
    if (c >= 0xD800 && c < 0xE000) return 0;
    *cp = c;
    return len;
}

int cg_utf8_put(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    int len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (int i = len - 1; i > 0; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)((0xF00 >> len & 0xFF) | cp);
    return len;
}

size_t cg_utf8_valid(const char *s, size_t n)
{
    size_t i = 0;
    uint32_t cp;
    while (i < n) {
        int len = cg_utf8_next(s + i, n - i, &cp);
        if (len == 0) break;
        i += (size_t)len;
    }
    return i;
}

char *cg_utf8_clean(const char *s, size_t n)
{
    char *out = malloc(3 * n + 1);
    size_t k = 0;
    for (size_t i = 0; out && i < n;) {
        uint32_t cp;
        int len = cg_utf8_next(s + i, n - i, &cp);
        if (len) memcpy(out + k, s + i, (size_t)len);
        k += (size_t)(len ? len : cg_utf8_put(0xFFFD, out + k));
        i += (size_t)(len ? len : 1);
    }
    if (out) out[k] = 0;
    return out;
}

int cg_is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F ||
           cp == 0x3000;
}

/* The bytes that do not stand for themselves are, in order: 0..32, 127..160, 173. */
uint32_t cg_byte_to_char(unsigned char byte)
{
    if (byte <= 32) return 256u + byte;
    if (byte >= 127 && byte <= 160) return 256u + 33u + (byte - 127u);
    if (byte == 173) return 256u + 67u;
    return byte;
}

int cg_char_to_byte(uint32_t cp)
{
    if (cp < 256) return cg_byte_to_char((unsigned char)cp) == cp ? (int)cp : -1;
    if (cp < 256 + 33) return (int)(cp - 256);
    if (cp < 256 + 67) return (int)(cp - 256 - 33 + 127);
    return cp == 256 + 67 ? 173 : -1;
}

size_t cg_bytes_to_chars(const char *s, size_t n, char *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) k += (size_t)cg_utf8_put(cg_byte_to_char((unsigned char)s[i]), out + k);
    return k;
}

int cg_chars_to_bytes(const char *s, size_t n, char *out, size_t *out_n)
{
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        int len = cg_utf8_next(s + i, n - i, &cp);
        int byte = len ? cg_char_to_byte(cp) : -1;
        if (byte < 0) return 0;
        out[k++] = (char)byte;
        i += (size_t)len;
    }
    *out_n = k;
    return 1;
}

const char *cg_shown(const char *s, size_t n, char buf[64])
{
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        int len = cg_utf8_next(s + i, n - i, &cp);
        if (k + 4 >= 60) {
            memcpy(buf + k, "...", 3);
            k += 3;
            break;
        }
        if (len == 0 || cp < 32 || (cp >= 127 && cp < 160) || cp == 0x2028 || cp == 0x2029) buf[k++] = '?';
        else k += (size_t)cg_utf8_put(cp, buf + k);
        i += (size_t)(len ? len : 1);
    }
    buf[k] = 0;
    return buf;
}

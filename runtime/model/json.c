#include "runtime/model/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"

const char *cg_printable(const char *s, size_t n, char buf[64])
{
    size_t k = n < 63 ? n : 63;
    for (size_t i = 0; i < k; i++) buf[i] = s[i] >= 32 && s[i] < 127 ? s[i] : '?';
    buf[k] = 0;
    return buf;
}

enum cg_status cg_json_parse(const char *what, const char *text, size_t n, json_t **out)
{
    json_error_t e;
    char buf[64];
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (!*out && json_error_code(&e) == json_error_out_of_memory)
        return cg_fail(CG_ERR_MEMORY, "out of memory while reading %s", what);
    if (!*out)
        return cg_fail(CG_ERR_USER, "%s is not sound JSON: line %d, column %d: %s", what, e.line, e.column,
                       cg_printable(e.text, strlen(e.text), buf));
    if (json_is_object(*out)) return CG_OK;
    json_decref(*out);
    *out = NULL;
    return cg_fail(CG_ERR_USER, "%s is not a JSON object", what);
}

enum cg_status cg_json_read(const char *path, size_t max, json_t **out)
{
    char *text;
    size_t n;
    *out = NULL;
    CG_TRY(cg_file_read(path, max, &text, &n));
    enum cg_status s = cg_json_parse(path, text, n, out);
    cg_free(text);
    return s;
}

json_t *cg_json_text(const char *s)
{
    json_t *j = json_string(s);
    if (j) return j;
    size_t n = strlen(s);
    char *clean = malloc(n + 1);
    if (!clean) return NULL;
    for (size_t i = 0; i <= n; i++) clean[i] = (unsigned char)s[i] < 0x80 ? s[i] : '?';
    j = json_string(clean);
    free(clean);
    return j;
}

json_t *cg_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Reading JSON files that strangers wrote. */
#ifndef CG_RUNTIME_MODEL_JSON_H
#define CG_RUNTIME_MODEL_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "common/status.h"

/* Reads `path` (at most `max` bytes) into *out, an object (json_decref it). One line that names file, line and fault
 * otherwise; a key that occurs twice is a fault. */
enum cg_status cg_json_read(const char *path, size_t max, json_t **out);

/* As cg_json_read, of text in memory that `what` names in messages. */
enum cg_status cg_json_parse(const char *what, const char *text, size_t n, json_t **out);

/* Text as a JSON string, any byte that is not ASCII as '?' where it is not sound UTF-8: completions may end inside a
 * character. NULL without memory. */
json_t *cg_json_text(const char *s);

/* A number; null for what is none, such as a mean over nothing. */
json_t *cg_json_number(double x);

/* The bytes s[0..n) as they can be shown in a message: cut at 63, anything but printable ASCII as '?'. Returns buf. */
const char *cg_printable(const char *s, size_t n, char buf[64]);

#endif

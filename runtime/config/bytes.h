/* Amounts of memory as people write them. */
#ifndef CG_RUNTIME_CONFIG_BYTES_H
#define CG_RUNTIME_CONFIG_BYTES_H

#include <stddef.h>

#include "common/status.h"

/* "1.5GiB", "800 MB", "2e9": a number, then nothing (bytes), kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB.
 * Upper and lower case are the same. CG_ERR_USER for anything else; `key` is the option's name. */
enum cg_status cg_bytes_parse(const char *key, const char *text, size_t *out);

enum { CG_BYTES_SHOWN = 24 };

/* "1.50 GiB" into buf; returns buf. */
const char *cg_bytes_show(size_t bytes, char buf[CG_BYTES_SHOWN]);

#endif

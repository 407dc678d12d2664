#include "runtime/config/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/words.h"

enum cg_status cg_bytes_parse(const char *key, const char *text, size_t *out)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},      {"B", 1},        {"kB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
                 {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char shown[CG_SHOWN], *end;
    size_t number = strspn(text, "0123456789.eE+");
    double x = strtod(text, &end);
    if (end != text && end <= text + number) {
        const char *unit = end + strspn(end, " ");
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (strcasecmp(unit, units[i].name) != 0) continue;
            if (x * units[i].bytes < 1 || x * units[i].bytes > 0x1p60) break;
            *out = (size_t)(x * units[i].bytes);
            return CG_OK;
        }
    }
    return cg_fail(CG_ERR_USER, "'%s' needs an amount of memory such as 1.5GiB or 800MB, not '%s'", key,
                   cg_show(text, shown));
}

const char *cg_bytes_show(size_t bytes, char buf[CG_BYTES_SHOWN])
{
    double x = (double)bytes;
    if (x >= 0x1p30) snprintf(buf, CG_BYTES_SHOWN, "%.2f GiB", x / 0x1p30);
    else snprintf(buf, CG_BYTES_SHOWN, "%.1f MiB", x / 0x1p20);
    return buf;
}

#include "runtime/config/table.h"

#include <stdlib.h>
#include <string.h>

#include "common/words.h"

#define ANY .lo = -1e300, .hi = 1e300
#define AT_LEAST(x) .lo = (x), .hi = 1e9
#define RANGE(a, b) .lo = (a), .hi = (b)
#define ABOVE(x) .lo = (x), .hi = 1e9, .open = 1
#define BELOW_ONE .lo = 0, .hi = 1, .open = 2
#define TEXT .lo = 1, .hi = 1e300 /* length */
#define ONE_OF(names) .hi = 1e300, .one_of = names

const struct cg_option cg_options[] = {
#define OPT(kind, field, def, limits, doc) {#field, CG_KIND_##kind, offsetof(struct cg_run_config, field), def, limits},
#include "runtime/config/options.def"
};
const size_t cg_option_count = sizeof cg_options / sizeof *cg_options;

const struct cg_option *cg_option_find(const char *key)
{
    for (size_t i = 0; i < cg_option_count; i++)
        if (strcmp(cg_options[i].name, key) == 0) return &cg_options[i];
    return NULL;
}

enum cg_status cg_option_unknown(const char *key)
{
    char shown[CG_SHOWN];
    const char *names[sizeof cg_options / sizeof *cg_options];
    for (size_t i = 0; i < cg_option_count; i++) names[i] = cg_options[i].name;
    const char *nearest = cg_nearest(key, names, cg_option_count);
    if (nearest) return cg_fail(CG_ERR_USER, "unknown key '%s'; did you mean '%s'?", cg_show(key, shown), nearest);
    return cg_fail(CG_ERR_USER, "unknown key '%s'; 'man grpo-train' and docs/options.md list the keys",
                   cg_show(key, shown));
}

#include "bench/limits.h"

const char *cg_limit_level(const struct cg_machine *m, size_t footprint, int threads)
{
    static const char *const names[] = {"L1", "L2", "L3"};
    for (int level = 1; level <= 3; level++) {
        size_t size = cg_machine_cache(m, level);
        if (level < 3) size *= (size_t)threads; /* a core's own, as a rule */
        if (footprint <= size) return names[level - 1];
    }
    return "DRAM";
}

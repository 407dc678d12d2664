/* Machines that are not this one, and temporary folders. */
#ifndef CG_TESTS_AUTOTUNE_FIXTURE_H
#define CG_TESTS_AUTOTUNE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rng.h"
#include "detect/machine.h"

#define SEED 20250117u

/* Draws from the counter at *at. */
static inline uint32_t draw(uint32_t *at, uint32_t below)
{
    return cg_rng_below(SEED, CG_RNG_TEST, ++*at, 0, 0, below);
}

/* A machine of this architecture with the levels `isa`, 2 cores and caches of l1, l2 and l3 KiB (0: not told). */
static inline struct cg_machine machine_with(uint64_t isa, uint32_t l1, uint32_t l2, uint32_t l3)
{
    struct cg_machine m = {.arch = CG_ARCH_HERE,
                           .isa = isa,
                           .isa_cpu = isa,
                           .cores = 2,
                           .threads = 2,
                           .affinity = 2,
                           .cores_usable = 2,
                           .fingerprint = 0x1234abcd5678ef00u};
    const uint32_t kib[] = {l1, l2, l3};
    for (int i = 0; i < 3; i++)
        if (kib[i])
            m.caches[m.n_caches++] =
                (struct cg_cache){.level = i + 1, .type = i ? 'u' : 'd', .size = (uint64_t)kib[i] << 10, .line = 64};
    return m;
}

/* A fresh folder, its name in `dir`; in memory where there is such a place, since every store is synced to disk. */
static inline void make_dir(char dir[64])
{
    snprintf(dir, 64, "%s/cg-autotune-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static inline void remove_dir(const char *dir)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static inline void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

#endif

/* What bounds a kernel on this machine, measured now: how many operations the instruction it is made of allows, and how
 * fast its operands come from where they live. For the tuner's model and for the benchmark. */
#ifndef CG_AUTOTUNE_LIMITS_H
#define CG_AUTOTUNE_LIMITS_H

#include <stddef.h>

#include "detect/machine.h"
#include "kernels/registry.h"

/* The fastest that `threads` threads run the instruction that multiplies in `v`, in operations (an addition and a
 * multiplication count two) a second, out of registers alone. 0 where there is no such figure: row operations and the
 * scalar truth. Takes about a millisecond. */
double cg_limit_fma(const struct cg_machine *m, const struct cg_variant *v, int threads);

/* Bytes a second that `threads` threads read from a block of `footprint` bytes which they go through again and again;
 * with `copy` those that memcpy reads and writes. 0 when there is no memory for it. Takes a few milliseconds. */
double cg_limit_bandwidth(const struct cg_machine *m, size_t footprint, int copy, int threads);

enum cg_way {
    CG_READ,
    CG_READ_PREFETCH,
    CG_READ_STREAMS,
    CG_COPY,
    CG_READ_ROWS,
    CG_WRITE,
    CG_WRITE_TILES,
    CG_UPDATE_TILES
};

/* This thread goes through [p, p + n), n >= 16 KiB, as `way` says until the clock sees it; seconds a byte (COPY: of
 * read and written ones, n / 2 each). READ_STREAMS: four at once. READ_ROWS: 512 bytes of each row of a matrix, then
 * the next 512. WRITE_TILES and UPDATE_TILES (read and write) so with 192 bytes, as the tiles of a product are. */
double cg_limit_pass(const struct cg_machine *m, char *p, size_t n, enum cg_way way);

/* Frees the block. */
void cg_limits_release(void);

#endif

/* Aligned memory. */
#ifndef CG_COMMON_MEM_H
#define CG_COMMON_MEM_H

#include <stddef.h>

/* `bytes` of zeroed memory aligned to 64 bytes (to 2 MiB, with huge pages asked for, from 4 MiB on); NULL when there
 * is none or the size overflows. Free with cg_free. A size of 0 gives a valid pointer. */
void *cg_alloc(size_t bytes);

/* As cg_alloc, for `n` items of `size` bytes each. */
void *cg_alloc_n(size_t n, size_t size);

void cg_free(void *p);

#endif

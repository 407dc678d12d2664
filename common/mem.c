#include "common/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

void *cg_alloc(size_t bytes)
{
    size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 64;
    if (bytes > SIZE_MAX - align) return NULL;
    size_t size = (bytes + align - 1) / align * align;
    void *p = NULL;
    if (posix_memalign(&p, align, size ? size : align) != 0) return NULL;
    /* Huge pages spare the packed weights most of their TLB misses; refusal does no harm. */
    if (align == HUGE_PAGE) (void)madvise(p, size, MADV_HUGEPAGE);
    memset(p, 0, size ? size : align);
    return p;
}

void *cg_alloc_n(size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) return NULL;
    return cg_alloc(n * size);
}

void cg_free(void *p)
{
    free(p);
}

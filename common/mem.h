/* Aligned memory, and an account of it: what large blocks take, for which part of the program, within which budget. */
#ifndef CG_COMMON_MEM_H
#define CG_COMMON_MEM_H

#include <stddef.h>

/* Blocks from this size on are mapped on their own and counted. They are given back to the system at once when they are
 * freed, and what is never written to takes no memory. */
#define CG_MEM_COUNTED ((size_t)128 << 10)

/* `bytes` of zeroed memory aligned to 64 bytes (to 2 MiB, with huge pages asked for, from 4 MiB on); NULL when there
 * is none, the budget does not allow it or the size overflows. Free with cg_free. A size of 0 gives a valid pointer. */
void *cg_alloc(size_t bytes);

/* As cg_alloc, for `n` items of `size` bytes each. */
void *cg_alloc_n(size_t n, size_t size);

void cg_free(void *p);

/* Names what this thread allocates from now on, for the account and for messages: static text. Returns the name before,
 * to be put back. */
const char *cg_mem_part(const char *name);

struct cg_mem_use {
    const char *part;
    size_t live, at_peak; /* bytes now; when all parts together were the most */
};

/* Bytes of counted blocks: now, and the most since the last cg_mem_restart. */
size_t cg_mem_live(void);
size_t cg_mem_peak(void);
void cg_mem_restart(void);

/* The parts that have been named so far, into out[max]; returns how many there are. */
size_t cg_mem_uses(struct cg_mem_use *out, size_t max);

/* Refuses what would take counted blocks beyond so many bytes; 0: any. Returns what it was before. */
size_t cg_mem_limit(size_t bytes);

/* Why this thread's last cg_alloc that failed did: " (the memory budget ...)" into buf, "" when not for the budget.
 * cg_fail puts it behind the message of a CG_ERR_MEMORY. The next cg_alloc forgets it. */
const char *cg_mem_refusal(char *buf, size_t size);

/* Resident memory of this process, bytes: now, and the most ever; 0 where the system does not say. */
size_t cg_mem_resident(void);
size_t cg_mem_resident_peak(void);

#endif

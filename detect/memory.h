/* How much memory this process may use. */
#ifndef CG_DETECT_MEMORY_H
#define CG_DETECT_MEMORY_H

#include <stddef.h>

/* Bytes that the process may still take: what the system has available (MemAvailable), or less where control groups
 * (its own and those above it, v1 and v2) limit it; SIZE_MAX when nothing says. `from` receives which of them it was.
 * Everything is read below `root` ("" for the system). */
size_t cg_memory_available(const char *root, char *from, size_t from_size);

#endif

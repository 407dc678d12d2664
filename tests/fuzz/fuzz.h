/* What the fuzz targets share. Each is one function over bytes, for libFuzzer (scripts/fuzz). In its first comment, a
 * line "instrument: FILES" names the sources that are compiled for it, and "seeds: FILES" what it starts from. */
#ifndef CG_TESTS_FUZZ_FUZZ_H
#define CG_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, which libFuzzer takes for a finding. */
static inline void finding(const char *what)
{
    fprintf(stderr, "finding: %s (message: %s)\n", what, cg_error());
    abort();
}

/* What holds of every reader: an error has one line to say. */
static inline void expect_one_line(enum cg_status st)
{
    if (st == CG_OK) return;
    if (!*cg_error()) finding("an error without a message");
    if (strchr(cg_error(), '\n')) finding("a message of several lines");
    if (st != CG_ERR_USER && st != CG_ERR_IO && st != CG_ERR_MEMORY) finding("a bad file is called a fault of ours");
}

/* The bytes as a file, in memory; its name is valid until the next call. */
static inline const char *as_file(const uint8_t *data, size_t size)
{
    static char name[64];
    static int fd = -1;
    if (fd >= 0) close(fd);
    fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) exit(1);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return name;
}

#endif

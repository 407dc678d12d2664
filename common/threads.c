#include "common/threads.h"

#include <stdlib.h>
#include <unistd.h>

/* About 20 microseconds of spinning: longer than the time between the parallel regions of a layer. */
#define SPIN_COUNT "10000"

void cg_threads_setup(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("GOMP_SPINCOUNT", SPIN_COUNT, 1) != 0) return;
    execv("/proc/self/exe", argv);
}

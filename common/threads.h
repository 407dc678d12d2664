/* Settings of the OpenMP runtime. */
#ifndef CG_COMMON_THREADS_H
#define CG_COMMON_THREADS_H

#include <stdint.h>

/* To be called first thing in main. Lets waiting threads spin only briefly: with the default, one busy neighbour on a
 * core makes every barrier wait for the scheduler, and a run many times slower. The runtime reads its settings before
 * main, so the program starts itself once more with them; settings that the user made (OMP_WAIT_POLICY,
 * GOMP_SPINCOUNT) are left alone, and any failure costs only speed. */
void cg_threads_setup(char **argv);

/* The CPUs of this process where OpenMP has bound the calling thread to some of them, as it does before main when the
 * user asks for it (OMP_PROC_BIND, OMP_PLACES, GOMP_CPU_AFFINITY): bits 0 to cpus-1 into mask, cpus a multiple of 64.
 * 0, and mask is left alone, when it has not. */
int cg_threads_places(uint64_t *mask, int cpus);

#endif

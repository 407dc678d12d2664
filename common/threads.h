/* Settings of the OpenMP runtime. */
#ifndef CG_COMMON_THREADS_H
#define CG_COMMON_THREADS_H

/* To be called first thing in main. Lets waiting threads spin only briefly: with the default, one busy neighbour on a
 * core makes every barrier wait for the scheduler, and a run many times slower. The runtime reads its settings before
 * main, so the program starts itself once more with them; settings that the user made (OMP_WAIT_POLICY,
 * GOMP_SPINCOUNT) are left alone, and any failure costs only speed. */
void cg_threads_setup(char **argv);

#endif

#ifndef CG_COMMON_CLOCK_H
#define CG_COMMON_CLOCK_H

/* Seconds of the monotonic clock. */
double cg_now(void);

#endif

/* The rates of this machine: those in its store, or measured. */
#ifndef CG_AUTOTUNE_MACHINE_RATES_H
#define CG_AUTOTUNE_MACHINE_RATES_H

#include <signal.h>

#include "autotune/rates.h"
#include "autotune/store.h"

/* Takes the rates for `threads` threads out of the store at `path` (what is wrong with it does not matter here), or
 * measures them in about `seconds`, `most` at most, and leaves their text in add->rates, which the next merge stores.
 * As for cg_rates_measure. */
enum cg_status cg_machine_rates(const struct cg_machine *m, int threads, double seconds, double most, const char *path,
                                const volatile sig_atomic_t *stop, struct cg_rates *r, struct cg_store *add);

#endif

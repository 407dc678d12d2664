#include "autotune/machine_rates.h"

#include "common/mem.h"

static int stored(const struct cg_machine *m, int threads, const char *path, struct cg_rates *r)
{
    struct cg_store s;
    int found = cg_store_read(path, m, &s) == CG_OK && s.rates && *s.rates &&
                cg_rates_parse(s.rates, m->arch, r) == CG_OK && r->threads == threads;
    cg_store_free(&s);
    return found;
}

enum cg_status cg_machine_rates(const struct cg_machine *m, int threads, double seconds, double most, const char *path,
                                const volatile sig_atomic_t *stop, struct cg_rates *r, struct cg_store *add)
{
    if (stored(m, threads, path, r)) return CG_OK;
    CG_TRY(cg_rates_measure(m, threads, seconds, most, stop, r));
    cg_free(add->rates);
    add->rates = cg_rates_text(r);
    return add->rates ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
}

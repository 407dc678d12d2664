/* Caches: what hwloc and CPUID name, held against each other and against sense, as virtual machines lie. */
#include "detect/parts.h"

static int same_cache(const struct cg_cache *a, const struct cg_cache *b)
{
    return a->level == b->level && a->type == b->type;
}

static int is_sane(const struct cg_cache *c)
{
    const uint64_t kib = 1024, mib = 1024 * kib;
    if (c->level == 1) return c->size >= 4 * kib && c->size <= 512 * kib;
    if (c->level == 2) return c->size >= 64 * kib && c->size <= 128 * mib;
    return c->size >= 256 * kib && c->size <= 4096 * mib;
}

static uint64_t usual_size(int level)
{
    return level == 1 ? 32 * 1024 : level == 2 ? 512 * 1024 : 4 * 1024 * 1024;
}

static void insert(struct cg_machine *m, struct cg_cache c)
{
    if (m->n_caches >= CG_MAX_CACHES) return;
    int at = m->n_caches++;
    for (; at > 0 && m->caches[at - 1].level > c.level; at--) m->caches[at] = m->caches[at - 1];
    m->caches[at] = c;
}

void cg_check_caches(struct cg_machine *m, const struct cg_cache *cpuid, int n)
{
    for (int j = 0; j < n; j++) {
        struct cg_cache *c = NULL;
        for (int i = 0; i < m->n_caches; i++)
            if (same_cache(&m->caches[i], &cpuid[j])) c = &m->caches[i];
        if (!c) {
            insert(m, cpuid[j]);
        } else if (is_sane(&cpuid[j]) && (!is_sane(c) || cpuid[j].size < c->size)) {
            c->size = cpuid[j].size; /* of two sane answers the smaller: blocks made for it fit either way */
        }
    }
    for (int level = 1; level <= 2; level++) { /* every machine has these, whatever it says */
        int there = 0;
        for (int i = 0; i < m->n_caches; i++) there |= m->caches[i].level == level && m->caches[i].type != 'i';
        if (!there) insert(m, (struct cg_cache){.level = level, .type = level == 1 ? 'd' : 'u', .line = 64});
    }
    for (int i = 0; i < m->n_caches; i++) {
        struct cg_cache *c = &m->caches[i];
        if (!is_sane(c)) c->size = usual_size(c->level);
        if (c->line < 16 || c->line > 1024) c->line = 64;
    }
}

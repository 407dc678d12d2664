/* What the problems of a run are, in 16 hex digits. */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "runtime/data/data.h"

/* Length first, so that a piece that moves from one text to the next is a difference. */
static uint64_t add(uint64_t h, const void *data, size_t n)
{
    return XXH3_64bits_withSeed(data ? data : "", data ? n : 0, h ^ n * 0x9e3779b97f4a7c15u);
}

static uint64_t add_set(uint64_t h, const struct cg_dataset *d)
{
    h = add(h, &d->n, sizeof d->n);
    for (size_t i = 0; i < d->n; i++) {
        const struct cg_item *it = &d->items[i];
        h = add(h, it->prompt_ids, it->prompt_len * sizeof *it->prompt_ids);
        h = add(h, it->answer_ids, it->answer_len * sizeof *it->answer_ids);
        h = add(h, it->answer, it->answer ? strlen(it->answer) : 0);
        h = add(h, it->fields, it->fields ? strlen(it->fields) : 0);
    }
    return h;
}

void cg_data_hash(const struct cg_data *d, char out[17])
{
    uint64_t h = 0;
    for (size_t i = 0; i < d->n_stages; i++) h = add_set(add_set(h, &d->stages[i].train), &d->stages[i].eval);
    snprintf(out, 17, "%016llx", (unsigned long long)h);
}

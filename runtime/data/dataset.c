#include "runtime/data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

void cg_item_free(struct cg_item *it)
{
    free(it->prompt);
    free(it->answer);
    free(it->prompt_ids);
    free(it->answer_ids);
    free(it->fields);
    memset(it, 0, sizeof *it);
}

enum cg_status cg_dataset_add(struct cg_dataset *d, struct cg_item *it)
{
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 64;
        struct cg_item *more = realloc(d->items, cap * sizeof *more);
        if (!more) {
            cg_item_free(it);
            return cg_fail(CG_ERR_MEMORY, "out of memory for %zu problems", cap);
        }
        d->items = more;
        d->cap = cap;
    }
    d->items[d->n++] = *it;
    if (it->prompt_len > d->longest_prompt) d->longest_prompt = it->prompt_len;
    if (it->answer_len > d->longest_answer) d->longest_answer = it->answer_len;
    memset(it, 0, sizeof *it);
    return CG_OK;
}

void cg_dataset_free(struct cg_dataset *d)
{
    for (size_t i = 0; i < d->n; i++) cg_item_free(&d->items[i]);
    free(d->items);
    memset(d, 0, sizeof *d);
}

const struct cg_item *cg_dataset_at(const struct cg_dataset *d, uint64_t seed, size_t stage, uint64_t i)
{
    return &d->items[cg_permute(seed, (uint32_t)(1000 + stage * 100003 + i / d->n), d->n, i % d->n)];
}

enum cg_status cg_dataset_hold_out(struct cg_dataset *d, uint64_t seed, size_t n, struct cg_dataset *out)
{
    char *chosen = calloc(d->n + 1, 1);
    if (!chosen) return cg_fail(CG_ERR_MEMORY, "out of memory for %zu problems", d->n);
    for (size_t i = 0; i < n; i++) chosen[cg_permute(seed, 0, d->n, i)] = 1;
    struct cg_dataset all = *d;
    enum cg_status s = CG_OK;
    memset(d, 0, sizeof *d);
    for (size_t i = 0; i < all.n && s == CG_OK; i++) s = cg_dataset_add(chosen[i] ? out : d, &all.items[i]);
    cg_dataset_free(&all);
    free(chosen);
    return s;
}

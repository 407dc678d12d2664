#include "autotune/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/store_parts.h"
#include "common/file.h"
#include "common/mem.h"

size_t cg_token_bucket(size_t tokens)
{
    size_t b = 1;
    while (b < tokens && b < CG_TOKEN_CAP) b *= 2;
    return b;
}

const char *cg_form_name(enum cg_form form)
{
    static const char *const names[] = {"NT", "NN", "TN"};
    return (unsigned)form < 3 ? names[form] : "?";
}

char *cg_store_path(const struct cg_machine *m)
{
    char name[64], *dir = NULL, *path;
    const char *env = getenv("CPU_GRPO_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (env && *env) dir = strdup(env);
    else if (xdg && *xdg == '/') /* the XDG specification has relative paths ignored */
        dir = cg_path_join(xdg, "cpu-grpo");
    else if (home && *home) dir = cg_path_join(home, ".cache/cpu-grpo");
    else {
        cg_fail(CG_ERR_USER, "no place for tuned plans; set CPU_GRPO_CACHE to a folder");
        return NULL;
    }
    snprintf(name, sizeof name, "plans-%016" PRIx64 ".txt", m->fingerprint);
    path = dir ? cg_path_join(dir, name) : NULL;
    if (!path) cg_fail(CG_ERR_MEMORY, "out of memory");
    free(dir);
    return path;
}

void cg_store_free(struct cg_store *s)
{
    cg_free(s->e);
    cg_free(s->rates);
    *s = (struct cg_store){0};
}

static int cmp(size_t a, size_t b)
{
    return a < b ? -1 : a > b;
}

static size_t tokens_of(const struct cg_tuned *t)
{
    return t->form == CG_FORM_TN ? t->k : t->m;
}

/* Orders all of the key but the tokens. */
static int by_shape(const struct cg_tuned *a, const struct cg_tuned *b)
{
    int tn = a->form == CG_FORM_TN;
    int c = cmp(a->op, b->op);
    if (!c) c = cmp(a->form, b->form);
    if (!c) c = cmp(a->n, b->n);
    if (!c) c = tn ? cmp(a->m, b->m) : cmp(a->k, b->k);
    return c ? c : cmp(a->threads, b->threads);
}

static int by_key(const void *pa, const void *pb)
{
    int c = by_shape(pa, pb);
    return c ? c : cmp(tokens_of(pa), tokens_of(pb));
}

/* Weights of one shape are packed once for all numbers of rows: do these two entries disagree about the layout? */
static int layouts_differ(const struct cg_tuned *a, const struct cg_tuned *b)
{
    if (a->form != CG_FORM_NT || by_shape(a, b) != 0) return 0;
    return !cg_variant_same_layout(a->plan.variant, b->plan.variant);
}

enum cg_status cg_store_check(struct cg_store *s)
{
    if (s->n) qsort(s->e, s->n, sizeof *s->e, by_key);
    for (size_t i = 1; i < s->n; i++) {
        if (by_key(&s->e[i - 1], &s->e[i]) == 0) return cg_fail(CG_ERR_USER, "two plans for one shape");
        if (layouts_differ(&s->e[i - 1], &s->e[i]))
            return cg_fail(CG_ERR_USER, "plans of one shape disagree about the layout of its weights");
    }
    return CG_OK;
}

static size_t lower_bound(const struct cg_store *s, const struct cg_tuned *key)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_key(&s->e[mid], key) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

const struct cg_tuned *cg_store_find(const struct cg_store *s, enum cg_op op, enum cg_form form, size_t m, size_t n,
                                     size_t k, uint32_t threads)
{
    struct cg_tuned key = {.op = op, .form = form, .m = m, .n = n, .k = k, .threads = threads};
    size_t *tokens = form == CG_FORM_TN ? &key.k : &key.m;
    int neighbour = *tokens > 8 && *tokens <= CG_TOKEN_CAP / 2;
    *tokens = cg_token_bucket(*tokens);
    for (int i = 0; i <= neighbour; i++, *tokens *= 2) {
        size_t at = lower_bound(s, &key);
        if (at < s->n && by_key(&s->e[at], &key) == 0) return &s->e[at];
    }
    return NULL;
}

const struct cg_tuned *cg_store_weight(const struct cg_store *s, enum cg_op op, size_t n, size_t k, uint32_t threads)
{
    struct cg_tuned key = {.op = op, .form = CG_FORM_NT, .m = 0, .n = n, .k = k, .threads = threads};
    size_t i = lower_bound(s, &key);
    return i < s->n && by_shape(&s->e[i], &key) == 0 ? &s->e[i] : NULL;
}

/* Does `s` have an entry with the key of `t`, or one that contradicts its layout? */
static int replaces(const struct cg_store *s, const struct cg_tuned *t)
{
    size_t at = lower_bound(s, t);
    if (at < s->n && by_key(&s->e[at], t) == 0) return 1;
    if (t->form != CG_FORM_NT) return 0;
    const struct cg_tuned *other = cg_store_weight(s, t->op, t->n, t->k, t->threads);
    return other && layouts_differ(other, t);
}

int cg_store_covers(const struct cg_store *s, const struct cg_store *part)
{
    int has_rates = s->rates && *s->rates, wants_rates = part->rates && *part->rates;
    for (size_t i = 0; i < part->n; i++)
        if (!replaces(s, &part->e[i])) return 0;
    return has_rates || !wants_rates;
}

enum cg_status cg_store_join(const struct cg_store *old, const struct cg_store *add, struct cg_store *out)
{
    const char *rates = add->rates && *add->rates ? add->rates : old->rates;
    *out = (struct cg_store){.e = cg_alloc_n(old->n + add->n, sizeof *out->e), .rates = strdup(rates ? rates : "")};
    if (!out->e || !out->rates) return cg_fail(CG_ERR_MEMORY, "out of memory");
    if (add->n) memcpy(out->e, add->e, add->n * sizeof *add->e);
    out->n = add->n;
    CG_TRY(cg_store_check(out));
    struct cg_store first = {.e = out->e, .n = add->n};
    for (size_t i = 0; i < old->n; i++)
        if (!replaces(&first, &old->e[i])) out->e[out->n++] = old->e[i];
    return cg_store_check(out);
}

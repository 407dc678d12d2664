#include "autotune/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "autotune/store_text.h"
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
    if (cg_op_is_dot(a->op)) return a->plan.variant != b->plan.variant;
    return a->plan.variant->pack_nr != b->plan.variant->pack_nr;
}

static enum cg_status sort_and_check(struct cg_store *s)
{
    if (s->n) qsort(s->e, s->n, sizeof *s->e, by_key);
    for (size_t i = 1; i < s->n; i++) {
        if (by_key(&s->e[i - 1], &s->e[i]) == 0) return cg_fail(CG_ERR_USER, "two plans for one shape");
        if (layouts_differ(&s->e[i - 1], &s->e[i]))
            return cg_fail(CG_ERR_USER, "plans of one shape disagree about the layout of its weights");
    }
    return CG_OK;
}

enum cg_status cg_store_read(const char *path, const struct cg_machine *m, struct cg_store *s)
{
    memset(s, 0, sizeof *s);
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return CG_OK;
    if (cg_is_dir(path)) return cg_fail(CG_ERR_IO, "%s is a folder; remove it and run grpo-tune", path);
    char *text;
    size_t size;
    CG_TRY(cg_file_read(path, CG_STORE_MAX_BYTES, &text, &size));
    enum cg_status st = cg_store_parse(text, size, m, s);
    cg_free(text);
    if (st == CG_OK) st = sort_and_check(s);
    if (st == CG_OK) return CG_OK;
    cg_store_free(s);
    if (st == CG_ERR_MEMORY) return st;
    char why[512];
    snprintf(why, sizeof why, "%s", cg_error());
    return cg_fail(st, "%s: %s; run grpo-tune to make it again", path, why);
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

/* `old` without what `add` replaces or contradicts, and then `add`. */
static enum cg_status merged(const struct cg_store *old, const struct cg_store *add, struct cg_store *out)
{
    const char *rates = add->rates && *add->rates ? add->rates : old->rates;
    *out = (struct cg_store){.e = cg_alloc_n(old->n + add->n, sizeof *out->e), .rates = strdup(rates ? rates : "")};
    if (!out->e || !out->rates) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < old->n; i++) {
        int keep = 1;
        for (size_t j = 0; j < add->n && keep; j++)
            keep = by_key(&old->e[i], &add->e[j]) != 0 && !layouts_differ(&old->e[i], &add->e[j]);
        if (keep) out->e[out->n++] = old->e[i];
    }
    if (add->n) memcpy(out->e + out->n, add->e, add->n * sizeof *add->e);
    out->n += add->n;
    return sort_and_check(out);
}

/* Locks the folder itself, so that no lock file can stay behind. Another writer is waited for a while and no longer:
 * the rename keeps the file whole even without the lock. Returns a descriptor to close, or -1. */
static int lock_folder(const char *path)
{
    char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
    if (slash) *slash = 0;
    int fd = slash ? open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(dir);
    for (int i = 0; fd >= 0 && i < 200; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) break;
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    }
    return fd;
}

static enum cg_status make_folder_of(const char *path)
{
    char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
    enum cg_status st = CG_OK;
    if (!dir) return cg_fail(CG_ERR_MEMORY, "out of memory");
    if (slash && slash != dir) {
        *slash = 0;
        st = cg_mkdirs(dir);
    }
    free(dir);
    return st;
}

enum cg_status cg_store_merge(const char *path, const struct cg_machine *m, const struct cg_store *add, size_t *total)
{
    struct cg_store old, all = {0};
    *total = 0;
    enum cg_status st = make_folder_of(path);
    if (st != CG_OK) return cg_fail_in(st, "cannot store the plans (set CPU_GRPO_CACHE to another folder)");
    int lock = lock_folder(path);
    (void)cg_store_read(path, m, &old); /* what cannot be read is replaced */
    st = merged(&old, add, &all);
    struct cg_out out;
    if (st == CG_OK) st = cg_out_open(path, &out);
    if (st == CG_OK) {
        st = cg_store_print(out.f, m, &all);
        if (st == CG_OK) st = cg_out_commit(&out);
        else cg_out_discard(&out);
    }
    if (st == CG_OK) *total = all.n;
    if (lock >= 0) close(lock);
    cg_store_free(&old);
    cg_store_free(&all);
    if (st != CG_OK) cg_fail_in(st, "cannot store the plans (set CPU_GRPO_CACHE to another folder)");
    return st;
}

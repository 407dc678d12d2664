#include "autotune/plan.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/store.h"
#include "common/mem.h"

struct cg_plans {
    uint64_t id; /* of this object alone, also when its address is used again */
    struct cg_machine machine;
    int threads;
    const struct cg_rowops *rows;
    struct cg_store store;
    size_t tuned; /* shapes in it for so many threads */
    char source[1200];
};

/* Says where the plans come from. */
static void load(struct cg_plans *p)
{
    char *path = cg_store_path(&p->machine);
    if (!path || cg_store_read(path, &p->machine, &p->store) != CG_OK) {
        snprintf(p->source, sizeof p->source, "plans: defaults (%s)", cg_error());
        cg_free(path);
        return;
    }
    for (size_t i = 0; i < p->store.n; i++) p->tuned += p->store.e[i].threads == (uint32_t)p->threads;
    if (p->tuned) snprintf(p->source, sizeof p->source, "plans: %zu tuned shapes from %s", p->tuned, path);
    else if (p->store.n)
        snprintf(p->source, sizeof p->source,
                 "plans: defaults (%s has none for %d thread%s; run grpo-tune --threads %d)", path, p->threads,
                 p->threads == 1 ? "" : "s", p->threads);
    else snprintf(p->source, sizeof p->source, "plans: defaults (no tuning stored; run grpo-tune)");
    cg_free(path);
}

enum cg_status cg_plans_open(const struct cg_machine *m, int threads, struct cg_plans **out)
{
    *out = NULL;
    if (threads < 0 || threads > 4096) return cg_fail(CG_ERR_USER, "%d threads: give 1 to 4096, or 0 for all", threads);
    struct cg_plans *p = cg_alloc(sizeof *p);
    if (!p) return cg_fail(CG_ERR_MEMORY, "out of memory");
    static atomic_uint_fast64_t opened;
    p->id = atomic_fetch_add(&opened, 1) + 1;
    p->machine = *m;
    p->threads = threads ? threads : m->cores_usable > 0 ? m->cores_usable : 1;
    p->rows = cg_rowops_for(m->isa);
    load(p);
    *out = p;
    return CG_OK;
}

void cg_plans_close(struct cg_plans *p)
{
    if (!p) return;
    cg_store_free(&p->store);
    cg_free(p);
}

const char *cg_plans_source(const struct cg_plans *p)
{
    return p->source;
}

int cg_plans_miss(const struct cg_plans *p, size_t n, size_t k)
{
    return p->tuned && !cg_store_weight(&p->store, CG_OP_gemm_f32, n, k, (uint32_t)p->threads);
}

const struct cg_machine *cg_plans_machine(const struct cg_plans *p)
{
    return &p->machine;
}

int cg_plans_threads(const struct cg_plans *p)
{
    return p->threads;
}

const struct cg_rowops *cg_plans_rows(const struct cg_plans *p)
{
    return p->rows;
}

static size_t pack_nr_of(const struct cg_plans *p, enum cg_op op, size_t n, size_t k)
{
    const struct cg_tuned *t = cg_store_weight(&p->store, op, n, k, (uint32_t)p->threads);
    if (t) return t->plan.variant->pack_nr;
    return cg_plan_default(&p->machine, op, CG_FORM_NT, 0, CG_TOKEN_CAP, n, k, p->threads).variant->pack_nr;
}

static const struct cg_variant *dot_variant(const struct cg_plans *p, enum cg_op op, size_t n, size_t k)
{
    const struct cg_tuned *t = cg_store_weight(&p->store, op, n, k, (uint32_t)p->threads);
    if (t) return t->plan.variant;
    return cg_plan_default(&p->machine, op, CG_FORM_NT, 0, CG_TOKEN_CAP, n, k, p->threads).variant;
}

static struct cg_plan make(const struct cg_plans *p, enum cg_op op, enum cg_form form, size_t m, size_t n, size_t k)
{
    const struct cg_tuned *t = cg_store_find(&p->store, op, form, m, n, k, (uint32_t)p->threads);
    if (t) return t->plan;
    size_t pack_nr = form == CG_FORM_NT && !cg_op_is_dot(op) ? pack_nr_of(p, op, n, k) : 0;
    struct cg_plan plan = cg_plan_default(&p->machine, op, form, pack_nr, m, n, k, p->threads);
    if (cg_op_is_dot(op)) plan.variant = dot_variant(p, op, n, k);
    return plan;
}

/* Small products take about as long as thinking about them: each thread remembers what it asked for last. */
static struct cg_plan remembered(const struct cg_plans *p, enum cg_op op, enum cg_form form, size_t m, size_t n,
                                 size_t k)
{
    enum { SLOTS = 128 };
    static _Thread_local struct {
        uint64_t id;
        size_t m, n, k;
        enum cg_op op;
        enum cg_form form;
        struct cg_plan plan;
    } memo[SLOTS];
    uint64_t h = (((m * 31 + n) * 31 + k) * 3 + (uint64_t)form) * 5 + (uint64_t)op;
    size_t at = (size_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 57);
    if (memo[at].id != p->id || memo[at].m != m || memo[at].n != n || memo[at].k != k || memo[at].form != form ||
        memo[at].op != op) {
        memo[at].plan = make(p, op, form, m, n, k);
        memo[at].id = p->id;
        memo[at].m = m, memo[at].n = n, memo[at].k = k, memo[at].form = form, memo[at].op = op;
    }
    return memo[at].plan;
}

size_t cg_plan_pack_nr(const struct cg_plans *p, size_t n, size_t k)
{
    return pack_nr_of(p, CG_OP_gemm_f32, n, k);
}

struct cg_plan cg_plan_gemm_f32(const struct cg_plans *p, enum cg_form form, size_t m, size_t n, size_t k)
{
    return remembered(p, CG_OP_gemm_f32, form, m, n, k);
}

size_t cg_plan_bf16w_pack_nr(const struct cg_plans *p, size_t n, size_t k)
{
    return pack_nr_of(p, CG_OP_gemm_bf16w, n, k);
}

struct cg_plan cg_plan_gemm_bf16w(const struct cg_plans *p, size_t m, size_t n, size_t k)
{
    return remembered(p, CG_OP_gemm_bf16w, CG_FORM_NT, m, n, k);
}

const struct cg_variant *cg_plan_bf16_variant(const struct cg_plans *p, size_t n, size_t k)
{
    return dot_variant(p, CG_OP_gemm_bf16, n, k);
}

struct cg_plan cg_plan_gemm_bf16(const struct cg_plans *p, size_t m, size_t n, size_t k)
{
    return remembered(p, CG_OP_gemm_bf16, CG_FORM_NT, m, n, k);
}

const struct cg_variant *cg_plan_s8_variant(const struct cg_plans *p, size_t n, size_t k)
{
    return dot_variant(p, CG_OP_gemm_s8, n, k);
}

struct cg_plan cg_plan_gemm_s8(const struct cg_plans *p, size_t m, size_t n, size_t k)
{
    return remembered(p, CG_OP_gemm_s8, CG_FORM_NT, m, n, k);
}

#include "bench/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const form_names[] = {"nt", "nn", "tn"};

/* Bits: the three forms of gemm_f32, then every other operation. */
static cg_bench_ops bit_of(enum cg_op op, enum cg_form form)
{
    return op == CG_OP_gemm_f32 ? 1ull << form : 4ull << op;
}

cg_bench_ops cg_bench_op_bits(enum cg_op op)
{
    return op == CG_OP_gemm_f32 ? CG_BENCH_GEMM_F32 : bit_of(op, CG_FORM_NT);
}

cg_bench_ops cg_bench_gemms(void)
{
    cg_bench_ops bits = 0;
    for (int op = 0; op < CG_OP_COUNT; op++)
        if (cg_op_is_gemm((enum cg_op)op)) bits |= cg_bench_op_bits((enum cg_op)op);
    return bits;
}

static cg_bench_ops row_bits(void)
{
    cg_bench_ops bits = 0;
    for (int op = 0; op < CG_OP_COUNT; op++)
        if (!cg_op_is_gemm((enum cg_op)op)) bits |= bit_of((enum cg_op)op, CG_FORM_NT);
    return bits;
}

static cg_bench_ops bits_named(const char *word)
{
    char name[64];
    if (strcmp(word, "all") == 0) return CG_BENCH_ALL;
    if (strcmp(word, "rows") == 0) return row_bits();
    if (strcmp(word, "gemm") == 0) return cg_bench_gemms();
    for (int form = 0; form < 3; form++) {
        snprintf(name, sizeof name, "gemm_f32_%s", form_names[form]);
        if (strcmp(word, name) == 0) return 1ull << form;
    }
    for (int op = 0; op < CG_OP_COUNT; op++)
        if (strcmp(word, cg_op_name((enum cg_op)op)) == 0) return cg_bench_op_bits((enum cg_op)op);
    return 0;
}

static enum cg_status unknown_op(const char *word)
{
    char names[640] = "";
    for (int op = 0; op < CG_OP_COUNT; op++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, ", %s", cg_op_name((enum cg_op)op));
    }
    return cg_fail(CG_ERR_USER,
                   "--op: there is no \"%.40s\"; choose from all, rows, gemm, gemm_f32_nt, gemm_f32_nn, "
                   "gemm_f32_tn%s",
                   word, names);
}

enum cg_status cg_bench_parse_ops(const char *text, cg_bench_ops *ops)
{
    *ops = 0;
    for (const char *p = text;;) {
        size_t n = strcspn(p, ",");
        char word[64];
        snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : (int)sizeof word - 1, p);
        cg_bench_ops bits = bits_named(word);
        if (!bits) return unknown_op(word);
        *ops |= bits;
        if (!p[n]) return CG_OK;
        p += n + 1;
    }
}

enum cg_status cg_bench_parse_forms(const char *text, cg_bench_ops *forms)
{
    *forms = 0;
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        cg_bench_ops bit = 0;
        for (int form = 0; form < 3; form++)
            if (n == 2 && strncmp(p, form_names[form], 2) == 0) bit = 1ull << form;
        if (n == 3 && strncmp(p, "all", 3) == 0) bit = CG_BENCH_GEMM_F32;
        if (!bit)
            return cg_fail(CG_ERR_USER, "--form: there is no \"%.*s\"; choose from nt, nn, tn, all",
                           n > 40 ? 40 : (int)n, p);
        *forms |= bit;
        p += n;
        if (!*p) return CG_OK;
    }
}

const char *cg_bench_plans_text(const struct cg_plans *plans)
{
    const char *text = cg_plans_source(plans);
    return strncmp(text, "plans: ", 7) == 0 ? text + 7 : text;
}

const char *cg_bench_unit(const struct cg_bench_case *c)
{
    return c->op == CG_OP_gemm_s8 ? "GOP/s" : cg_op_is_gemm(c->op) ? "GFLOP/s" : "Gelem/s";
}

size_t cg_bench_row_bytes(enum cg_op op)
{
    switch (op) {
    case CG_OP_max_f32:
    case CG_OP_sumexp_f32:
    case CG_OP_sumsq_f32: return 4;
    case CG_OP_quant_s8:
    case CG_OP_dequant_s8: return 5;
    case CG_OP_kv_keys_s8:
    case CG_OP_kv_values_s8: return 5; /* the cache and one of what it is multiplied with, about */
    case CG_OP_kv_bf16:
    case CG_OP_to_bf16:
    case CG_OP_from_bf16: return 6;
    case CG_OP_softmax_f32:
    case CG_OP_softmax_len_f32:
    case CG_OP_logsoftmax_f32:
    case CG_OP_dot16_f32:
    case CG_OP_kv_f32:
    case CG_OP_expmul_f32: return 8;
    case CG_OP_softmax_bwd_f32:
    case CG_OP_softmax_len_bwd_f32:
    case CG_OP_softmax_mask_f32:
    case CG_OP_logsoftmax_bwd_f32:
    case CG_OP_rmsnorm_f32:
    case CG_OP_rope_f32:
    case CG_OP_swiglu_f32:
    case CG_OP_add_f32:
    case CG_OP_axpy_f32: return 12;
    case CG_OP_rmsnorm_dw_f32: return 16;
    case CG_OP_rmsnorm_bwd_f32:
    case CG_OP_swiglu_bwd_f32: return 20;
    default: return 28; /* adamw_f32: parameter, gradient and two moments; all but the gradient are written */
    }
}

/* ---- Making the list ----------------------------------------------------------------------------------------------
 */

struct maker {
    const struct cg_plans *plans;
    struct cg_bench_cases *out;
    size_t cap;
    int every;
};

static enum cg_status push(struct maker *mk, struct cg_bench_case c)
{
    const struct cg_variant *v = c.plan.variant;
    size_t skip = strlen(cg_op_name(c.op)) + 1; /* the variant's name begins with that of its op */
    const char *which = v->name + (strlen(v->name) > skip ? skip : 0);
    if (c.op == CG_OP_gemm_f32)
        snprintf(c.name, sizeof c.name, "gemm_f32_%s/%zux%zux%zu/%s", form_names[c.form], c.m, c.n, c.k, which);
    else if (cg_op_is_gemm(c.op))
        snprintf(c.name, sizeof c.name, "%s/%zux%zux%zu/%s", cg_op_name(c.op), c.m, c.n, c.k, which);
    else snprintf(c.name, sizeof c.name, "%s/%zux%zu/%s", cg_op_name(c.op), c.m, c.n, which);
    if (mk->out->n == mk->cap) {
        size_t cap = mk->cap ? 2 * mk->cap : 64;
        struct cg_bench_case *more = realloc(mk->out->c, cap * sizeof *more);
        if (!more) return cg_fail(CG_ERR_MEMORY, "out of memory");
        mk->out->c = more;
        mk->cap = cap;
    }
    mk->out->c[mk->out->n++] = c;
    return CG_OK;
}

/* One case with the plan, or one for each variant that may run, with its prefetch distance. */
static enum cg_status push_variants(struct maker *mk, struct cg_bench_case c)
{
    if (!mk->every) return push(mk, c);
    size_t count;
    const struct cg_variant *all = cg_variants(&count);
    struct cg_plan plan = {.threads = (uint16_t)cg_plans_threads(mk->plans), .prefetch = c.plan.prefetch};
    for (size_t i = 0; i < count; i++) {
        if (all[i].op != c.op || !cg_variant_runs(&all[i], cg_plans_machine(mk->plans)->isa)) continue;
        if (c.plan.variant == &all[i]) {
            CG_TRY(push(mk, c));
            continue;
        }
        struct cg_bench_case other = c;
        other.plan = plan;
        other.plan.variant = &all[i];
        CG_TRY(push(mk, other));
    }
    return CG_OK;
}

static struct cg_plan plan_of(const struct cg_plans *p, const struct cg_bench_case *c)
{
    if (c->op == CG_OP_gemm_f32) return cg_plan_gemm_f32(p, c->form, c->m, c->n, c->k);
    if (c->op == CG_OP_gemm_s8) return cg_plan_gemm_s8(p, c->m, c->n, c->k);
    return cg_plan_default(cg_plans_machine(p), c->op, c->form, 0, c->m, c->n, c->k, cg_plans_threads(p));
}

static enum cg_status push_gemm(struct maker *mk, enum cg_op op, enum cg_form form, const struct cg_layer *l)
{
    struct cg_bench_case c = {.op = op, .form = form, .m = l->m, .n = l->n, .k = l->k};
    if (form == CG_FORM_NN) c.n = l->k, c.k = l->n;
    if (form == CG_FORM_TN) c.m = l->n, c.n = l->k, c.k = l->m;
    c.work = 2.0 * (double)c.m * (double)c.n * (double)c.k;
    c.plan = plan_of(mk->plans, &c);
    return c.plan.variant ? push_variants(mk, c) : CG_OK; /* this machine may have no variant of the operation */
}

/* As many rows as make 64 Ki elements: a call that a clock can see, and data that caches hold. */
static enum cg_status push_row(struct maker *mk, enum cg_op op, size_t n)
{
    struct cg_bench_case c = {.op = op, .n = n, .m = n < 65536 ? 65536 / n : 1, .plan.threads = 1};
    c.work = (double)c.m * (double)c.n;
    size_t count;
    const struct cg_variant *all = cg_variants(&count);
    for (size_t i = 0; i < count; i++) /* the last one that may run is in use */
        if (all[i].op == op && cg_variant_runs(&all[i], cg_plans_machine(mk->plans)->isa)) c.plan.variant = &all[i];
    if (!c.plan.variant) return CG_OK;
    return push_variants(mk, c);
}

static int same_width_before(const struct cg_layer *layers, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (layers[i].n == layers[at].n) return 1;
    return 0;
}

static enum cg_status make(struct maker *mk, cg_bench_ops ops, const struct cg_layer *layers, size_t n, int few)
{
    for (int form = 0; form < 3; form++)
        for (size_t i = 0; i < n; i++) {
            const struct cg_layer *l = &layers[i];
            int used = form == CG_FORM_NT || !few || (l->m >= 64 && (l->n < 16384 || l->m <= 256));
            if ((ops & bit_of(CG_OP_gemm_f32, (enum cg_form)form)) && used)
                CG_TRY(push_gemm(mk, CG_OP_gemm_f32, (enum cg_form)form, l));
        }
    for (int op = CG_OP_gemm_f32 + 1; op < CG_OP_COUNT; op++)
        for (size_t i = 0; i < n; i++) {
            if (!(ops & bit_of((enum cg_op)op, CG_FORM_NT))) continue;
            if (cg_op_is_gemm((enum cg_op)op)) CG_TRY(push_gemm(mk, (enum cg_op)op, CG_FORM_NT, &layers[i]));
            else if (!same_width_before(layers, i)) CG_TRY(push_row(mk, (enum cg_op)op, layers[i].n));
        }
    return CG_OK;
}

enum cg_status cg_bench_cases_make(const struct cg_plans *plans, cg_bench_ops ops, const struct cg_layer *layers,
                                   size_t n, int few, int every, struct cg_bench_cases *out)
{
    memset(out, 0, sizeof *out);
    struct maker mk = {.plans = plans, .out = out, .every = every};
    enum cg_status st = make(&mk, ops, layers, n, few);
    if (st == CG_OK && out->n == 0)
        st = cg_fail(CG_ERR_USER, "nothing to time: no shape of --shapes fits the operations of --op");
    if (st != CG_OK) {
        free(out->c);
        memset(out, 0, sizeof *out);
    }
    return st;
}

/* Which of all choices that fit is the fastest. */
#include <stdint.h>
#include <string.h>

#include "runtime/config/bytes.h"
#include "runtime/memory/measure.h"

#define MICRO_TOKENS 4096 /* a larger micro-batch is no faster */
#define BATCH 128         /* nor are more sequences at a time */
#define AS_FAST 1.02 /* what takes no longer than this times the fastest is as fast: the smallest of them is taken */
#define FLOPS_PER_BYTE 8 /* of a machine: what it computes while it moves a byte of memory */

/* Bytes of what all choices share, by index: computed once. */
#define MAX_MICRO 64
#define MAX_SEQUENCES 16
struct choices {
    size_t micro[MAX_MICRO], acts[MAX_MICRO][3], ref_acts[MAX_MICRO];
    size_t n_micro;
    size_t sequences[MAX_SEQUENCES], evaluate[MAX_SEQUENCES], generate[MAX_SEQUENCES];
    size_t any[MAX_SEQUENCES]; /* where what one kind needs stays for the others */
    size_t n_sequences;
};

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Micro-batches of so many groups that every one of their number is tried, the largest first. */
static void list_micro(const struct cg_rehearsal *h, struct choices *c)
{
    size_t prompts = h->r->training.prompts;
    if (h->r->micro_tokens) {
        c->micro[c->n_micro++] = max_of(min_of(h->r->micro_tokens, h->all_tokens), h->least_micro);
        return;
    }
    for (size_t groups = prompts; groups > 0 && c->n_micro < MAX_MICRO;) {
        size_t batches = (prompts + groups - 1) / groups, tokens = groups * h->group;
        if (groups == prompts) tokens = h->all_tokens; /* supervised batches may be larger */
        if (tokens > MICRO_TOKENS) tokens = max_of(MICRO_TOKENS / h->group, 1) * h->group;
        tokens = max_of(tokens, h->least_micro);
        if (!c->n_micro || tokens < c->micro[c->n_micro - 1]) c->micro[c->n_micro++] = tokens;
        if (groups == 1) break;
        groups = min_of(groups - 1, (prompts + batches) / (batches + 1));
    }
}

static void list_all(const struct cg_rehearsal *h, struct choices *c)
{
    const struct cg_memory_request *r = h->r;
    memset(c, 0, sizeof *c);
    list_micro(h, c);
    for (size_t i = 0; i < c->n_micro; i++) {
        for (int level = CG_RECOMPUTE_NONE; level <= CG_RECOMPUTE_ALL; level++)
            c->acts[i][level] = r->recompute >= 0 && level != r->recompute
                                    ? SIZE_MAX
                                    : cg_rehearse_trainer(h, c->micro[i], (enum cg_recompute)level, 1);
        if (r->reference) c->ref_acts[i] = cg_rehearse_trainer(h, c->micro[i], CG_RECOMPUTE_NONE, 0);
    }
    for (size_t n = r->max_sequences ? min_of(r->max_sequences, BATCH) : BATCH; n > 0 && c->n_sequences < MAX_SEQUENCES;
         n /= 2) {
        const struct cg_memory_rollout kinds[] = {r->training, r->evaluation, r->fisher};
        size_t i = c->n_sequences++;
        c->sequences[i] = n;
        c->generate[i] = cg_rehearse_rollouts(h, &kinds[0], 1, n);
        c->evaluate[i] = max_of(cg_rehearse_rollouts(h, &kinds[1], 1, n), cg_rehearse_rollouts(h, &kinds[2], 1, n));
        c->any[i] = cg_rehearse_rollouts(h, kinds, 3, n);
    }
}

/* Of a step, in floating-point operations: products, and memory that is moved beside them. */
static double cost_of(const struct cg_rehearsal *h, const struct cg_memory_choice *o, size_t buffers)
{
    const struct cg_memory_request *r = h->r;
    double params = (double)h->model.n_params, move = params * FLOPS_PER_BYTE;
    double tokens = (double)(r->training.prompts * h->group), micro = (double)o->micro_tokens;
    double batches = (double)(size_t)((tokens + micro - 1) / micro), per_batch = 16; /* bytes a weight and batch */
    double again = o->recompute == CG_RECOMPUTE_NONE ? 0 : o->recompute == CG_RECOMPUTE_MLP ? 0.5 : 0.75;
    if (o->lends) per_batch += 8 * (1 + again);
    if (r->reference && o->ref_unpacked) per_batch += 8;
    double cost = (6 + 2 * again) * params * tokens + batches * per_batch * move;
    double sequences = (double)(r->training.prompts * r->training.completions), at_once = (double)o->sequences;
    double waves = sequences > at_once ? sequences / at_once : 1;
    cost += waves * (double)r->max_completion * 4 * move;
    /* What is given back must be cleared by the system the next time. */
    if (o->gives_back) cost += 2 * (double)buffers * FLOPS_PER_BYTE;
    return cost;
}

/* Bytes of each part in each phase, for micro-batch i and sequences k. */
static void fill(const struct cg_rehearsal *h, const struct choices *c, size_t i, size_t k, struct cg_memory_plan *p)
{
    const struct cg_memory_request *r = h->r;
    const struct cg_memory_choice *o = &p->choice;
    size_t acts = c->acts[i][o->recompute], room = cg_rehearsed_room(h);
    size_t reference = h->weights + room + (o->ref_unpacked ? 0 : h->packed);
    if (r->adapters) reference = room; /* the model without them */
    memset(p->bytes, 0, sizeof p->bytes);
    for (int phase = 0; phase < CG_MEMORY_PHASES; phase++) {
        size_t *b = p->bytes[phase];
        int trains = phase == CG_MEMORY_TRAINING;
        b[CG_MEMORY_BASE] = r->base + r->records;
        b[CG_MEMORY_WEIGHTS] = h->weights;
        if (phase == CG_MEMORY_LOADING) continue;
        b[CG_MEMORY_PACKED] = room + (o->lends ? h->packed_lending : h->packed);
        b[CG_MEMORY_GRADIENT] = o->lends ? 0 : h->gradient;
        b[CG_MEMORY_INT8] = h->int8;
        b[CG_MEMORY_MOMENTS] = h->moments;
        b[CG_MEMORY_EWC] = h->ewc;
        if (r->reference) b[CG_MEMORY_REFERENCE] = reference + (!o->gives_back || trains ? c->ref_acts[i] : 0);
        b[CG_MEMORY_ACTIVATIONS] = !o->gives_back || trains ? acts : 0;
        b[CG_MEMORY_GENERATION] = !o->gives_back                  ? c->any[k]
                                  : trains                        ? 0
                                  : phase == CG_MEMORY_EVALUATING ? c->evaluate[k]
                                                                  : c->generate[k];
    }
    p->peak = 0;
    for (int phase = 0; phase < CG_MEMORY_PHASES; phase++) {
        size_t sum = 0;
        for (int part = 0; part < CG_MEMORY_PARTS; part++) sum += p->bytes[phase][part];
        if (sum > p->peak) p->peak = sum;
    }
    p->cost = cost_of(h, o, acts + c->any[k]);
}

/* Tries one choice: keeps it in *best when it fits and is faster than what is there or, with `enough`, when it takes no
 * longer than that and is smaller. */
static void consider(const struct cg_rehearsal *h, const struct choices *c, size_t i, size_t k,
                     const struct cg_memory_choice *o, double enough, struct cg_memory_plan *best)
{
    if (c->acts[i][o->recompute] == SIZE_MAX || c->ref_acts[i] == SIZE_MAX) return;
    struct cg_memory_plan p = *best;
    p.choice = *o;
    fill(h, c, i, k, &p);
    if (p.peak < best->least) best->least = p.least = p.peak;
    if (p.peak > h->r->budget) return;
    if (enough > 0 ? p.cost > enough || p.peak >= best->peak : best->peak && p.cost >= best->cost) return;
    *best = p;
}

static void search(const struct cg_rehearsal *h, const struct choices *c, double enough, struct cg_memory_plan *best)
{
    int refs = h->r->reference && !h->r->adapters ? 2 : 1;
    for (size_t i = 0; i < c->n_micro; i++)
        for (size_t k = 0; k < c->n_sequences; k++)
            for (int n = 0; n < 2 * 3 * 2 * refs; n++) {
                struct cg_memory_choice o = {.micro_tokens = c->micro[i],
                                             .sequences = c->sequences[k],
                                             .lends = n & 1,
                                             .gives_back = n >> 1 & 1,
                                             .recompute = (enum cg_recompute)((n >> 2) % 3),
                                             .ref_unpacked = (n >> 2) / 3};
                /* Frozen weights stay packed: the gradient of adapters needs no memory of theirs. */
                if (!o.lends || !h->r->adapters) consider(h, c, i, k, &o, enough, best);
            }
}

static enum cg_status find(const struct cg_memory_request *r, struct cg_memory_plan *out)
{
    struct cg_rehearsal h;
    struct choices c;
    memset(out, 0, sizeof *out);
    out->least = SIZE_MAX;
    enum cg_status s = cg_rehearsal_open(r, &h);
    if (s == CG_OK) {
        out->all_tokens = h.all_tokens;
        out->longest = h.longest;
        list_all(&h, &c);
        search(&h, &c, 0, out);
        search(&h, &c, out->cost * AS_FAST, out);
    }
    cg_rehearsal_close(&h);
    return s;
}

/* Whole MiB that are surely enough: what is resident at the start differs a little from time to time. */
static size_t mib_above(size_t bytes)
{
    return (bytes >> 20) + 2;
}

static enum cg_status too_small(const struct cg_memory_request *r, const struct cg_memory_plan *p)
{
    char budget[CG_BYTES_SHOWN], other[96] = "";
    if (!r->moments8) {
        struct cg_memory_request smaller = *r;
        struct cg_memory_plan with;
        smaller.moments8 = 1;
        CG_TRY(find(&smaller, &with));
        snprintf(other, sizeof other, ", with optim: adamw_8bit %zu MiB", mib_above(with.least));
    }
    return cg_fail(CG_ERR_USER,
                   "a memory budget of %s is too small for this run: it needs at least %zu MiB%s (less with a shorter "
                   "max_completion_length, fewer num_generations, fewer trainable_layers%s or a smaller model)",
                   cg_bytes_show(r->budget, budget), mib_above(p->least), other, r->reference ? ", beta 0" : "");
}

enum cg_status cg_memory_plan(const struct cg_memory_request *r, struct cg_memory_plan *out)
{
    CG_TRY(find(r, out));
    return out->peak ? CG_OK : too_small(r, out);
}

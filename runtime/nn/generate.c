#include "runtime/nn/generate.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "runtime/nn/generator_impl.h"

#define LOGITS_BYTES ((size_t)16 << 20)
#define MIN_LOGIT_ROWS 16
#define PROMPT_TOKENS 1024 /* that one pass begins with, where a single prompt has no more */

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t round16(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------- */

/* Bytes of one holder of `positions` positions, all layers and heads. */
static size_t holder_bytes(const struct cg_config *c, enum cg_kv_type type, size_t positions)
{
    struct cg_attention at = {.head_dim = c->head_dim};
    return c->num_hidden_layers * c->num_key_value_heads * cg_kv_bytes(&at, type, round16(positions));
}

/* Sequences and prompts that have a place. A prompt keeps its place until its last completion has ended, so there are
 * more than the sequences fill at once, where memory allows. */
static void places(const struct cg_config *c, const struct cg_gen_options *o, size_t n_prompts, size_t longest,
                   size_t completions, struct cg_gen_sizes *s)
{
    size_t prompt = holder_bytes(c, o->kv_type, longest), own = holder_bytes(c, o->kv_type, o->max_new_tokens);
    s->sequences = min_of(n_prompts * completions, o->max_batch ? o->max_batch : 128);
    size_t least = (s->sequences + completions - 1) / completions, most = min_of(s->sequences, n_prompts);
    s->prompts = min_of(most, 2 * least);
    if (o->max_kv_bytes && s->prompts * prompt + s->sequences * own > o->max_kv_bytes) {
        size_t groups = o->max_kv_bytes / (prompt + completions * own), rest = o->max_kv_bytes;
        if (groups > 0) s->sequences = min_of(s->sequences, groups * completions);
        else s->sequences = min_of(s->sequences, rest > prompt + own ? (rest - prompt) / own : 1);
        least = (s->sequences + completions - 1) / completions;
        rest -= min_of(rest, s->sequences * own);
        s->prompts = min_of(s->prompts, rest / prompt);
        if (s->prompts < least) s->prompts = least;
    }
    s->kv_bytes = s->prompts * prompt + s->sequences * own;
}

/* Floats of each buffer of a layer for n rows, in whole lines; returns their sum. */
static size_t acts_floats(const struct cg_config *c, size_t n, size_t each[5])
{
    size_t att = c->num_attention_heads * c->head_dim, kv = c->num_key_value_heads * c->head_dim, sum = 0;
    size_t widths[5] = {c->hidden_size, att + 2 * kv, att, c->hidden_size, 2 * c->intermediate_size};
    for (size_t i = 0; i < 5; i++) sum += each[i] = round16(n * widths[i]);
    return sum;
}

void cg_gen_bytes(const struct cg_config *c, const struct cg_gen_options *o, size_t longest, struct cg_gen_sizes *s)
{
    size_t each[5], d = c->hidden_size;
    size_t floats = acts_floats(c, s->rows, each) + s->rows * (d + c->intermediate_size) +
                    (s->sequences + s->prompts) * d + s->logit_rows * c->vocab_size;
    s->kv_bytes = s->prompts * holder_bytes(c, o->kv_type, longest) +
                  s->sequences * holder_bytes(c, o->kv_type, o->max_new_tokens);
    s->bytes = s->kv_bytes + floats * sizeof(float);
}

void cg_gen_sizes(const struct cg_config *c, const struct cg_gen_options *o, size_t n_prompts, size_t longest,
                  size_t completions, struct cg_gen_sizes *s)
{
    places(c, o, n_prompts, longest, completions, s);
    size_t fresh = min_of(n_prompts * longest, longest > PROMPT_TOKENS ? longest : PROMPT_TOKENS);
    s->rows = s->sequences + fresh;
    size_t rows = LOGITS_BYTES / (c->vocab_size * sizeof(float));
    if (rows < MIN_LOGIT_ROWS) rows = MIN_LOGIT_ROWS;
    s->logit_rows = min_of(o->max_logit_rows ? o->max_logit_rows : rows, s->sequences);
    cg_gen_bytes(c, o, longest, s);
}

/* ---- Buffers ----------------------------------------------------------------------------------------------------- */

enum cg_status cg_generator_create(const struct cg_net *net, struct cg_generator **out)
{
    struct cg_generator *g = calloc(1, sizeof *g);
    if (!g) return cg_fail(CG_ERR_MEMORY, "out of memory");
    g->net = net;
    g->at = cg_attend_config(net);
    *out = g;
    return CG_OK;
}

static void free_buffers(struct cg_generator *g)
{
    void *all[] = {g->places, g->free_slots, g->free_places, g->last, g->seqs, g->token,  g->pos,   g->batch_place,
                   g->acts,   g->xn,         g->h,           g->runs, g->rows, g->hidden, g->logits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
    g->places = NULL;
    g->free_slots = g->free_places = g->batch_place = NULL;
    g->last = g->acts = g->xn = g->h = g->hidden = g->logits = NULL;
    g->seqs = NULL;
    g->token = g->pos = NULL;
    g->runs = g->rows = NULL;
    memset(&g->has, 0, sizeof g->has);
}

void cg_generator_use(struct cg_generator *g, const struct cg_net *net)
{
    g->net = net;
}

void cg_generator_release(struct cg_generator *g)
{
    free_buffers(g);
    void *all[] = {g->shared.mem, g->own.mem, g->scratch.p, g->sample};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
    cg_batch_free(&g->batch);
    *g = (struct cg_generator){.net = g->net, .at = g->at};
}

void cg_generator_free(struct cg_generator *g)
{
    if (!g) return;
    cg_generator_release(g);
    free(g);
}

static enum cg_status no_memory(const struct cg_gen_sizes *s)
{
    return cg_fail(CG_ERR_MEMORY, "out of memory for generating %zu sequences at a time (%.2f GB)", s->sequences,
                   (double)s->bytes / 1e9);
}

static enum cg_status reserve_cache(struct cg_generator *g, struct cg_gen_cache *c, size_t holders, size_t positions)
{
    const struct cg_config *cfg = &g->net->model->cfg;
    c->holders = holders;
    c->cap = round16(positions);
    c->each = cg_kv_bytes(&g->at, g->o->kv_type, c->cap);
    size_t bytes = holders * holder_bytes(cfg, g->o->kv_type, positions);
    if (bytes <= c->bytes) return CG_OK;
    cg_free(c->mem);
    c->bytes = 0;
    c->mem = cg_alloc(bytes);
    if (!c->mem) return no_memory(&g->now);
    c->bytes = bytes;
    return CG_OK;
}

static int alloc_buffers(struct cg_generator *g, const struct cg_gen_sizes *s)
{
    const struct cg_config *c = &g->net->model->cfg;
    size_t each[5], d = c->hidden_size, f = sizeof(float);
    g->acts = cg_alloc_n(acts_floats(c, s->rows, each), f);
    g->xn = cg_alloc_n(s->rows, d * f);
    g->h = cg_alloc_n(s->rows, c->intermediate_size * f);
    g->logits = cg_alloc_n(s->logit_rows, c->vocab_size * f);
    g->hidden = cg_alloc_n(s->sequences, d * f);
    g->last = cg_alloc_n(s->prompts, d * f);
    g->places = cg_alloc_n(s->prompts, sizeof *g->places);
    g->free_places = cg_alloc_n(s->prompts, sizeof *g->free_places);
    g->batch_place = cg_alloc_n(s->prompts, sizeof *g->batch_place);
    g->free_slots = cg_alloc_n(s->sequences, sizeof *g->free_slots);
    g->seqs = cg_alloc_n(s->sequences, sizeof *g->seqs);
    g->runs = cg_alloc_n(s->sequences, sizeof *g->runs);
    g->rows = cg_alloc_n(s->sequences, sizeof *g->rows);
    g->token = cg_alloc_n(s->rows, sizeof *g->token);
    g->pos = cg_alloc_n(s->rows, sizeof *g->pos);
    return g->acts && g->xn && g->h && g->logits && g->hidden && g->last && g->places && g->free_places &&
           g->batch_place && g->free_slots && g->seqs && g->runs && g->rows && g->token && g->pos;
}

/* Makes everything large enough for a call; what is large enough already stays. */
static enum cg_status reserve(struct cg_generator *g, size_t longest)
{
    struct cg_gen_sizes *has = &g->has, need = g->now;
    CG_TRY(reserve_cache(g, &g->shared, need.prompts, longest));
    CG_TRY(reserve_cache(g, &g->own, need.sequences, g->o->max_new_tokens));
    if (need.rows <= has->rows && need.sequences <= has->sequences && need.prompts <= has->prompts &&
        need.logit_rows <= has->logit_rows)
        return CG_OK;
    if (need.rows < has->rows) need.rows = has->rows;
    if (need.sequences < has->sequences) need.sequences = has->sequences;
    if (need.prompts < has->prompts) need.prompts = has->prompts;
    if (need.logit_rows < has->logit_rows) need.logit_rows = has->logit_rows;
    free_buffers(g);
    if (!alloc_buffers(g, &need)) {
        free_buffers(g);
        return no_memory(&g->now);
    }
    g->has = need;
    size_t each[5];
    acts_floats(&g->net->model->cfg, need.rows, each);
    float **at[] = {&g->buf.x, &g->buf.qkv, &g->buf.att, &g->buf.x2, &g->buf.gu}, *p = g->acts;
    for (size_t i = 0; i < 5; i++) {
        *at[i] = p;
        p += each[i];
    }
    return CG_OK;
}

/* ---- The call ---------------------------------------------------------------------------------------------------- */

static enum cg_status check_prompts(const struct cg_net *net, const struct cg_gen_options *o, size_t n,
                                    const struct cg_gen_prompt *prompts)
{
    for (size_t p = 0; p < n; p++) {
        if (prompts[p].len == 0)
            return cg_fail(CG_ERR_USER, "prompt %zu is empty: there is nothing to continue", p + 1);
        if (prompts[p].len + o->max_new_tokens > net->rope_len)
            return cg_fail(CG_ERR_USER, "a prompt of %zu tokens and %zu new ones exceed the %zu positions prepared",
                           prompts[p].len, o->max_new_tokens, net->rope_len);
        for (size_t i = 0; i < prompts[p].len; i++)
            if (prompts[p].tokens[i] < 0 || (size_t)prompts[p].tokens[i] >= net->model->cfg.vocab_size)
                return cg_fail(CG_ERR_USER,
                               "token %d is not in the model's vocabulary of %zu; model and tokenizer differ",
                               (int)prompts[p].tokens[i], net->model->cfg.vocab_size);
    }
    return CG_OK;
}

/* Lets a prompt in, unless there is no place for it or this pass has enough of them. */
static enum cg_status begin_prompt(struct cg_generator *g, size_t prompt, int *in)
{
    const struct cg_gen_prompt *p = &g->prompts[prompt];
    size_t room = g->now.rows - g->now.sequences - g->batch.n_tokens;
    *in = g->n_free_places > 0 && p->len <= room;
    if (!*in) return CG_OK;
    CG_TRY(cg_batch_segment(&g->batch, p->tokens, p->len, CG_NO_PARENT, NULL));
    size_t place = g->free_places[--g->n_free_places];
    g->places[place] = (struct cg_gen_place){prompt, p->len, g->completions};
    g->batch_place[g->batch.n_segs - 1] = place;
    return CG_OK;
}

/* Lets waiting sequences in while there are places, in their order: those of a prompt stand together. */
static enum cg_status admit(struct cg_generator *g)
{
    cg_batch_clear(&g->batch);
    g->fresh = 0;
    while (g->next < g->all && g->n_free_slots > 0) {
        size_t prompt = g->next / g->completions, place;
        if (g->next % g->completions == 0) {
            int in;
            CG_TRY(begin_prompt(g, prompt, &in));
            if (!in) break;
            place = g->batch_place[g->batch.n_segs - 1];
        } else { /* its prompt came in last */
            for (place = 0; g->places[place].left == 0 || g->places[place].prompt != prompt;) place++;
        }
        size_t at = g->active + g->fresh++;
        g->seqs[at] = (struct cg_gen_seq){g->next++, g->free_slots[--g->n_free_slots], place};
    }
    return CG_OK;
}

/* Keeps the sequences that go on; the others' places become free. */
static void drop_finished(struct cg_generator *g)
{
    size_t kept = 0;
    for (size_t r = 0; r < g->active + g->fresh; r++) {
        struct cg_gen_seq s = g->seqs[r];
        const struct cg_completion *c = &g->out[s.out];
        if (c->finished || c->len >= g->o->max_new_tokens) {
            g->free_slots[g->n_free_slots++] = s.slot;
            if (--g->places[s.place].left == 0) g->free_places[g->n_free_places++] = s.place;
            continue;
        }
        g->seqs[kept] = s;
        g->token[kept] = c->tokens[c->len - 1];
        g->pos[kept] = (int32_t)(g->places[s.place].len + c->len - 1);
        kept++;
    }
    g->active = kept;
}

static void count(struct cg_generator *g, double seconds)
{
    struct cg_gen_stats *s = &g->stats;
    s->passes++;
    s->prompt_tokens += g->batch.n_tokens;
    if (g->batch.n_tokens) {
        s->prompt_seconds += seconds;
    } else {
        s->decode_seconds += seconds;
        s->decoded += g->active + g->fresh;
    }
}

const struct cg_gen_stats *cg_generator_stats(const struct cg_generator *g)
{
    return &g->stats;
}

static enum cg_status run(struct cg_generator *g)
{
    g->active = g->next = 0;
    g->n_free_slots = g->now.sequences;
    g->n_free_places = g->now.prompts;
    for (size_t i = 0; i < g->n_free_slots; i++) g->free_slots[i] = i;
    for (size_t i = 0; i < g->n_free_places; i++) {
        g->free_places[i] = i;
        g->places[i].left = 0;
    }
    while (g->active || g->next < g->all) {
        double start = cg_now();
        CG_TRY(admit(g));
        CG_TRY(cg_gen_forward(g));
        CG_TRY(cg_gen_choose(g));
        count(g, cg_now() - start);
        drop_finished(g);
    }
    return CG_OK;
}

enum cg_status cg_generator_run(struct cg_generator *g, const struct cg_gen_options *o, size_t n_prompts,
                                const struct cg_gen_prompt *prompts, size_t completions, struct cg_completion *out)
{
    CG_TRY(check_prompts(g->net, o, n_prompts, prompts));
    g->o = o;
    g->prompts = prompts;
    g->out = out;
    g->completions = completions;
    g->all = n_prompts * completions;
    memset(&g->stats, 0, sizeof g->stats);
    for (size_t s = 0; s < g->all; s++) {
        out[s].len = 0;
        out[s].finished = 0;
    }
    if (g->all == 0 || o->max_new_tokens == 0) return CG_OK;
    size_t longest = 0;
    for (size_t p = 0; p < n_prompts; p++)
        if (prompts[p].len > longest) longest = prompts[p].len;
    cg_gen_sizes(&g->net->model->cfg, o, n_prompts, longest, completions, &g->now);
    CG_TRY(reserve(g, longest));
    return run(g);
}

enum cg_status cg_generate(const struct cg_net *net, const struct cg_gen_options *o, size_t n_prompts,
                           const struct cg_gen_prompt *prompts, size_t completions, struct cg_completion *out)
{
    struct cg_generator *g;
    CG_TRY(cg_generator_create(net, &g));
    enum cg_status s = cg_generator_run(g, o, n_prompts, prompts, completions, out);
    cg_generator_free(g);
    return s;
}

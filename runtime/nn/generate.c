#include "runtime/nn/generate.h"

#include <omp.h>
#include <string.h>

#include "common/mem.h"
#include "common/rng.h"
#include "kernels/logits.h"
#include "runtime/nn/attend.h"

#define LOGITS_BYTES ((size_t)16 << 20)
#define MIN_LOGIT_ROWS 16

/* Keys and values of every layer and key/value head for a number of holders: prompts, or completions. */
struct cache {
    uint8_t *mem; /* [layer][holder][kv head], `each` bytes */
    size_t holders, cap, each;
};

/* Sequences [first, first + n) of the active ones, all of one prompt: what one task of attention works on. */
struct run {
    size_t first, n, prompt;
};

/* Everything a wave of sequences needs; a wave is a run of prompts whose completions are decoded together. The prompt's
 * keys and values are kept once for all its completions. */
struct wave {
    const struct cg_net *net;
    const struct cg_gen_options *o;
    struct cg_attention at;
    struct cg_attend_scratch scratch;
    size_t completions; /* of each prompt */
    struct cache prompts, own;
    size_t *prompt_len;
    struct cg_layer_buf buf;
    float *acts, *xn, *h, *logits;
    size_t logit_rows;
    struct run *runs;
    size_t n_runs;
    /* One entry an active sequence. */
    size_t *slot, *seq;
    int32_t *token, *pos;
    size_t active;
};

static struct cg_kv cache_at(const struct wave *w, const struct cache *c, size_t layer, size_t holder, size_t kv)
{
    size_t kvs = w->net->model->cfg.num_key_value_heads;
    return cg_kv_at(&w->at, w->o->kv_type, c->cap, c->mem + ((layer * c->holders + holder) * kvs + kv) * c->each);
}

static int cache_alloc(struct wave *w, struct cache *c, size_t holders, size_t positions)
{
    const struct cg_config *cfg = &w->net->model->cfg;
    c->holders = holders;
    c->cap = (positions + 15) / 16 * 16;
    c->each = cg_kv_bytes(&w->at, w->o->kv_type, c->cap);
    c->mem = cg_alloc_n(cfg->num_hidden_layers * holders * cfg->num_key_value_heads, c->each);
    return c->mem != NULL;
}

static void wave_free(struct wave *w)
{
    void *all[] = {w->scratch.p, w->prompts.mem, w->own.mem, w->prompt_len, w->acts,  w->xn, w->h,
                   w->logits,    w->runs,        w->slot,    w->seq,        w->token, w->pos};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

size_t cg_generate_logit_rows(size_t vocab, size_t sequences, size_t max_logit_rows)
{
    size_t rows = LOGITS_BYTES / (vocab * sizeof(float));
    if (rows < MIN_LOGIT_ROWS) rows = MIN_LOGIT_ROWS;
    if (max_logit_rows) rows = max_logit_rows;
    return rows < sequences ? rows : sequences;
}

size_t cg_generate_wave(size_t n_prompts, size_t completions, size_t max_batch)
{
    size_t batch = max_batch ? max_batch : 128, prompts = batch / completions ? batch / completions : 1;
    return prompts < n_prompts ? prompts : n_prompts;
}

/* `rows`: most rows of one pass (prompt tokens of a wave, or its sequences); `longest`: most tokens of a prompt. */
static enum cg_status wave_create(struct wave *w, const struct cg_net *net, const struct cg_gen_options *o,
                                  size_t prompts, size_t completions, size_t longest, size_t rows)
{
    const struct cg_config *c = &net->model->cfg;
    memset(w, 0, sizeof *w);
    w->net = net;
    w->o = o;
    w->at = cg_attend_config(net);
    w->completions = completions;
    size_t slots = prompts * completions, d = c->hidden_size, sum = 0;
    size_t widths[] = {d, net->qkv_dim, net->att_dim, d, 2 * c->intermediate_size};
    for (size_t i = 0; i < 5; i++) sum += (rows * widths[i] + 15) / 16 * 16;
    w->logit_rows = cg_generate_logit_rows(c->vocab_size, slots, o->max_logit_rows);
    w->acts = cg_alloc_n(sum, sizeof(float));
    w->xn = cg_alloc_n(rows * d, sizeof(float));
    w->h = cg_alloc_n(rows * c->intermediate_size, sizeof(float));
    w->logits = cg_alloc_n(w->logit_rows, c->vocab_size * sizeof(float));
    w->prompt_len = cg_alloc_n(prompts, sizeof *w->prompt_len);
    w->runs = cg_alloc_n(slots, sizeof *w->runs);
    w->slot = cg_alloc_n(slots, sizeof *w->slot);
    w->seq = cg_alloc_n(slots, sizeof *w->seq);
    w->token = cg_alloc_n(rows, sizeof *w->token);
    w->pos = cg_alloc_n(rows, sizeof *w->pos);
    if (!cache_alloc(w, &w->prompts, prompts, longest) || !cache_alloc(w, &w->own, slots, o->max_new_tokens) ||
        !w->acts || !w->xn || !w->h || !w->logits || !w->prompt_len || !w->runs || !w->slot || !w->seq || !w->token ||
        !w->pos) {
        wave_free(w);
        return cg_fail(CG_ERR_MEMORY, "out of memory for generating %zu sequences of %zu tokens", slots,
                       longest + o->max_new_tokens);
    }
    float **at[] = {&w->buf.x, &w->buf.qkv, &w->buf.att, &w->buf.x2, &w->buf.gu}, *p = w->acts;
    for (size_t i = 0; i < 5; i++) {
        *at[i] = p;
        p += (rows * widths[i] + 15) / 16 * 16;
    }
    return CG_OK;
}

/* Runs the prompts of a batch and keeps their keys and values; the last hidden state of prompt s goes to last row s. */
static enum cg_status prefill(struct wave *w, const struct cg_batch *b, float *last)
{
    const struct cg_net *net = w->net;
    const struct cg_config *c = &net->model->cfg;
    size_t n = b->n_tokens, d = c->hidden_size, hd = c->head_dim, ld = net->qkv_dim;
    cg_net_embed(net, n, b->tokens, w->buf.x);
    for (size_t l = 0; l < c->num_hidden_layers; l++) {
        CG_TRY(cg_layer_qkv(net, l, n, b->pos, &w->buf, w->xn));
#pragma omp parallel for num_threads(net->threads) collapse(2) if (n > 16)
        for (size_t s = 0; s < b->n_segs; s++)
            for (size_t kv = 0; kv < c->num_key_value_heads; kv++) {
                const float *k = w->buf.qkv + b->segs[s].start * ld + net->att_dim + kv * hd;
                struct cg_kv to = cache_at(w, &w->prompts, l, s, kv);
                cg_kv_put(&w->at, &to, 0, b->segs[s].len, k, ld, k + net->kv_dim, ld);
            }
        CG_TRY(cg_attend_forward(net, &w->scratch, b, w->buf.qkv, w->buf.att));
        CG_TRY(cg_layer_mlp(net, l, n, &w->buf, w->xn, w->h, w->buf.x));
    }
    for (size_t s = 0; s < b->n_segs; s++) {
        w->prompt_len[s] = b->segs[s].len;
        memcpy(last + s * d, w->buf.x + (b->segs[s].start + b->segs[s].len - 1) * d, d * sizeof(float));
    }
    return CG_OK;
}

/* Logits of `n` hidden states (in hidden) into w->logits. */
static enum cg_status head(struct wave *w, size_t n, const float *hidden)
{
    const struct cg_model *m = w->net->model;
    cg_net_norm(w->net, n, hidden, m->w + m->final_norm, w->xn, NULL);
    return cg_linear_forward(w->net, cg_net_head(w->net), n, w->xn, w->logits, m->cfg.vocab_size, NULL);
}

/* Chooses the next token of completion `c` (index g of prompt id) from a row of logits. */
static void choose(const struct wave *w, const float *x, uint32_t id, uint32_t g, struct cg_completion *c)
{
    const struct cg_gen_options *o = w->o;
    const struct cg_rowops *rows = w->net->rows;
    size_t v = w->net->model->cfg.vocab_size;
    struct cg_logits_choice chosen = {0};
    if (o->temperature > 0) {
        float u = cg_rng_uniform(o->seed, CG_RNG_SAMPLE, o->step, id * 4096u + g, (uint32_t)c->len);
        chosen = cg_logits_sample(rows, v, 1.0f / o->temperature, x, u);
    } else if (c->logprobs) {
        chosen = cg_logits_greedy(rows, v, 1.0f, x);
    } else {
        chosen.token = cg_logits_argmax(rows, v, x);
    }
    if (c->logprobs) c->logprobs[c->len] = chosen.logprob;
    if (c->sampling_logprobs) c->sampling_logprobs[c->len] = o->temperature > 0 ? chosen.logprob : 0.0f;
    c->tokens[c->len++] = (int32_t)chosen.token;
    c->finished = (int)chosen.token == o->eos;
}

/* Cuts the active sequences into runs of one prompt each, short enough that every thread finds several. */
static void find_runs(struct wave *w)
{
    size_t tasks = 4 * (size_t)w->net->threads, kvs = w->net->model->cfg.num_key_value_heads;
    size_t most = (w->active * kvs + tasks - 1) / tasks;
    if (most > CG_DECODE_TASK) most = CG_DECODE_TASK;
    w->n_runs = 0;
    for (size_t r = 0; r < w->active; r++) {
        size_t prompt = w->slot[r] / w->completions;
        struct run *last = w->n_runs ? &w->runs[w->n_runs - 1] : NULL;
        if (last && last->prompt == prompt && last->n < most) last->n++;
        else w->runs[w->n_runs++] = (struct run){r, 1, prompt};
    }
}

/* Attention of one run and key/value head; new keys and values go into the caches first. */
static void decode_run(const struct wave *w, size_t layer, const struct run *run, size_t kv, float *scratch)
{
    const struct cg_net *net = w->net;
    size_t hd = w->at.head_dim, q = kv * w->at.group * hd, len = w->prompt_len[run->prompt];
    struct cg_kv shared = cache_at(w, &w->prompts, layer, run->prompt, kv), own[CG_DECODE_TASK];
    struct cg_decode_seq seqs[CG_DECODE_TASK];
    for (size_t i = 0; i < run->n; i++) {
        size_t r = run->first + i, at = (size_t)w->pos[r] - len;
        const float *qkv = w->buf.qkv + r * net->qkv_dim, *k = qkv + net->att_dim + kv * hd;
        own[i] = cache_at(w, &w->own, layer, w->slot[r], kv);
        cg_kv_put(&w->at, &own[i], at, 1, k, 0, k + net->kv_dim, 0);
        seqs[i] = (struct cg_decode_seq){qkv + q, w->buf.att + r * net->att_dim + q, 0, 0, 1, at + 1, &own[i]};
    }
    cg_attention_decode(&w->at, &shared, len, run->n, seqs, w->own.cap, scratch);
}

/* One token for every active sequence; the last hidden states stay in buf.x. */
static enum cg_status decode(struct wave *w)
{
    const struct cg_net *net = w->net;
    const struct cg_config *c = &net->model->cfg;
    size_t n = w->active, kvs = c->num_key_value_heads;
    size_t each = (cg_attention_decode_scratch(&w->at, w->prompts.cap, w->own.cap) + 15) / 16 * 16;
    CG_TRY(cg_attend_reserve(&w->scratch, (size_t)net->threads, each));
    find_runs(w);
    cg_net_embed(net, n, w->token, w->buf.x);
    for (size_t l = 0; l < c->num_hidden_layers; l++) {
        CG_TRY(cg_layer_qkv(net, l, n, w->pos, &w->buf, w->xn));
#pragma omp parallel for num_threads(net->threads) collapse(2) schedule(dynamic) if (n > 1)
        for (size_t r = 0; r < w->n_runs; r++)
            for (size_t kv = 0; kv < kvs; kv++)
                decode_run(w, l, &w->runs[r], kv, w->scratch.p + (size_t)omp_get_thread_num() * each);
        CG_TRY(cg_layer_mlp(net, l, n, &w->buf, w->xn, w->h, w->buf.x));
    }
    return CG_OK;
}

/* Keeps the sequences that go on. */
static void drop_finished(struct wave *w, const struct cg_completion *out)
{
    size_t kept = 0;
    for (size_t r = 0; r < w->active; r++) {
        const struct cg_completion *c = &out[w->seq[r]];
        if (c->finished || c->len >= w->o->max_new_tokens) continue;
        w->slot[kept] = w->slot[r];
        w->seq[kept] = w->seq[r];
        w->token[kept] = c->tokens[c->len - 1];
        w->pos[kept] = w->pos[r] + 1;
        kept++;
    }
    w->active = kept;
}

/* The next tokens of the active sequences, from n hidden states: `each` successive sequences share one. Never more than
 * logit_rows rows of logits exist. */
static enum cg_status choose_all(struct wave *w, size_t n, size_t each, const float *hidden, const struct cg_gen_prompt *prompts,
                       struct cg_completion *out)
{
    size_t v = w->net->model->cfg.vocab_size, d = w->net->model->cfg.hidden_size;
    for (size_t h0 = 0; h0 < n; h0 += w->logit_rows) {
        size_t rows = n - h0 < w->logit_rows ? n - h0 : w->logit_rows;
        CG_TRY(head(w, rows, hidden + h0 * d));
#pragma omp parallel for num_threads(w->net->threads) schedule(dynamic)
        for (size_t r = h0 * each; r < (h0 + rows) * each; r++) {
            size_t s = w->seq[r];
            choose(w, w->logits + (r / each - h0) * v, prompts[s / w->completions].id, (uint32_t)(s % w->completions),
                   &out[s]);
        }
    }
    return CG_OK;
}

static enum cg_status run_wave(struct wave *w, const struct cg_batch *b, const struct cg_gen_prompt *prompts,
                               struct cg_completion *out, float *last)
{
    size_t n = b->n_segs;
    CG_TRY(prefill(w, b, last));
    for (size_t s = 0; s < n * w->completions; s++) {
        w->slot[s] = w->seq[s] = s;
        w->pos[s] = (int32_t)b->segs[s / w->completions].len - 1;
    }
    w->active = n * w->completions;
    CG_TRY(choose_all(w, n, w->completions, last, prompts, out));
    for (drop_finished(w, out); w->active; drop_finished(w, out)) {
        CG_TRY(decode(w));
        CG_TRY(choose_all(w, w->active, 1, w->buf.x, prompts, out));
    }
    return CG_OK;
}

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

enum cg_status cg_generate(const struct cg_net *net, const struct cg_gen_options *o, size_t n_prompts,
                           const struct cg_gen_prompt *prompts, size_t completions, struct cg_completion *out)
{
    CG_TRY(check_prompts(net, o, n_prompts, prompts));
    for (size_t s = 0; s < n_prompts * completions; s++) {
        out[s].len = 0;
        out[s].finished = 0;
    }
    if (n_prompts == 0 || completions == 0 || o->max_new_tokens == 0) return CG_OK;
    size_t per_wave = cg_generate_wave(n_prompts, completions, o->max_batch), longest = 0;
    for (size_t p = 0; p < n_prompts; p++)
        if (prompts[p].len > longest) longest = prompts[p].len;
    size_t slots = per_wave * completions, rows = per_wave * longest > slots ? per_wave * longest : slots;
    struct wave w;
    CG_TRY(wave_create(&w, net, o, per_wave, completions, longest, rows));
    struct cg_batch b = {0};
    float *last = cg_alloc_n(per_wave * net->model->cfg.hidden_size, sizeof *last);
    enum cg_status s = last ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t p = 0; p < n_prompts && s == CG_OK; p += per_wave) {
        size_t n = n_prompts - p < per_wave ? n_prompts - p : per_wave;
        cg_batch_clear(&b);
        for (size_t i = 0; i < n && s == CG_OK; i++)
            s = cg_batch_segment(&b, prompts[p + i].tokens, prompts[p + i].len, CG_NO_PARENT, NULL);
        if (s == CG_OK) s = run_wave(&w, &b, prompts + p, out + p * completions, last);
    }
    cg_free(last);
    cg_batch_free(&b);
    wave_free(&w);
    return s;
}

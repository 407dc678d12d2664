#include "runtime/nn/generate.h"

#include <omp.h>
#include <string.h>

#include "common/mem.h"
#include "common/rng.h"
#include "kernels/logits.h"
#include "runtime/nn/attend.h"

/* Everything a wave of sequences needs; a wave is a run of prompts whose completions are decoded together. */
struct wave {
    const struct cg_net *net;
    const struct cg_gen_options *o;
    struct cg_attention at;
    struct cg_attend_scratch scratch;
    size_t slots, cap;            /* sequences, positions each */
    size_t keys_size, values_size; /* floats of one slot, layer and key/value head */
    float *cache;                 /* [layer][slot][kv head][keys, values] */
    struct cg_layer_buf buf;
    float *acts, *xn, *h, *logits;
    size_t rows;                  /* rows that the buffers hold */
    size_t logit_rows;
    /* One entry an active sequence. */
    size_t *slot, *seq;
    int32_t *token, *pos;
    size_t active;
};

static size_t head_block(const struct wave *w)
{
    return w->keys_size + w->values_size;
}

static float *cache_at(const struct wave *w, size_t layer, size_t slot, size_t kv)
{
    size_t kvs = w->net->model->cfg.num_key_value_heads;
    return w->cache + ((layer * w->slots + slot) * kvs + kv) * head_block(w);
}

static void wave_free(struct wave *w)
{
    void *all[] = {w->scratch.p, w->cache, w->acts, w->xn, w->h, w->logits, w->slot, w->seq, w->token, w->pos};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cg_free(all[i]);
}

/* `rows`: most rows of one pass (prompt tokens of a wave, or its sequences). */
static enum cg_status wave_create(struct wave *w, const struct cg_net *net, const struct cg_gen_options *o,
                                  size_t slots, size_t cap, size_t rows)
{
    const struct cg_config *c = &net->model->cfg;
    memset(w, 0, sizeof *w);
    w->net = net;
    w->o = o;
    w->at = cg_attend_config(net);
    w->slots = slots;
    w->cap = cg_attention_pad(&w->at, cap);
    w->keys_size = cg_attention_keys_size(&w->at, w->cap);
    w->values_size = cg_attention_values_size(&w->at, w->cap);
    w->rows = rows;
    w->logit_rows = slots;
    size_t d = c->hidden_size, widths[] = {d, net->qkv_dim, net->att_dim, d, 2 * c->intermediate_size}, sum = 0;
    for (size_t i = 0; i < 5; i++) sum += (rows * widths[i] + 15) / 16 * 16;
    w->cache = cg_alloc_n(c->num_hidden_layers * slots * c->num_key_value_heads, head_block(w) * sizeof(float));
    w->acts = cg_alloc_n(sum, sizeof(float));
    w->xn = cg_alloc_n(rows * d, sizeof(float));
    w->h = cg_alloc_n(rows * c->intermediate_size, sizeof(float));
    w->logits = cg_alloc_n(w->logit_rows, c->vocab_size * sizeof(float));
    w->slot = cg_alloc_n(slots, sizeof *w->slot);
    w->seq = cg_alloc_n(slots, sizeof *w->seq);
    w->token = cg_alloc_n(rows, sizeof *w->token);
    w->pos = cg_alloc_n(rows, sizeof *w->pos);
    if (!w->cache || !w->acts || !w->xn || !w->h || !w->logits || !w->slot || !w->seq || !w->token || !w->pos) {
        wave_free(w);
        return cg_fail(CG_ERR_MEMORY, "out of memory for generating %zu sequences of %zu tokens", slots, cap);
    }
    float **at[] = {&w->buf.x, &w->buf.qkv, &w->buf.att, &w->buf.x2, &w->buf.gu}, *p = w->acts;
    for (size_t i = 0; i < 5; i++) {
        *at[i] = p;
        p += (rows * widths[i] + 15) / 16 * 16;
    }
    return CG_OK;
}

static void put_kv(const struct wave *w, size_t layer, size_t slot, size_t pos, const float *qkv)
{
    size_t hd = w->at.head_dim;
    for (size_t kv = 0; kv < w->net->model->cfg.num_key_value_heads; kv++) {
        float *keys = cache_at(w, layer, slot, kv);
        const float *k = qkv + w->net->att_dim + kv * hd;
        cg_attention_put_keys(&w->at, keys, pos, 1, k, hd);
        cg_attention_put_values(&w->at, keys + w->keys_size, w->cap, pos, 1, k + w->net->kv_dim, hd);
    }
}

/* Runs the prompts of a batch; their keys and values go into slot s * completions of prompt s, the last hidden state of
 * prompt s into xn row s. */
static enum cg_status prefill(struct wave *w, const struct cg_batch *b, size_t completions, float *last)
{
    const struct cg_net *net = w->net;
    size_t layers = net->model->cfg.num_hidden_layers, n = b->n_tokens, d = net->model->cfg.hidden_size;
    cg_net_embed(net, n, b->tokens, w->buf.x);
    for (size_t l = 0; l < layers; l++) {
        cg_layer_qkv(net, l, n, b->pos, &w->buf, w->xn);
        for (size_t s = 0; s < b->n_segs; s++)
            for (size_t t = 0; t < b->segs[s].len; t++)
                put_kv(w, l, s * completions, t, w->buf.qkv + (b->segs[s].start + t) * net->qkv_dim);
        CG_TRY(cg_attend_forward(net, &w->scratch, b, w->buf.qkv, w->buf.att));
        cg_layer_mlp(net, l, n, &w->buf, w->xn, w->h, w->buf.x);
    }
    for (size_t s = 0; s < b->n_segs; s++)
        memcpy(last + s * d, w->buf.x + (b->segs[s].start + b->segs[s].len - 1) * d, d * sizeof(float));
    return CG_OK;
}

/* Gives every completion of a prompt its own copy of the prompt's keys and values. */
static void share_prompts(struct wave *w, size_t prompts, size_t completions)
{
    size_t layers = w->net->model->cfg.num_hidden_layers;
    size_t bytes = w->net->model->cfg.num_key_value_heads * head_block(w) * sizeof(float);
#pragma omp parallel for num_threads(w->net->threads)
    for (size_t l = 0; l < layers; l++)
        for (size_t p = 0; p < prompts; p++)
            for (size_t g = 1; g < completions; g++)
                memcpy(cache_at(w, l, p * completions + g, 0), cache_at(w, l, p * completions, 0), bytes);
}

/* Logits of `n` hidden states (in hidden) into w->logits. */
static void head(struct wave *w, size_t n, const float *hidden)
{
    const struct cg_model *m = w->net->model;
    cg_net_norm(w->net, n, hidden, m->w + m->final_norm, w->xn, NULL);
    cg_net_linear(w->net, n, m->cfg.vocab_size, m->cfg.hidden_size, w->xn, w->net->packed + w->net->packed_head,
                  w->logits);
}

/* Chooses the next token of completion `c` (index g of prompt id) from a row of logits. */
static void choose(const struct wave *w, const float *x, uint32_t id, uint32_t g, struct cg_completion *c)
{
    const struct cg_gen_options *o = w->o;
    const struct cg_rowops *rows = w->net->rows;
    size_t v = w->net->model->cfg.vocab_size, token;
    float scale = o->temperature > 0 ? 1.0f / o->temperature : 1.0f, max = 0, lse = 0, entropy;
    if (c->logprobs) cg_logits_stats(rows, v, scale, x, &max, &lse, &entropy);
    if (o->temperature > 0) {
        float u = cg_rng_uniform(o->seed, CG_RNG_SAMPLE, o->step, id * 4096u + g, (uint32_t)c->len);
        token = cg_logits_sample(rows, v, scale, x, u);
    } else {
        token = cg_logits_argmax(rows, v, x);
    }
    if (c->logprobs) c->logprobs[c->len] = cg_logits_logprob(x, token, scale, lse);
    c->tokens[c->len++] = (int32_t)token;
    c->finished = (int)token == o->eos;
}

/* One token for every active sequence. */
static enum cg_status decode(struct wave *w)
{
    const struct cg_net *net = w->net;
    const struct cg_config *c = &net->model->cfg;
    size_t n = w->active, kvs = c->num_key_value_heads, hd = c->head_dim;
    size_t each = (cg_attention_forward_scratch(&w->at, 1, w->cap) + 15) / 16 * 16;
    CG_TRY(cg_attend_reserve(&w->scratch, (size_t)net->threads, each));
    cg_net_embed(net, n, w->token, w->buf.x);
    for (size_t l = 0; l < c->num_hidden_layers; l++) {
        cg_layer_qkv(net, l, n, w->pos, &w->buf, w->xn);
#pragma omp parallel for num_threads(net->threads) if (n > 1)
        for (size_t r = 0; r < n; r++) {
            float *scratch = w->scratch.p + (size_t)omp_get_thread_num() * each;
            const float *qkv = w->buf.qkv + r * net->qkv_dim;
            put_kv(w, l, w->slot[r], (size_t)w->pos[r], qkv);
            for (size_t kv = 0; kv < kvs; kv++) {
                const float *keys = cache_at(w, l, w->slot[r], kv);
                size_t q = kv * w->at.group * hd;
                cg_attention_forward(&w->at, 1, (size_t)w->pos[r], qkv + q, net->qkv_dim, keys, keys + w->keys_size,
                                     w->cap, w->buf.att + r * net->att_dim + q, net->att_dim, scratch);
            }
        }
        cg_layer_mlp(net, l, n, &w->buf, w->xn, w->h, w->buf.x);
    }
    head(w, n, w->buf.x);
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

static enum cg_status run_wave(struct wave *w, const struct cg_batch *b, const struct cg_gen_prompt *prompts,
                               size_t completions, struct cg_completion *out, float *last)
{
    const struct cg_net *net = w->net;
    size_t n = b->n_segs, v = net->model->cfg.vocab_size;
    CG_TRY(prefill(w, b, completions, last));
    share_prompts(w, n, completions);
    head(w, n, last);
    for (size_t s = 0; s < n * completions; s++) {
        w->slot[s] = w->seq[s] = s;
        w->pos[s] = (int32_t)b->segs[s / completions].len - 1;
    }
    w->active = n * completions;
#pragma omp parallel for num_threads(net->threads) schedule(dynamic)
    for (size_t s = 0; s < w->active; s++)
        choose(w, w->logits + s / completions * v, prompts[s / completions].id, (uint32_t)(s % completions), &out[s]);
    for (drop_finished(w, out); w->active; drop_finished(w, out)) {
        CG_TRY(decode(w));
#pragma omp parallel for num_threads(net->threads) schedule(dynamic)
        for (size_t r = 0; r < w->active; r++) {
            size_t s = w->seq[r];
            choose(w, w->logits + r * v, prompts[s / completions].id, (uint32_t)(s % completions), &out[s]);
        }
    }
    return CG_OK;
}

static enum cg_status check_prompts(const struct cg_net *net, const struct cg_gen_options *o, size_t n,
                                    const struct cg_gen_prompt *prompts)
{
    for (size_t p = 0; p < n; p++) {
        if (prompts[p].len == 0) return cg_fail(CG_ERR_USER, "prompt %zu is empty: there is nothing to continue", p + 1);
        if (prompts[p].len + o->max_new_tokens > net->rope_len)
            return cg_fail(CG_ERR_USER, "a prompt of %zu tokens and %zu new ones exceed the %zu positions prepared",
                           prompts[p].len, o->max_new_tokens, net->rope_len);
        for (size_t i = 0; i < prompts[p].len; i++)
            if (prompts[p].tokens[i] < 0 || (size_t)prompts[p].tokens[i] >= net->model->cfg.vocab_size)
                return cg_fail(CG_ERR_USER, "token %d is not in the model's vocabulary of %zu; model and tokenizer differ",
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
    size_t batch = o->max_batch ? o->max_batch : 128;
    size_t per_wave = batch / completions ? batch / completions : 1, longest = 0;
    if (per_wave > n_prompts) per_wave = n_prompts;
    for (size_t p = 0; p < n_prompts; p++)
        if (prompts[p].len > longest) longest = prompts[p].len;
    size_t slots = per_wave * completions, rows = per_wave * longest > slots ? per_wave * longest : slots;
    struct wave w;
    CG_TRY(wave_create(&w, net, o, slots, longest + o->max_new_tokens, rows));
    struct cg_batch b = {0};
    float *last = cg_alloc_n(per_wave * net->model->cfg.hidden_size, sizeof *last);
    enum cg_status s = last ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t p = 0; p < n_prompts && s == CG_OK; p += per_wave) {
        size_t n = n_prompts - p < per_wave ? n_prompts - p : per_wave;
        cg_batch_clear(&b);
        for (size_t i = 0; i < n && s == CG_OK; i++)
            s = cg_batch_segment(&b, prompts[p + i].tokens, prompts[p + i].len, CG_NO_PARENT, NULL);
        if (s == CG_OK) s = run_wave(&w, &b, prompts + p, completions, out + p * completions, last);
    }
    cg_free(last);
    cg_batch_free(&b);
    wave_free(&w);
    return s;
}

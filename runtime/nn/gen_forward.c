/* One pass of generation through the layers: a token of each active sequence, and whole prompts of new ones. */
#include <omp.h>
#include <string.h>

#include "runtime/nn/generator_impl.h"

static struct cg_kv cache_at(const struct cg_generator *g, const struct cg_gen_cache *c, size_t layer, size_t holder,
                             size_t kv)
{
    size_t kvs = g->net->model->cfg.num_key_value_heads;
    return cg_kv_at(&g->at, g->o->kv_type, c->cap, c->mem + ((layer * c->holders + holder) * kvs + kv) * c->each);
}

/* Cuts the active sequences into runs of one prompt each, short enough that every thread finds several. */
static size_t find_runs(struct cg_generator *g)
{
    size_t tasks = 4 * (size_t)g->net->threads, kvs = g->net->model->cfg.num_key_value_heads, n = 0;
    size_t most = (g->active * kvs + tasks - 1) / tasks;
    if (most > CG_DECODE_TASK) most = CG_DECODE_TASK;
    for (size_t r = 0; r < g->active; r++) {
        struct cg_gen_run *last = n ? &g->runs[n - 1] : NULL;
        if (last && last->place == g->seqs[r].place && last->n < most) last->n++;
        else g->runs[n++] = (struct cg_gen_run){r, 1, g->seqs[r].place};
    }
    return n;
}

/* Attention of one run and key/value head; new keys and values go into the caches first. */
static void decode_run(const struct cg_generator *g, size_t layer, const struct cg_gen_run *run, size_t kv,
                       float *scratch)
{
    const struct cg_net *net = g->net;
    size_t hd = g->at.head_dim, q = kv * g->at.group * hd, len = g->places[run->place].len;
    struct cg_kv shared = cache_at(g, &g->shared, layer, run->place, kv), own[CG_DECODE_TASK];
    struct cg_decode_seq seqs[CG_DECODE_TASK];
    for (size_t i = 0; i < run->n; i++) {
        size_t r = run->first + i, at = (size_t)g->pos[r] - len;
        const float *qkv = g->buf.qkv + r * net->qkv_dim, *k = qkv + net->att_dim + kv * hd;
        own[i] = cache_at(g, &g->own, layer, g->seqs[r].slot, kv);
        cg_kv_put(&g->at, &own[i], at, 1, k, 0, k + net->kv_dim, 0);
        seqs[i] = (struct cg_decode_seq){qkv + q, g->buf.att + r * net->att_dim + q, 0, 0, 1, at + 1, &own[i]};
    }
    cg_attention_decode(&g->at, &shared, len, run->n, seqs, g->own.cap, scratch);
}

static enum cg_status attend_decode(struct cg_generator *g, size_t layer, size_t n_runs)
{
    const struct cg_net *net = g->net;
    size_t kvs = net->model->cfg.num_key_value_heads;
    size_t each = (cg_attention_decode_scratch(&g->at, g->shared.cap, g->own.cap) + 15) / 16 * 16;
    CG_TRY(cg_attend_reserve(&g->scratch, (size_t)net->threads, each));
#pragma omp parallel for num_threads(net->threads) collapse(2) schedule(dynamic) if (g->active > 1)
    for (size_t r = 0; r < n_runs; r++)
        for (size_t kv = 0; kv < kvs; kv++)
            decode_run(g, layer, &g->runs[r], kv, g->scratch.p + (size_t)omp_get_thread_num() * each);
    return CG_OK;
}

/* Attention of the prompts among themselves; their keys and values are kept. */
static enum cg_status attend_prompts(struct cg_generator *g, size_t layer)
{
    const struct cg_net *net = g->net;
    const struct cg_batch *b = &g->batch;
    size_t kvs = net->model->cfg.num_key_value_heads, hd = g->at.head_dim, ld = net->qkv_dim;
    const float *qkv = g->buf.qkv + g->active * ld;
#pragma omp parallel for num_threads(net->threads) collapse(2) if (b->n_tokens > 16)
    for (size_t s = 0; s < b->n_segs; s++)
        for (size_t kv = 0; kv < kvs; kv++) {
            const float *k = qkv + b->segs[s].start * ld + net->att_dim + kv * hd;
            struct cg_kv to = cache_at(g, &g->shared, layer, g->batch_place[s], kv);
            cg_kv_put(&g->at, &to, 0, b->segs[s].len, k, ld, k + net->kv_dim, ld);
        }
    return cg_attend_forward(net, &g->scratch, b, qkv, g->buf.att + g->active * net->att_dim);
}

/* The rows of logits that are wanted, and their hidden states: each active sequence its own, new ones together that of
 * their prompt. */
static void gather_hidden(struct cg_generator *g)
{
    size_t d = g->net->model->cfg.hidden_size, bytes = d * sizeof(float);
    for (size_t s = 0; s < g->batch.n_segs; s++) {
        const struct cg_segment *sg = &g->batch.segs[s];
        memcpy(g->last + g->batch_place[s] * d, g->buf.x + (g->active + sg->start + sg->len - 1) * d, bytes);
    }
    memcpy(g->hidden, g->buf.x, g->active * bytes);
    g->n_rows = 0;
    for (size_t r = 0; r < g->active; r++) g->rows[g->n_rows++] = (struct cg_gen_run){r, 1, g->seqs[r].place};
    for (size_t r = g->active; r < g->active + g->fresh; r++) {
        struct cg_gen_run *last = &g->rows[g->n_rows - (g->n_rows > 0)];
        if (r > g->active && last->place == g->seqs[r].place) {
            last->n++;
            continue;
        }
        memcpy(g->hidden + g->n_rows * d, g->last + g->seqs[r].place * d, bytes);
        g->rows[g->n_rows++] = (struct cg_gen_run){r, 1, g->seqs[r].place};
    }
}

enum cg_status cg_gen_forward(struct cg_generator *g)
{
    const struct cg_net *net = g->net;
    size_t n = g->active + g->batch.n_tokens, n_runs = find_runs(g);
    if (n > 0) {
        memcpy(g->token + g->active, g->batch.tokens, g->batch.n_tokens * sizeof *g->token);
        memcpy(g->pos + g->active, g->batch.pos, g->batch.n_tokens * sizeof *g->pos);
        cg_net_embed(net, n, g->token, g->buf.x);
        for (size_t l = 0; l < net->model->cfg.num_hidden_layers; l++) {
            CG_TRY(cg_layer_qkv(net, l, n, g->pos, &g->buf, g->xn));
            if (g->active) CG_TRY(attend_decode(g, l, n_runs));
            if (g->batch.n_tokens) CG_TRY(attend_prompts(g, l));
            CG_TRY(cg_layer_mlp(net, l, n, &g->buf, g->xn, g->h, g->buf.x));
        }
    }
    gather_hidden(g);
    return CG_OK;
}

/* From hidden states to tokens: the head, a chunk of rows at a time, and the choice. */
#include <omp.h>

#include "common/mem.h"
#include "common/rng.h"
#include "kernels/logits.h"
#include "kernels/sample.h"
#include "runtime/nn/generator_impl.h"

static struct cg_sample_options sampling(const struct cg_gen_options *o)
{
    return (struct cg_sample_options){.scale = o->temperature > 0 ? 1.0f / o->temperature : 1.0f,
                                      .greedy = !(o->temperature > 0),
                                      .repetition_penalty = o->repetition_penalty > 0 ? o->repetition_penalty : 1.0f,
                                      .top_k = o->top_k,
                                      .top_p = o->top_p > 0 ? o->top_p : 1.0f,
                                      .min_p = o->min_p};
}

/* A choice from the distribution as it is. */
static struct cg_sampled plain(const struct cg_generator *g, const struct cg_sample_options *o, const float *x, float u,
                               int logprob)
{
    const struct cg_rowops *rows = g->net->rows;
    size_t v = g->net->model->cfg.vocab_size;
    if (o->greedy && !logprob) return (struct cg_sampled){.token = cg_logits_argmax(rows, v, x)};
    struct cg_logits_choice c =
        o->greedy ? cg_logits_greedy(rows, v, o->scale, x) : cg_logits_sample(rows, v, o->scale, x, u);
    return (struct cg_sampled){c.token, c.logprob, o->greedy ? 0.0f : c.logprob, c.entropy};
}

/* The next token of one sequence, from its row of logits. */
static void choose(const struct cg_generator *g, const struct cg_sample_options *o, size_t seq, float *x, void *scratch)
{
    size_t out = g->seqs[seq].out;
    const struct cg_gen_prompt *p = &g->prompts[out / g->completions];
    struct cg_completion *c = &g->out[out];
    uint32_t index = (uint32_t)(out % g->completions);
    float u = o->greedy
                  ? 0.0f
                  : cg_rng_uniform(g->o->seed, CG_RNG_SAMPLE, g->o->step, p->id * 4096u + index, (uint32_t)c->len);
    struct cg_seen seen[2] = {{p->tokens, p->len}, {c->tokens, c->len}};
    struct cg_sampled s = scratch ? cg_sample(g->net->rows, g->net->model->cfg.vocab_size, o, x, seen, u, scratch)
                                  : plain(g, o, x, u, c->logprobs != NULL);
    if (c->logprobs) c->logprobs[c->len] = s.logprob;
    if (c->sampling_logprobs) c->sampling_logprobs[c->len] = s.sampling_logprob;
    if (c->entropies) c->entropies[c->len] = s.entropy;
    c->tokens[c->len++] = (int32_t)s.token;
    c->finished = (int)s.token == g->o->eos;
}

/* Logits of `n` rows from `first` on, into g->logits. */
static enum cg_status logits(struct cg_generator *g, size_t first, size_t n)
{
    const struct cg_linear *head = cg_net_head(g->net);
    cg_net_norm(g->net, n, g->hidden + first * head->k, head->norm, g->xn, NULL);
    return cg_linear_forward(g->net, head, n, g->xn, g->logits, head->n, NULL);
}

static enum cg_status reserve_sampling(struct cg_generator *g)
{
    size_t each = (cg_sample_scratch(g->net->model->cfg.vocab_size) + 63) / 64 * 64, threads = (size_t)g->net->threads;
    if (g->sample && g->sample_each >= each && g->sample_threads >= threads) return CG_OK;
    cg_free(g->sample);
    g->sample = cg_alloc_n(threads, each);
    g->sample_each = each;
    g->sample_threads = threads;
    return g->sample ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory for sampling");
}

enum cg_status cg_gen_choose(struct cg_generator *g)
{
    struct cg_sample_options o = sampling(g->o);
    size_t v = g->net->model->cfg.vocab_size;
    int changes = cg_sample_changes(&o);
    if (changes) CG_TRY(reserve_sampling(g));
    for (size_t first = 0; first < g->n_rows; first += g->now.logit_rows) {
        size_t n = g->n_rows - first < g->now.logit_rows ? g->n_rows - first : g->now.logit_rows;
        CG_TRY(logits(g, first, n));
        /* One thread has a row: a penalty changes it, and does so for each of the sequences that share it. Without one
         * these are free to be dealt out. */
        size_t from = g->rows[first].first, to = g->rows[first + n - 1].first + g->rows[first + n - 1].n, row = first;
        if (changes) {
#pragma omp parallel for num_threads(g->net->threads) schedule(dynamic)
            for (size_t r = first; r < first + n; r++)
                for (size_t s = g->rows[r].first; s < g->rows[r].first + g->rows[r].n; s++)
                    choose(g, &o, s, g->logits + (r - first) * v,
                           g->sample + (size_t)omp_get_thread_num() * g->sample_each);
            continue;
        }
#pragma omp parallel for num_threads(g->net->threads) schedule(monotonic : dynamic) firstprivate(row)
        for (size_t s = from; s < to; s++) {
            while (s >= g->rows[row].first + g->rows[row].n) row++;
            choose(g, &o, s, g->logits + (row - first) * v, NULL);
        }
    }
    return CG_OK;
}

#include "bench/work.h"

/* One token through the layers' matrices. */
static double token(const struct cg_config *c)
{
    double d = (double)c->hidden_size, f = (double)c->intermediate_size, hd = (double)c->head_dim;
    double q = (double)c->num_attention_heads * hd, kv = (double)c->num_key_value_heads * hd;
    return 2 * (double)c->num_hidden_layers * (d * (q + 2 * kv) + q * d + 3 * d * f);
}

static double row(const struct cg_config *c)
{
    return 2 * (double)c->vocab_size * (double)c->hidden_size;
}

/* Attention of tokens at positions from..to-1: scores and outputs over what each sees. */
static double attention(const struct cg_config *c, double from, double to)
{
    double seen = (to - from) * (from + 1 + to) / 2;
    return 4 * (double)c->num_hidden_layers * (double)c->num_attention_heads * (double)c->head_dim * seen;
}

/* A forward pass over a group: a prompt and completions of len[g] tokens, of which the last goes through no layer. */
static double group(const struct cg_config *c, double prompt, size_t g, const size_t *len)
{
    double sum = prompt * token(c) + attention(c, 0, prompt);
    for (size_t i = 0; i < g; i++) {
        if (len[i] == 0) continue;
        double n = (double)len[i];
        sum += (n - 1) * token(c) + attention(c, prompt, prompt + n - 1) + n * row(c);
    }
    return sum;
}

/* Attention goes backward with five products where it went forward with two, everything else with two for one: close
 * enough to take as three forward passes in all. */
#define FORWARD_AND_BACKWARD 3

struct cg_work cg_step_work(const struct cg_session *s)
{
    const struct cg_config *c = &s->model.cfg;
    const struct cg_step *p = s->step;
    struct cg_work w = {0, 0};
    for (size_t at = 0; at < p->r.prompts; at++) {
        size_t i = p->order[at], g = p->r.generations;
        double prompt = (double)p->r.items[i]->prompt_len;
        w.generate += group(c, prompt, g, p->len + i * g);
        /* The first token of all completions comes from one row of logits. */
        for (size_t j = 1; j < g; j++) w.generate -= row(c);
        if (at >= p->idle) w.train += FORWARD_AND_BACKWARD * group(c, prompt, g, p->rows + i * g);
    }
    return w;
}

double cg_sequences_work(const struct cg_config *c, double n, double length, double rows)
{
    return FORWARD_AND_BACKWARD * n * (length * token(c) + attention(c, 0, length) + rows * row(c));
}

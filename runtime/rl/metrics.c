#include "runtime/rl/loss.h"

/* What one micro step adds to the metrics. */
struct micro {
    double rows, kl, entropy, low, high;
    double low_min, high_max;
    size_t units; /* what clipped shares are of: tokens, or completions with ratios of sequences */
    int any;      /* low_min and high_max are of something */
};

static void add(const struct cg_grpo_options *o, const struct cg_grpo_completion *c, struct micro *m)
{
    int sequence = o->ratio_level == CG_RATIO_SEQUENCE;
    double rows = (double)c->rows, by = rows > 0 ? rows : 1;
    double low = (double)c->low_clipped / by, high = (double)c->high_clipped / by;
    m->rows += rows;
    m->kl += c->kl;
    m->entropy += c->entropy;
    m->low += sequence ? low : (double)c->low_clipped;
    m->high += sequence ? high : (double)c->high_clipped;
    m->units += sequence ? 1 : c->rows;
    if (c->rows == 0 && !sequence) return; /* a share of no tokens is none */
    if (!m->any || low < m->low_min) m->low_min = low;
    if (!m->any || high > m->high_max) m->high_max = high;
    m->any = 1;
}

void cg_grpo_loss_stats(const struct cg_grpo_options *o, size_t n, const struct cg_grpo_completion *c,
                        struct cg_loss_stats *s)
{
    double micros = 0, with_any = 0;
    *s = (struct cg_loss_stats){0};
    for (size_t first = 0; first < n; first += o->micro_batch) {
        struct micro m = {0};
        size_t end = n - first < o->micro_batch ? n : first + o->micro_batch;
        for (size_t i = first; i < end; i++) {
            add(o, &c[i], &m);
            s->loss += c[i].loss;
        }
        double rows = m.rows > 0 ? m.rows : 1, units = m.units > 0 ? (double)m.units : 1;
        s->kl += m.kl / rows;
        s->entropy += m.entropy / rows;
        s->low_mean += m.low / units;
        s->high_mean += m.high / units;
        s->low_min += m.low_min;
        s->high_max += m.high_max;
        micros++;
        with_any += m.any;
    }
    if (micros == 0) return;
    double *mean[] = {&s->kl, &s->entropy, &s->low_mean, &s->high_mean};
    for (size_t i = 0; i < sizeof mean / sizeof *mean; i++) *mean[i] /= micros;
    s->region_mean = s->low_mean + s->high_mean;
    if (with_any > 0) {
        s->low_min /= with_any;
        s->high_max /= with_any;
    }
}

/* The live line: where the run is, how it learns, how fast, how long still. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/log.h"
#include "common/mem.h"
#include "runtime/curriculum/work.h"

#define BAR_FROM 100 /* columns from which a bar fits before the figures */

struct line {
    char text[256];
    size_t n;
};

static void add(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->text + l->n, sizeof l->text - l->n, fmt, ap);
    va_end(ap);
    if (n > 0) l->n = l->n + (size_t)n < sizeof l->text ? l->n + (size_t)n : sizeof l->text - 1;
}

/* Time that the steps left will take, s, each kind of step as long as it took so far. */
static double time_left(const struct cg_work *w)
{
    const struct cg_run_state *st = &w->state;
    double left = 0, all = w->spent[0] + w->spent[1];
    size_t grpo = st->total_grpo > st->grpo_steps ? st->total_grpo - st->grpo_steps : 0;
    size_t rest = st->total_steps > st->steps ? st->total_steps - st->steps : 0,
           n[2] = {rest > grpo ? rest - grpo : 0, grpo};
    for (int kind = 0; kind < 2; kind++) {
        size_t made = w->made[kind] ? w->made[kind] : w->made[0] + w->made[1];
        left += (double)n[kind] * (w->made[kind] ? w->spent[kind] : all) / (double)(made ? made : 1);
    }
    return left;
}

static void begin(struct line *l, const struct cg_work *w, size_t steps)
{
    const struct cg_run_state *st = &w->state;
    int columns = cg_terminal_columns(stderr);
    char bar[16];
    if (columns == 0 || columns >= BAR_FROM)
        add(l, "%s ", cg_bar(bar, 10, (double)st->steps / (double)st->total_steps));
    if (st->stages > 1) add(l, "%.16s: ", w->s.data.stages[st->stage].name);
    add(l, "%zu/%zu", st->step, steps);
}

static void end(struct line *l, const struct cg_work *w)
{
    double left = time_left(w);
    long s = left < 1e15 ? (long)(left + 0.5) : (long)1e15, h = s / 3600, m = s / 60 % 60;
    if (h) add(l, ", %ldh%02ldm left", h, m);
    else if (m) add(l, ", %ldm%02lds left", m, s % 60);
    else add(l, ", %lds left", s);
    add(l, ", %.2f/%.2f GB", (double)cg_mem_resident() / 1e9, (double)cg_mem_resident_peak() / 1e9);
    cg_progress("%s", l->text);
}

void cg_work_show_sft(const struct cg_work *w, double loss)
{
    struct line l = {.n = 0};
    begin(&l, w, cg_stage_sft_steps(w->s.cfg, w->state.stage));
    add(&l, " supervised, loss %.3f", loss);
    end(&l, w);
}

void cg_work_show_step(const struct cg_work *w, const struct cg_step_stats *x)
{
    struct line l = {.n = 0};
    begin(&l, w, cg_stage_grpo_steps(w->s.cfg, w->state.stage));
    add(&l, " reward %.3f", x->reward.mean);
    if (w->state.accuracy >= 0) add(&l, " acc %.1f%%", 100 * w->state.accuracy);
    if (w->s.grpo.beta != 0.0f) add(&l, " kl %.4f", x->loss.kl);
    add(&l, " entropy %.2f", x->loss.entropy);
    if (x->tokens) add(&l, ", %.0f tok/s", (double)x->tokens / x->seconds);
    end(&l, w);
}

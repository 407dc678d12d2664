/* Generation, as runtime/nn/generate.c does it. Prompts that wait for a place begin when others have ended; here they
 * are counted in waves, as if all of those ended together. */
#include <math.h>

#include "bench/step_impl.h"
#include "kernels/logits.h"
#include "runtime/nn/generate.h"

enum { DECODE_POINTS = 48 }; /* of more steps of decoding, so many are looked at, each for its neighbours */

/* How many completions go on past one more token, so that their mean length is `mean` and none is longer than `most`:
 * each ends with the same probability at every token. */
static double survival(double mean, size_t most)
{
    double lo = 0, hi = 1;
    if (mean >= (double)most) return 1;
    for (int i = 0; i < 60; i++) {
        double q = 0.5 * (lo + hi), sum = (1 - pow(q, (double)most)) / (1 - q);
        if (sum < mean) lo = q;
        else hi = q;
    }
    return lo;
}

/* Logits of `rows` hidden states, and a choice for each of `choices` sequences. */
static void choose(struct cg_lister *l, size_t rows, size_t choices, size_t logit_rows)
{
    size_t d = l->s->hidden, v = l->s->vocab;
    for (size_t r = 0; r < rows; r += logit_rows) {
        size_t n = rows - r < logit_rows ? rows - r : logit_rows, drawn = n * choices / rows;
        double logits = 4.0 * (double)n * (double)v;
        cg_step_rows(l, CG_PART_OF_HEAD, CG_OP_rmsnorm_f32, n, d, 2, 8.0 * (double)(n * d));
        cg_step_gemm(l, CG_PART_OF_HEAD, CG_FORM_NT, n, v, d);
        cg_step_put(l, (struct cg_work){.part = CG_PART_OF_HEAD, .kind = CG_WORK_SPLIT, .m = 1, .tasks = drawn});
        cg_step_rows_inside(l, CG_PART_OF_HEAD, CG_OP_max_f32, drawn, v, 1, logits);
        cg_step_rows_inside(l, CG_PART_OF_HEAD, CG_OP_sumexp_f32, drawn, v, 0, logits);
        size_t chunk = v < CG_LOGITS_CHUNK ? v : CG_LOGITS_CHUNK; /* where the drawn token is */
        cg_step_rows_inside(l, CG_PART_OF_HEAD, CG_OP_expmul_f32, drawn, chunk, 0, logits);
    }
}

static void wave(struct cg_lister *l, size_t prompts, size_t logit_rows)
{
    const struct cg_workload *w = l->w;
    size_t n = prompts * w->prompt_length, sequences = prompts * w->generations, kv = l->s->kv_heads * l->s->head_dim;
    double q = survival(w->completion_length, w->max_completion_length), calls = l->calls;
    l->phase = CG_STEP_PREFILL;
    cg_step_layers(l, n, 0);
    l->calls = calls * (double)l->s->layers;
    cg_step_pass(l, CG_PART_OF_ATTENTION, CG_WORK_PACK, 2.0 * (double)(n * kv), 16.0 * (double)(n * kv),
                 n > 16 ? l->threads : 1);
    l->calls = calls;
    cg_step_attention(l, prompts, 0, 0);
    choose(l, prompts, sequences, logit_rows);
    l->phase = CG_STEP_DECODE;
    size_t steps = w->max_completion_length - 1, width = (steps + DECODE_POINTS - 1) / DECODE_POINTS;
    for (size_t first = 1; first <= steps; first += width) {
        size_t some = first + width <= steps ? width : steps - first + 1, own = first + (some - 1) / 2;
        size_t active = (size_t)llround((double)sequences * pow(q, (double)own));
        if (active == 0) break;
        l->calls = calls * (double)some;
        cg_step_layers(l, active, 0);
        cg_step_attention_decode(l, active, own);
        choose(l, active, active, logit_rows);
    }
    l->calls = calls;
}

void cg_step_generate(struct cg_lister *l)
{
    const struct cg_workload *w = l->w;
    const struct cg_gen_sizes sizes = cg_step_gen_sizes(l);
    size_t per_wave = sizes.sequences / w->generations, rows = sizes.logit_rows;
    if (per_wave == 0) per_wave = 1;
    size_t waves = w->prompts / per_wave;
    l->calls = (double)waves;
    wave(l, per_wave, rows);
    l->calls = 1;
    if (w->prompts % per_wave) wave(l, w->prompts % per_wave, rows);
    l->out->generated = (double)(w->prompts * w->generations) * w->completion_length;
}

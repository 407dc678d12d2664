#include "runtime/curriculum/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/curriculum/matrix.h"

static enum cg_status open_lines(const char *dir, const char *name, FILE **out)
{
    char *path = cg_path_join(dir, name);
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    *out = fopen(path, "w");
    enum cg_status s = *out ? CG_OK : cg_fail(CG_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    free(path);
    return s;
}

enum cg_status cg_report_open(const char *dir, struct cg_report *r)
{
    memset(r, 0, sizeof *r);
    CG_TRY(cg_mkdirs(dir));
    r->dir = strdup(dir);
    enum cg_status s = r->dir ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) s = open_lines(dir, "metrics.jsonl", &r->metrics);
    if (s == CG_OK) s = open_lines(dir, "completions.jsonl", &r->completions);
    if (s != CG_OK) cg_report_close(r);
    return s;
}

enum cg_status cg_report_close(struct cg_report *r)
{
    int bad = 0;
    FILE *f[] = {r->metrics, r->completions};
    for (int i = 0; i < 2; i++) {
        if (!f[i]) continue;
        bad |= ferror(f[i]);
        bad |= fclose(f[i]);
    }
    enum cg_status s = CG_OK;
    if (bad) s = cg_fail(CG_ERR_IO, "%s: metrics or completions could not be written; is the disk full?", r->dir);
    free(r->dir);
    memset(r, 0, sizeof *r);
    return s;
}

/* Text that JSON can hold: completions may end inside a character, or hold bytes that are none. */
static json_t *text(const char *s)
{
    json_t *j = json_string(s);
    if (j) return j;
    size_t n = strlen(s);
    char *clean = malloc(n + 1);
    if (!clean) return json_null();
    for (size_t i = 0; i <= n; i++) clean[i] = (unsigned char)s[i] < 0x80 ? s[i] : '?';
    j = json_string(clean);
    free(clean);
    return j ? j : json_null();
}

/* null for what is no number: a mean over nothing. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static void write_line(FILE *f, json_t *line)
{
    if (!line) return;
    json_dumpf(line, f, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', f);
    fflush(f);
    json_decref(line);
}

static double mean_of(double sum, size_t n)
{
    return n ? sum / (double)n : 0;
}

static void clip_lines(json_t *j, enum cg_loss_type type, const struct cg_loss_stats *l)
{
    if (type == CG_LOSS_CISPO) {
        json_object_set_new(j, "cispo_clip_ratio", json_real(l->high_mean));
        return;
    }
    json_object_set_new(j, "clip_ratio/low_mean", json_real(l->low_mean));
    json_object_set_new(j, "clip_ratio/low_min", json_real(l->low_min));
    json_object_set_new(j, "clip_ratio/high_mean", json_real(l->high_mean));
    json_object_set_new(j, "clip_ratio/high_max", json_real(l->high_max));
    json_object_set_new(j, "clip_ratio/region_mean", json_real(l->region_mean));
}

static void ratio_lines(json_t *j, const char *name, const struct cg_ratio_sums *r)
{
    const char *what[] = {"min", "mean", "max"};
    double value[] = {r->min, mean_of(r->sum, r->n), r->max};
    for (int i = 0; i < 3; i++) {
        char key[64];
        snprintf(key, sizeof key, "sampling/%s/%s", name, what[i]);
        json_object_set_new(j, key, json_real(value[i]));
    }
}

static void correction_lines(json_t *j, const struct cg_sampling_sums *s)
{
    ratio_lines(j, "importance_sampling_ratio", &s->used);
    ratio_lines(j, "raw_importance_sampling_ratio", &s->raw);
    json_object_set_new(j, "sampling/ess", json_real(cg_effective_sample_size(&s->used)));
    json_object_set_new(j, "sampling/kl", json_real(mean_of(s->kl, s->tokens)));
}

void cg_report_step(struct cg_report *r, const struct cg_session *s, const struct cg_run_state *state,
                    const struct cg_step_stats *st)
{
    if ((int64_t)state->grpo_steps % s->cfg->logging_steps) return;
    json_t *j = json_object();
    json_object_set_new(j, "step", json_integer((json_int_t)state->grpo_steps));
    json_object_set_new(j, "stage", json_integer((json_int_t)state->stage));
    const struct {
        const char *name;
        double value;
    } m[] = {
        {"loss", st->loss.loss},
        {"grad_norm", st->update.grad_norm},
        {"learning_rate", st->update.lr},
        {"num_tokens", (double)state->tokens},
        {"completions/mean_length", st->mean_length},
        {"completions/min_length", st->min_length},
        {"completions/max_length", st->max_length},
        {"completions/clipped_ratio", st->clipped_ratio},
        {"completions/mean_terminated_length", st->mean_terminated_length},
        {"reward", st->reward.mean},
        {"reward_std", st->reward.std},
        {"frac_reward_zero_std", st->reward.frac_reward_zero_std},
        {"entropy", st->loss.entropy},
        {"sampling/sampling_logp_difference/mean", mean_of(st->sampling.difference, st->sampling.tokens)},
        {"sampling/sampling_logp_difference/max", st->sampling.max_difference},
        {"step_time", st->seconds},
        {"generate_time", st->generate_seconds},
    };
    for (size_t i = 0; i < sizeof m / sizeof *m; i++) json_object_set_new(j, m[i].name, number(m[i].value));
    for (size_t i = 0; i < cg_rewards_count(s->rewards); i++) {
        char key[96];
        snprintf(key, sizeof key, "rewards/%s/mean", cg_rewards_name(s->rewards, i));
        json_object_set_new(j, key, number(st->reward_func[i].mean));
        snprintf(key, sizeof key, "rewards/%s/std", cg_rewards_name(s->rewards, i));
        json_object_set_new(j, key, number(st->reward_func[i].std));
    }
    if (s->grpo.beta != 0.0f) json_object_set_new(j, "kl", number(st->loss.kl));
    clip_lines(j, s->grpo.loss_type, &st->loss);
    if (s->cfg->dynamic_sampling) {
        json_object_set_new(j, "dynamic_sampling/rounds", json_integer((json_int_t)st->rounds));
        json_object_set_new(j, "dynamic_sampling/replaced_groups", json_integer((json_int_t)st->replaced));
    }
    if (st->corrected) correction_lines(j, &st->sampling);
    if (s->cfg->ewc_lambda > 0) json_object_set_new(j, "ewc_penalty", json_real(st->update.ewc_penalty));
    write_line(r->metrics, j);
}

void cg_report_sft(struct cg_report *r, const struct cg_run_state *state, double loss, double lr)
{
    write_line(r->metrics, json_pack("{s:I, s:I, s:f, s:f}", "stage", (json_int_t)state->stage, "sft_step",
                                     (json_int_t)state->step, "sft_loss", loss, "learning_rate", lr));
}

void cg_report_eval(struct cg_report *r, const struct cg_run_state *state)
{
    write_line(r->metrics, json_pack("{s:I, s:I, s:f}", "step", (json_int_t)state->grpo_steps, "stage",
                                     (json_int_t)state->stage, "eval_accuracy", state->accuracy));
}

void cg_report_completion(void *ctx, const struct cg_item *item, const char *completion, float reward, float advantage)
{
    struct cg_report *r = ctx;
    write_line(r->completions,
               json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "step", (json_int_t)r->step, "prompt", text(item->prompt),
                         "completion", text(completion), "answer", text(item->answer), "reward", number((double)reward),
                         "advantage", number((double)advantage)));
}

static json_t *accuracies(const struct cg_run_state *state)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < state->stages_done; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < state->stages; j++) json_array_append_new(row, number(state->R[i * state->stages + j]));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *examples(const struct cg_run_state *state)
{
    json_t *j = json_array();
    size_t n = state->stages_done == state->stages ? state->stages * CG_EXAMPLES : 0;
    for (size_t i = 0; i < n; i++) {
        const struct cg_example *e = &state->examples[i];
        if (!e->prompt) continue;
        json_array_append_new(j, json_pack("{s:o, s:o, s:o, s:o}", "prompt", text(e->prompt), "answer", text(e->answer),
                                           "before", text(e->before ? e->before : ""), "after",
                                           text(e->after ? e->after : "")));
    }
    return j;
}

static json_t *describe(const struct cg_session *s, const struct cg_run_state *state, double seconds, int interrupted)
{
    char hash[17];
    cg_model_hash(&s->model, hash);
    json_t *j = json_pack(
        "{s:o, s:o, s:I, s:i, s:s, s:s, s:I, s:f, s:f, s:I, s:s, s:o, s:o, s:b}", "model", text(s->cfg->model), "task",
        text(s->data.source), "seed", (json_int_t)s->cfg->seed, "threads", s->net.threads, "isa", s->net.rows->isa,
        "version", CG_VERSION, "steps", (json_int_t)state->grpo_steps, "step_time", cg_run_state_step_time(state),
        "train_time", seconds, "peak_rss_bytes", (json_int_t)cg_mem_resident_peak(), "weights_xxh3", hash,
        "heldout_before", number(state->before), "heldout_after", number(state->after), "interrupted", interrupted);
    if (!j) return NULL;
    json_object_set_new(j, "R", accuracies(state));
    if (state->stages_done == state->stages) {
        json_object_set_new(j, "ACC", number(cg_acc(state->R, state->stages)));
        json_object_set_new(j, "BWT", number(cg_bwt(state->R, state->stages)));
    }
    json_t *stages = json_array();
    for (size_t i = 0; i < s->data.n_stages; i++) json_array_append_new(stages, json_string(s->data.stages[i].name));
    json_object_set_new(j, "stages", stages);
    json_object_set_new(j, "examples", examples(state));
    return j;
}

enum cg_status cg_report_summary(const struct cg_report *r, const struct cg_session *s,
                                 const struct cg_run_state *state, double seconds, int interrupted)
{
    json_t *j = describe(s, state, seconds, interrupted);
    char *path = cg_path_join(r->dir, "summary.json");
    struct cg_out out;
    enum cg_status st = j && path ? cg_out_open(path, &out) : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (st == CG_OK) {
        json_dumpf(j, out.f, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        fputc('\n', out.f);
        st = cg_out_commit(&out);
    }
    json_decref(j);
    free(path);
    return st;
}

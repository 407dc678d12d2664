#include "runtime/curriculum/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "runtime/curriculum/matrix.h"
#include "runtime/model/json.h"

/* A file of lines cut to its first `keep` bytes, to be added to. Nobody else writes into it meanwhile. */
static enum cg_status open_lines(const char *dir, const char *name, size_t keep, FILE **out)
{
    struct stat st;
    char *path = cg_path_join(dir, name);
    if (!path) return cg_fail(CG_ERR_MEMORY, "out of memory");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    enum cg_status s = CG_OK;
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        s = cg_fail(CG_ERR_USER, "another grpo-train is at work in %s", dir);
    if (s == CG_OK && fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size < keep)
        cg_warn("%s is shorter than it was at the checkpoint; lines are missing in it", path);
    else if (s == CG_OK && fd >= 0 && ftruncate(fd, (off_t)keep) != 0)
        s = cg_fail(CG_ERR_IO, "cannot cut %s: %s", path, strerror(errno));
    *out = s == CG_OK && fd >= 0 ? fdopen(fd, "a") : NULL;
    if (s == CG_OK && !*out) s = cg_fail(CG_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (!*out && fd >= 0) close(fd);
    free(path);
    return s;
}

enum cg_status cg_report_open(const char *dir, const struct cg_run_state *state, struct cg_report *r)
{
    memset(r, 0, sizeof *r);
    CG_TRY(cg_mkdirs(dir));
    r->dir = strdup(dir);
    enum cg_status s = r->dir ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) s = open_lines(dir, "metrics.jsonl", state->metrics_bytes, &r->metrics);
    if (s == CG_OK) s = open_lines(dir, "completions.jsonl", state->completions_bytes, &r->completions);
    if (s != CG_OK) cg_report_close(r);
    return s;
}

/* The length of what is on the disk of a file of lines. */
static enum cg_status sync_lines(const struct cg_report *r, FILE *f, size_t *bytes)
{
    struct stat st;
    if (fflush(f) != 0 || ferror(f) || fsync(fileno(f)) != 0 || fstat(fileno(f), &st) != 0)
        return cg_fail(CG_ERR_IO, "cannot write the metrics in %s: %s", r->dir, strerror(errno));
    *bytes = (size_t)st.st_size;
    return CG_OK;
}

enum cg_status cg_report_sync(struct cg_report *r, struct cg_run_state *state)
{
    CG_TRY(sync_lines(r, r->metrics, &state->metrics_bytes));
    return sync_lines(r, r->completions, &state->completions_bytes);
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
    for (size_t i = 0; i < sizeof m / sizeof *m; i++) json_object_set_new(j, m[i].name, cg_json_number(m[i].value));
    for (size_t i = 0; i < cg_rewards_count(s->rewards); i++) {
        char key[96];
        snprintf(key, sizeof key, "rewards/%s/mean", cg_rewards_name(s->rewards, i));
        json_object_set_new(j, key, cg_json_number(st->reward_func[i].mean));
        snprintf(key, sizeof key, "rewards/%s/std", cg_rewards_name(s->rewards, i));
        json_object_set_new(j, key, cg_json_number(st->reward_func[i].std));
    }
    if (s->grpo.beta != 0.0f) json_object_set_new(j, "kl", cg_json_number(st->loss.kl));
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
    write_line(r->completions, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "step", (json_int_t)r->step, "prompt",
                                         cg_json_text(item->prompt), "completion", cg_json_text(completion), "answer",
                                         cg_json_text(item->answer), "reward", cg_json_number((double)reward),
                                         "advantage", cg_json_number((double)advantage)));
}

static json_t *accuracies(const struct cg_run_state *state)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < state->stages_done; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < state->stages; j++)
            json_array_append_new(row, cg_json_number(state->R[i * state->stages + j]));
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
        json_array_append_new(j, json_pack("{s:o, s:o, s:o, s:o}", "prompt", cg_json_text(e->prompt), "answer",
                                           cg_json_text(e->answer), "before", cg_json_text(e->before ? e->before : ""),
                                           "after", cg_json_text(e->after ? e->after : "")));
    }
    return j;
}

static json_t *describe(const struct cg_session *s, const struct cg_run_state *state, double seconds, int interrupted)
{
    char hash[17];
    cg_model_hash(&s->model, hash);
    json_t *j = json_pack(
        "{s:o, s:o, s:I, s:i, s:s, s:s, s:I, s:f, s:f, s:I, s:s, s:o, s:o, s:b}", "model", cg_json_text(s->cfg->model),
        "task", cg_json_text(s->data.source), "seed", (json_int_t)s->cfg->seed, "threads", s->net.threads, "isa",
        s->net.rows->isa, "version", CG_VERSION, "steps", (json_int_t)state->grpo_steps, "step_time",
        cg_run_state_step_time(state), "train_time", seconds, "peak_rss_bytes", (json_int_t)cg_mem_resident_peak(),
        "weights_xxh3", hash, "heldout_before", cg_json_number(state->before), "heldout_after",
        cg_json_number(state->after), "interrupted", interrupted);
    if (!j) return NULL;
    json_object_set_new(j, "R", accuracies(state));
    if (state->stages_done == state->stages) {
        json_object_set_new(j, "ACC", cg_json_number(cg_acc(state->R, state->stages)));
        json_object_set_new(j, "BWT", cg_json_number(cg_bwt(state->R, state->stages)));
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

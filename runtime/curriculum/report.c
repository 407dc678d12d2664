#include "runtime/curriculum/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "runtime/curriculum/tfevents.h"
#include "runtime/model/json.h"

/* A file of lines cut to its first `keep` bytes, to be added to. Nobody else writes into it meanwhile. */
static enum cg_status open_lines(const char *dir, const char *name, size_t keep, struct cg_lines *out)
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
    out->f = s == CG_OK && fd >= 0 ? fdopen(fd, "a") : NULL;
    out->bytes = keep;
    if (s == CG_OK && !out->f) s = cg_fail(CG_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (!out->f && fd >= 0) close(fd);
    free(path);
    return s;
}

static enum cg_status sync_lines(const struct cg_report *r, struct cg_lines *l, size_t *bytes)
{
    if (fsync(fileno(l->f)) != 0)
        return cg_fail(CG_ERR_IO, "cannot write the metrics in %s: %s", r->dir, strerror(errno));
    *bytes = l->bytes;
    return CG_OK;
}

enum cg_status cg_report_sync(struct cg_report *r, struct cg_run_state *state)
{
    CG_TRY(sync_lines(r, &r->metrics, &state->metrics_bytes));
    CG_TRY(sync_lines(r, &r->completions, &state->completions_bytes));
    return r->events.f ? sync_lines(r, &r->events, &state->events_bytes) : CG_OK;
}

enum cg_status cg_report_close(struct cg_report *r)
{
    struct cg_lines *l[] = {&r->metrics, &r->completions, &r->events};
    for (int i = 0; i < 3; i++)
        if (l[i]->f && fclose(l[i]->f) != 0) r->lost++;
    enum cg_status s = CG_OK;
    if (r->lost)
        s = cg_fail(CG_ERR_IO, "%s: %zu lines of metrics or completions could not be written; is the disk full?",
                    r->dir, r->lost);
    free(r->dir);
    memset(r, 0, sizeof *r);
    return s;
}

/* The end of a line: it goes into the file whole or not at all, and the next one is tried again. */
static void end_lines(struct cg_report *r, struct cg_lines *l)
{
    struct stat st;
    if (fflush(l->f) == 0 && !ferror(l->f) && fstat(fileno(l->f), &st) == 0) {
        l->bytes = (size_t)st.st_size;
        return;
    }
    if (r->lost++ == 0)
        cg_warn("a line of the metrics in %s could not be written: %s; the run goes on", r->dir, strerror(errno));
    __fpurge(l->f);
    clearerr(l->f);
    (void)!ftruncate(fileno(l->f), (off_t)l->bytes);
}

static enum cg_status open_events(struct cg_report *r, const struct cg_run_state *state)
{
    CG_TRY(open_lines(r->dir, "events.out.tfevents.cpu-grpo", state->events_bytes, &r->events));
    if (state->events_bytes == 0) cg_tfevents_begin(r->events.f, (double)time(NULL));
    end_lines(r, &r->events);
    return CG_OK;
}

enum cg_status cg_report_open(const struct cg_run_config *c, const struct cg_run_state *state, struct cg_report *r)
{
    memset(r, 0, sizeof *r);
    CG_TRY(cg_mkdirs(c->output_dir));
    r->dir = strdup(c->output_dir);
    enum cg_status s = r->dir ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) s = open_lines(r->dir, "metrics.jsonl", state->metrics_bytes, &r->metrics);
    if (s == CG_OK) s = open_lines(r->dir, "completions.jsonl", state->completions_bytes, &r->completions);
    if (s == CG_OK && strcmp(c->report_to, "tensorboard") == 0) s = open_events(r, state);
    if (s != CG_OK) cg_report_close(r);
    return s;
}

static void write_line(struct cg_report *r, struct cg_lines *l, json_t *line)
{
    if (!line) return;
    json_dumpf(line, l->f, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', l->f);
    end_lines(r, l);
    json_decref(line);
}

/* One more number of a line, and of TensorBoard's with the tag that transformers gives it. */
static void add_number(struct cg_report *r, json_t *line, size_t step, const char *name, double value)
{
    char tag[128];
    json_object_set_new(line, name, cg_json_number(value));
    if (!r->events.f || !isfinite(value)) return;
    int eval = strncmp(name, "eval_", 5) == 0;
    snprintf(tag, sizeof tag, "%s/%s", eval ? "eval" : "train", eval ? name + 5 : name);
    cg_tfevents_scalar(r->events.f, (double)time(NULL), (int64_t)step, tag, (float)value);
}

static void end_line(struct cg_report *r, json_t *line)
{
    write_line(r, &r->metrics, line);
    if (r->events.f) end_lines(r, &r->events);
}

/* The table of metrics, evaluated for one step. */
static void add_step(const struct cg_session *s, struct cg_run_state *state, const struct cg_step_stats *st)
{
    char name[96];
    struct cg_metrics *m = &state->metrics;
#define STEP(title, over, when, value, doc) \
    if (when) cg_metrics_add(m, title, CG_METRIC_##over, value);
#define REWARD(part, over, value, doc)                                                      \
    for (size_t i = 0; i < cg_rewards_count(s->rewards); i++) {                             \
        snprintf(name, sizeof name, "rewards/%.70s/" part, cg_rewards_name(s->rewards, i)); \
        cg_metrics_add(m, name, CG_METRIC_##over, value);                                   \
    }
#include "runtime/curriculum/metrics.def"
}

void cg_report_step(struct cg_report *r, const struct cg_session *s, struct cg_run_state *state,
                    const struct cg_step_stats *st)
{
    add_step(s, state, st);
    if ((int64_t)state->grpo_steps % s->cfg->logging_steps) return;
    json_t *j = json_pack("{s:I, s:I}", "step", (json_int_t)state->grpo_steps, "stage", (json_int_t)state->stage);
    for (size_t i = 0; i < state->metrics.n; i++) {
        const struct cg_metric *m = &state->metrics.m[i];
        if (m->open) add_number(r, j, state->grpo_steps, m->name, cg_metric_value(m));
    }
    end_line(r, j);
    cg_metrics_clear(&state->metrics);
}

void cg_report_sft(struct cg_report *r, const struct cg_run_state *state, double loss, double lr)
{
    json_t *j = json_pack("{s:I, s:I}", "stage", (json_int_t)state->stage, "sft_step", (json_int_t)state->step);
#define SFT(title, value, doc) add_number(r, j, state->steps - state->grpo_steps, title, value);
#include "runtime/curriculum/metrics.def"
    end_line(r, j);
}

void cg_report_eval(struct cg_report *r, const struct cg_run_state *state)
{
    json_t *j = json_pack("{s:I, s:I}", "step", (json_int_t)state->grpo_steps, "stage", (json_int_t)state->stage);
#define EVAL(title, value, doc) add_number(r, j, state->grpo_steps, title, value);
#include "runtime/curriculum/metrics.def"
    end_line(r, j);
}

void cg_report_completion(void *ctx, const struct cg_told_completion *x)
{
    struct cg_report *r = ctx;
    json_t *j = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "step", (json_int_t)r->step, "prompt",
                          cg_json_text(x->item->prompt), "completion", cg_json_text(x->text), "answer",
                          cg_json_text(x->item->answer), "reward", cg_json_number((double)x->reward), "advantage",
                          cg_json_number((double)x->advantage));
    size_t n = cg_rewards_count(x->rewards);
    json_t *each = n > 1 ? json_object() : NULL;
    for (size_t i = 0; each && i < n; i++)
        json_object_set_new(each, cg_rewards_name(x->rewards, i), cg_json_number((double)x->each[i]));
    if (each) json_object_set_new(j, "rewards", each);
    write_line(r, &r->completions, j);
}

/* When a run is saved, and what is kept. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/curriculum/state_json.h"
#include "runtime/curriculum/work.h"
#include "runtime/rl/saved.h"
#include "runtime/rl/weights.h"

enum cg_status cg_work_save_model(const struct cg_work *w)
{
    CG_TRY(cg_session_save_model(&w->s, w->report.dir));
    return cg_tokenizer_save(w->s.tok, w->report.dir);
}

const char *cg_work_last_good(const struct cg_work *w, char *buf, size_t size)
{
    *buf = 0;
    if (w->has_saved) snprintf(buf, size, "; the last good checkpoint is %s/checkpoint-%zu", w->report.dir, w->saved);
    return buf;
}

static enum cg_status write_checkpoint(struct cg_work *w)
{
    struct cg_blob blobs[CG_BLOBS_MAX];
    json_t *state;
    CG_TRY(cg_report_sync(&w->report, &w->state)); /* first: a checkpoint must not know more lines than the disk has */
    w->state.seconds = cg_work_seconds(w);
    enum cg_status s = cg_run_state_to_json(&w->s, &w->state, &state);
    w->state.seconds = w->seconds_before;
    CG_TRY(s);
    s = cg_checkpoint_save(w->report.dir, w->state.steps,
                           &(struct cg_checkpoint){.cfg = w->s.cfg,
                                                   .save = cg_session_save_trained,
                                                   .ctx = &w->s,
                                                   .tok = w->s.tok,
                                                   .blobs = blobs,
                                                   .n_blobs = cg_session_blobs(&w->s, blobs),
                                                   .state = state});
    json_decref(state);
    return s;
}

enum cg_status cg_work_save(struct cg_work *w, int must)
{
    char last[512];
    size_t keep = (size_t)w->s.cfg->save_total_limit;
    enum cg_status s = write_checkpoint(w);
    w->due = 0;
    if (s == CG_ERR_IO && !must) {
        cg_warn("checkpoint-%zu was not saved: %s; the run goes on%s", w->state.steps, cg_error(),
                cg_work_last_good(w, last, sizeof last));
        return CG_OK;
    }
    if (s != CG_OK) return cg_fail_in(s, "checkpoint-%zu was not saved", w->state.steps);
    w->saved = w->state.steps;
    w->has_saved = 1;
    cg_checkpoint_prune(w->report.dir, keep ? keep : SIZE_MAX / 2, w->state.best_step);
    return CG_OK;
}

enum cg_status cg_work_take_best(struct cg_work *w, int *taken)
{
    const struct cg_run_state *st = &w->state;
    json_t *state = NULL;
    *taken = 0;
    double last = st->R[(st->stages - 1) * st->stages + st->stages - 1];
    if (st->best_accuracy < 0 || st->best_accuracy <= last || st->best_step == st->steps) return CG_OK;
    char *path = cg_checkpoint_path(w->report.dir, st->best_step);
    enum cg_status s = path ? cg_checkpoint_verify(path, &state) : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) s = cg_session_load_trained(&w->s, path);
    if (s == CG_OK) {
        cg_session_restored(&w->s);
        cg_info("takes the weights of %s: held-out accuracy %.1f%% there, %.1f%% at the end", path,
                100 * st->best_accuracy, 100 * last);
        *taken = 1;
    } else if (s != CG_ERR_MEMORY) {
        cg_warn("the weights stay the last ones: %s cannot be read: %s", path, cg_error());
        s = CG_OK;
    }
    free(path);
    json_decref(state);
    return s;
}

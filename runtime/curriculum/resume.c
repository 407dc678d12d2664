#include "runtime/curriculum/resume.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/curriculum/state_json.h"
#include "runtime/rl/saved.h"
#include "runtime/rl/weights.h"

static int has_lines(const char *dir)
{
    struct stat st;
    char *path = cg_path_join(dir, "metrics.jsonl");
    int yes = path && stat(path, &st) == 0 && st.st_size > 0;
    free(path);
    return yes;
}

static enum cg_status refuse_used(const char *dir, size_t n, size_t newest)
{
    char what[64] = "without a checkpoint";
    if (n) snprintf(what, sizeof what, "up to checkpoint-%zu", newest);
    return cg_fail(CG_ERR_USER,
                   "%s holds a run already (%s): --resume continues it, --overwrite begins anew in its place, "
                   "--set output_dir=... leaves it alone",
                   dir, what);
}

static void put_aside(const char *path)
{
    size_t n = strlen(path) + 16;
    char *aside = malloc(n);
    if (!aside) return;
    snprintf(aside, n, "%s.damaged", path);
    (void)rename(path, aside); /* where that cannot be done it is told of again next time */
    free(aside);
}

static enum cg_status verified(const char *path, struct cg_resume *out)
{
    CG_TRY(cg_checkpoint_verify(path, &out->state));
    out->path = strdup(path);
    out->step = (size_t)json_integer_value(json_object_get(out->state, "steps"));
    return out->path ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
}

static enum cg_status newest_good(const char *dir, const size_t *steps, size_t n, struct cg_resume *out)
{
    for (size_t i = n; i-- > 0;) {
        char *path = cg_checkpoint_path(dir, steps[i]);
        enum cg_status s = path ? verified(path, out) : cg_fail(CG_ERR_MEMORY, "out of memory");
        if (s != CG_OK && s != CG_ERR_MEMORY) {
            cg_warn("%s is damaged (%s)%s", path, cg_error(), i ? "; the one before it is used" : "");
            put_aside(path);
        }
        free(path);
        if (s == CG_OK || s == CG_ERR_MEMORY) return s;
    }
    if (n) return cg_fail(CG_ERR_USER, "%s has no checkpoint that is whole; --overwrite begins anew", dir);
    cg_info("%s has no checkpoint yet: begins anew", dir);
    return CG_OK;
}

static int same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static enum cg_status given(const char *path, const char *dir, const size_t *steps, size_t n, int overwrite,
                            struct cg_resume *out)
{
    enum cg_status s = verified(path, out);
    if (s != CG_OK) return cg_fail_in(s, "cannot go on from %s", path);
    char *own = cg_checkpoint_path(dir, out->step);
    out->elsewhere = !own || !same_folder(path, own);
    free(own);
    if (overwrite) return CG_OK;
    if (out->elsewhere && (n || has_lines(dir))) return refuse_used(dir, n, n ? steps[n - 1] : 0);
    if (!out->elsewhere && steps[n - 1] > out->step)
        return cg_fail(CG_ERR_USER,
                       "%s has newer checkpoints, up to checkpoint-%zu: --overwrite goes on from "
                       "checkpoint-%zu in their place",
                       dir, steps[n - 1], out->step);
    return CG_OK;
}

static enum cg_status same_options(const struct cg_run_config *cfg, const struct cg_resume *r)
{
    struct cg_run_config before;
    enum cg_status s = cg_checkpoint_config(r->path, &before);
    if (s != CG_OK) return cg_fail_in(s, "cannot go on from %s", r->path);
    char *text = cg_config_differences(cfg, &before);
    cg_config_free(&before);
    if (!text) s = cg_fail(CG_ERR_MEMORY, "out of memory");
    else if (*text)
        s = cg_fail(CG_ERR_USER, "%s was made with other options: %s; --allow-changes goes on with these", r->path,
                    text);
    free(text);
    return s;
}

/* The model that a run begins from must be there afterwards as well. */
static enum cg_status spare_model(const struct cg_run_config *cfg)
{
    struct stat model, out;
    if (stat(cfg->model, &model) != 0 || stat(cfg->output_dir, &out) != 0) return CG_OK;
    if (model.st_dev != out.st_dev || model.st_ino != out.st_ino) return CG_OK;
    return cg_fail(CG_ERR_USER,
                   "output_dir is the folder of the model, %s: the trained model would take its place; name "
                   "another one",
                   cfg->model);
}

enum cg_status cg_resume_find(const struct cg_run_config *cfg, const struct cg_run_options *o, struct cg_resume *out)
{
    size_t *steps, n;
    memset(out, 0, sizeof *out);
    out->allow_changes = o->allow_changes;
    CG_TRY(spare_model(cfg));
    CG_TRY(cg_checkpoint_list(cfg->output_dir, &steps, &n));
    enum cg_status s = CG_OK;
    if (o->resume_from) s = given(o->resume_from, cfg->output_dir, steps, n, o->overwrite, out);
    else if (o->resume) s = newest_good(cfg->output_dir, steps, n, out);
    else if (!o->overwrite && (n || has_lines(cfg->output_dir)))
        s = refuse_used(cfg->output_dir, n, n ? steps[n - 1] : 0);
    free(steps);
    if (s == CG_OK && out->path && !o->allow_changes) s = same_options(cfg, out);
    if (s != CG_OK) cg_resume_free(out);
    return s;
}

void cg_resume_free(struct cg_resume *r)
{
    free(r->path);
    json_decref(r->state);
    memset(r, 0, sizeof *r);
}

void cg_resume_clear(const struct cg_run_config *cfg, const struct cg_resume *r)
{
    size_t *steps, n;
    if (cg_checkpoint_list(cfg->output_dir, &steps, &n) != CG_OK) return;
    for (size_t i = 0; i < n; i++)
        if (!r->path || r->elsewhere || steps[i] > r->step) cg_checkpoint_remove(cfg->output_dir, steps[i]);
    free(steps);
}

enum cg_status cg_resume_restore(const struct cg_resume *r, struct cg_session *s, struct cg_run_state *state)
{
    struct cg_blob blobs[CG_BLOBS_MAX];
    if (!r->allow_changes && !cg_run_state_same_data(r->state, s))
        return cg_fail(CG_ERR_USER,
                       "%s was made with other problems than %s has now; --allow-changes goes on with these", r->path,
                       s->data.source);
    enum cg_status st = cg_run_state_from_json(r->state, s, state);
    if (st == CG_OK) st = cg_session_load_trained(s, r->path);
    if (st == CG_OK) st = cg_checkpoint_blobs(r->path, blobs, cg_session_blobs(s, blobs));
    if (st != CG_OK) return cg_fail_in(st, "cannot go on from %s", r->path);
    cg_session_restored(s);
    return CG_OK;
}

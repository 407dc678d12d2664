/* Where a run begins: anew, or from a checkpoint. Looked into before anything large is allocated. */
#ifndef CG_RUNTIME_CURRICULUM_RESUME_H
#define CG_RUNTIME_CURRICULUM_RESUME_H

#include "runtime/curriculum/run.h"
#include "runtime/curriculum/state.h"

struct json_t;

struct cg_resume {
    char *path;           /* the checkpoint, verified; NULL: the run begins anew */
    struct json_t *state; /* its state */
    int elsewhere;        /* it is not one of output_dir: lines of metrics begin anew */
    size_t step;          /* its number */
    int allow_changes;    /* as the command line */
};

/* Finds what the options ask for. CG_ERR_USER, each with one line that says what to do: a folder that holds a run and
 * is not to be continued, no usable checkpoint, other options than the checkpoint's. A damaged checkpoint is told of,
 * put aside as checkpoint-STEP.damaged, and the one before it is taken. */
enum cg_status cg_resume_find(const struct cg_run_config *cfg, const struct cg_run_options *o, struct cg_resume *out);
void cg_resume_free(struct cg_resume *r);

/* Removes the checkpoints of output_dir that belong to a run (or to a part of this one) that is done anew. */
void cg_resume_clear(const struct cg_run_config *cfg, const struct cg_resume *r);

/* The session and the state of the run as the checkpoint has them. */
enum cg_status cg_resume_restore(const struct cg_resume *r, struct cg_session *s, struct cg_run_state *state);

#endif

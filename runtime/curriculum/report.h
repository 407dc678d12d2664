/* What a run leaves behind: metrics.jsonl, completions.jsonl, summary.json (docs/file-formats.md). */
#ifndef CG_RUNTIME_CURRICULUM_REPORT_H
#define CG_RUNTIME_CURRICULUM_REPORT_H

#include <stdio.h>

#include "runtime/curriculum/state.h"

/* A file that grows by lines. */
struct cg_lines {
    FILE *f;
    size_t bytes; /* its length up to the last whole line */
};

struct cg_report {
    struct cg_lines metrics, completions;
    struct cg_lines events; /* TensorBoard's; f NULL: not wanted */
    size_t lost;            /* lines that could not be written */
    char *dir;
    size_t step; /* the GRPO step in work, from 1: what completions are of */
};

/* Makes the folder and cuts the files to the lengths that `state` has: 0 at the beginning of a run. CG_ERR_USER when
 * another process has the folder in work. */
enum cg_status cg_report_open(const struct cg_run_config *c, const struct cg_run_state *state, struct cg_report *r);
/* Brings them to the disk and notes their lengths in `state`. */
enum cg_status cg_report_sync(struct cg_report *r, struct cg_run_state *state);
/* CG_ERR_IO when anything could not be written. */
enum cg_status cg_report_close(struct cg_report *r);

/* After a step: `state` counts it already, and holds the metrics since the last line. */
void cg_report_step(struct cg_report *r, const struct cg_session *s, struct cg_run_state *state,
                    const struct cg_step_stats *st);
void cg_report_sft(struct cg_report *r, const struct cg_run_state *state, double loss, double lr);
void cg_report_eval(struct cg_report *r, const struct cg_run_state *state);
/* A cg_completion_fn; ctx points to the report. */
void cg_report_completion(void *ctx, const struct cg_told_completion *x);

/* summary.json; `seconds`: of training, over all processes that worked on the run. */
enum cg_status cg_report_summary(const struct cg_report *r, const struct cg_session *s,
                                 const struct cg_run_state *state, double seconds, int interrupted);

#endif

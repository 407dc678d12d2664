/* What a run leaves behind: metrics.jsonl, completions.jsonl, summary.json (docs/file-formats.md). */
#ifndef CG_RUNTIME_CURRICULUM_REPORT_H
#define CG_RUNTIME_CURRICULUM_REPORT_H

#include <stdio.h>

#include "runtime/rl/session.h"

struct cg_report {
    FILE *metrics, *completions;
    char *dir;
    size_t step; /* optimiser steps of GRPO so far */
    size_t tokens;
};

/* Makes the folder and starts both files anew. */
enum cg_status cg_report_open(const char *dir, struct cg_report *r);
/* CG_ERR_IO when anything could not be written. */
enum cg_status cg_report_close(struct cg_report *r);

void cg_report_step(struct cg_report *r, const struct cg_session *s, size_t stage, const struct cg_step_stats *st);
void cg_report_sft(struct cg_report *r, size_t stage, size_t step, double loss, double lr);
void cg_report_eval(struct cg_report *r, size_t stage, double accuracy);
/* A cg_completion_fn; ctx points to the report. */
void cg_report_completion(void *ctx, const struct cg_item *item, const char *completion, float reward, float advantage);

/* What summary.json says. */
struct cg_example {
    const char *prompt, *answer;
    char *before, *after; /* free() */
};
struct cg_summary {
    const double *R; /* [stages][stages], rows below `stages_done` are known */
    size_t stages, stages_done;
    double heldout_before, heldout_after;
    double step_time; /* median of the GRPO steps, s; 0 without any */
    double seconds;
    int interrupted;
    const struct cg_example *examples;
    size_t n_examples;
};
enum cg_status cg_report_summary(const struct cg_report *r, const struct cg_session *s, const struct cg_summary *sum);

/* Peak resident memory of this process in bytes. */
long long cg_peak_rss(void);

#endif

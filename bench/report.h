/* What a comparison found, as tables or JSON. */
#ifndef CG_BENCH_REPORT_H
#define CG_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench/cases.h"
#include "bench/peers.h"

enum { CG_CANDIDATES = CG_MAX_RIVALS + 1 }; /* us, then the rivals */

struct cg_timing {
    double min, median; /* seconds of a call */
    size_t samples, calls;
};

/* One case with its times and what bounds it. */
struct cg_result {
    const struct cg_bench_case *c;
    const struct cg_rival *rivals;
    int n; /* candidates */
    struct cg_timing t[CG_CANDIDATES];
    double fma;        /* operations a second that the instruction allows; 0: unknown */
    double bandwidth;  /* bytes a second from where the operands live; 0: unknown */
    size_t traffic;    /* bytes of a call */
    const char *level; /* "L2" */
};

struct cg_report;

/* Writes to `out` as rows come; `json`: keeps them for one object at the end. NULL without memory. */
struct cg_report *cg_report_open(const struct cg_plans *plans, size_t cold, int json, FILE *out);
/* Adds a row; rows of one operation and form stand together. */
void cg_report_row(struct cg_report *r, const struct cg_result *row);
/* Ends the last table, or writes the object; frees r. CG_ERR_IO when it cannot be written. */
enum cg_status cg_report_close(struct cg_report *r);
void cg_report_abandon(struct cg_report *r); /* frees r */

#endif

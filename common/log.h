/* What programs say to people: on stderr, one line each. */
#ifndef CG_COMMON_LOG_H
#define CG_COMMON_LOG_H

#include <stdio.h>

void cg_log_quiet(int quiet); /* suppresses cg_info */
void cg_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cg_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A line that replaces itself on a terminal, a few times a second however often this is called, cut to the terminal's
 * width; elsewhere one of them is printed now and then, less often the longer it takes. cg_progress_end shows the last
 * one and starts a new line. */
void cg_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cg_progress_end(void);

/* Columns of the terminal that `f` writes to; 0 when it is none, or one that cannot replace a line (TERM=dumb). */
int cg_terminal_columns(FILE *f);

/* "[#####.....]" for done/total into buf (>= width + 3 bytes); returns buf. */
char *cg_bar(char *buf, int width, double fraction);

#endif

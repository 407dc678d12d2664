/* What programs say to people: on stderr, one line each. */
#ifndef CG_COMMON_LOG_H
#define CG_COMMON_LOG_H

void cg_log_quiet(int quiet); /* suppresses cg_info */
void cg_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cg_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A line that replaces itself on a terminal (every call), and is printed at most every few seconds when stderr is not
 * one. cg_progress_end leaves the line and starts a new one. */
void cg_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cg_progress_end(void);

/* "[#####.....]" for done/total into buf (>= width + 3 bytes); returns buf. */
char *cg_bar(char *buf, int width, double fraction);

#endif

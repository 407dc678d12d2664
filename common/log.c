#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"

#define REDRAW 0.12      /* seconds between two states of a line on a terminal */
#define FIRST_PAUSE 5.0  /* seconds between lines elsewhere, growing */
#define LONGEST_PAUSE 60 /* up to this */

static int quiet;
static struct {
    char text[512];
    int shown, open;    /* this text is on the terminal; the cursor is still in its line */
    double last, pause; /* when a line was printed, by cg_now; until the next where there is no terminal */
} progress = {.last = -1e9};

void cg_log_quiet(int q)
{
    quiet = q;
}

static void say(const char *prefix, const char *fmt, va_list ap)
{
    cg_progress_end();
    fputs(prefix, stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void cg_info(const char *fmt, ...)
{
    if (quiet) return;
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

void cg_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("warning: ", fmt, ap);
    va_end(ap);
}

int cg_terminal_columns(FILE *f)
{
    struct winsize w;
    const char *term = getenv("TERM");
    int fd = fileno(f);
    if (fd < 0 || !isatty(fd) || !term || strcmp(term, "dumb") == 0) return 0;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

/* The text's line, with no more characters than fit: a longer one would wrap, and could not be replaced. */
static void redraw(int columns)
{
    size_t n = 0;
    for (int shown = 0; progress.text[n]; n++) {
        int first = (progress.text[n] & 0xc0) != 0x80; /* the first byte of a character in UTF-8 */
        if (first && ++shown >= columns) break;
    }
    fprintf(stderr, "\r\033[K%.*s", (int)n, progress.text);
    fflush(stderr);
    progress.shown = progress.open = 1;
}

void cg_progress(const char *fmt, ...)
{
    if (quiet) return;
    int columns = cg_terminal_columns(stderr);
    double t = cg_now();
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(progress.text, sizeof progress.text, fmt, ap);
    va_end(ap);
    progress.shown = 0;
    if (t - progress.last < (columns ? REDRAW : progress.pause)) return;
    progress.last = t;
    if (columns) {
        redraw(columns);
        return;
    }
    fprintf(stderr, "%s\n", progress.text);
    progress.pause = progress.pause ? 1.5 * progress.pause : FIRST_PAUSE;
    if (progress.pause > LONGEST_PAUSE) progress.pause = LONGEST_PAUSE;
}

void cg_progress_end(void)
{
    if (progress.open) {
        int columns = cg_terminal_columns(stderr);
        if (!progress.shown && columns) redraw(columns);
        fputc('\n', stderr);
        progress.last = -1e9;
    }
    progress.open = 0;
}

char *cg_bar(char *buf, int width, double fraction)
{
    int full = (int)(fraction * width + 0.5);
    full = full < 0 ? 0 : full > width ? width : full;
    buf[0] = '[';
    for (int i = 0; i < width; i++) buf[1 + i] = i < full ? '#' : '.';
    buf[1 + width] = ']';
    buf[2 + width] = 0;
    return buf;
}

#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"

static int quiet, line_open;
static double last_print = -1e9;

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

void cg_progress(const char *fmt, ...)
{
    if (quiet) return;
    int tty = isatty(STDERR_FILENO);
    double t = cg_now();
    if (!tty && t - last_print < 5.0) return;
    last_print = t;
    va_list ap;
    va_start(ap, fmt);
    if (tty) fputs("\r\033[K", stderr);
    vfprintf(stderr, fmt, ap);
    if (!tty) fputc('\n', stderr);
    va_end(ap);
    fflush(stderr);
    line_open = tty;
}

void cg_progress_end(void)
{
    if (line_open) fputc('\n', stderr);
    line_open = 0;
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

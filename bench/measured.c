/* The times of a run that was made, from its metrics.jsonl. */
#include <jansson.h>
#include <string.h>

#include "autotune/estimate.h"
#include "bench/predict.h"
#include "common/file.h"
#include "common/mem.h"

enum { MAX_METRICS = 256 << 20, COLUMNS = 3 };
static const char *const names[COLUMNS] = {"step_time", "generate_time", "completions/mean_length"};

/* A line's numbers into x[COLUMNS]; *is_step: it is a GRPO step's and has them all. */
static enum cg_status read_line(const char *path, size_t number, const char *line, size_t len, double *x, int *is_step)
{
    json_error_t err;
    json_t *j = json_loadb(line, len, 0, &err);
    int object = json_is_object(j);
    *is_step = object;
    for (int i = 0; i < COLUMNS; i++) {
        json_t *v = json_object_get(j, names[i]);
        if (!json_is_number(v)) *is_step = 0;
        x[i] = json_number_value(v);
    }
    json_decref(j);
    return object ? CG_OK : cg_fail(CG_ERR_USER, "%s:%zu is no line of a metrics.jsonl", path, number);
}

/* Columns of `lines` values each, in order, from the whole lines of the text. */
static enum cg_status read_all(const char *path, const char *text, const char *end, double *columns, size_t lines,
                               size_t *steps)
{
    size_t number = 0;
    for (const char *p = text, *eol; p < end && (eol = memchr(p, '\n', (size_t)(end - p))); p = eol + 1) {
        double x[COLUMNS];
        int is_step;
        CG_TRY(read_line(path, ++number, p, (size_t)(eol - p), x, &is_step));
        for (size_t i = 0; i < COLUMNS && is_step; i++) columns[i * lines + *steps] = x[i];
        *steps += (size_t)is_step;
    }
    return CG_OK;
}

enum cg_status cg_measured_read(const char *path, struct cg_measured *m)
{
    char *text;
    size_t size, lines = 0, n = 0;
    memset(m, 0, sizeof *m);
    CG_TRY(cg_file_read(path, MAX_METRICS, &text, &size));
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    double *columns = cg_alloc_n(lines ? lines : 1, COLUMNS * sizeof *columns);
    enum cg_status st = columns ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (st == CG_OK) st = read_all(path, text, text + size, columns, lines, &n);
    if (st == CG_OK && n == 0)
        st = cg_fail(CG_ERR_USER, "%s has no GRPO step with its step_time and generate_time", path);
    if (st == CG_OK) {
        size_t warm = n > 1; /* the first step of more touches its memory for the first time */
        double sum = 0;
        m->steps = n - warm;
        for (size_t i = warm; i < n; i++) sum += columns[2 * lines + i];
        m->completion_length = sum / (double)m->steps;
        m->step_time = cg_median_interval(columns + warm, m->steps, 0.5).mid;
        m->generate_time = cg_median_interval(columns + lines + warm, m->steps, 0.5).mid;
    }
    cg_free(columns);
    cg_free(text);
    return st;
}

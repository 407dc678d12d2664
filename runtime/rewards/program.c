#include "runtime/rewards/program.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/words.h"
#include "runtime/rewards/child.h"
#include "runtime/tokenizer/utf8.h"

#define MAX_LINE 65536       /* bytes of an answer */
#define FAILED_BATCHES 3     /* in a row, with reward_on_error zero */
#define INTERRUPT_PATIENCE 3 /* seconds after Ctrl-C */
#define END_PATIENCE 2       /* seconds to leave after the end of its input */

struct cg_reward_program {
    const struct cg_run_config *cfg;
    const volatile sig_atomic_t *stop;
    struct cg_child child;
    char line[MAX_LINE + 1]; /* what of an answer has come so far */
    size_t line_n;
    int failed; /* batches in a row */
};

/* The completions of one batch on their way. */
struct batch {
    const struct cg_reward_case *c;
    size_t n, answered;
    float *value;
    char *text; /* all lines */
    size_t text_n, written;
    size_t wrong; /* answers that made no sense, with reward_on_error zero */
};

enum cg_status cg_reward_program_create(const struct cg_run_config *cfg, const volatile sig_atomic_t *stop,
                                        struct cg_reward_program **out)
{
    *out = NULL;
    if (!*cfg->reward_program)
        return cg_fail(CG_ERR_USER, "reward_funcs has program, and reward_program is empty; give its command there");
    struct cg_reward_program *p = calloc(1, sizeof *p);
    if (!p) return cg_fail(CG_ERR_MEMORY, "out of memory for reward_program");
    p->cfg = cfg;
    p->stop = stop;
    *out = p;
    return CG_OK;
}

void cg_reward_program_free(struct cg_reward_program *p)
{
    if (!p) return;
    cg_child_end(&p->child, END_PATIENCE, NULL);
    free(p);
}

static json_t *clean_string(const char *s)
{
    char *clean = cg_utf8_clean(s, strlen(s));
    json_t *j = clean ? json_string(clean) : NULL;
    free(clean);
    return j;
}

/* {"step", "index", "count", "prompt", "completion", "answer", "completion_ids", "fields"} */
static enum cg_status write_case(FILE *f, size_t step, size_t index, size_t count, const struct cg_reward_case *c)
{
    json_t *ids = json_array(), *fields = c->item->fields ? json_loads(c->item->fields, 0, NULL) : json_null();
    for (size_t i = 0; i < c->n_ids; i++) json_array_append_new(ids, json_integer(c->ids[i]));
    json_t *j = json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "step", (json_int_t)step, "index",
                          (json_int_t)index, "count", (json_int_t)count, "prompt", clean_string(c->item->prompt),
                          "completion", clean_string(c->text), "answer", clean_string(c->item->answer),
                          "completion_ids", ids, "fields", fields);
    int bad = !j || json_dumpf(j, f, JSON_COMPACT) != 0 || fputc('\n', f) == EOF;
    json_decref(j);
    return bad ? cg_fail(CG_ERR_MEMORY, "out of memory for reward_program's input") : CG_OK;
}

static enum cg_status write_batch(struct batch *b, size_t step)
{
    FILE *f = open_memstream(&b->text, &b->text_n);
    enum cg_status s = f ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory for reward_program's input");
    for (size_t i = 0; i < b->n && s == CG_OK; i++) s = write_case(f, step, i, b->n, &b->c[i]);
    if (f && fclose(f) != 0 && s == CG_OK) s = cg_fail(CG_ERR_MEMORY, "out of memory for reward_program's input");
    return s;
}

/* "0.5", "null" or "nan" (does not apply), {"reward": ...}. */
static int parse_answer(const char *line, float *value)
{
    static const char *const none[] = {"nan", "NaN", "None", "null"};
    line += strspn(line, " \t\r");
    size_t n = strlen(line);
    while (n && strchr(" \t\r", line[n - 1])) n--;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (n == strlen(none[i]) && memcmp(line, none[i], n) == 0) {
            *value = NAN;
            return 1;
        }
    json_t *j = json_loadb(line, n, JSON_DECODE_ANY, NULL);
    const json_t *x = json_is_object(j) ? json_object_get(j, "reward") : j;
    int good = json_is_number(x) || (json_is_object(j) && json_is_null(x));
    if (good) *value = json_is_number(x) ? (float)json_number_value(x) : NAN;
    good = good && !isinf(*value);
    json_decref(j);
    return good;
}

/* Where the batch stands, for messages: "reward_program: completion 5 of 32". */
static enum cg_status failed_at(const struct batch *b, const char *what)
{
    char more[900];
    snprintf(more, sizeof more, "%s", what);
    return cg_fail(CG_ERR_USER, "reward_program: completion %zu of %zu: %s",
                   b->answered < b->n ? b->answered + 1 : b->n, b->n, more);
}

static enum cg_status take_answer(struct cg_reward_program *p, struct batch *b)
{
    char shown[CG_SHOWN], what[256];
    p->line[p->line_n] = 0;
    if (b->answered == b->n) {
        snprintf(what, sizeof what, "after its answer came one line more, '%s'; print one line for each completion",
                 cg_show(p->line, shown));
        return failed_at(b, what);
    }
    float *value = &b->value[b->answered];
    if (!parse_answer(p->line, value)) {
        snprintf(what, sizeof what, "it printed '%s', which is neither a number nor null nor {\"reward\": number}",
                 cg_show(p->line, shown));
        if (strcmp(p->cfg->reward_on_error, "stop") == 0) return failed_at(b, what);
        *value = 0;
        if (b->wrong++ == 0) {
            failed_at(b, what);
            cg_warn("%s; its reward is 0", cg_error());
        }
    }
    b->answered++;
    return CG_OK;
}

/* What the program did when its output ended. */
static enum cg_status ended(struct cg_reward_program *p, const struct batch *b)
{
    char how[64], what[160];
    cg_child_end(&p->child, END_PATIENCE, how);
    snprintf(what, sizeof what, "the program ended before it answered (%s)", *how ? how : "its output was closed");
    return failed_at(b, what);
}

static enum cg_status read_answers(struct cg_reward_program *p, struct batch *b)
{
    char buf[4096];
    for (;;) {
        ssize_t n = read(p->child.out, buf, sizeof buf);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return CG_OK;
        if (n <= 0) return b->answered == b->n ? CG_OK : ended(p, b);
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] == '\n') {
                CG_TRY(take_answer(p, b));
                p->line_n = 0;
                continue;
            }
            if (p->line_n == MAX_LINE) return failed_at(b, "its answer is longer than 65536 bytes");
            p->line[p->line_n++] = buf[i] ? buf[i] : '?';
        }
    }
}

static void write_more(struct cg_reward_program *p, struct batch *b)
{
    ssize_t n = cg_child_write(&p->child, b->text + b->written, b->text_n - b->written);
    if (n > 0) b->written += (size_t)n;
    /* It has closed its input: whether it ends, prints or hangs is seen at its output, with nothing left to write. */
    if (n < 0 && errno != EAGAIN && errno != EINTR) b->written = b->text_n;
}

static enum cg_status timed_out(struct cg_reward_program *p, const struct batch *b, double limit)
{
    char what[160], shown[CG_SHOWN];
    p->line[p->line_n] = 0;
    int n = snprintf(what, sizeof what, "no answer within %g s (reward_timeout)", limit);
    if (p->line_n)
        snprintf(what + n, sizeof what - (size_t)n, ", only '%s' without the end of a line", cg_show(p->line, shown));
    return failed_at(b, what);
}

/* Writes and reads until every completion has its answer. */
static enum cg_status exchange(struct cg_reward_program *p, struct batch *b)
{
    double limit = p->cfg->reward_timeout, since = cg_now(), stopped = 0;
    while (b->answered < b->n) {
        size_t before = b->answered;
        int writing = b->written < b->text_n;
        struct pollfd fd[] = {{p->child.out, POLLIN, 0}, {p->child.in, POLLOUT, 0}};
        double now = cg_now(), left = since + limit - now;
        if (left <= 0) return timed_out(p, b, limit);
        if (p->stop && *p->stop) {
            if (!stopped) stopped = now;
            if (now - stopped > INTERRUPT_PATIENCE)
                return cg_fail(CG_ERR_INTERRUPTED, "interrupted while reward_program did not answer");
        }
        if (left > 0.5) left = 0.5; /* so that Ctrl-C is seen */
        if (poll(fd, writing ? 2 : 1, (int)(left * 1000) + 1) < 0 && errno != EINTR)
            return cg_fail(CG_ERR_IO, "reward_program: poll: %s", strerror(errno));
        if (fd[0].revents) CG_TRY(read_answers(p, b));
        if (writing && fd[1].revents && b->answered < b->n) write_more(p, b);
        if (b->answered > before) since = cg_now();
    }
    /* Anything after the last answer belongs to no completion. */
    return p->line_n ? failed_at(b, "after its answer came more text; print one line for each completion") : CG_OK;
}

/* Before a batch nothing is asked of the program, so that it has nothing to say; it may have left. */
static enum cg_status look_before(struct cg_reward_program *p, const struct batch *b)
{
    struct pollfd fd = {p->child.out, POLLIN, 0};
    char byte;
    if (poll(&fd, 1, 0) <= 0) return CG_OK;
    ssize_t n = read(p->child.out, &byte, 1);
    if (n < 0) return CG_OK;
    return n == 0 ? ended(p, b)
                  : failed_at(b, "it printed more before it was asked; print one line for each completion");
}

static enum cg_status run_batch(struct cg_reward_program *p, struct batch *b)
{
    if (p->child.pid) CG_TRY(look_before(p, b));
    else CG_TRY(cg_child_start(p->cfg->reward_program, &p->child));
    p->line_n = 0;
    return exchange(p, b);
}

enum cg_status cg_reward_program_score(struct cg_reward_program *p, size_t step, size_t n,
                                       const struct cg_reward_case *c, float *value)
{
    struct batch b = {.c = c, .n = n, .value = value};
    enum cg_status s = write_batch(&b, step);
    if (s == CG_OK) s = run_batch(p, &b);
    free(b.text);
    if (s == CG_OK) {
        p->failed = b.wrong == n ? p->failed + 1 : 0;
        if (p->failed < FAILED_BATCHES) return CG_OK;
        return cg_fail(CG_ERR_USER, "reward_program has given no sound answer in %d batches in a row", FAILED_BATCHES);
    }
    cg_child_end(&p->child, 0, NULL);
    if (s != CG_ERR_USER || strcmp(p->cfg->reward_on_error, "stop") == 0) return s;
    if (++p->failed == FAILED_BATCHES)
        return cg_fail_in(s, "failed in %d batches in a row, the last time", FAILED_BATCHES);
    for (size_t i = b.answered; i < n; i++) value[i] = 0;
    cg_warn("%s; %zu completion%s without an answer get 0, and the program is started again", cg_error(),
            n - b.answered, n - b.answered == 1 ? "" : "s");
    return CG_OK;
}

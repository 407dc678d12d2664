#include "bench/compare.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"

enum { MAX_SAMPLES = 2048, MIN_SAMPLES = 5, ONLY = CG_MAX_PEERS + 1 };

/* A sample lasts at least this long, so that the clock does not matter. */
static const double sample_seconds = 1e-4;

struct timing {
    double min, median; /* seconds of a call */
    size_t samples, calls;
};

struct contest {
    const struct cg_plans *plans;
    const struct cg_bench_case *c;
    struct cg_operands *o;
    const struct cg_peer *peers;
    int n; /* candidates: us, then the peers */
    double *samples[ONLY];
};

static void call(struct contest *t, int who)
{
    if (who == 0) {
        cg_operands_call(t->o);
        return;
    }
    const float *a, *b;
    float *c;
    cg_operands_plain(t->o, &a, &b, &c);
    cg_peer_call(&t->peers[who - 1], t->c, a, b, c);
}

static double time_calls(struct contest *t, int who, size_t calls)
{
    double start = cg_now();
    for (size_t i = 0; i < calls; i++) call(t, who);
    return (cg_now() - start) / (double)calls;
}

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

static void summarise(double *x, size_t n, size_t calls, struct timing *out)
{
    qsort(x, n, sizeof *x, ascending);
    *out = (struct timing){x[0], n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]), n, calls};
}

/* All candidates in turn, starting with another one each time; an untimed call before each sample brings its operands
 * back into the caches and wakes its threads. */
static void run(struct contest *t, double seconds, struct timing *out)
{
    size_t calls[ONLY], rounds = 0;
    int threads = cg_plans_threads(t->plans);
    for (int who = 0; who < t->n; who++) {
        call(t, who);
        double once = time_calls(t, who, 1);
        calls[who] = once >= sample_seconds ? 1 : (size_t)(sample_seconds / (once > 1e-9 ? once : 1e-9)) + 1;
    }
    double end = cg_now() + seconds * t->n;
    while (rounds < MAX_SAMPLES && (rounds < MIN_SAMPLES || cg_now() < end)) {
        for (int i = 0; i < t->n; i++) {
            int who = (int)((rounds + (size_t)i) % (size_t)t->n);
            /* Threads of the one before wait busily for a while: let them fall asleep. */
            if (threads > 1 && t->n > 1) nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
            call(t, who);
            t->samples[who][rounds] = time_calls(t, who, calls[who]);
        }
        rounds++;
    }
    for (int who = 0; who < t->n; who++) summarise(t->samples[who], rounds, calls[who], &out[who]);
}

/* How many times as fast as the best peer we are: by the fastest samples, by the medians. */
struct ratio {
    double min, median;
    int best; /* the peer with the fastest sample */
};

static struct ratio ratio_of(const struct timing *t, int n)
{
    struct ratio r = {INFINITY, INFINITY, 1};
    for (int who = 1; who < n; who++) {
        if (t[who].min / t[0].min < r.min) {
            r.min = t[who].min / t[0].min;
            r.best = who;
        }
        if (t[who].median / t[0].median < r.median) r.median = t[who].median / t[0].median;
    }
    return r;
}

/* Geometric means of the ratios, and the lowest. */
struct total {
    double log_sum[2]; /* up to 16 rows; more */
    size_t n[2];
    double lowest;
    const char *lowest_name;
};

static void total_add(struct total *t, const struct cg_bench_case *c, double ratio)
{
    int more = c->form == CG_FORM_TN ? c->k > 16 : c->m > 16;
    t->log_sum[more] += log(ratio);
    t->n[more]++;
    if (!t->lowest_name || ratio < t->lowest) {
        t->lowest = ratio;
        t->lowest_name = c->name;
    }
}

static double mean_of(double log_sum, size_t n)
{
    return n ? exp(log_sum / (double)n) : 0;
}

/* ---- As a table ---------------------------------------------------------------------------------------------------
 */

static double rate(const struct cg_bench_case *c, double seconds)
{
    return c->work / seconds * 1e-9;
}

static void print_head(FILE *f, const struct cg_plans *plans, const struct cg_peer *peers, int n)
{
    const struct cg_machine *m = cg_plans_machine(plans);
    fprintf(f, "%s, %d thread%s, %s\n", m->model_name[0] ? m->model_name : m->vendor, cg_plans_threads(plans),
            cg_plans_threads(plans) == 1 ? "" : "s", cg_plans_source(plans));
    if (n > 1)
        fprintf(f, "Fastest samples, taken in turn; the ratio is to the best peer (over 1: we are faster), by fastest "
                   "samples and by medians.\n");
    fprintf(f, "%-40s %9s", "", "cpu-grpo");
    for (int i = 0; i + 1 < n; i++) fprintf(f, " %9.9s", peers[i].name);
    fprintf(f, " %-8s", "");
    fprintf(f, n > 1 ? " %6s %6s\n" : "\n", "ratio", "median");
}

static void print_row(FILE *f, const struct cg_bench_case *c, const struct timing *t, int n)
{
    fprintf(f, "%-40s", c->name);
    for (int who = 0; who < n; who++) fprintf(f, " %9.2f", rate(c, t[who].min));
    fprintf(f, " %-8s", cg_bench_unit(c));
    if (n > 1) {
        struct ratio r = ratio_of(t, n);
        fprintf(f, " %6.3f %6.3f", r.min, r.median);
    }
    fputc('\n', f);
    fflush(f);
}

static void print_total(FILE *f, const struct total *t)
{
    fprintf(f, "ratio to the best peer, geometric mean: %.3f over %zu rows",
            mean_of(t->log_sum[0] + t->log_sum[1], t->n[0] + t->n[1]), t->n[0] + t->n[1]);
    if (t->n[0] && t->n[1])
        fprintf(f, " (up to 16 tokens: %.3f, more: %.3f)", mean_of(t->log_sum[0], t->n[0]),
                mean_of(t->log_sum[1], t->n[1]));
    fprintf(f, "; lowest: %.3f at %s\n", t->lowest, t->lowest_name);
}

/* ---- As JSON -------------------------------------------------------------------------------------------------------
 */

static json_t *timing_json(const struct cg_bench_case *c, const struct timing *t)
{
    return json_pack("{s:f,s:f,s:f,s:f,s:I,s:I}", "seconds_min", t->min, "seconds_median", t->median, "rate",
                     rate(c, t->min), "rate_median", rate(c, t->median), "samples", (json_int_t)t->samples,
                     "calls_per_sample", (json_int_t)t->calls);
}

static json_t *row_json(const struct cg_bench_case *c, const struct timing *t, const struct cg_peer *peers, int n)
{
    static const char *const forms[] = {"nt", "nn", "tn"};
    json_t *row = timing_json(c, &t[0]);
    json_object_set_new(row, "name", json_string(c->name));
    json_object_set_new(row, "op", json_string(cg_op_name(c->op)));
    if (c->op == CG_OP_gemm_f32) json_object_set_new(row, "form", json_string(forms[c->form]));
    json_object_set_new(row, "m", json_integer((json_int_t)c->m));
    json_object_set_new(row, "n", json_integer((json_int_t)c->n));
    if (c->k) json_object_set_new(row, "k", json_integer((json_int_t)c->k));
    json_object_set_new(row, "variant", json_string(c->plan.variant->name));
    json_object_set_new(row, "threads", json_integer(c->plan.threads));
    json_object_set_new(row, "unit", json_string(cg_bench_unit(c)));
    if (n == 1) return row;
    json_t *others = json_object();
    for (int who = 1; who < n; who++) json_object_set_new(others, peers[who - 1].name, timing_json(c, &t[who]));
    struct ratio r = ratio_of(t, n);
    json_object_set_new(row, "peers", others);
    json_object_set_new(row, "best_peer", json_string(peers[r.best - 1].name));
    json_object_set_new(row, "ratio", json_real(r.min));
    json_object_set_new(row, "ratio_median", json_real(r.median));
    return row;
}

static enum cg_status print_json(FILE *f, const struct cg_plans *plans, json_t *rows, const struct total *t)
{
    const struct cg_machine *m = cg_plans_machine(plans);
    char fingerprint[20];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)m->fingerprint);
    json_t *root =
        json_pack("{s:s,s:s,s:i,s:s,s:O}", "cpu", m->model_name[0] ? m->model_name : m->vendor, "fingerprint",
                  fingerprint, "threads", cg_plans_threads(plans), "plans", cg_bench_plans_text(plans), "rows", rows);
    if (t->lowest_name) {
        json_object_set_new(root, "ratio_geometric_mean",
                            json_real(mean_of(t->log_sum[0] + t->log_sum[1], t->n[0] + t->n[1])));
        json_object_set_new(root, "ratio_lowest", json_real(t->lowest));
    }
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    if (!text) return cg_fail(CG_ERR_MEMORY, "out of memory");
    fprintf(f, "%s\n", text);
    free(text);
    return CG_OK;
}

/* -------------------------------------------------------------------------------------------------------------------
 */

static enum cg_status run_all(struct contest *t, const struct cg_bench_cases *cases, double seconds, json_t *rows,
                              FILE *out, struct total *total)
{
    for (size_t i = 0; i < cases->n; i++) {
        struct timing timing[ONLY];
        t->c = &cases->c[i];
        cg_progress("%zu/%zu %s", i + 1, cases->n, t->c->name);
        CG_TRY(cg_operands_open(t->plans, t->c, &t->o));
        run(t, seconds, timing);
        cg_operands_close(t->o);
        if (t->n > 1) total_add(total, t->c, ratio_of(timing, t->n).min);
        if (rows) json_array_append_new(rows, row_json(t->c, timing, t->peers, t->n));
        else print_row(out, t->c, timing, t->n);
    }
    return CG_OK;
}

enum cg_status cg_bench_compare(const struct cg_plans *plans, const struct cg_bench_cases *cases,
                                const struct cg_peer *peers, int n, double seconds, int json, FILE *out)
{
    struct contest t = {.plans = plans, .peers = peers, .n = n + 1};
    struct total total = {.lowest = 0};
    double *samples = malloc(sizeof *samples * MAX_SAMPLES * (size_t)t.n);
    json_t *rows = json ? json_array() : NULL;
    enum cg_status st = samples && (rows || !json) ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    for (int who = 0; st == CG_OK && who < t.n; who++) t.samples[who] = samples + (size_t)who * MAX_SAMPLES;
    if (st == CG_OK && !json) print_head(out, plans, peers, t.n);
    if (st == CG_OK) st = run_all(&t, cases, seconds, rows, out, &total);
    if (st == CG_OK && json) st = print_json(out, plans, rows, &total);
    else if (st == CG_OK && n) print_total(out, &total);
    free(samples);
    json_decref(rows);
    if (st == CG_OK && (fflush(out) != 0 || ferror(out)))
        st = cg_fail(CG_ERR_IO, "cannot write the results: %s", strerror(errno));
    return st;
}

/* grpo-tune: times the kernels against each other for the shapes of a model and stores the plans that win. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "autotune/detect_report.h"
#include "autotune/report.h"
#include "autotune/search.h"
#include "autotune/sizes.h"
#include "autotune/store.h"
#include "autotune/verify.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

static const char help[] =
    "usage: grpo-tune [--model PATH|builtin:NAME] [--budget SECONDS] [--threads N] [--ops LIST] [--quiet] [--json]\n"
    "       grpo-tune detect [--json]   what this machine is\n"
    "       grpo-tune verify [--json]   check every kernel against the scalar truth, bit for bit\n"
    "       grpo-tune show [--json]     the plans stored for this machine\n"
    "\n"
    "Times candidates for the matrix shapes that training uses and stores the fastest plans, which grpo-train then\n"
    "loads. Plans change the speed, never a result.\n"
    "\n"
    "  --model PATH       a Hugging Face folder, a .gguf file or builtin:NAME; without it, the built-in models and\n"
    "                     SmolLM2-135M\n"
    "  --budget SECONDS   time to spend (default 60); Ctrl-C ends earlier and keeps what is done\n"
    "  --threads N        threads to tune for (default: all usable cores)\n"
    "  --ops LIST         of f32, s8, bf16w (bf16 weights, f32 arithmetic) and bf16 (native); default f32,s8, which\n"
    "                     training uses\n"
    "  --quiet            no progress and no table, only the total\n"
    "  --json             results as JSON on standard output\n"
    "  --help, --version\n"
    "\n"
    "Plans are stored in $CPU_GRPO_CACHE, else $XDG_CACHE_HOME/cpu-grpo, else ~/.cache/cpu-grpo. CPU_GRPO_ISA=NAME\n"
    "(avx2, avx512, ...) hides all later levels from every program of the suite.\n";

struct options {
    const char *command; /* "tune", "detect", "verify", "show" */
    const char *model;
    double budget;
    int threads, quiet, json, tune_only; /* tune_only: an option of tuning was given */
    unsigned ops;                        /* bits 1 << op */
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

/* The first Ctrl-C ends the work in good order, the second the program. */
static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static enum cg_status parse_number(const char *name, const char *text, double lo, double hi, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || *end || errno || !(*out >= lo && *out <= hi))
        return cg_fail(CG_ERR_USER, "--%s %s: give a number from %g to %g", name, text, lo, hi);
    return CG_OK;
}

static enum cg_status parse_ops(const char *text, unsigned *ops)
{
    static const enum cg_op all[] = {CG_OP_gemm_f32, CG_OP_gemm_s8, CG_OP_gemm_bf16w, CG_OP_gemm_bf16};
    *ops = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ","), i = 0;
        for (; i < 4; i++) {
            const char *name = cg_op_name(all[i]) + strlen("gemm_");
            if (strlen(name) == len && strncmp(p, name, len) == 0) break;
        }
        if (i == 4) return cg_fail(CG_ERR_USER, "--ops %s: give some of f32, s8, bf16w and bf16, as in f32,s8", text);
        *ops |= 1u << all[i];
        p += len;
        if (!*p) return CG_OK;
    }
}

static enum cg_status parse_option(int c, char **argv, struct options *o)
{
    double number;
    switch (c) {
    case 'm':
        if (!*optarg) return cg_fail(CG_ERR_USER, "--model needs a path");
        o->model = optarg;
        o->tune_only = 1;
        return CG_OK;
    case 'b': o->tune_only = 1; return parse_number("budget", optarg, 0.1, 86400, &o->budget);
    case 't':
        o->tune_only = 1;
        CG_TRY(parse_number("threads", optarg, 0, 4096, &number));
        o->threads = (int)number;
        return number == o->threads ? CG_OK : cg_fail(CG_ERR_USER, "--threads %s is no whole number", optarg);
    case 'o': o->tune_only = 1; return parse_ops(optarg, &o->ops);
    case 'q': o->quiet = 1; return CG_OK;
    case 'j': o->json = 1; return CG_OK;
    case ':': return cg_fail(CG_ERR_USER, "%s needs a value; see grpo-tune --help", argv[optind - 1]);
    default: break;
    }
    return cg_fail(CG_ERR_USER, "unknown option %s; see grpo-tune --help", argv[optind - 1]);
}

/* *done: everything was said already (--help, --version). */
static enum cg_status parse(int argc, char **argv, struct options *o, int *done)
{
    static const struct option longs[] = {
        {"model", required_argument, NULL, 'm'},
        {"budget", required_argument, NULL, 'b'},
        {"threads", required_argument, NULL, 't'},
        {"ops", required_argument, NULL, 'o'},
        {"quiet", no_argument, NULL, 'q'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    *o = (struct options){.command = "tune", .budget = 60, .ops = CG_SHAPES_TRAINING};
    *done = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hq", longs, NULL)) != -1;) {
        *done = c == 'h' || c == 'V';
        if (c == 'h') fputs(help, stdout);
        if (c == 'V') printf("grpo-tune " CG_VERSION "\n");
        if (*done) return CG_OK;
        CG_TRY(parse_option(c, argv, o));
    }
    if (optind < argc) {
        static const char *const commands[] = {"detect", "verify", "show", "tune"};
        o->command = NULL;
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            if (strcmp(argv[optind], commands[i]) == 0) o->command = commands[i];
        if (!o->command)
            return cg_fail(CG_ERR_USER,
                           "unknown command \"%s\"; there are detect, verify and show, see grpo-tune --help",
                           argv[optind]);
        if (optind + 1 < argc)
            return cg_fail(CG_ERR_USER, "unexpected argument \"%s\"; see grpo-tune --help", argv[optind + 1]);
    }
    if (o->tune_only && strcmp(o->command, "tune") != 0)
        return cg_fail(CG_ERR_USER, "--model, --budget, --threads and --ops belong to tuning, not to grpo-tune %s",
                       o->command);
    return CG_OK;
}

/* ---- Tuning ------------------------------------------------------------------------------------------------------ */

static void show_progress(void *ctx, size_t done, size_t all, double left, const struct cg_shape *s)
{
    char bar[32];
    (void)ctx;
    cg_progress("tuning %s %zu/%zu shapes, %.0f s left: %s %s %zux%zux%zu", cg_bar(bar, 20, (double)done / (double)all),
                done, all, ceil(left), s->what, cg_form_name(s->form), s->m, s->n, s->k);
}

static enum cg_status shapes_of(const struct options *o, struct cg_shapes *shapes)
{
    struct cg_sizes sizes;
    if (o->model) {
        CG_TRY(cg_sizes_load(o->model, &sizes));
        return cg_shapes_add(shapes, &sizes, o->ops);
    }
    for (size_t i = 0; cg_sizes_known(i, &sizes); i++) CG_TRY(cg_shapes_add(shapes, &sizes, o->ops));
    return CG_OK;
}

/* Stores what was found; r->stored stays NULL when that fails. */
static enum cg_status store(const struct cg_machine *m, struct cg_tune_report *r, const char *path)
{
    size_t n = 0;
    struct cg_tuned *add = cg_alloc_n(r->shapes->n, sizeof *add);
    if (!add) return cg_fail(CG_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < r->shapes->n; i++)
        if (r->found[i].candidates) add[n++] = r->found[i].tuned;
    enum cg_status st = n ? cg_store_merge(path, m, add, n, &r->stored_total) : CG_OK;
    if (n && st == CG_OK) r->stored = path;
    cg_free(add);
    return st;
}

static enum cg_status print_results(const struct options *o, const struct cg_tune_report *r)
{
    size_t wrong = 0;
    for (size_t i = 0; i < r->shapes->n; i++) wrong += (size_t)r->found[i].wrong;
    if (wrong) cg_warn("%zu plans gave other bits than the default and were not chosen; run grpo-tune verify", wrong);
    if (o->json) return cg_report_json(stdout, r);
    if (!o->quiet) cg_report_table(stdout, r);
    cg_report_total(stdout, r);
    if (r->stored) printf("stored in %s (%zu shapes in all)\n", r->stored, r->stored_total);
    return CG_OK;
}

static enum cg_status tune_shapes(const struct options *o, const struct cg_machine *m, struct cg_shapes *shapes)
{
    double start = cg_now();
    size_t all = shapes->n;
    cg_shapes_sort(shapes);
    cg_shapes_fit(shapes, o->budget);
    struct cg_tuner t = {.machine = m,
                         .threads = o->threads ? o->threads : m->cores_usable,
                         .budget = o->budget,
                         .stop = &stop,
                         .progress = show_progress};
    struct cg_found *found = cg_alloc_n(shapes->n, sizeof *found);
    char *path = cg_store_path(m);
    enum cg_status stored = CG_OK, st = path ? CG_OK : CG_ERR_USER;
    if (!found) st = cg_fail(CG_ERR_MEMORY, "out of memory");
    catch_signals();
    struct cg_tune_stats stats = {0};
    if (st == CG_OK) st = cg_tune(&t, shapes, found, &stats);
    cg_progress_end();
    if (st == CG_OK) {
        struct cg_tune_report r = {.shapes = shapes,
                                   .found = found,
                                   .left_out = all - shapes->n,
                                   .threads = t.threads,
                                   .interrupted = stop,
                                   .seconds = cg_now() - start,
                                   .stats = stats};
        char why[1024] = "";
        stored = store(m, &r, path);
        if (stored != CG_OK) snprintf(why, sizeof why, "%s", cg_error());
        st = print_results(o, &r);
        if (st == CG_OK && stored != CG_OK) st = cg_fail(stored, "%s", why);
        if (st == CG_OK && stop) st = cg_fail(CG_ERR_INTERRUPTED, "stopped; what was finished is kept");
    }
    cg_free(found);
    cg_free(path);
    return st;
}

static enum cg_status run_tune(const struct options *o, const struct cg_machine *m)
{
    struct cg_shapes shapes = {0};
    if (o->ops >> CG_OP_gemm_bf16 & 1 && !cg_plan_default(m, CG_OP_gemm_bf16, CG_FORM_NT, 0, 1, 1, 1, 1).variant)
        return cg_fail(CG_ERR_USER, "--ops bf16: this machine has no native bf16 GEMM; bf16w runs everywhere");
    enum cg_status st = shapes_of(o, &shapes);
    if (st == CG_OK) st = tune_shapes(o, m, &shapes);
    cg_shapes_free(&shapes);
    return st;
}

static enum cg_status run_show(const struct options *o, const struct cg_machine *m)
{
    struct cg_store s = {0};
    char *path = cg_store_path(m);
    if (!path) return CG_ERR_USER;
    enum cg_status st = cg_store_read(path, m, &s);
    if (st == CG_OK && o->json) st = cg_report_store_json(stdout, path, &s);
    else if (st == CG_OK) cg_report_store(stdout, path, &s);
    cg_store_free(&s);
    cg_free(path);
    return st;
}

/* ---- Verification ------------------------------------------------------------------------------------------------ */

static void say_mismatch(void *ctx, const struct cg_variant *v, const char *what)
{
    (void)ctx;
    cg_warn("%s differs from the scalar truth: %s", v->name, what);
}

static enum cg_status print_verify(const struct options *o, const struct cg_verify *v, json_t *skipped)
{
    if (o->json) {
        json_t *root =
            json_pack("{s:I,s:I,s:I,s:O,s:I}", "variants", (json_int_t)v->variants, "checked", (json_int_t)v->checked,
                      "mismatches", (json_int_t)v->mismatches, "skipped", skipped, "seed", (json_int_t)v->seed);
        char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
        if (text) puts(text);
        free(text);
        json_decref(root);
        return text ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    size_t i;
    json_t *s;
    if (!o->quiet)
        json_array_foreach(skipped, i, s) printf("skipped %s: %s\n", json_string_value(json_object_get(s, "name")),
                                                 json_string_value(json_object_get(s, "reason")));
    printf(
        "%zu variants, %zu cases checked bit for bit against the scalar truth: %zu mismatch%s; %zu variants skipped\n",
        v->variants, v->checked, v->mismatches, v->mismatches == 1 ? "" : "es", json_array_size(skipped));
    return CG_OK;
}

static enum cg_status run_verify(const struct options *o, const struct cg_machine *m)
{
    size_t count;
    const struct cg_variant *all = cg_variants(&count);
    struct cg_verify v = {.machine = m, .seed = 1, .cases = 60, .mismatch = say_mismatch};
    json_t *skipped = json_array();
    enum cg_status st = skipped ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    catch_signals();
    for (size_t i = 0; i < count && st == CG_OK; i++) {
        char why[512];
        cg_progress("checking %zu/%zu: %s", i + 1, count, all[i].name);
        if (stop) {
            st = cg_fail(CG_ERR_INTERRUPTED, "stopped before all variants were checked");
        } else if (!all[i].isa && !cg_op_is_gemm(all[i].op)) {
            continue; /* the scalar truth of a row operation: what the others are held against */
        } else if (cg_variant_runs(&all[i], m->isa)) {
            st = cg_verify_variant(&v, &all[i]);
        } else {
            cg_verify_why(m, &all[i], why, sizeof why);
            json_array_append_new(skipped, json_pack("{s:s,s:s}", "name", all[i].name, "reason", why));
        }
    }
    cg_progress_end();
    if (st == CG_OK) st = print_verify(o, &v, skipped);
    if (st == CG_OK && v.mismatches)
        st = cg_fail(CG_ERR_INTERNAL, "this machine does not compute what the contract says; please report it with the "
                                      "output of grpo-tune detect");
    json_decref(skipped);
    return st;
}

int main(int argc, char **argv)
{
    struct options o;
    static struct cg_machine m;
    int done;
    enum cg_status st = parse(argc, argv, &o, &done);
    if (st == CG_OK && !done) {
        cg_log_quiet(o.quiet);
        st = cg_machine_detect(&m);
        if (st != CG_OK) done = 1;
    }
    if (st == CG_OK && !done) {
        if (strcmp(o.command, "detect") == 0) st = cg_detect_report(&m, o.json, stdout);
        else if (strcmp(o.command, "verify") == 0) st = run_verify(&o, &m);
        else if (strcmp(o.command, "show") == 0) st = run_show(&o, &m);
        else if (strcmp(o.command, "detect") == 0) st = cg_detect_report(&m, o.json, stdout);
        else st = run_tune(&o, &m);
    }
    if (st == CG_OK && (fflush(stdout) != 0 || ferror(stdout)))
        st = cg_fail(CG_ERR_IO, "cannot write to standard output: %s", strerror(errno));
    if (st != CG_OK) fprintf(stderr, "grpo-tune: %s\n", cg_error());
    return cg_exit_code(st);
}

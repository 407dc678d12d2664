#include "runtime/config/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/words.h"
#include "runtime/config/bytes.h"
#include "runtime/config/table.h"

#define FIELD(o, c, type) ((type *)(void *)((char *)(c) + (o)->offset))
#define CONST_FIELD(o, c, type) ((const type *)(const void *)((const char *)(c) + (o)->offset))

enum cg_status cg_config_defaults(struct cg_run_config *c)
{
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < cg_option_count; i++) {
        enum cg_status s = cg_option_store_text(&cg_options[i], cg_options[i].def, c);
        if (s != CG_OK) {
            cg_config_free(c);
            return s;
        }
    }
    return CG_OK;
}

void cg_config_free(struct cg_run_config *c)
{
    for (size_t i = 0; i < cg_option_count; i++) {
        const struct cg_option *o = &cg_options[i];
        if (o->kind == CG_KIND_STR) free(*FIELD(o, c, char *));
        if (o->kind == CG_KIND_INTS) free(FIELD(o, c, struct cg_ints)->v);
        if (o->kind == CG_KIND_REALS) free(FIELD(o, c, struct cg_reals)->v);
        if (o->kind == CG_KIND_STRS) cg_option_free_strings(FIELD(o, c, struct cg_strs));
    }
    memset(c, 0, sizeof *c);
}

enum cg_status cg_config_set(struct cg_run_config *c, const char *assignment)
{
    const char *eq = strchr(assignment, '=');
    char key[64], shown[52];
    size_t n = eq ? (size_t)(eq - assignment) : 0;
    if (!eq || n == 0) return cg_fail(CG_ERR_USER, "--set needs key=value, not '%s'", cg_show(assignment, shown));
    snprintf(key, sizeof key, "%.*s", n < sizeof key ? (int)n : (int)sizeof key - 1, assignment);
    const struct cg_option *o = cg_option_find(key);
    enum cg_status s = o ? cg_option_store_text(o, eq + 1, c) : cg_option_unknown(key);
    return s == CG_OK ? s : cg_fail_in(s, "--set");
}

/* One number of steps for each stage, or none at all. */
static enum cg_status check_per_stage(const char *key, const struct cg_ints *x, size_t stages)
{
    if (x->n == 0 || x->n == stages) return CG_OK;
    return cg_fail(CG_ERR_USER, "%s has %zu number%s for %zu stage%s; give one for each, or none", key, x->n,
                   x->n == 1 ? "" : "s", stages, stages == 1 ? "" : "s");
}

enum cg_status cg_config_check(const struct cg_run_config *c)
{
    size_t stages = c->task_stages.n ? c->task_stages.n : 1;
    if (*c->train_file && c->task_stages.n)
        return cg_fail(CG_ERR_USER,
                       "task_stages is of built-in tasks, and train_file is given: such a run has one stage");
    if (*c->eval_file && !*c->train_file) return cg_fail(CG_ERR_USER, "eval_file is given without train_file");
    size_t bytes;
    if (*c->memory_budget) CG_TRY(cg_bytes_parse("memory_budget", c->memory_budget, &bytes));
    CG_TRY(check_per_stage("sft_steps", &c->sft_steps, stages));
    CG_TRY(check_per_stage("stage_steps", &c->stage_steps, stages));
    if (!c->task_stages.n && c->task_max <= c->task_min)
        return cg_fail(CG_ERR_USER, "task_max is %" PRId64 " and task_min %" PRId64 "; task_max must be larger",
                       c->task_max, c->task_min);
    int64_t batch = c->per_device_train_batch_size * c->gradient_accumulation_steps;
    if (batch % c->num_generations != 0)
        return cg_fail(CG_ERR_USER,
                       "num_generations is %" PRId64 ", which does not divide per_device_train_batch_size * "
                       "gradient_accumulation_steps = %" PRId64 "; a step takes whole groups",
                       c->num_generations, batch);
    if (c->epsilon_high < 0 && c->epsilon_high != -1)
        return cg_fail(CG_ERR_USER, "epsilon_high is %g; it must be 0 or more, or -1 for the same as epsilon",
                       c->epsilon_high);
    if (c->min_lr > c->learning_rate)
        return cg_fail(CG_ERR_USER, "min_lr is %g and learning_rate %g; min_lr must not be larger", c->min_lr,
                       c->learning_rate);
    if (c->use_peft && *c->trainable_layers)
        return cg_fail(CG_ERR_USER, "use_peft trains adapters in all layers, trainable_layers chosen ones; give one");
    if (c->use_peft && c->sync_ref_model)
        return cg_fail(CG_ERR_USER, "sync_ref_model has no meaning with use_peft: the reference is the model without "
                                    "adapters");
    if (*c->task_prompt && (!strstr(c->task_prompt, "{a}") || !strstr(c->task_prompt, "{b}")))
        return cg_fail(CG_ERR_USER, "task_prompt must contain {a} and {b}, where the operands of a problem go");
    if (c->load_best_model_at_end && c->eval_steps == 0)
        return cg_fail(CG_ERR_USER, "load_best_model_at_end needs eval_steps, which measures what is best");
    return CG_OK;
}

/* The shortest text that reads back as the same number, with a point so that every YAML reader sees a number. */
static void dump_real(double x, FILE *f)
{
    char s[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, x);
        if (strtod(s, NULL) == x) break;
    }
    size_t mantissa = strcspn(s, "e");
    int point = memchr(s, '.', mantissa) != NULL;
    fprintf(f, "%.*s%s%s", (int)mantissa, s, point ? "" : ".0", s + mantissa);
}

/* A character that a YAML reader refuses, or takes for the end of a line; how many bytes it has, 0 for another. */
static size_t dump_hidden(const char *s, FILE *f)
{
    static const char *const hidden[][2] = {{"\xe2\x80\xa8", "\\u2028"},
                                            {"\xe2\x80\xa9", "\\u2029"},
                                            {"\xef\xbb\xbf", "\\ufeff"},
                                            {"\xef\xbf\xbe", "\\ufffe"},
                                            {"\xef\xbf\xbf", "\\uffff"}};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (strncmp(s, hidden[i][0], 3) == 0) {
            fputs(hidden[i][1], f);
            return 3;
        }
    unsigned char second = (unsigned char)s[*s != 0];
    if ((unsigned char)*s != 0xc2 || second < 0x80 || second > 0x9f) return 0;
    fprintf(f, "\\x%02x", second);
    return 2;
}

static void dump_string(const char *s, FILE *f)
{
    fputc('"', f);
    for (size_t n; *s; s += n) {
        unsigned char ch = (unsigned char)*s;
        if ((n = dump_hidden(s, f)) > 0) continue;
        n = 1;
        if (ch == '"' || ch == '\\') fprintf(f, "\\%c", ch);
        else if (ch == '\n') fputs("\\n", f);
        else if (ch < 0x20 || ch == 0x7f) fprintf(f, "\\x%02x", ch);
        else fputc(ch, f);
    }
    fputc('"', f);
}

static void dump_ints(const struct cg_ints *x, FILE *f)
{
    fputc('[', f);
    for (size_t i = 0; i < x->n; i++) fprintf(f, "%s%" PRId64, i ? ", " : "", x->v[i]);
    fputc(']', f);
}

static void dump_reals(const struct cg_reals *x, FILE *f)
{
    fputc('[', f);
    for (size_t i = 0; i < x->n; i++) {
        if (i) fputs(", ", f);
        dump_real(x->v[i], f);
    }
    fputc(']', f);
}

static void dump_strings(const struct cg_strs *x, FILE *f)
{
    fputc('[', f);
    for (size_t i = 0; i < x->n; i++) {
        if (i) fputs(", ", f);
        dump_string(x->v[i], f);
    }
    fputc(']', f);
}

void cg_option_dump(const struct cg_option *o, const struct cg_run_config *c, FILE *f)
{
    switch (o->kind) {
    case CG_KIND_INT: fprintf(f, "%" PRId64, *CONST_FIELD(o, c, int64_t)); break;
    case CG_KIND_REAL: dump_real(*CONST_FIELD(o, c, double), f); break;
    case CG_KIND_BOOL: fputs(*CONST_FIELD(o, c, int) ? "true" : "false", f); break;
    case CG_KIND_STR: dump_string(*CONST_FIELD(o, c, char *), f); break;
    case CG_KIND_INTS: dump_ints(CONST_FIELD(o, c, struct cg_ints), f); break;
    case CG_KIND_REALS: dump_reals(CONST_FIELD(o, c, struct cg_reals), f); break;
    case CG_KIND_STRS: dump_strings(CONST_FIELD(o, c, struct cg_strs), f); break;
    }
}

void cg_config_dump(const struct cg_run_config *c, FILE *f)
{
    for (size_t i = 0; i < cg_option_count; i++) {
        fprintf(f, "%s: ", cg_options[i].name);
        cg_option_dump(&cg_options[i], c, f);
        fputc('\n', f);
    }
}

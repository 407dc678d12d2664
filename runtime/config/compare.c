/* In which options two runs differ. */
#include <stdlib.h>
#include <string.h>

#include "runtime/config/table.h"

#define SHOWN 6 /* differences that a line lists */

/* Options that the weights and metrics of a run do not depend on. One that is missing here counts as one they do. */
static const char *const harmless[] = {
    "output_dir", "threads",     "micro_batch_tokens", "memory_budget",    "gradient_checkpointing",
    "eval_steps", "save_steps",  "logging_steps",      "save_total_limit", "load_best_model_at_end",
    "report_to",  "max_num_seqs"};

static int is_harmless(const struct cg_option *o, const struct cg_run_config *now, const struct cg_run_config *before)
{
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(o->name, harmless[i]) == 0) return 1;
    return strcmp(o->name, "max_steps") == 0 && now->max_steps >= before->max_steps;
}

static char *value(const struct cg_option *o, const struct cg_run_config *c)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    if (!f) return NULL;
    cg_option_dump(o, c, f);
    return fclose(f) == 0 ? text : NULL;
}

char *cg_config_differences(const struct cg_run_config *now, const struct cg_run_config *before)
{
    char *text = NULL;
    size_t size, n = 0;
    FILE *f = open_memstream(&text, &size);
    int bad = !f;
    for (size_t i = 0; i < cg_option_count && !bad; i++) {
        const struct cg_option *o = &cg_options[i];
        char *a = value(o, now), *b = value(o, before);
        bad = !a || !b;
        if (!bad && strcmp(a, b) != 0 && !is_harmless(o, now, before)) {
            if (n < SHOWN) fprintf(f, "%s%s %.60s (was %.60s)", n ? ", " : "", o->name, a, b);
            n++;
        }
        free(a);
        free(b);
    }
    if (n > SHOWN) fprintf(f, " and %zu more", n - SHOWN);
    if (f && fclose(f) != 0) bad = 1;
    if (!bad) return text;
    free(text);
    return NULL;
}

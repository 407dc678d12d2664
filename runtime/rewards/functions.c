#include "runtime/rewards/functions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/words.h"
#include "runtime/rewards/boxed.h"
#include "runtime/rewards/number.h"

static const char space[] = " \t\r\n\v\f";

static enum cg_status task_reward(struct cg_rewards *r, const struct cg_reward_case *c, float *value)
{
    *value = r->task->reward(c->text, c->item->answer);
    return CG_OK;
}

/* `s` without the white space around it. */
static const char *trim(const char *s, size_t *n)
{
    s += strspn(s, space);
    *n = strlen(s);
    while (*n && strchr(space, s[*n - 1])) (*n)--;
    return s;
}

static enum cg_status exact(struct cg_rewards *r, const struct cg_reward_case *c, float *value)
{
    size_t n, m;
    const char *a = trim(c->text, &n), *b = trim(c->item->answer, &m);
    (void)r;
    *value = n == m && memcmp(a, b, n) == 0;
    return CG_OK;
}

static enum cg_status last_number(struct cg_rewards *r, const struct cg_reward_case *c, float *value)
{
    struct cg_number got, want;
    (void)r;
    *value = cg_number_last(c->item->answer, &want) && cg_number_last(c->text, &got) && cg_number_equal(&got, &want);
    return CG_OK;
}

static enum cg_status boxed(struct cg_rewards *r, const struct cg_reward_case *c, float *value)
{
    size_t n, m;
    const char *got = cg_boxed_last(c->text, &n), *want = cg_boxed_last(c->item->answer, &m);
    (void)r;
    if (!want) want = trim(c->item->answer, &m);
    *value = got && cg_boxed_equal(got, n, want, m);
    return CG_OK;
}

static enum cg_status has_boxed(struct cg_rewards *r, const struct cg_reward_case *c, float *value)
{
    size_t n;
    (void)r;
    *value = cg_boxed_last(c->text, &n) != NULL;
    return CG_OK;
}

static enum cg_status regex(struct cg_rewards *r, const struct cg_reward_case *c, float *value)
{
    return cg_regex_reward(r->regex, c->text, c->item->answer, value);
}

/* TRL's think_format_reward: ^<think>(?!.*<think>)(.*?)</think>.*$ */
static enum cg_status think_format(struct cg_rewards *r, const struct cg_reward_case *c, float *value)
{
    static const char open[] = "<think>", close[] = "</think>";
    (void)r;
    const char *inside = c->text + strlen(open);
    *value = strncmp(c->text, open, strlen(open)) == 0 && !strstr(inside, open) && strstr(inside, close);
    return CG_OK;
}

/* Soft overlong punishment of DAPO (Yu et al. 2025, eq. 13): 0 up to max_completion_length - reward_length_cache, then
 * linear down to -1 at max_completion_length. */
static enum cg_status overlong(struct cg_rewards *r, const struct cg_reward_case *c, float *value)
{
    double most = (double)r->cfg->max_completion_length, cache = (double)r->cfg->reward_length_cache;
    double over = (double)c->n_ids - (most - cache);
    *value = over <= 0 ? 0.0f : over >= cache ? -1.0f : (float)(-over / cache);
    return CG_OK;
}

static const struct cg_reward_fn functions[] = {
    {"task", "the built-in task's own verifier", CG_ANSWER_TEXT, task_reward},
    {"exact", "the completion is the answer, white space around them aside", CG_ANSWER_TEXT, exact},
    {"last_number", "the last number of the completion equals that of the answer", CG_ANSWER_NUMBER, last_number},
    {"boxed", "the last \\boxed{...} says the same as the answer", CG_ANSWER_TEXT, boxed},
    {"regex", "reward_regex matches", CG_ANSWER_UNUSED, regex},
    {"has_boxed", "there is a \\boxed{...}", CG_ANSWER_UNUSED, has_boxed},
    {"think_format", "begins with one <think>...</think>", CG_ANSWER_UNUSED, think_format},
    {"overlong", "0 down to -1 for the last reward_length_cache tokens", CG_ANSWER_UNUSED, overlong},
    {"program", "what reward_program says", CG_ANSWER_UNUSED, NULL},
};

const struct cg_reward_fn *cg_reward_fn_named(const char *name)
{
    char known[256] = "", shown[CG_SHOWN];
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(functions[i].name, name) == 0) return &functions[i];
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", functions[i].name);
    }
    cg_fail(CG_ERR_USER, "reward_funcs: '%s' is unknown; use some of: %s", cg_show(name, shown), known);
    return NULL;
}

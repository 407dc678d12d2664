#include "runtime/tasks/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "runtime/tasks/addition.h"

static const struct cg_task tasks[] = {
    {"addition", "a + b in plain decimal", "{a}+{b}=", cg_decimal_operand, cg_addition_answer, cg_number_reward},
    {"addition-reversed", "a + b, operands padded with zeros, the sum least significant digit first",
     "{a}+{b}=", cg_padded_operand, cg_addition_reversed_answer, cg_number_reward},
};

const struct cg_task *cg_task_named(const char *name)
{
    char known[256] = "";
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (strcmp(tasks[i].name, name) == 0) return &tasks[i];
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", tasks[i].name);
    }
    cg_fail(CG_ERR_USER, "task '%s' is unknown; use one of: %s", name, known);
    return NULL;
}

static enum cg_status set_stage(struct cg_stage *s, uint64_t lo, uint64_t hi, size_t n_train, size_t n_eval)
{
    uint64_t numbers = hi - lo + 1;
    if (hi < lo || numbers > UINT32_MAX)
        return cg_fail(CG_ERR_USER, "operands from %" PRIu64 " to %" PRIu64 " make no usable range", lo, hi);
    s->lo = lo;
    s->hi = hi;
    s->pairs = numbers * numbers - s->earlier * s->earlier;
    s->n_eval = n_eval;
    if (s->n_eval > s->pairs / 4) s->n_eval = (size_t)(s->pairs / 4);
    s->n_train = n_train;
    if (s->n_train > s->pairs - s->n_eval) s->n_train = (size_t)(s->pairs - s->n_eval);
    if (s->n_train == 0 || s->n_eval == 0)
        return cg_fail(CG_ERR_USER, "operands from %" PRIu64 " to %" PRIu64 " give too few problems to hold some out",
                       lo, hi);
    return CG_OK;
}

static int digits_of(uint64_t x)
{
    int n = 1;
    while (x >= 10) {
        x /= 10;
        n++;
    }
    return n;
}

static enum cg_status make_stages(struct cg_problems *p, const int64_t *digits, uint64_t lo, uint64_t hi,
                                  size_t n_train, size_t n_eval)
{
    for (size_t s = 0; s < p->n_stages; s++) {
        struct cg_stage *st = &p->stages[s];
        if (digits) {
            if (digits[s] < 1 || digits[s] > 6)
                return cg_fail(CG_ERR_USER, "task_stages: a stage has 1 to 6 digits, not %" PRId64, digits[s]);
            lo = 0;
            hi = 1;
            for (int64_t d = 0; d < digits[s]; d++) hi *= 10;
            hi -= 1;
            /* Stages that go up share no problems, so that what is held out of one is not trained on in another. */
            if (s > 0 && p->stages[s - 1].hi < hi) st->earlier = p->stages[s - 1].hi + 1;
            snprintf(st->name, sizeof st->name, "%d digit%s", (int)digits[s], digits[s] > 1 ? "s" : "");
        } else {
            snprintf(st->name, sizeof st->name, "%" PRIu64 "..%" PRIu64, lo, hi);
        }
        CG_TRY(set_stage(st, lo, hi, n_train, n_eval));
        if (digits_of(hi) > p->width) p->width = digits_of(hi);
    }
    return CG_OK;
}

enum cg_status cg_problems_create(const char *task, const char *prompt, uint64_t seed, const int64_t *digits,
                                  size_t n_stages, uint64_t lo, uint64_t hi, size_t n_train, size_t n_eval,
                                  struct cg_problems *out)
{
    memset(out, 0, sizeof *out);
    out->task = cg_task_named(task);
    if (!out->task) return CG_ERR_USER;
    out->seed = seed;
    out->n_stages = n_stages ? n_stages : 1;
    out->prompt = strdup(*prompt ? prompt : out->task->prompt);
    out->stages = calloc(out->n_stages, sizeof *out->stages);
    enum cg_status s = out->prompt && out->stages ? CG_OK : cg_fail(CG_ERR_MEMORY, "out of memory");
    if (s == CG_OK) s = make_stages(out, n_stages ? digits : NULL, lo, hi, n_train, n_eval);
    if (s != CG_OK) cg_problems_free(out);
    return s;
}

void cg_problems_free(struct cg_problems *p)
{
    free(p->prompt);
    free(p->stages);
    memset(p, 0, sizeof *p);
}

/* Writes the template with its operands into out. */
static enum cg_status fill(const struct cg_problems *p, uint64_t a, uint64_t b, char out[CG_PROMPT_MAX])
{
    size_t n = 0;
    for (const char *s = p->prompt; *s;) {
        char piece[32] = {*s, 0};
        size_t used = 1;
        if (strncmp(s, "{a}", 3) == 0 || strncmp(s, "{b}", 3) == 0) {
            p->task->operand(s[1] == 'a' ? a : b, p->width, piece, sizeof piece);
            used = 3;
        }
        size_t len = strlen(piece);
        if (n + len >= CG_PROMPT_MAX)
            return cg_fail(CG_ERR_USER, "task_prompt is longer than %d bytes", CG_PROMPT_MAX - 1);
        memcpy(out + n, piece, len);
        n += len;
        s += used;
    }
    out[n] = 0;
    return CG_OK;
}

/* Pair `j` of a stage: the rows of operands that are new in a, then those that are new in b only. */
static void operands(const struct cg_stage *s, uint64_t j, uint64_t *a, uint64_t *b)
{
    uint64_t numbers = s->hi - s->lo + 1, fresh = numbers - s->earlier;
    if (j < fresh * numbers) {
        *a = s->lo + s->earlier + j / numbers;
        *b = s->lo + j % numbers;
    } else {
        j -= fresh * numbers;
        *a = s->lo + j / fresh;
        *b = s->lo + s->earlier + j % fresh;
    }
}

enum cg_status cg_problems_get(const struct cg_problems *p, size_t stage, enum cg_split split, size_t index,
                               char prompt[CG_PROMPT_MAX], char answer[CG_ANSWER_MAX])
{
    const struct cg_stage *s = &p->stages[stage];
    /* The permutation's first n_eval pairs are held out, the next n_train are for training. */
    uint64_t i = split == CG_SPLIT_EVAL ? index : s->n_eval + index, a, b;
    operands(s, cg_permute(p->seed, (uint32_t)stage, s->pairs, i), &a, &b);
    p->task->answer(a, b, p->width, answer, CG_ANSWER_MAX);
    return fill(p, a, b, prompt);
}

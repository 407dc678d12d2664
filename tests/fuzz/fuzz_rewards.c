/* Reward functions: the bytes before the last newline are the completion, those after it the answer.
 *
 * instrument: runtime/rewards/?*.c
 * seeds: tests/fuzz/seeds/rewards/answer.txt */
#include "fuzz.h"

#include <math.h>

#include "runtime/rewards/rewards.h"

static struct cg_run_config config;
static struct cg_rewards *rewards;

static void prepare(void)
{
    static const char *const sets[] = {
        "reward_funcs=task,exact,last_number,boxed,regex,has_boxed,think_format,overlong", "reward_regex=#### *(.*)"};
    if (cg_config_defaults(&config) != CG_OK) exit(1);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (cg_config_set(&config, sets[i]) != CG_OK) exit(1);
    if (cg_rewards_open(&config, NULL, &rewards) != CG_OK) exit(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) exit(1);
    if (!rewards) prepare();
    memcpy(text, data, size);
    text[size] = 0;
    char *newline = strrchr(text, '\n'), *answer = newline ? strdup(newline + 1) : strdup("");
    if (!answer) exit(1);
    if (newline) *newline = 0;
    const struct cg_item it = {.answer = answer};
    const struct cg_reward_case c = {&it, text, NULL, size};
    float each[CG_MAX_REWARDS], total;
    enum cg_status st = cg_rewards_all(rewards, 0, 1, &c, each, &total);
    expect_one_line(st);
    for (size_t i = 0; st == CG_OK && i < cg_rewards_count(rewards); i++)
        if (!(each[i] >= -1.0f && each[i] <= 1.0f)) finding("a reward is not from -1 to 1");
    /* Every text is exactly itself. */
    const struct cg_item same = {.answer = text};
    const struct cg_reward_case itself = {&same, text, NULL, size};
    if (cg_rewards_one(rewards, 1, 0, 1, &itself, each) == CG_OK && each[0] != 1.0f) finding("a text is not itself");
    free(answer);
    free(text);
    return 0;
}

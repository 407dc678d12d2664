/* Completions of a set of problems, their text and rewards. */
#ifndef CG_RUNTIME_RL_ROLLOUT_H
#define CG_RUNTIME_RL_ROLLOUT_H

#include "runtime/rl/session.h"

struct cg_rollout {
    size_t prompts, generations, n;    /* n = prompts * generations */
    const struct cg_item **items;      /* [prompts], set by the caller */
    struct cg_gen_prompt *gen_prompts; /* [prompts] the same for the generator */
    struct cg_completion *completion;  /* [n], those of one problem together */
    char **text;                       /* [n] decoded without special tokens */
    float *reward;                     /* [n]; NAN where no reward function applies */
    float *each;                       /* [functions][n] what each reward function gives */
    struct cg_reward_case *cases;      /* [n] for the reward functions */
    int32_t *tokens;
    float *logprobs, *sampling_logprobs, *entropies; /* as struct cg_completion's */
};

enum cg_status cg_rollout_create(size_t prompts, size_t generations, size_t max_new_tokens, struct cg_rollout *r);
void cg_rollout_free(struct cg_rollout *r);

/* Generates at `temperature` (0: greedy) and decodes. Every call with temperature > 0 draws new numbers. */
enum cg_status cg_rollout_generate(struct cg_session *s, struct cg_rollout *r, float temperature);

/* Generates, decodes and rewards. */
enum cg_status cg_rollout_run(struct cg_session *s, struct cg_rollout *r, float temperature);

/* Prompt and completion tokens of the group of problem `i`, the prompt counted for each completion, as TRL does. */
size_t cg_rollout_tokens(const struct cg_rollout *r, size_t i);

#endif
